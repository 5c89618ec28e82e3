"""Differentiable augmentation of what the discriminator sees.

Zhao et al., "Differentiable augmentation for data-efficient GAN training", NeurIPS 2020. Here it
also takes away what pays for adversarial spots: a change that only works at one place and in one
tint no longer fools the classifier.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

AUGMENT_DRAWS = 5
"""Uniform numbers that ``augment`` takes per image."""


def augment(image: Tensor, draws: Tensor, strength: float = 1.0) -> Tensor:
    """Saturation, contrast and brightness, and a shift by up to an eighth.

    Args:
        image: ``(B, 3, H, W)`` in [-1, 1].
        draws: ``(B, AUGMENT_DRAWS)`` uniform in [0, 1).
        strength: share of each change, in [0, 1].

    Returns:
        The same shape.
    """
    batch, _, height, width = image.shape
    saturation, contrast, brightness, down, right = draws.unbind(1)

    def around(middle: float, by: float, value: Tensor) -> Tensor:
        return (middle - strength * by + 2 * strength * by * value).to(image)[:, None, None, None]

    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * around(1, 0.5, saturation)
    mean = image.mean((1, 2, 3), keepdim=True)
    image = mean + (image - mean) * around(1, 0.3, contrast) + around(0, 0.25, brightness)

    # Shift with zeros from outside, by whole pixels.
    rows = _places(down, height, int(strength * height / 8))
    columns = _places(right, width, int(strength * width / 8))
    padded = F.pad(image, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    which = torch.arange(batch, device=image.device)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _places(draw: Tensor, size: int, reach: int) -> Tensor:
    """Where in an axis padded by one each pixel comes from ``(B, size)``, shifted by a draw."""
    shift = (draw * (2 * reach + 1)).floor().clamp(max=2 * reach).long() - reach
    place = torch.arange(size, device=draw.device) + shift[:, None] + 1
    return place.clamp(0, size + 1)
