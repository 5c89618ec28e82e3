"""What methods share. ``Method``: step count, clock, schedules, terms, plain checkpoints.
``Adversarial``: turns of D and G and the average of G. ``Translation``: images to images by label.

Manual optimization, because two optimizers take turns. Lightning's own ``global_step`` counts the
steps of both optimizers; ``Method.step`` counts training steps (of an adversarial method:
discriminator steps) and is the only counter that anything here (schedules, checkpoints, logs, the
length of a run) looks at.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stargan.contracts import Batch, Plain, UserError
from stargan.labels import JointLabelSpace
from stargan.losses.adversarial import AdversarialLoss
from stargan.metrics.convergence import ranking_accuracy

Terms = dict[str, Tensor]
SCHEDULES = ("paper", "official", "late", "constant")


class Method(pl.LightningModule):
    """Base of everything that is trained.

    Subclasses build their networks and implement ``trained``, ``training_step`` (which ends with
    ``end_step``), ``description`` and ``exported``.

    Args:
        labels: ``JointLabelSpace.to_plain()``.
        rates: learning rate of each network in ``trained``.
        betas: of Adam.
        schedule: ``paper``, ``official``, ``late`` or ``constant``, see ``rate_factor``.
        max_steps: training steps of the whole run, for the schedules.
        seed: with the step and the rank it decides everything random in a step.

    Attributes:
        rate_scale: what rollbacks have multiplied the learning rates with.
        rollbacks: how often the run has gone back to an earlier checkpoint.
    """

    product: ClassVar[str] = "generator.safetensors"
    """The exported file in the run folder."""
    channels: ClassVar[tuple[int, ...]] = (3,)
    """Images of how many channels the method can take."""
    n_critic = 1

    def __init__(
        self,
        *,
        labels: list[Plain],
        rates: tuple[float, ...],
        betas: tuple[float, float],
        schedule: str,
        max_steps: int,
        seed: int,
    ) -> None:
        super().__init__()
        if schedule not in SCHEDULES:
            raise UserError(f"schedule={schedule} is unknown: choose of {', '.join(SCHEDULES)}.")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise UserError(f"betas={list(betas)} must be two numbers in [0, 1): [0.5,0.999].")
        self.automatic_optimization = False
        self.labels = JointLabelSpace.from_plain(labels)
        self.rates = rates
        self.betas = (betas[0], betas[1])
        self.schedule = schedule
        self.max_steps = max_steps
        self.seed = seed
        self.step = 0
        self.seconds = 0.0
        self.max_seconds: float | None = None
        self.clock: float | None = None
        self.terms: Terms = {}
        self.rate_scale = 1.0
        self.rollbacks = 0

    # What a subclass writes -------------------------------------------------------------------

    def trained(self) -> dict[str, nn.Module]:
        """The networks that are trained, by letter, in the order of ``rates`` and optimizers."""
        raise NotImplementedError

    def description(self) -> Plain:
        """What an exported file says of itself, see ``stargan.export``."""
        raise NotImplementedError

    def exported(self) -> dict[str, nn.Module]:
        """The networks of the exported file, by the prefix of their tensors."""
        raise NotImplementedError

    def progress(self) -> str:
        """What has been done, in words."""
        return f"{self.step} steps"

    # The step -----------------------------------------------------------------------------------

    def end_step(self, terms: Terms) -> None:
        """Count the step and its time, from the end of the one before; keep its terms."""
        now = time.perf_counter()
        self.seconds += now - (self.clock or now)
        self.clock = now
        self.terms = {name: term.detach() for name, term in terms.items()}
        self.step += 1

    def on_train_start(self) -> None:
        """The time of the first step counts too."""
        self.clock = time.perf_counter()

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """What draws from torch's own generators (dropout) becomes a function of the step too."""
        # The last number: another stream than that of ``draws``.
        torch.manual_seed(hash((self.seed, self.step, self.global_rank, 1)) % 2**63)

    def draws(self) -> torch.Generator:
        """Randomness of this step: a function of seed, step and rank alone.

        So a resumed run draws what the uninterrupted one would have drawn, with no generator
        state to save, and ranks draw differently.
        """
        generator = torch.Generator()
        generator.manual_seed(hash((self.seed, self.step, self.global_rank)) % 2**63)
        return generator

    # Rates ----------------------------------------------------------------------------------------

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One Adam per network, in the order of ``trained``."""
        # Fused: eight times less processor time for D's 45 million parameters.
        fused = self.device.type in ("cpu", "cuda")
        return [
            torch.optim.Adam(net.parameters(), lr=lr, betas=self.betas, fused=fused)
            for net, lr in zip(self.trained().values(), self.rates, strict=True)
        ]

    def rate_factor(self, step: int) -> float:
        """What the learning rates are multiplied with at a step.

        ``paper``: 1 for the first half of the run, then linear to 0 (10 + 10 and 100 + 100 epochs
        in the paper). ``official``: the published code takes 1e-5 of the rate away once per 1,000
        steps over the last 100,000 of 200,000, so that it ends at 0.999 of it. ``late``: 1, then
        linear to 0 over the last three tenths; when the run has a time limit (``max_seconds``),
        of the time if that is nearer its end.
        """
        if self.schedule == "constant":
            return 1.0
        half = self.max_steps // 2
        if self.schedule == "paper":
            return 1.0 if step < half else max(self.max_steps - step, 0) / (self.max_steps - half)
        if self.schedule == "late":
            left = 1 - step / self.max_steps
            if self.max_seconds:
                left = min(left, 1 - self.seconds / self.max_seconds)
            return min(1.0, max(left, 0.0) / 0.3)
        return 1.0 - 1e-5 * max(step // 1000 - (self.max_steps - 100_000) // 1000, 0)

    def all_optimizers(self) -> list[Any]:
        """The optimizers in the order of ``trained``; Lightning gives a single one bare."""
        optimizers: Any = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def set_rates(self) -> None:
        """Write the rates of this step into the optimizers."""
        factor = self.rate_factor(self.step) * self.rate_scale
        for optimizer, rate in zip(self.all_optimizers(), self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    # What others use ------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the step counter and all that opens the file again; plain data only."""
        checkpoint["hyper_parameters"] = {
            **checkpoint["hyper_parameters"],
            "_target_": f"{type(self).__module__}.{type(self).__name__}",
            "export": self.description(),
        }
        checkpoint["stargan"] = {
            "step": self.step,
            "seconds": self.seconds,
            "rate_scale": self.rate_scale,
            "rollbacks": self.rollbacks,
        }


class Adversarial(Method):
    """Base of the methods with a generator and a discriminator.

    Subclasses set ``self.generator``, ``self.discriminator`` and ``self.adversarial`` and implement
    ``make_fake``, ``discriminator_loss`` and ``generator_loss``. The terms ``D/adv`` and ``G/adv``
    are the values of ``self.adversarial``; ``note_scores`` hands D's scores to the monitors.

    Args:
        n_critic: discriminator steps per generator step.
        ema_decay: share of the old average kept at each generator step; 0 for none.
        others: see ``Method``.

    Attributes:
        fake: G's images ``(B, C, H, W)`` of the last step, without graph.
    """

    def __init__(
        self,
        *,
        labels: list[Plain],
        n_critic: int,
        generator_lr: float,
        discriminator_lr: float,
        betas: tuple[float, float],
        schedule: str,
        max_steps: int,
        ema_decay: float,
        seed: int,
    ) -> None:
        if n_critic < 1:
            raise UserError(f"n_critic={n_critic}: at least one discriminator step is needed.")
        if not 0 <= ema_decay < 1:
            raise UserError(f"ema_decay={ema_decay} must lie in [0, 1).")
        super().__init__(
            labels=labels,
            rates=(generator_lr, discriminator_lr),
            betas=betas,
            schedule=schedule,
            max_steps=max_steps,
            seed=seed,
        )
        self.n_critic = n_critic
        self.ema_decay = ema_decay
        self.generator: nn.Module
        self.discriminator: nn.Module
        self.adversarial: AdversarialLoss
        self.fake: Tensor | None = None
        self.noted: Terms = {}
        self.ema: nn.Module | None = None

    # What a subclass writes -------------------------------------------------------------------

    def draw_targets(self, batch: Batch, draws: torch.Generator) -> Tensor:
        """Labels ``(B, L)`` that the fakes of this step are asked for."""
        return batch.label

    def make_fake(self, batch: Batch, target: Tensor, draws: torch.Generator) -> Tensor:
        """G's images ``(B, C, H, W)`` for a step."""
        raise NotImplementedError

    def discriminator_loss(
        self, batch: Batch, target: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Terms]:
        """The loss that D minimises and its raw terms.

        Args:
            batch: real images.
            target: ``(B, L)``, the labels that the fakes were asked for.
            fake: ``(B, 3, H, W)`` without graph.
            draws: randomness of this step.
        """
        raise NotImplementedError

    def generator_loss(
        self, batch: Batch, target: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Terms]:
        """The loss that G minimises and its raw terms; D is frozen, ``fake`` carries G's graph."""
        raise NotImplementedError

    # The step -----------------------------------------------------------------------------------

    def note_scores(self, real_score: Tensor, fake_score: Tensor) -> None:
        """To be called by ``discriminator_loss``: what D says of real and fake images.

        Logged as ``D/real`` and ``D/fake``, the mean scores, and ``D/rank``, how well D ranks them
        (``metrics.convergence.ranking_accuracy``); the monitors read these.
        """
        real, fake = real_score.detach(), fake_score.detach()
        self.noted = {
            "D/real": real.float().mean(),
            "D/fake": fake.float().mean(),
            "D/rank": ranking_accuracy(real, fake),
        }

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """One discriminator step and, on every ``n_critic``-th, one generator step.

        G's step takes the batch and the targets of the discriminator step before it, as published;
        and since G has not moved in between, it goes on from the same fake images instead of
        making them a second time.
        """
        batch = Batch(*batch)
        generator_optimizer, discriminator_optimizer = self.all_optimizers()
        self.set_rates()
        draws = self.draws()
        target = self.draw_targets(batch, draws)
        generator_turn = (self.step + 1) % self.n_critic == 0

        with torch.set_grad_enabled(generator_turn):
            fake = self.make_fake(batch, target, draws)

        self.fake, self.noted = fake.detach(), {}
        loss, terms = self.discriminator_loss(batch, target, self.fake, draws)
        discriminator_optimizer.zero_grad()
        self.manual_backward(loss)
        discriminator_optimizer.step()

        if generator_turn:
            with frozen(self.discriminator):
                loss, more = self.generator_loss(batch, target, fake, draws)
                generator_optimizer.zero_grad()
                self.manual_backward(loss)
            generator_optimizer.step()
            self.update_ema()
            terms |= more
        self.end_step(terms | self.noted)

    # The average of G -----------------------------------------------------------------------------

    def start_ema(self) -> None:
        """Make the average, equal to G; call it once G exists."""
        if self.ema_decay:
            self.ema = copy.deepcopy(self.generator).requires_grad_(False)

    @torch.no_grad()
    def update_ema(self) -> None:
        """``average = decay * average + (1 - decay) * G``, buffers copied.

        The decay warms up, ``min(decay, (1 + n) / (10 + n))`` at the n-th generator step, so that
        a short run is not an average with its own initialisation.
        """
        if self.ema is None:
            return
        n = self.generator_steps
        weight = 1 - min(self.ema_decay, (1 + n) / (10 + n))
        average: list[Tensor] = list(self.ema.parameters())
        current: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(average, current, weight)
        for kept, buffer in zip(self.ema.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(buffer)

    # What others use ------------------------------------------------------------------------------

    def trained(self) -> dict[str, nn.Module]:
        """G, then D."""
        return {"G": self.generator, "D": self.discriminator}

    def progress(self) -> str:
        """How many steps D and G have made."""
        return f"{self.step} of D, {self.generator_steps} of G"

    @property
    def generator_steps(self) -> int:
        """How many steps G has made."""
        return self.step // self.n_critic

    @property
    def best_generator(self) -> nn.Module:
        """The average when there is one, else G: what samples and exports are made with."""
        return self.ema if self.ema is not None else self.generator


class Translation(Adversarial):
    """Base of the methods whose generator takes ``(image, condition)``."""

    def draw_targets(self, batch: Batch, draws: torch.Generator) -> Tensor:
        """Target labels: a permutation of the batch's own within each data set."""
        return self.labels.draw_targets(batch.label, batch.source, draws)

    def make_fake(self, batch: Batch, target: Tensor, draws: torch.Generator) -> Tensor:
        """The batch's images under the target labels."""
        fake: Tensor = self.generator(batch.image, self.labels.condition(target, batch.source))
        return fake

    def exported(self) -> dict[str, nn.Module]:
        """The generator to ship, and D, which reads a photo's own labels."""
        return {"generator": self.best_generator, "classifier": self.discriminator}

    @torch.inference_mode()
    def translate(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        """Images under other labels, see ``contracts.Translate``."""
        return self.best_generator(image, self.labels.condition(target, dataset)).clamp(-1, 1)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for the parameters of a network inside the block; they still flow through it.

    Autocast keeps the half-precision copies of weights that it has made; those are from before the
    network's last step and carry its graph, so they are dropped on both sides.
    """
    torch.clear_autocast_cache()
    parameters = [p for p in network.parameters() if p.requires_grad]
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        torch.clear_autocast_cache()
        for p in parameters:
            p.requires_grad_(True)
