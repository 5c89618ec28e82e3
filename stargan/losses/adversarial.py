"""Adversarial losses, each as one pair of functions with one signature.

``d_loss(real_score, fake_score)`` and ``g_loss(fake_score)`` take scores of any shape, higher is
more real, and return a scalar to be minimised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from stargan import building
from stargan.errors import UserError
from stargan.losses.precision import at_least_fp32


class Scale(NamedTuple):
    """What the values of a loss mean.

    Attributes:
        guessing: D's loss when it cannot tell real from fake.
        sure: D's loss when it gives every image seven chances in eight of being what it is; for
            hinge, which knows no chances, an eighth of guessing.
        beaten: G's loss when D gives its images one chance in eight; for hinge, when they are at
            the margin.
    """

    guessing: float
    sure: float
    beaten: float


class AdversarialLoss(NamedTuple):
    """The two sides of one game, and its scale: None for a critic, whose scores have no zero."""

    d_loss: Callable[[Tensor, Tensor], Tensor]
    g_loss: Callable[[Tensor], Tensor]
    scale: Scale | None


def wasserstein_d(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """Minus the critic's distance. StarGAN (Choi et al. 2018), equation (8), without penalty."""
    return at_least_fp32(fake_score).mean() - at_least_fp32(real_score).mean()


def wasserstein_g(fake_score: Tensor) -> Tensor:
    """StarGAN, equation (8): the term that the generator can change."""
    return -at_least_fp32(fake_score).mean()


def logistic_d(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """Cross entropy from logits. Goodfellow et al. 2014, equation (1)."""
    real, fake = at_least_fp32(real_score), at_least_fp32(fake_score)
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def logistic_g(fake_score: Tensor) -> Tensor:
    """Non-saturating: maximise log D(G(z)). Goodfellow et al. 2014, end of section 3."""
    return F.softplus(-at_least_fp32(fake_score)).mean()


def least_squares_d(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """Real to 1, fake to 0, halved. Mao et al., LSGAN, ICCV 2017, equation (9)."""
    real, fake = at_least_fp32(real_score), at_least_fp32(fake_score)
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def least_squares_g(fake_score: Tensor) -> Tensor:
    """Fake to 1, halved. LSGAN, equation (9); CycleGAN's generator term is twice this."""
    return 0.5 * (at_least_fp32(fake_score) - 1).square().mean()


def hinge_d(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """Margin of one on both sides. Miyato et al., SNGAN, ICLR 2018, equation (16)."""
    real, fake = at_least_fp32(real_score), at_least_fp32(fake_score)
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_g(fake_score: Tensor) -> Tensor:
    """SNGAN, equation (17)."""
    return -at_least_fp32(fake_score).mean()


ADVERSARIAL = {
    "wgan": AdversarialLoss(wasserstein_d, wasserstein_g, None),
    "non_saturating": AdversarialLoss(
        logistic_d, logistic_g, Scale(2 * log(2), 2 * log(8 / 7), log(8))
    ),
    "least_squares": AdversarialLoss(
        least_squares_d, least_squares_g, Scale(0.25, 1 / 64, 49 / 128)
    ),
    "hinge": AdversarialLoss(hinge_d, hinge_g, Scale(2.0, 0.25, 1.0)),
}


# AdversarialLoss, or what has its parts.
LOSS = building.Kind(
    "adversarial loss", "stargan.losses", parts=("d_loss", "g_loss"), more=("scale",)
)


def adversarial_loss(name: str | Mapping[str, Any]) -> AdversarialLoss:
    """A loss by its name in the configuration.

    Args:
        name: one of ``ADVERSARIAL``, or the description of one of the person's own.

    Raises:
        UserError: unknown name.
    """
    if isinstance(name, Mapping):
        loss: AdversarialLoss = building.build(name, LOSS)
        return loss
    if name not in ADVERSARIAL:
        raise UserError(
            f"unknown adversarial loss '{name}': choose one of {', '.join(ADVERSARIAL)}."
        )
    return ADVERSARIAL[name]
