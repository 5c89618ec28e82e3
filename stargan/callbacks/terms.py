"""The loss terms of a run: metrics.csv, TensorBoard, and a word when the label has no effect."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from stargan.callbacks.base import Run, RunCallback
from stargan.contracts import Batch, Plain
from stargan.methods.base import Method, Translation

log = logging.getLogger(__name__)

# Below this mean difference on the [-1, 1] scale a person sees no difference between two labels:
# half a grey level of 255.
NO_EFFECT = 0.004
# Generator steps that every recipe is given before anything is said.
GRACE = 200


class TermLog(pl.Callback):
    """Means of all terms since the last row, every so many discriminator steps.

    Args:
        path: the CSV file. On resume, rows after the resumed step are cut off.
        every_n_steps: discriminator steps between rows.
    """

    def __init__(self, path: Path, every_n_steps: int) -> None:
        self.path = path
        self.every_n_steps = every_n_steps
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.latest: dict[str, float] = {}
        self.said = False

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Method)
        if not trainer.is_global_zero or not self.path.exists():
            return
        rows = [row for row in read_terms(self.path) if row["step"] <= module.step]
        self.path.unlink()
        for row in rows:
            self.write(row)

    def note(self, values: Mapping[str, float]) -> None:
        """Put what was measured beside the steps into the next row."""
        for name, value in values.items():
            self.sums[name], self.counts[name] = torch.tensor(value), 1

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Method)
        for name, term in module.terms.items():
            # Sums stay on the device: no synchronisation between rows.
            self.sums[name] = self.sums.get(name, torch.zeros_like(term)) + term
            self.counts[name] = self.counts.get(name, 0) + 1
        if module.step % self.every_n_steps == 0:
            self.flush(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Method)
        if self.counts:
            self.flush(trainer, module)

    def flush(self, trainer: pl.Trainer, module: Method) -> None:
        """Write the row of this step."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if bad and not self.said:
            self.said = True
            log.warning(
                "%s not finite at step %d: the run has diverged. Take an earlier checkpoint and a "
                "lower learning rate, or see where it began with debug=anomaly.",
                " and ".join(bad),
                module.step,
            )
        for letter, optimizer in zip(module.trained(), module.all_optimizers(), strict=True):
            means[f"rate/{letter}"] = optimizer.param_groups[0]["lr"]
        self.latest |= means
        if not trainer.is_global_zero:
            return
        self.write({"step": module.step, "seconds": round(module.seconds, 2), **means})
        for logger in trainer.loggers:
            logger.log_metrics(means, step=module.step)

    def write(self, row: dict[str, float]) -> None:
        """Append a row; a column that was not there before makes the file be written anew."""
        old = read_terms(self.path) if self.path.exists() else []
        columns = list(old[0]) if old else []
        new = [c for c in row if c not in columns]
        if new:
            columns += new
        with self.path.open("w" if new else "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            if new:
                writer.writeheader()
                writer.writerows({k: v for k, v in r.items() if v == v} for r in old)
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def read_terms(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv; a value that was not logged is NaN. A torn last row is dropped."""
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                values = {k: float(v) if v else float("nan") for k, v in row.items()}
            except (TypeError, ValueError):
                continue  # cut off in the middle of a write
            rows.append(values | {"step": int(values["step"])})
    return rows


class LabelEffect(RunCallback):
    """Measures mean |G(x, c1) - G(x, c2)|: does the label reach the output?

    Users' most frequent trouble with StarGAN is a generator that ignores its label. Logged as
    ``label_effect`` on the [-1, 1] scale; said aloud once when it stays near zero.

    Args:
        batch: images to try, fixed.
        every_n_steps: discriminator steps between measurements.
        patience: measurements in a row near zero before it is said.
    """

    def __init__(self, batch: Batch, every_n_steps: int, patience: int = 5) -> None:
        self.batch = batch
        self.every_n_steps = every_n_steps
        self.patience = patience
        self.low = 0
        self.said = False

    @classmethod
    def of(cls, run: Run, settings: Plain) -> LabelEffect | None:
        """For every method that translates."""
        if not isinstance(run.method, Translation):
            return None
        logs = run.config["log"]
        batch = run.data.validation_batch(int(logs["sample_rows"]))
        return cls(batch, int(logs["every_n_steps"]), int(settings["patience"]))

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Translation)
        if module.step % self.every_n_steps or not trainer.is_global_zero:
            return
        effect = label_effect(module, self.batch)
        module.terms["label_effect"] = torch.tensor(effect, device=module.device)
        deaf = effect < NO_EFFECT and module.generator_steps >= GRACE
        self.low = self.low + 1 if deaf else 0
        if self.low >= self.patience and not self.said:
            self.said = True
            log.warning(
                "the label has no effect: at step %d two different labels change the same image "
                "by %.4f on average (scale [-1, 1]). Usual causes: classes named train and test, "
                "padding that cancels the condition, lambda_rec too high, too few steps.",
                module.step,
                effect,
            )


def label_effect(module: Translation, batch: Batch) -> float:
    """Mean |G(x, c1) - G(x, c2)| over neighbouring targets of every label, on [-1, 1]."""
    device = module.device
    effects = []
    for i in range(len(module.labels.spaces)):
        rows = batch.source == i
        if not rows.any():
            continue
        image, label, source = (t[rows].to(device) for t in batch)
        outputs = [
            module.translate(image, target, source) for _, target in module.labels.targets(label, i)
        ]
        if len(outputs) == 1:  # a single label: wanted against unchanged
            outputs.append(module.translate(image, label, source))
        pairs = pairwise(outputs)
        effects += [float((a - b).abs().mean()) for a, b in pairs]
    return sum(effects) / max(len(effects), 1)
