"""How far a picture is from the one it should equal."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from stargan.losses.precision import at_least_fp32


def reconstruction_loss(cycled: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference over batch, channels and pixels.

    StarGAN (Choi et al. 2018), equation (4); CycleGAN (Zhu et al. 2017), equation (2), per image.

    Args:
        cycled, real: ``(B, C, H, W)``.

    Returns:
        Scalar.
    """
    return F.l1_loss(at_least_fp32(cycled), at_least_fp32(real))


def squared_reconstruction_loss(cycled: Tensor, real: Tensor) -> Tensor:
    """Mean squared difference: many faint differences rather than a few strong ones.

    A mean absolute difference does not mind whether a change is spread or gathered in spots, and
    adversarial spots are what a generator comes upon first.

    Args:
        cycled, real: ``(B, C, H, W)``.

    Returns:
        Scalar.
    """
    return F.mse_loss(at_least_fp32(cycled), at_least_fp32(real))
