"""Differentiable augmentation of what the discriminator sees.

Zhao et al., "Differentiable augmentation for data-efficient GAN training", NeurIPS 2020. Here it
also takes away what pays for adversarial spots: a change that only works at one place and in one
tint no longer fools the classifier.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(image: Tensor, draws: torch.Generator, strength: float = 1.0) -> Tensor:
    """Saturation, contrast and brightness, and a shift by up to an eighth.

    Args:
        image: ``(B, 3, H, W)`` in [-1, 1].
        draws: a CPU generator; each image has its own draw.
        strength: share of each change, in [0, 1].

    Returns:
        The same shape.
    """
    batch, _, height, width = image.shape

    def around(middle: float, by: float) -> Tensor:
        value = torch.rand(batch, 1, 1, 1, generator=draws)
        return (middle - strength * by + 2 * strength * by * value).to(image)

    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * around(1, 0.5)
    mean = image.mean((1, 2, 3), keepdim=True)
    image = mean + (image - mean) * around(1, 0.3) + around(0, 0.25)

    # Shift with zeros from outside, by whole pixels.
    rows, columns = (
        torch.randint(-reach, reach + 1, (batch, 1), generator=draws)
        for reach in (int(strength * height / 8), int(strength * width / 8))
    )
    down, right = (torch.arange(n)[None] for n in (height, width))
    y, x = (down + rows + 1).clamp(0, height + 1), (right + columns + 1).clamp(0, width + 1)
    padded = F.pad(image, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    which = torch.arange(batch)[:, None, None]
    return padded[which, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)
