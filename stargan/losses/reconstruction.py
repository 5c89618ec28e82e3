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
