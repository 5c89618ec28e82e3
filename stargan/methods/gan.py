"""What methods share that have one generator and one discriminator."""

from __future__ import annotations

from typing import Any

from torch import nn

from stargan.contracts import Batch
from stargan.errors import Plain, UserError
from stargan.losses.adversarial import adversarial_loss
from stargan.methods.base import Method, check_betas
from stargan.methods.phases import Average, Group, Loss, Phase, Shared, Update


class GAN(Method):
    """D steps every time, G on every ``n_critic``-th step, on the fakes that D has just seen.

    G's step takes the batch and the targets of the discriminator step before it, as published; and
    since G has not moved in between, it goes on from the same fakes instead of making them again.

    Subclasses make ``self.generator`` and ``self.discriminator``, call ``start_ema`` and implement
    ``fakes``, ``discriminator_loss`` and ``generator_loss``.

    Args:
        adversarial: name of the adversarial loss.
        n_critic: discriminator steps per generator step.
        generator_lr, discriminator_lr: learning rates.
        betas: of both Adams.
        ema_decay: share of the old average kept at each generator step; 0 for no average.
        others: see ``Method``.
    """

    discriminator_loss: Loss
    """What D minimises; the fakes come without graph."""
    generator_loss: Loss
    """What G minimises; D is frozen, the fakes carry G's graph."""

    def __init__(
        self,
        *,
        adversarial: str | Plain,
        n_critic: int,
        generator_lr: float,
        discriminator_lr: float,
        betas: tuple[float, float],
        ema_decay: float,
        **others: Any,
    ) -> None:
        if n_critic < 1:
            raise UserError(f"n_critic={n_critic}: at least one discriminator step is needed.")
        if not 0 <= ema_decay < 1:
            raise UserError(f"ema_decay={ema_decay} must lie in [0, 1).")
        super().__init__(**others)
        self.adversarial = adversarial_loss(adversarial)
        self.scale = self.adversarial.scale
        self.n_critic = n_critic
        self.generator_lr = generator_lr
        self.discriminator_lr = discriminator_lr
        self.betas = check_betas(betas)
        self.ema_decay = ema_decay
        self.generator: nn.Module
        self.discriminator: nn.Module
        self.ema: nn.Module | None = None

    # What a subclass writes -----------------------------------------------------------------------

    def fakes(self, batch: Batch) -> Shared:
        """``{"fake": (B, C, H, W)}``: G's images of a step."""
        raise NotImplementedError

    def lazy_terms(self) -> dict[str, dict[str, int]]:
        """Of ``D`` and ``G``: flags of the losses, see ``Update.lazy``."""
        return {}

    # How it is trained ----------------------------------------------------------------------------

    def groups(self) -> dict[str, Group]:
        """G with its average, and D."""
        kept = (Average("ema", "generator", self.ema_decay),) if self.ema is not None else ()
        return {
            "G": Group(("generator",), self.generator_lr, self.betas, averages=kept),
            "D": Group(("discriminator",), self.discriminator_lr, self.betas),
        }

    def phases(self) -> tuple[Phase, ...]:
        """One, in which D and G take turns."""
        return (self.adversarial_phase(),)

    def adversarial_phase(self) -> Phase:
        """D, and on every ``n_critic``-th step G."""
        lazy = self.lazy_terms()
        d = Update("D", self.discriminator_loss, lazy=lazy.get("D", {}))
        g = Update("G", self.generator_loss, self.n_critic, self.round, lazy.get("G", {}))
        return Phase("gan", (d, g), shared=self.fakes, shared_by="G")

    def start_ema(self) -> None:
        """Make the average, equal to G; call it once all networks exist."""
        if self.ema_decay:
            self.ema = self.average("ema", of="generator")

    @property
    def best_generator(self) -> nn.Module:
        """The average when there is one, else G: what samples and exports are made with."""
        return self.ema if self.ema is not None else self.generator
