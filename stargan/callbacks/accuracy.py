"""How well a classifier reads images kept aside, during training and at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table

from stargan.data.datamodule import DataModule
from stargan.errors import Plain
from stargan.judges.judge import Judge
from stargan.labels import JointLabelSpace
from stargan.methods.base import Method
from stargan.methods.classifier import Classifier
from stargan.metrics.classification import Confusion, Reading, reading, scores
from stargan.training.callback import Run, RunCallback
from stargan.training.distributed import wait_for_all
from stargan.training.engine import Engine
from stargan.training.metrics_log import MetricsLog
from stargan.training.saving import write_checkpoint
from stargan.writing import markdown_row

BATCH = 64
WORDS = {"val": "validation", "test": "test"}


class TestAccuracy(RunCallback):
    """Reads a whole split every so many steps; keeps ``checkpoints/best.ckpt``.

    The validation split where there is one, logged as ``val/balanced`` and ``val/accuracy/LABEL``,
    and the test split at the end; otherwise the test split, logged as ``test/...``. The best is the
    one with the highest balanced accuracy on that same split, so its figure flatters a little; the
    exported file is the last, not the best.

    Args:
        method: the classifier.
        data: set up.
        terms: where figures are logged.
        folder: the run's checkpoints/.
        every_n_steps: training steps between tests.
        console: for the table at the end.
    """

    __test__ = False  # No test class of pytest's.

    def __init__(
        self,
        method: Method,
        data: DataModule,
        terms: MetricsLog,
        folder: Path,
        every_n_steps: int,
        console: Console,
    ) -> None:
        self.method = method
        self.data = data
        self.terms = terms
        self.folder = folder
        self.every_n_steps = every_n_steps
        self.console = console
        self.readings: dict[str, Reading] = {}
        self.step, self.start = -1, 0
        self.best = (-1.0, -1)
        # What chooses the best is no test image where there are others.
        chosen = {data.selection(name)[0] for name in data.test}
        self.split = self.shown = "test" if "test" in chosen else "val"

    @classmethod
    def of(cls, run: Run, settings: Plain) -> TestAccuracy | None:
        """For every classifier."""
        if not isinstance(run.method, Classifier):
            return None
        every = int(run.config["log"]["test_every_n_steps"])
        made = cls(run.method, run.data, run.terms, run.folder / "checkpoints", every, run.console)
        made.start = run.engine.step
        best = made.folder / "best.ckpt"
        if run.resumed and best.is_file():
            made.best = read_best(best)
        return made

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Engine)
        if module.step % self.every_n_steps == 0 or module.step == module.max_steps:
            self.measure(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        # After Ctrl-C there is no time for it: then the report has the last reading.
        timed_out = module.max_seconds is not None and module.clock > module.max_seconds
        if self.step != module.step and timed_out:
            self.measure(trainer, module)
        over = timed_out or module.step == module.max_steps
        if self.split != "test" and over and trainer.is_global_zero:
            self.readings, self.shown = read_split(module.method, self.data, "test"), "test"
        wait_for_all(trainer)

    def measure(self, trainer: pl.Trainer, module: Engine) -> None:
        """Read now, log, keep the checkpoint if it is the best so far. Every rank calls it."""
        better = False
        if trainer.is_global_zero:
            self.readings = read_split(module.method, self.data, self.split)
            self.shown = self.split
            found = scores(self.readings)
            logged = {**found, "chance": chance(module.method.labels)}
            self.terms.note({f"{self.split}/{name}": value for name, value in logged.items()})
            better = found["balanced"] > self.best[0]
            if better:
                self.best = (found["balanced"], module.step)
        # On every rank: whether there is one at the end too has to be the same for all.
        self.step = module.step
        wait_for_all(trainer)
        if trainer.strategy.broadcast(better):
            write_checkpoint(trainer, self.folder / "best.ckpt")

    def finish(self, exported: Path, cut_short: bool) -> None:
        """A run that was killed after its last step has not been read yet."""
        if self.step < 0 and not cut_short:
            self.step = self.start
            self.readings, self.shown = read_split(self.method, self.data, "test"), "test"

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint remembers: the best so far."""
        return {"balanced": self.best[0], "step": self.best[1]}

    def report(self) -> list[str]:
        """Tables of the last test."""
        if not self.readings:
            return []
        count = sum(one.count for one in self.readings.values())
        title = WORDS[self.shown].capitalize()
        lines = [f"## {title} split: {count:,} images, after {self.step:,} steps", ""]
        for title, one in self.readings.items():
            lines += [
                f"### {title}",
                "",
                f"All labels right: {one.exact:.2%}. "
                f"Balanced accuracy: {one.mean_balanced:.2%}, of {one.count:,} images.",
                "",
                "| label | accuracy | balanced |",
                "|---|---|---|",
            ]
            lines += [
                markdown_row((name, percent(value), percent(one.balanced[name])))
                for name, value in one.accuracy.items()
            ]
            for table in one.confusions:
                lines += ["", "Rows: the truth; columns: what was read.", ""]
                lines += confusion_lines(table)
            lines.append("")
        value, step = self.best
        lines += [
            f"`checkpoints/best.ckpt`: the best balanced accuracy, {value:.2%}, after {step:,} "
            f"steps. It was chosen on this same {WORDS[self.split]} split, so its figure flatters "
            "a little; the exported file is the last."
        ]
        return lines

    def summary(self) -> dict[str, str]:
        """The figures in a line; the table goes to the terminal first."""
        if not self.readings:
            return {}
        for title, one in self.readings.items():
            self.console.print(accuracy_table(title, one, WORDS[self.shown]))
        balanced = scores(self.readings)["balanced"]
        exact = ", ".join(f"{one.exact:.2%}" for one in self.readings.values())
        words = f"balanced accuracy {balanced:.2%}, all labels right {exact}"
        return {self.shown: f"{words}, best {self.best[0]:.2%} after {self.best[1]} steps"}


def chance(labels: JointLabelSpace) -> float:
    """The balanced accuracy of guessing, the mean over the label spaces."""
    each = [1 / s.size if s.categorical and s.size > 1 else 0.5 for s in labels.spaces]
    return sum(each) / len(each)


def read_best(path: Path) -> tuple[float, int]:
    """Figure and step of an earlier ``best.ckpt``."""
    callbacks = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["callbacks"]
    about = callbacks[TestAccuracy.__qualname__]
    return float(about["balanced"]), int(about["step"])


def read_split(method: Method, data: DataModule, split: str) -> dict[str, Reading]:
    """How well a classifier in training reads a split, by data set."""
    assert isinstance(method, Classifier)
    judge = Judge(method.classifier, method.labels, data.image_size)
    found = {}
    try:
        for i, name in enumerate(data.test):
            space, part = method.labels.spaces[i], method.labels.slices[i]
            read, label = [], []
            for batch in data.batches(name, split, BATCH):
                read.append(judge.read(batch.image, i).cpu())
                label.append(batch.label[:, part])
            found[space.name] = reading(torch.cat(read), torch.cat(label), space)
    finally:
        method.classifier.train()
    return found


def confusion_lines(table: Confusion) -> list[str]:
    """A confusion as Markdown."""
    lines = [markdown_row(("", *table.names)), "|---" * (len(table.names) + 1) + "|"]
    for name, row in zip(table.names, table.counts.tolist(), strict=True):
        lines.append(markdown_row((f"**{name}**", *row)))
    return lines


def accuracy_table(title: str, one: Reading, split: str) -> Table:
    """The figures of a data set for the terminal."""
    shown = Table(title=f"{split} split: {title}, {one.count:,} images", title_justify="left")
    shown.add_column("label")
    for column in ("accuracy", "balanced"):
        shown.add_column(column, justify="right")
    for name, value in one.accuracy.items():
        shown.add_row(name, percent(value), percent(one.balanced[name]))
    return shown


def percent(value: float) -> str:
    """``99.1%``, or a dash where there was nothing to measure."""
    return f"{value:.2%}" if value == value else "-"
