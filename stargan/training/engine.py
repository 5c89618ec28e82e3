"""The engine: runs the phases of any method, one training step after the other.

It owns what is the same for every method: which phase it is, which networks have gradients, zero,
backward, reduce and step, running averages, learning rates, counts, compilation. A method says what
is trained (``stargan.methods.phases``) and knows nothing of this.

Manual optimization, because several optimizers take turns. Lightning's own ``global_step`` counts
the steps of all of them; ``Engine.step`` counts training steps and is the only counter that
schedules, checkpoints, logs and the length of a run look at.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stargan import imaging
from stargan.contracts import Batch
from stargan.errors import UserError
from stargan.methods.base import Method
from stargan.methods.phases import Phase, Shared, Terms, Update
from stargan.networks.averaging import update_average
from stargan.training.distributed import (
    average_gradients,
    of_all_processes,
    running_statistics,
    world_size,
)
from stargan.training.schedules import check_schedule, lr_factor

log = logging.getLogger(__name__)

STATE = (
    *("step", "phase_number", "phase_step", "phase_began", "counts", "seconds", "lr_scale"),
    *("rollbacks", "max_steps"),
)
"""What a checkpoint remembers of the engine; plain data."""


class Engine(pl.LightningModule):
    """Trains a method.

    Args:
        method: what is trained.
        max_steps: training steps of the whole run.
        schedule: of the learning rates, see ``training.schedules``.
        seed: with the step, the attempt and the rank it decides what networks draw (dropout).
        max_seconds: the time limit, for the schedule and the phases; None: none.
        compile: compile the losses, each as one graph.

    Attributes:
        step: training steps made.
        counts: steps that each group has made.
        phase_number, phase_step: which phase it is, and the steps made in it.
        steps_in: steps made in each phase, by its name.
        phase_began: ``clock`` at its beginning.
        seconds: of training, those before a resume included.
        clock: ``seconds`` of the first process as all have last heard it.
        terms: raw terms of the last step.
        stepped: names of the groups that moved in the last step.
        fake: images that the generators made in the last step, without graph; None: none.
        lr_scale: what rollbacks have multiplied the learning rates with.
        rollbacks: how often the run has gone back to an earlier checkpoint.
        data: what the data are (``DataModule.identity``), for the checkpoint.
    """

    def __init__(
        self,
        method: Method,
        *,
        max_steps: int,
        schedule: str = "constant",
        seed: int = 0,
        max_seconds: float | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.method = method
        self.groups = method.groups()
        self.phases = method.phases()
        self.max_steps = max_steps
        self.schedule = check_schedule(schedule)
        self.seed = seed
        self.max_seconds = max_seconds
        self.step = self.phase_number = self.phase_step = 0
        self.counts = dict.fromkeys(self.groups, 0)
        self.steps_in = {phase.name: 0 for phase in self.phases}
        self.seconds = self.clock = self.phase_began = 0.0
        self.began: float | None = None
        self.terms: Terms = {}
        self.stepped: tuple[str, ...] = ()
        self.fake: Tensor | None = None
        self.lr_scale = 1.0
        self.rollbacks = 0
        self.data: dict[str, Any] = {}
        losses = {u.loss for phase in self.phases for u in phase.updates}
        self.losses: dict[Callable[..., Any], Callable[..., Any]] = {
            loss: torch.compile(loss, dynamic=False) if compile else loss for loss in losses
        }
        check_phases(method, self.groups, self.phases)

    # The step -----------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        """The time of the first step counts too."""
        self.began = time.perf_counter()

    def rest(self) -> None:
        """What was done since the last step was no training: its time does not count."""
        self.began = time.perf_counter()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Images cross as uint8 and become floats on the device."""
        batch = Batch(*batch)
        if batch.image.dtype == torch.uint8:
            batch = batch._replace(image=imaging.to_float(batch.image))
        return batch

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """What networks draw from torch's own generators (dropout) is a function of the step."""
        torch.manual_seed(hash((self.seed, self.step, self.global_rank, self.rollbacks)) % 2**63)

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """All updates of the phase that are due."""
        self.enter_phase()
        phase = self.phase
        self.set_modes(phase)
        due = [u for u in phase.updates if (self.phase_step // u.round + 1) % u.every == 0]
        shared: Shared = {}
        if phase.shared is not None:
            with torch.set_grad_enabled(any(u.group == phase.shared_by for u in due)):
                shared = phase.shared(batch)
        detached = {name: tensor.detach() for name, tensor in shared.items()}
        shown = [tensor for name, tensor in detached.items() if name.startswith("fake")]
        self.fake = torch.cat(shown) if shown else None
        terms: Terms = {}
        factor = self.schedule_factor()
        for update in due:
            mine = shared if update.group == phase.shared_by else detached
            terms |= self.make(update, batch, mine, factor, last=update is due[-1])
        if not due and world_size() > 1:
            average_gradients((), running_statistics(self.method))
        self.terms = {name: term.detach() for name, term in terms.items()}
        self.stepped = tuple(u.group for u in due)
        now = time.perf_counter()
        self.seconds += now - (self.began or now)
        self.began = now
        self.step += 1
        self.phase_step += 1
        self.steps_in[phase.name] += 1

    def make(
        self, update: Update, batch: Batch, shared: Shared, factor: float, last: bool
    ) -> Terms:
        """One optimizer step of one group.

        Args:
            factor: of the schedule.
            last: whether it is the last one of this training step.
        """
        group, count = self.groups[update.group], self.counts[update.group]
        optimizer = self.optimizer_of(update.group)
        lr = group.lr * factor if update.lr is None else update.lr
        if update.ramp:
            lr *= min(1.0, (self.phase_step + 1) / update.ramp)
        for each in optimizer.param_groups:
            each["lr"] = lr * self.lr_scale
            if group.eps_hat:
                each["eps"] = group.eps / math.sqrt(1 - group.betas[1] ** (count + 1))
        flags = {name: count % every == 0 for name, every in update.lazy.items()}
        with self.alone(update.group):
            loss, terms = self.losses[update.loss](batch, shared, **flags)
            optimizer.zero_grad()
            self.manual_backward(loss)
        if world_size() > 1:
            # Statistics are in the graph of what updates share: not before its last use.
            statistics = running_statistics(self.method) if last else []
            average_gradients(self.parameters_of(update.group), statistics)
        optimizer.step()
        for average in group.averages:
            kept, network = getattr(self.method, average.kept), getattr(self.method, average.of)
            update_average(kept, network, average.decay, count)
        self.counts[update.group] = count + 1
        return terms

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Inside, only the networks of one group have gradients; they still flow through others.

        Autocast keeps the half-precision copies of weights that it has made; those are from before
        a network's last step and carry its graph, so they are dropped on both sides.
        """
        own = {id(p) for p in self.parameters_of(name)}
        others = [p for p in self.method.parameters() if p.requires_grad and id(p) not in own]
        torch.clear_autocast_cache()
        for p in others:
            p.requires_grad_(False)
        try:
            yield
        finally:
            torch.clear_autocast_cache()
            for p in others:
                p.requires_grad_(True)

    # Phases -------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """The phase of the next step."""
        return self.phases[self.phase_number]

    @property
    def time_used(self) -> float:
        """Share of the time limit that is used up, as all processes have heard it."""
        return self.clock / self.max_seconds if self.max_seconds else 0.0

    def enter_phase(self) -> None:
        """Go on to the next phase where this one is over; the last one never is."""
        while self.phase_number < len(self.phases) - 1:
            until = self.phase.until
            if until is None:
                return
            steps = self.max_steps if until.steps is None else until.steps
            steps = min(steps, int(until.share * self.max_steps))
            used = self.clock - self.phase_began
            late = self.max_seconds and until.share < 1 and used >= until.share * self.max_seconds
            if self.phase_step < steps and not late:
                return
            self.phase_number += 1
            self.phase_step = 0
            self.phase_began = self.clock

    def set_modes(self, phase: Phase) -> None:
        """Networks in training mode, but for those that the phase wants in evaluation mode."""
        for name, network in self.method.named_children():
            training = name not in phase.evaluating
            if network.training != training:
                network.train(training)

    @property
    def translates(self) -> bool:
        """Whether all networks that make a translation have been trained."""
        rule = self.method.roles().get("translate")
        return rule is not None and not set(rule["networks"]) & set(self.untrained())

    # Optimizers ---------------------------------------------------------------------------------

    def parameters_of(self, name: str) -> list[nn.Parameter]:
        """The parameters of a group."""
        networks = [getattr(self.method, attribute) for attribute in self.groups[name].networks]
        return [p for network in networks for p in network.parameters()]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam per group, in the order of ``groups``."""
        # Fused: eight times less processor time for D's 45 million parameters.
        fused = self.device.type in ("cpu", "cuda")
        return [
            torch.optim.Adam(
                self.parameters_of(name), lr=group.lr, betas=group.betas, eps=group.eps, fused=fused
            )
            for name, group in self.groups.items()
        ]

    def optimizer_of(self, name: str) -> Any:
        """The optimizer of a group; Lightning gives a single one bare."""
        optimizers: Any = self.optimizers()
        listed = optimizers if isinstance(optimizers, list) else [optimizers]
        return listed[list(self.groups).index(name)]

    def schedule_factor(self) -> float:
        """What the schedule multiplies the rates with at this step."""
        used, round = self.time_used, self.method.round
        return lr_factor(self.schedule, self.step, self.max_steps, used, round)

    def learning_rates(self) -> dict[str, float]:
        """The rates of the last step of each group."""
        return {name: self.optimizer_of(name).param_groups[0]["lr"] for name in self.groups}

    # Saving -------------------------------------------------------------------------------------

    def progress(self) -> str:
        """What has been done, in words."""
        if len(self.groups) == 1:
            return f"{self.step} steps"
        return ", ".join(f"{count} of {name}" for name, count in self.counts.items())

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """That of the method: whoever opens a checkpoint needs no engine."""
        return self.method.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """See ``state_dict``."""
        return self.method.load_state_dict(*args, **kwargs)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the engine's state and all that opens the file again; plain data only."""
        checkpoint["hyper_parameters"] = {
            **self.method.settings,
            "export": self.method.description(self.facts()),
            "tensors": self.method.prefixes(),
        }
        checkpoint["stargan"] = self.state()
        kept = self.method.per_process()
        if kept:
            checkpoint["processes"] = of_all_processes(kept)

    def restore_process(self, processes: list[dict[str, Tensor]]) -> None:
        """Put back what each process has of its own, see ``Method.per_process``.

        Where the run goes on with another number of processes, process ``k`` takes what the
        ``k``-th had, from the beginning again where there are more.
        """
        mine = self.method.per_process()
        if not mine or not processes:
            return
        count = self.trainer.world_size
        if len(processes) != count and self.global_rank == 0:
            words = "some go on from the same" if len(processes) < count else "the others' are lost"
            log.warning(
                "the run was saved by %d processes and goes on with %d, each of which has %s of "
                "its own: %s, and it is no longer the same run.",
                len(processes),
                count,
                ", ".join(dict.fromkeys(name.partition(".")[0] for name in mine)),
                words,
            )
        saved = processes[self.global_rank % len(processes)]
        for name, tensor in mine.items():
            tensor.copy_(saved[name])

    def facts(self) -> dict[str, Any]:
        """What training has done, for the description of the model."""
        found: dict[str, Any] = {"steps": self.step, "counts": dict(self.counts)}
        if len(self.phases) > 1:
            found["phases"] = dict(self.steps_in)
        if names := self.untrained():
            found["untrained"] = names
        return found

    def untrained(self) -> list[str]:
        """The exported networks that no step has moved."""
        moved: dict[str, int] = {}
        for name, group in self.groups.items():
            for attribute in (*group.networks, *(average.kept for average in group.averages)):
                moved[attribute] = moved.get(attribute, 0) + self.counts[name]
        return [name for name, held in self.method.prefixes().items() if moved.get(held) == 0]

    def state(self) -> dict[str, Any]:
        """See ``STATE``; and what a resume compares: the plan of the rates, and the data."""
        plan = {"schedule": self.schedule, "max_seconds": self.max_seconds}
        mine = {name: getattr(self, name) for name in STATE}
        mine |= {"counts": dict(self.counts), "steps_in": dict(self.steps_in)}
        return {**mine, **plan, "data": self.data}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``.

        Raises:
            UserError: the state of another version of the program.
        """
        # Written before phases knew when they began: the only one with an end began with the run.
        state = {"phase_began": 0.0, **state}
        missing = [name for name in STATE if name not in state]
        if missing or set(state["counts"]) != set(self.groups):
            raise UserError(
                "this checkpoint is of an earlier version of stargan, whose steps drew other "
                "random numbers, so that it cannot go on exactly: its model opens as before, but "
                "training has to start anew."
            )
        for name in STATE:
            if name != "max_steps":
                setattr(self, name, state[name])
        self.counts = dict(state["counts"])
        # Checkpoints of before do not say it: what they do say is in which phase they are.
        self.steps_in |= state.get("steps_in", {self.phase.name: self.phase_step})
        self.clock = self.seconds


def check_phases(method: Method, groups: dict[str, Any], phases: tuple[Phase, ...]) -> None:
    """Refuse what a method's author got wrong, at once and by name.

    Raises:
        ValueError: no phase, an unknown group, a network that is none, an interval below 1, a
            phase without end before the last.
    """
    for name, group in groups.items():
        averaged = [attribute for a in group.averages for attribute in (a.kept, a.of)]
        for attribute in (*group.networks, *averaged):
            if not isinstance(getattr(method, attribute, None), nn.Module):
                raise ValueError(f"group {name}: {attribute} is no network of the method.")
    for phase in phases:
        for attribute in phase.evaluating:
            if not isinstance(getattr(method, attribute, None), nn.Module):
                raise ValueError(f"phase {phase.name}: {attribute} is no network of the method.")
    if not phases:
        raise ValueError("the method has no phase.")
    for phase in phases:
        named = [update.group for update in phase.updates]
        named += [phase.shared_by] if phase.shared_by else []
        unknown = [name for name in named if name not in groups]
        if unknown:
            raise ValueError(f"phase {phase.name}: {unknown[0]} is no group of the method.")
        for update in phase.updates:
            for name, every in {"every": update.every, **update.lazy}.items():
                if every < 1:
                    raise ValueError(f"phase {phase.name}: {name}={every} must be 1 at least.")
    if any(phase.until is None for phase in phases[:-1]):
        raise ValueError("only the last phase may be without an end.")
