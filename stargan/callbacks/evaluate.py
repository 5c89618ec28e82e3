"""A small evaluation every so many steps; keeps the best checkpoint."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from stargan.data.drawn.faces import is_drawn
from stargan.errors import Plain, UserError
from stargan.evaluation import identity
from stargan.evaluation.figures import figures
from stargan.evaluation.held_out import TestSet
from stargan.evaluation.measure import Instruments, Shards, judge_instruments, translate_set
from stargan.judges.drawn import judge_of_faces
from stargan.judges.judge import Judge, open_judge
from stargan.methods.base import Method, Translation
from stargan.progress import Progress
from stargan.training.callback import Run, RunCallback
from stargan.training.distributed import wait_for_all
from stargan.training.engine import Engine
from stargan.training.metrics_log import MetricsLog
from stargan.training.saving import write_checkpoint
from stargan.writing import write_whole

log = logging.getLogger(__name__)

AFTER = 2.0
"""An evaluation that takes fewer seconds has no bar."""
KEYS = ("error", "kept", "fid", "identity", "outside")
CHOICES = ("error", "fid")
PARTS = "evaluation_parts"
"""Where a run keeps the measurements of its real images."""


class Evaluate(RunCallback):
    """Translates some validation images (or test images, without any) to every label, judges them.

    Logs ``eval/error``, ``eval/kept``, ``eval/fid`` and others, means over all labels and data
    sets, and keeps ``checkpoints/best.ckpt``: the step at which ``choose`` was smallest.

    Args:
        tests: the test images of each data set, and what measures them.
        folder: the run's checkpoints/.
        terms: where figures are logged.
        reference: of each data set, where the measurements of its real images are kept, and what
            they depend on.
        every_n_steps: discriminator steps between evaluations.
        every_n_minutes: minutes of training between them instead; None: by steps.
        batch_size: images at a time.
        choose: ``error`` or ``fid``.
        measured: what a value depends on, name to words: values of other judges, images or
            measures are not compared with each other.
        resumed: go on from the best of the run so far; otherwise it is forgotten.
        flatters: the images are test images, since there are none kept aside for choosing.
    """

    def __init__(
        self,
        tests: list[tuple[TestSet, Instruments]],
        folder: Path,
        terms: MetricsLog,
        reference: list[tuple[Path, Plain]],
        every_n_steps: int,
        batch_size: int,
        choose: str,
        measured: dict[str, str],
        resumed: bool = False,
        flatters: bool = False,
        every_n_minutes: float | None = None,
    ) -> None:
        self.tests = tests
        self.folder = folder
        self.terms = terms
        self.reference = reference
        self.shards: list[Shards] = []
        self.every_n_steps = every_n_steps
        self.every_n_minutes = every_n_minutes
        self.periods = 0
        self.batch_size = batch_size
        self.choose = choose
        self.flatters = flatters
        self.measured = {"choose": choose, **measured}
        self.best: dict[str, Any] = {}
        self.note = folder / "best.json"
        if resumed and self.note.is_file():
            self.best = self.best_so_far()

    @classmethod
    def of(cls, run: Run, settings: Plain) -> Evaluate | None:
        """For every method that translates; real images need ``judge``.

        Raises:
            UserError: no judge, or one of other labels; settings that make no sense.
        """
        if not isinstance(run.method, Translation):
            return None
        for key in ("every_n_steps", "count", "batch_size"):
            if not isinstance(settings[key], int) or settings[key] < 1:
                raise UserError(
                    f"callbacks.evaluate.{key}={settings[key]} must be a whole number above 0."
                )
        minutes = settings.get("every_n_minutes")
        if minutes is not None and not (isinstance(minutes, int | float) and minutes > 0):
            raise UserError(
                f"callbacks.evaluate.every_n_minutes={minutes} must be a number above 0, or null."
            )
        if settings["choose"] not in CHOICES:
            raise UserError(
                f"callbacks.evaluate.choose={settings['choose']} is unknown: choose error or fid."
            )
        trust = run.config.get("trust") or ()
        given = open_judge(settings["judge"], trust=trust) if settings["judge"] else None
        tests, splits = [], set[str]()
        reference, judged = [], []
        size = int(settings["batch_size"])
        for name in run.data.test:
            split, _ = run.data.selection(name)
            test = TestSet(run.data, name, run.method.labels, int(settings["count"]), split)
            splits.add(split)
            for ask in (test.seen_by, test.relabelled_since) if settings["judge"] else ():
                words = ask(settings["judge"], "the judge")
                if words and not run.resumed:
                    log.warning(words)
            judge = given or _faces(run, name)
            words = str(settings["judge"] or "small classifier")
            tools = judge_instruments(judge, test.space, words)
            tests.append((test, tools))
            # Real images do not change: they are measured once in a run, resumes included.
            depends = identity.of_images(test, tools, run.config["data"][name], size)
            reference.append((run.folder / PARTS / name, depends))
            judged.append(identity.of_network(judge.network))
        rows = [row for test, _ in tests for row in (test.rows, test.labels)]
        return cls(
            tests,
            run.folder / "checkpoints",
            run.terms,
            reference,
            int(settings["every_n_steps"]),
            size,
            str(settings["choose"]),
            {"judge": " ".join(judged), "images": identity.of_tensors(*rows)},
            run.resumed,
            "test" in splits,
            settings.get("every_n_minutes"),
        )

    def best_so_far(self) -> dict[str, Any]:
        """The best of the run before a resume; nothing where it was measured otherwise."""
        best = dict(json.loads(self.note.read_text(encoding="utf-8")))
        now, before = self.measured, best.get("measured", {})
        other = [k for k in now if before.get(k) != now[k]]
        if "choose" in other:
            log.warning(
                "best.ckpt was chosen by %s, from now on by %s: choosing starts anew.",
                before.get("choose", "an unknown measure"),
                now["choose"],
            )
        elif other:
            log.warning(
                "best.ckpt was chosen with another %s: choosing starts anew.", " and ".join(other)
            )
        return {} if other else best

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Engine)
        if self.is_due(module) and module.translates:
            self.evaluate(trainer, module)

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        self.periods = self.periods_of(module)

    def periods_of(self, module: Engine) -> int:
        """How often ``every_n_minutes`` of training have passed; the same on all ranks."""
        return int(module.clock / (60 * self.every_n_minutes)) if self.every_n_minutes else 0

    def is_due(self, module: Engine) -> bool:
        """Whether it is time for an evaluation."""
        if self.every_n_minutes is None:
            return module.step % self.every_n_steps == 0
        before, self.periods = self.periods, self.periods_of(module)
        return self.periods > before

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        if self.best.get("last") != module.step and module.step:
            self.evaluate(trainer, module)
            # There is no step any more whose terms the log could read.
            if trainer.is_global_zero:
                self.terms.note({k: float(v) for k, v in module.terms.items() if k[:5] == "eval/"})

    def evaluate(self, trainer: pl.Trainer, module: Engine) -> None:
        """Measure now, on the first rank; all ranks save when it is the best so far."""
        better = False
        if trainer.is_global_zero:
            found = self.measure(module)
            module.terms |= {
                f"eval/{k}": torch.tensor(v, device=module.device) for k, v in found.items()
            }
            value = found.get(self.choose, math.nan)
            better = value < self.best.get("value", math.inf)
            if better:
                self.best = {"step": module.step, "value": value, "measured": self.measured}
        # On every rank: whether there is one at the end too has to be the same for all.
        self.best["last"] = module.step
        wait_for_all(trainer)
        if trainer.strategy.broadcast(better):
            self.save(trainer, module)
        elif trainer.is_global_zero and self.folder.is_dir():
            write_whole(self.note, json.dumps(self.best))
        module.rest()

    def measure(self, module: Engine) -> dict[str, float]:
        """The figures of this step, means over the data sets."""
        found: dict[str, list[float]] = {}
        # Made here: in other processes nobody measures.
        self.shards = self.shards or [Shards(*kept) for kept in self.reference]
        for (test, tools), reference in zip(self.tests, self.shards, strict=True):
            tools.judge.network.to(module.device)
            words = f"evaluation at step {module.step}: {test.name}"
            count = len(test.rows) + len(test.reference_rows)
            with Progress(words, count, after=AFTER) as progress:
                records = translate_set(
                    *(_Now(module.method), test, tools, self.batch_size, None, reference),
                    cycle=False,
                    advance=progress.advance,
                    truth=False,
                )
            if not records.fake:
                continue
            overall = figures(records, test, intervals=False, bins=0)[0].overall.figures
            for key in KEYS:
                if key in overall and math.isfinite(overall[key].value):
                    found.setdefault(key, []).append(overall[key].value)
        return {k: sum(v) / len(v) for k, v in found.items()}

    def save(self, trainer: pl.Trainer, module: Engine) -> None:
        """Write best.ckpt. Every rank calls it; the first one moves the file into place."""
        write_checkpoint(trainer, self.folder / "best.ckpt")
        if trainer.is_global_zero:
            write_whole(self.note, json.dumps(self.best))

    def report(self) -> list[str]:
        """Which step was the best."""
        if "step" not in self.best:
            return []
        kind = "test" if self.flatters else "validation"
        return [
            "## Best checkpoint",
            "",
            f"`checkpoints/best.ckpt`, step {self.best['step']:.0f}, {self._value()} of "
            f"{sum(len(test) for test, _ in self.tests)} {kind} images, all labels together. "
            "The checkpoint was chosen on them, so this figure is somewhat too good: compare "
            "models by `stargan evaluate`"
            + (" on images that chose nothing." if self.flatters else ", on test images."),
        ]

    def summary(self) -> dict[str, str]:
        """Where the best checkpoint is."""
        if "step" not in self.best:
            return {}
        path = self.folder / "best.ckpt"
        return {"best": f"{path} (step {self.best['step']:.0f}, {self._value()})"}

    def _value(self) -> str:
        value = self.best["value"]
        return f"FID {value:.2f}" if self.choose == "fid" else f"classification error {value:.1%}"


class _Now:
    """The method of this moment as ``contracts.Translate``."""

    def __init__(self, method: Method) -> None:
        assert isinstance(method, Translation)
        self.method = method
        self.labels = method.labels

    def __call__(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        device = self.method.device
        given = (t.to(device) for t in (image, own, target, dataset))
        return self.method.translate(*given)

    def can(self, own: Tensor, target: Tensor) -> Tensor:
        """See ``contracts.Chooses``."""
        return self.method.can(own, target)


def _faces(run: Run, dataset: str) -> Judge:
    """The judge of embedded faces, made if it must be."""
    if not is_drawn(run.data.train[dataset].images):
        raise UserError(
            f"callbacks=evaluate on the images of '{dataset}' needs a judge: add "
            "callbacks.evaluate.judge=RUN_OR_FILE of a classifier of its labels."
        )
    return judge_of_faces(run.data, dataset, run.config["data"][dataset], run.console)
