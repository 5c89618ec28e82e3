"""Captioned sample grids of a fixed validation batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from torch import Tensor

from stargan import imaging
from stargan.contracts import Batch
from stargan.errors import Plain
from stargan.methods.base import Translation
from stargan.training.callback import Run, RunCallback
from stargan.training.engine import Engine
from stargan.training.loggers import show


class SampleGrid(RunCallback):
    """One row per image: the input, every label of its data set, the reconstruction.

    Args:
        batch: the fixed validation batch.
        folder: where ``step_00001000.png`` goes.
        every_n_steps: discriminator steps between grids.
    """

    def __init__(self, batch: Batch, folder: Path, every_n_steps: int) -> None:
        self.batch = batch
        self.folder = folder
        self.every_n_steps = every_n_steps
        self.latest: list[Path] = []
        self.shown_step = -1

    @classmethod
    def of(cls, run: Run, settings: Plain) -> SampleGrid | None:
        """For every method that translates."""
        if not isinstance(run.method, Translation):
            return None
        logs = run.config["log"]
        batch = run.data.validation_batch(int(logs["sample_rows"]))
        return cls(batch, run.folder / "samples", int(logs["samples_every_n_steps"]))

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Engine)
        # Before its networks have been trained a translation shows nothing but noise.
        due = module.step % self.every_n_steps == 0 and module.translates
        if due and trainer.is_global_zero:
            self.save(module, trainer.loggers)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        if trainer.is_global_zero and module.step:
            self.save(module, trainer.loggers)

    def save(self, module: Engine, loggers: Sequence[Logger] = ()) -> None:
        """Write the grids of this step, one per data set."""
        method = module.method
        assert isinstance(method, Translation)
        self.latest = []
        for i, space in enumerate(method.labels.spaces):
            rows = self.batch.dataset == i
            if not rows.any():
                continue
            part = rows_of(self.batch, rows)
            suffix = f"_{space.name}" if len(method.labels.spaces) > 1 else ""
            path = self.folder / f"step_{module.step:08d}{suffix}.png"
            imaging.save_png(sample_grid(method, part, i), path)
            self.latest.append(path)
            if self.shown_step != module.step:  # once where the last step was due as well
                show(loggers, f"samples{suffix}", path, module.step)
        self.shown_step = module.step

    def report(self) -> list[str]:
        """The grids of the last step."""
        return [f"![samples]({self.folder.name}/{path.name})" for path in self.latest]

    def summary(self) -> dict[str, str]:
        """Where the grids are."""
        return {"samples": str(self.folder)}


def rows_of(batch: Batch, rows: Tensor) -> Batch:
    """Some rows of a batch, without its random numbers."""
    image, label, dataset, target, _ = batch
    return Batch(image[rows], label[rows], dataset[rows], target[rows], {})


def sample_grid(method: Translation, batch: Batch, dataset: int) -> Any:
    """The sheet of one data set: input, each label, reconstruction by the original label.

    Labels that the method cannot change are left out; an image that it has no network for stays.
    """
    image, label, index = (t.to(method.device) for t in batch[:3])
    space = method.labels.spaces[dataset]
    columns: list[tuple[str, Tensor]] = [("input", image)]
    previous = label

    def translated(start: Tensor, own: Tensor, target: Tensor) -> Tensor:
        can = method.can(own, target).to(image.device)
        made = start.clone()
        if can.any():
            rows = (tensor[can] for tensor in (start, own, target, index))
            made[can] = method.translate(*rows).to(made)
        return made

    for name, target in method.labels.targets(label, dataset):
        changes = (target != label).any(1)
        if not (method.can(label, target).to(changes.device) & changes).any():
            continue
        flips = len(space.group_of(name)) == 1
        title = f"{name} flipped" if flips else name
        columns.append((title, translated(image, label, target)))
        previous = target
    last = columns[-1][1]
    if (method.can(previous, label).to(index.device) & (previous != label).any(1)).any():
        columns.append((f"{columns[-1][0]}, and back", translated(last, previous, label)))
    rows = [[column[i].cpu() for _, column in columns] for i in range(len(image))]
    own = [space.describe(row) for row in batch.label[:, method.labels.slices[dataset]]]
    return imaging.grid(rows, [title for title, _ in columns], own)
