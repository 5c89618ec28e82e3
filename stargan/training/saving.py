"""Saves as it goes: atomic checkpoints by discriminator steps, and a clean stop on Ctrl-C."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch

from stargan.errors import UnreadableImageError
from stargan.training.distributed import hear, running_statistics, wait_for_all, world_size
from stargan.training.engine import Engine
from stargan.writing import whole

log = logging.getLogger(__name__)

HEARTBEAT = 10
"""Steps after which several processes agree whether to stop, and what time it is."""


class Checkpoints(pl.Callback):
    """``step_00001000.ckpt`` every so many steps, and ``last.ckpt`` which always is the newest.

    Written beside and renamed, so that a run killed in the middle of a write keeps the one before.

    Args:
        folder: the run's checkpoints/.
        every_n_steps: discriminator steps between saves.
        keep: how many step files to keep; 0 for ``last.ckpt`` alone.
        keep_every_n_steps: discriminator steps between step files; None: every save makes one.
    """

    def __init__(
        self, folder: Path, every_n_steps: int, keep: int, keep_every_n_steps: int | None = None
    ) -> None:
        self.folder = folder
        self.every_n_steps = every_n_steps
        self.keep = keep
        self.keep_every_n_steps = keep_every_n_steps
        self.saved_step = -1

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # What a kill in the middle of a write has left.
        if trainer.is_global_zero:
            for path in self.folder.glob(".*.part"):
                path.unlink()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Engine)
        numbered = module.step % (self.keep_every_n_steps or self.every_n_steps) == 0
        if numbered or module.step % self.every_n_steps == 0:
            self.save(trainer, module, numbered)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        if self.saved_step != module.step:
            self.save(trainer, module, numbered=True)

    def on_exception(
        self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException
    ) -> None:
        assert isinstance(module, Engine)
        # Of one process: others may be in the middle of a step, and saving waits for all.
        if isinstance(exception, UnreadableImageError) and trainer.world_size == 1 and module.step:
            self.on_train_end(trainer, module)

    def save(self, trainer: pl.Trainer, module: Engine, numbered: bool) -> None:
        """Save now. Every rank calls it; the first one moves the file into place.

        Args:
            numbered: whether to keep a step file beside ``last.ckpt``.
        """
        last = self.folder / "last.ckpt"
        write_checkpoint(trainer, last)
        if trainer.is_global_zero and self.keep and numbered:
            link_or_copy(last, self.folder / f"step_{module.step:08d}.ckpt")
            for path in list(self.numbered().values())[: -self.keep]:
                path.unlink()
        self.saved_step = module.step

    def go_back(self, checkpoint: dict[str, Any], name: str) -> None:
        """Make a changed checkpoint the last one and the one of a name; later ones go."""
        with whole(self.folder / "last.ckpt") as part:
            torch.save(checkpoint, part)
        self.keep_as(self.folder / "last.ckpt", self.folder / name)
        for step, path in self.numbered().items():
            if step > checkpoint["stargan"]["step"]:
                path.unlink()

    def numbered(self) -> dict[int, Path]:
        """The step files that are kept, by step."""
        paths = sorted(self.folder.glob("step_*.ckpt"))
        return {int(path.stem.removeprefix("step_")): path for path in paths}

    def keep_as(self, path: Path, name: Path) -> None:
        """A second name for a checkpoint, in place of what had that name."""
        with whole(name) as part:
            link_or_copy(path, part)


def write_checkpoint(trainer: pl.Trainer, path: Path) -> None:
    """Save under a name, whole or not at all. Every rank calls it."""
    if trainer.is_global_zero:
        with whole(path) as part:
            trainer.save_checkpoint(part)
    else:
        trainer.save_checkpoint(path)  # gathers, writes nothing
    wait_for_all(trainer)


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the file system has no hard links."""
    with contextlib.suppress(FileNotFoundError):
        target.unlink()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class StopCleanly(pl.Callback):
    """Ends training after the step in hand: on Ctrl-C, on SIGTERM, when the time is up, or when
    another callback asks for it.

    A second Ctrl-C ends at once.

    Args:
        max_minutes: minutes of training, those before a resume included; None for no limit.
    """

    def __init__(self, max_minutes: float | None) -> None:
        self.max_minutes = max_minutes
        self.reason = ""
        self.exit_code = 0
        self.old: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        for number in (signal.SIGINT, signal.SIGTERM):
            # ValueError: not the main thread, as in some notebooks.
            with contextlib.suppress(ValueError):
                self.old[number] = signal.signal(number, self.on_signal)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: remember the wish; the second time, give way."""
        if self.exit_code > 128:
            raise KeyboardInterrupt
        word = "Ctrl-C" if number == signal.SIGINT else "the request to terminate"
        self.ask(word, 128 + number)

    def ask(self, reason: str, exit_code: int = 0) -> None:
        """End after the step in hand."""
        self.reason, self.exit_code = reason, exit_code

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Engine)
        if world_size() > 1 and module.step % HEARTBEAT:
            return
        # All processes stop at the same step, or they would wait for each other for ever; and they
        # go by one clock, or schedules that follow the time would drift apart.
        wanted, module.clock = hear(
            bool(self.reason), module.seconds, module.global_rank, module.device
        )
        limit = float("inf") if self.max_minutes is None else 60 * self.max_minutes
        if not self.reason and module.clock > limit:
            plural = "" if self.max_minutes == 1 else "s"
            self.ask(f"the time limit of {self.max_minutes:g} minute{plural}")
            wanted = True
        if wanted and not self.reason:
            self.ask("another process", 128 + signal.SIGTERM)
        if wanted:
            trainer.should_stop = True

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        for number, handler in self.old.items():
            signal.signal(number, handler)
        self.old = {}


class RanksAgree(pl.Callback):
    """Says at the end how far the weights of the processes are apart, running statistics of batch
    norm included: 0 if all went well."""

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.world_size == 1:
            return
        tensors = [*module.parameters(), *running_statistics(module)]
        weights = torch.cat([t.detach().flatten().float() for t in tensors])
        gathered = module.all_gather(weights)
        assert isinstance(gathered, torch.Tensor)
        spread = float((gathered - weights).abs().max())
        if trainer.is_global_zero:
            log.info(
                "%d processes, largest difference between their weights: %g",
                trainer.world_size,
                spread,
            )
