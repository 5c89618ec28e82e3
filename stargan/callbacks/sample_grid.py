"""Captioned sample grids of a fixed validation batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from stargan import images
from stargan.callbacks.base import Run, RunCallback
from stargan.contracts import Batch, Plain
from stargan.methods.base import Translation


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

    @classmethod
    def of(cls, run: Run, settings: Plain) -> SampleGrid | None:
        """For every method that translates."""
        if not isinstance(run.method, Translation):
            return None
        logs = run.config["log"]
        batch = run.data.validation_batch(int(logs["sample_rows"]))
        return cls(batch, run.folder / "samples", int(logs["samples_every_n_steps"]))

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Translation)
        if module.step % self.every_n_steps == 0 and trainer.is_global_zero:
            self.save(module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Translation)
        if trainer.is_global_zero and module.step:
            self.save(module)

    def save(self, module: Translation) -> None:
        """Write the grids of this step, one per data set."""
        self.latest = []
        for i, space in enumerate(module.labels.spaces):
            rows = self.batch.source == i
            if not rows.any():
                continue
            part = Batch(*(t[rows] for t in self.batch))
            suffix = f"_{space.name}" if len(module.labels.spaces) > 1 else ""
            path = self.folder / f"step_{module.step:08d}{suffix}.png"
            images.save_png(sample_grid(module, part, i), path)
            self.latest.append(path)

    def report(self) -> list[str]:
        """The grids of the last step."""
        return [f"![samples]({self.folder.name}/{path.name})" for path in self.latest]

    def summary(self) -> dict[str, str]:
        """Where the grids are."""
        return {"samples": str(self.folder)}


def sample_grid(module: Translation, batch: Batch, source: int) -> Any:
    """The sheet of one data set: input, each label, reconstruction by the original label."""
    image, label, index = (t.to(module.device) for t in batch)
    space = module.labels.spaces[source]
    columns: list[tuple[str, Tensor]] = [("input", image)]
    for name, target in module.labels.targets(label, source):
        flips = len(space.group_of(name)) == 1
        title = f"{name} flipped" if flips else name
        columns.append((title, module.translate(image, label, target, index)))
        last = target
    back = module.translate(columns[-1][1], last, label, index)
    columns.append((f"{columns[-1][0]}, and back", back))
    rows = [[column[i].cpu() for _, column in columns] for i in range(len(image))]
    own = [space.describe(row) for row in batch.label[:, module.labels.slices[source]]]
    return images.grid(rows, [title for title, _ in columns], own)
