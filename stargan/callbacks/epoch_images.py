"""Pictures of the same noise after each epoch, and their animation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import Logger
from torch import Tensor

from stargan import imaging
from stargan.errors import Plain
from stargan.methods.base import Sampling
from stargan.networks.dcgan import draw_noise
from stargan.training.callback import Run, RunCallback
from stargan.training.engine import Engine
from stargan.training.loggers import show
from stargan.training.metrics_log import read_terms

SIDE = 4
FRAMES = 100
"""The animation thins out longer runs, and takes this many frames at most."""
ROWS = 12
"""Lines of the table of scores, the first and the last epoch among them."""


class EpochImages(RunCallback):
    """``image_at_epoch_0001.png`` and so on: a square of images from noise that never changes.

    The animation is written again as the run goes on, so it can be watched meanwhile and is there
    after an interruption.

    Args:
        noise: ``(SIDE * SIDE, Z)``.
        folder: where the pictures and ``animation.gif`` go.
        steps_per_epoch: training steps between pictures.
        metrics: metrics.csv, for the table of scores.
    """

    def __init__(self, noise: Tensor, folder: Path, steps_per_epoch: int, metrics: Path) -> None:
        self.noise = noise
        self.folder = folder
        self.steps_per_epoch = steps_per_epoch
        self.metrics = metrics
        self.latest: Path | None = None
        self.saved_step = -1
        self.due = 0.0

    @classmethod
    def of(cls, run: Run, settings: Plain) -> EpochImages | None:
        """For every method that makes images from noise alone."""
        if not isinstance(run.method, Sampling):
            return None
        noise = draw_noise(SIDE * SIDE, run.method.noise_size, int(run.config["seed"]))
        folder, log = run.folder / "samples", run.folder / "metrics.csv"
        return cls(noise, folder, run.data.steps_per_epoch, log)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Engine)
        if module.step % self.steps_per_epoch or not trainer.is_global_zero:
            return
        name = f"image_at_epoch_{module.step // self.steps_per_epoch:04d}.png"
        self.save(module, name, trainer.loggers)
        if time.monotonic() > self.due:
            began = time.monotonic()
            self.animate()
            # At most a fiftieth of the time goes into the animation.
            self.due = time.monotonic() + 50 * (time.monotonic() - began)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        if not trainer.is_global_zero or not module.step:
            return
        if self.saved_step != module.step:  # stopped within an epoch
            self.save(module, f"image_at_step_{module.step:08d}.png", trainer.loggers)
        self.animate()

    def save(self, module: Engine, name: str, loggers: Sequence[Logger] = ()) -> None:
        """Write the picture of this step."""
        self.latest = self.folder / name
        imaging.save_png(square(sampled(module, self.noise)), self.latest)
        show(loggers, "samples", self.latest, module.step)
        self.saved_step = module.step

    def animate(self) -> None:
        """Write the animation of all epochs so far."""
        paths = sorted(self.folder.glob("image_at_epoch_*.png"))
        if not paths:
            return
        frames = [Image.open(path) for path in thin_out(paths, FRAMES)]
        imaging.save_animation(
            frames, self.folder / "animation.gif", 0.3 if len(frames) < 30 else 0.1
        )

    def report(self) -> list[str]:
        """The last picture, the animation and D's scores after each epoch."""
        if self.latest is None:
            return []
        lines = ["## The same noise after each epoch", "", f"![last](samples/{self.latest.name})"]
        if (self.folder / "animation.gif").exists():
            lines += ["", "![all epochs](samples/animation.gif)"]
        return [*lines, "", *score_lines(epoch_means(self.metrics, self.steps_per_epoch))]

    def summary(self) -> dict[str, str]:
        """Where the pictures are."""
        return {"samples": str(self.folder)}


def sampled(engine: Engine, noise: Tensor) -> Tensor:
    """What the method of this moment makes of noise ``(B, Z)``."""
    assert isinstance(engine.method, Sampling)
    return engine.method.sample(noise)


def square(image: Tensor) -> Image.Image:
    """``(N, C, H, W)`` in [-1, 1], N a square number, as a square sheet."""
    side = round(len(image) ** 0.5)
    rows = [list(row) for row in image.cpu().split(side)]
    return imaging.grid(rows, [""] * side)


def thin_out(items: list[Any], count: int) -> list[Any]:
    """At most ``count`` of them, evenly spaced, the first and the last among them."""
    if len(items) <= count:
        return items
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def epoch_means(log: Path, steps_per_epoch: int) -> dict[int, dict[str, float]]:
    """Epoch to the means of D's scores over its rows of the log; the last may be incomplete."""
    rows: dict[int, list[dict[str, float]]] = {}
    for row in read_terms(log) if log.exists() else []:
        rows.setdefault(-(-int(row["step"]) // steps_per_epoch), []).append(row)
    names = ("D/real", "D/fake")
    return {
        epoch: {name: sum(row[name] for row in group) / len(group) for name in names}
        for epoch, group in rows.items()
        if all(name in row for row in group for name in names)
    }


def score_lines(means: dict[int, dict[str, float]]) -> list[str]:
    """D's scores as a table in Markdown."""
    if not means:
        return []
    lines = [
        "D's mean score of real and of fake images (above 0: held to be real):",
        "",
        "| epoch | real | fake |",
        "|---|---|---|",
    ]
    for epoch in thin_out(sorted(means), ROWS):
        scores = means[epoch]
        lines.append(f"| {epoch} | {scores['D/real']:+.2f} | {scores['D/fake']:+.2f} |")
    return lines
