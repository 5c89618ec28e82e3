"""Watches whether a run is going well, says so in plain words, and acts if it is told to.

Measures cheaply and puts the figures into the log of terms; the monitors
(``stargan.health.monitors``) read the log's rows. So ``metrics.csv`` holds all that they know.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from stargan.contracts import Batch
from stargan.errors import Plain, UserError
from stargan.health.monitors import BY_NAME, Finding, Health, Row
from stargan.health.page import note_settings
from stargan.methods.base import Translation
from stargan.metrics.convergence import gradient_rms
from stargan.metrics.diversity import Reference, thumbnails
from stargan.training.callback import Run, RunCallback
from stargan.training.distributed import wait_for_all
from stargan.training.engine import Engine
from stargan.training.metrics_log import MetricsLog, read_rows
from stargan.training.saving import Checkpoints, StopCleanly, write_checkpoint
from stargan.writing import append, write_whole

log = logging.getLogger(__name__)

ACTIONS = ("warn", "stop", "rollback")
EXIT_CODE = 3
"""Of a run that the monitors have stopped."""
LOG_NAME = "health.jsonl"
TOO_YOUNG = "too young to be judged (fewer generator steps than health.grace)"


class GanHealth(RunCallback):
    """See the module.

    Args:
        health: the monitors.
        folder: the run folder, for health.jsonl, the bins and the healthy checkpoint.
        terms: the log of terms.
        stop: ends the run.
        batch: images to translate, fixed; None for methods that do not translate.
        action: ``warn``, ``stop`` or ``rollback``.
        max_rollbacks: how often to go back before giving up.
        rate_factor: what the learning rates are multiplied with at each rollback.
        samples: how many of G's last images are compared with the data.
        reference: how many real images they are compared with.
        bins: of the real images, by k-means.
        gradients_every: steps between gradient norms.
    """

    def __init__(
        self,
        health: Health,
        folder: Path,
        terms: MetricsLog,
        stop: StopCleanly,
        batch: Batch | None,
        action: str = "warn",
        max_rollbacks: int = 3,
        rate_factor: float = 0.5,
        samples: int = 512,
        reference: int = 2000,
        bins: int = 20,
        gradients_every: int = 10,
    ) -> None:
        if action not in ACTIONS:
            raise UserError(f"health.action={action} is unknown: choose of {', '.join(ACTIONS)}.")
        self.health = health
        self.folder = folder
        self.terms = terms
        self.stop = stop
        self.batch = batch
        self.action = action
        self.max_rollbacks = max_rollbacks
        self.rate_factor = rate_factor
        self.samples = samples
        self.wanted = reference
        self.bins = bins
        self.gradients_every = gradients_every
        self.real: list[Tensor] = []
        self.fake: list[Tensor] = []
        self.reference: Reference | None = None
        self.findings: list[Finding] = []
        self.healthy_step = -1
        self.going_back = False
        terms.readers.append(self.read)

    @classmethod
    def of(cls, run: Run, settings: Plain) -> GanHealth:
        """For every method; what it measures depends on the method."""
        method, told = run.method, dict(run.config["health"])
        batch = None
        if isinstance(method, Translation):
            batch = run.data.validation_batch(int(settings.pop("rows")))
        settings.pop("rows", None)
        health = Health(
            method.scale, method.n_critic, int(told.pop("grace")), int(told.pop("patience"))
        )
        return cls(health, run.folder, run.terms, run.stop, batch, **told, **settings)

    # Measuring ----------------------------------------------------------------------------------

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        path = self.terms.path
        if module.step and path.exists():
            for row in read_rows(path):
                self.findings += self.health.read(row)
        if trainer.is_global_zero:
            note_settings(self.folder, self.health)
            cut_log(self.folder / LOG_NAME, module.step, module.rollbacks)
        if self.action == "rollback" and self.begins_healthy(trainer, module):
            write_checkpoint(trainer, self.healthy)

    def begins_healthy(self, trainer: pl.Trainer, module: Engine) -> bool:
        """Whether the state of now is what one goes back to until there is something better.

        So it is at the beginning, and where a run goes on that has no healthy checkpoint yet, as it
        was not asked to go back before: there an earlier checkpoint may be the one, and nothing is
        while there is trouble. The first process decides.
        """
        now = False
        if trainer.is_global_zero and not self.healthy.is_file():
            saves = saving(trainer)
            saved = saves.numbered()
            best = self.health.newest_well([*saved, module.step])
            if best is None or best == module.step:
                now = best is not None or not self.health.suspect
            else:
                saves.keep_as(saved[best], self.healthy)
        return bool(trainer.strategy.broadcast(now, src=0))

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        assert isinstance(module, Engine)
        every = self.terms.every_n_steps
        at_row = module.step % every == 0
        if module.step % self.gradients_every == 0 or at_row:
            self.measure_gradients(module)
        if module.method.kind != "classifier" and trainer.is_global_zero:
            self.collect(module, Batch(*batch), every - module.step % every if not at_row else 0)
            if at_row:
                self.measure_samples(module)
                method = module.method
                if isinstance(method, Translation) and self.batch and module.translates:
                    for name, value in translation_effects(method, self.batch).items():
                        module.terms[name] = torch.tensor(value)

    def measure_gradients(self, module: Engine) -> None:
        """The gradients of the step just made; they stay until the next one clears them."""
        for name in module.stepped:
            rms = gradient_rms(module.parameters_of(name))
            if rms is not None:
                module.terms[f"grad/{name}"] = rms

    def collect(self, module: Engine, batch: Batch, until_row: int) -> None:
        """Thumbnails of the first real images, and of the last fakes before a row."""
        if self.reference is None and len(self.real) * len(batch.image) < self.wanted:
            self.real.append(thumbnails(batch.image))
        if module.fake is None:
            return
        if until_row * len(batch.image) < self.samples:
            self.fake.append(thumbnails(module.fake))

    def measure_samples(self, module: Engine) -> None:
        """How the last fakes compare with the real images."""
        if self.reference is None:
            self.reference = self.load_or_make_reference()
        if self.reference is not None and self.fake:
            points = torch.cat(self.fake).cpu()
            if bool(torch.isfinite(points).all()):
                for name, value in self.reference.read(points).items():
                    module.terms[f"samples/{name}"] = torch.tensor(value)
        self.fake = []

    def load_or_make_reference(self) -> Reference | None:
        """That of the resumed run, else from the images collected once there are enough."""
        path = self.folder / "health_bins.pt"
        if path.is_file():
            kept = torch.load(path, weights_only=True)
            if set(kept) == {field.name for field in fields(Reference)}:
                self.real = []
                return Reference(**kept)
        if not self.real or len(self.real) * len(self.real[0]) < self.wanted:
            return None
        points = torch.cat(self.real).cpu()
        self.real = []
        made = Reference.of(points, self.bins, self.samples)
        torch.save(vars(made), path)
        return made

    # Judging ------------------------------------------------------------------------------------

    @property
    def healthy(self) -> Path:
        """The last checkpoint at which all was well."""
        return self.folder / "checkpoints" / "healthy.ckpt"

    def read(self, trainer: pl.Trainer, module: Engine, row: Row) -> None:
        """A row of the log: judge it, say what is found, act. Called on all ranks."""
        found = self.health.read(row) if trainer.is_global_zero else []
        self.findings += found
        for finding in found:
            say(finding)
            append(
                self.folder / LOG_NAME,
                json.dumps(finding.to_plain() | {"attempt": module.rollbacks}) + "\n",
            )
            for logger in trainer.loggers:
                mark(logger, finding)
        if self.action == "warn":
            return
        began = any(f.event == "trouble" for f in found)
        troubled = bool(self.health.troubles) if self.action == "rollback" else began
        # The first process decides: the others have not seen its samples.
        troubled, can_go_back = trainer.strategy.broadcast(
            (troubled, self.healthy.is_file()), src=0
        )
        if not troubled:
            self.keep_healthy(trainer)
            return
        titles = ", ".join(BY_NAME[name].title for name in self.health.troubles)
        if self.action == "stop":
            self.stop.ask(f"the health monitor: {titles}", EXIT_CODE)
        elif not can_go_back:
            self.stop.ask(
                f"the health monitor, without a healthy checkpoint to go back to: {titles}",
                EXIT_CODE,
            )
        elif module.rollbacks < self.max_rollbacks:
            self.going_back = True
            self.stop.ask("the health monitor, to go back")
        else:
            self.stop.ask(
                f"the health monitor after {module.rollbacks} rollbacks: {titles}", EXIT_CODE
            )

    def keep_healthy(self, trainer: pl.Trainer) -> None:
        """A second name for the last checkpoint if all was well before it was written and since."""
        if self.action != "rollback" or not trainer.is_global_zero:
            return
        saves = saving(trainer)
        if saves.saved_step > self.healthy_step and self.health.was_well(saves.saved_step):
            self.healthy_step = saves.saved_step
            saves.keep_as(saves.folder / "last.ckpt", self.healthy)

    # Going back ---------------------------------------------------------------------------------

    @property
    def again(self) -> bool:
        """Whether the run has to go on from last.ckpt."""
        return self.going_back

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Put the healthy checkpoint in the place of the last one, with lower rates."""
        assert isinstance(module, Engine)
        if not self.going_back:
            return
        if trainer.is_global_zero:
            checkpoint = torch.load(self.healthy, map_location="cpu", weights_only=True)
            state = checkpoint["stargan"]
            state["rollbacks"] = module.rollbacks + 1
            state["lr_scale"] = module.lr_scale * self.rate_factor
            state["seconds"] = module.seconds
            line = {
                "step": module.step,
                "event": "rollback",
                "to_step": state["step"],
                "lr_scale": state["lr_scale"],
                "attempt": module.rollbacks,
            }
            append(self.folder / LOG_NAME, json.dumps(line) + "\n")
            log.warning(
                "back from step %d to step %d, with learning rates times %g (rollback %d of %d)",
                module.step,
                state["step"],
                state["lr_scale"],
                state["rollbacks"],
                self.max_rollbacks,
            )
            saving(trainer).go_back(checkpoint, self.healthy.name)
        wait_for_all(trainer)

    # Telling ------------------------------------------------------------------------------------

    def report(self) -> list[str]:
        """What was found, a line each."""
        if not self.findings:
            return [] if self.health.judged else [f"Health: {TOO_YOUNG}."]
        return ["Health:", "", *(f"- {sentence(f)}" for f in self.findings)]

    def summary(self) -> dict[str, str]:
        """How many troubles there were, and where to read on."""
        if not self.findings:
            return {"health": "no trouble found" if self.health.judged else TOO_YOUNG}
        lasting = [BY_NAME[name].title for name in self.health.troubles]
        words = "; ".join(lasting) if lasting else "there was trouble, all of it is over"
        return {"health": f"{words} (stargan health run={self.folder})"}


def saving(trainer: pl.Trainer) -> Checkpoints:
    """The callback that every run saves with."""
    return next(c for c in trainer.callbacks if isinstance(c, Checkpoints))  # type: ignore[attr-defined]


def translation_effects(method: Translation, batch: Batch) -> dict[str, float]:
    """How outputs depend on the label and on the input, and what changes without being asked for.

    Every image under its own label and under two other targets, in one pass per data set.

    Returns:
        ``label_effect``: mean |G(x, c1) - G(x, c2)| on [-1, 1]. ``input_effect``: mean distance
        between outputs of different images under one target, over that between these images.
        ``colour_drift``: largest change of a mean channel value, ``background_drift``: mean
        absolute change in the margin (a sixteenth of the side), both of G(x, its own label).
    """
    sums: dict[str, list[float]] = {}
    for i in range(len(method.labels.spaces)):
        rows = batch.dataset == i
        if not rows.any():
            continue
        image, label, dataset = (t[rows].to(method.device) for t in batch[:3])
        wanted = []
        for _, target in method.labels.targets(label, i):
            # A method may have a network for some changes only: other rows keep their labels.
            can = method.can(label, target).to(label.device)
            if (can & (target != label).any(1)).any():
                wanted.append(torch.where(can[:, None], target, label))
        if not wanted:
            continue
        targets = torch.stack(wanted)
        count, each = len(targets), torch.arange(len(image))
        # Neighbouring targets, another pair for each image; of a single label against unchanged.
        first = targets[each % count, each]
        second = targets[(each + 1) % count, each] if count > 1 else label
        outputs = method.translate(
            image.repeat(3, 1, 1, 1),
            label.repeat(3, 1),
            torch.cat([label, first, second]),
            dataset.repeat(3),
        ).float()
        own, one, two = outputs.chunk(3)
        change = own - image
        found = {
            "label_effect": (one - two).abs().mean(),
            "input_effect": spread_of(own) / spread_of(image),
            "colour_drift": change.mean((0, 2, 3)).abs().max(),
            "background_drift": change.abs()[..., margin(image)].mean(),
        }
        for name, value in zip(found, torch.stack(list(found.values())).tolist(), strict=True):
            sums.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in sums.items()}


def spread_of(image: Tensor) -> Tensor:
    """Mean |x_i - x_j| over different images of ``(B, C, H, W)``; NaN for fewer than two."""
    differences = [(image[i + 1 :] - image[i]).abs().mean() for i in range(len(image) - 1)]
    return torch.stack(differences).mean() if differences else image.new_tensor(math.nan)


def margin(image: Tensor) -> Tensor:
    """``(H, W)`` bool: a sixteenth of the shorter side all around, at least a pixel."""
    height, width = image.shape[-2:]
    wide = max(1, min(height, width) // 16)
    inside = torch.ones(height, width, dtype=torch.bool, device=image.device)
    inside[wide : height - wide, wide : width - wide] = False
    return inside


def sentence(finding: Finding) -> str:
    """A finding in words."""
    monitor = BY_NAME[finding.monitor]
    if finding.event == "recovered":
        return f"step {finding.step}: over: {monitor.title} ({finding.evidence})"
    since = f", since step {finding.since}" if finding.since < finding.step else ""
    return f"step {finding.step}: {monitor.title}{since}: {finding.evidence}"


def say(finding: Finding) -> None:
    """A warning with the usual cures, or good news."""
    if finding.event == "recovered":
        log.info("health: %s", sentence(finding))
    else:
        cures = BY_NAME[finding.monitor].cures
        log.warning("health: %s. What usually helps: %s.", sentence(finding), cures)


def read_log(path: Path) -> list[Plain]:
    """The lines of a health.jsonl; a torn last one is dropped."""
    lines = []
    if path.is_file():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                continue
    return lines


def cut_log(path: Path, step: int, attempt: int) -> None:
    """On a resume, drop what this attempt had found after the resumed step."""
    lines = read_log(path)
    kept = [x for x in lines if x["attempt"] < attempt or x["step"] <= step]
    if len(kept) < len(lines):
        write_whole(path, "".join(json.dumps(x) + "\n" for x in kept))


def mark(logger: Any, finding: Finding) -> None:
    """A mark in TensorBoard: 1 while a trouble lasts, and its words."""
    state = 1.0 if finding.event == "trouble" else 0.0
    logger.log_metrics({f"health/{finding.monitor}": state}, step=finding.step)
    add_text = getattr(logger.experiment, "add_text", None)
    if add_text is not None:
        add_text("health", sentence(finding), finding.step)
