"""Differentiable augmentation of what the discriminator sees.

Zhao et al., "Differentiable augmentation for data-efficient GAN training", NeurIPS 2020. Here it
also takes away what pays for adversarial spots: a change that only works at one place and in one
tint no longer fools the classifier.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(image: Tensor, draws: torch.Generator) -> Tensor:
    """Saturation, contrast and brightness, and a shift by up to an eighth.

    Args:
        image: ``(B, 3, H, W)`` in [-1, 1].
        draws: a CPU generator; each image has its own draw.

    Returns:
        The same shape.
    """
    batch, _, height, width = image.shape

    def uniform(low: float, high: float) -> Tensor:
        value = torch.rand(batch, 1, 1, 1, generator=draws)
        return (low + (high - low) * value).to(image)

    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * uniform(0.5, 1.5)
    mean = image.mean((1, 2, 3), keepdim=True)
    image = mean + (image - mean) * uniform(0.7, 1.3) + uniform(-0.25, 0.25)

    # Shift with zeros from outside, by whole pixels.
    rows, columns = (
        torch.randint(-(n // 8), n // 8 + 1, (batch, 1), generator=draws) for n in (height, width)
    )
    down, right = (torch.arange(n)[None] for n in (height, width))
    y, x = (down + rows + 1).clamp(0, height + 1), (right + columns + 1).clamp(0, width + 1)
    padded = F.pad(image, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    which = torch.arange(batch)[:, None, None]
    return padded[which, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)
