"""Classifiers that judge results."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 32


class SmallClassifier(nn.Module):
    """Three convolutions and one linear layer: enough to read the labels of the embedded faces.

    Images are brought to 32 pixels first, so that judging costs the same at any size.

    Args:
        label_size: number of logits.
        channels: width of the first convolution, doubled at each of the two others.
    """

    def __init__(self, label_size: int, channels: int = 32) -> None:
        super().__init__()
        widths = [3, channels, 2 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 3, padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            ]
        size = widths[-1] * (SIDE // 8) ** 2
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(size, label_size)
        )

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to logits ``(B, label_size)``."""
        if image.shape[-2:] != (SIDE, SIDE):
            image = F.interpolate(
                image, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
            )
        logits: Tensor = self.layers(image)
        return logits
