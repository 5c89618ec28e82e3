"""Classifiers that judge results."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SmallClassifier(nn.Module):
    """A few convolutions with group norm, global average pooling and one linear layer.

    For small and simple images: enough to read the labels of the embedded faces, quick on a CPU.
    Group norm, so that an image's logits do not depend on the rest of its batch.

    Args:
        label_size: number of logits.
        channels: width of the first layer; doubled at each of three halvings of the image.
    """

    def __init__(self, label_size: int, channels: int = 24) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels, 4 * channels]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1, bias=False)
            for before, after in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for width in widths)
        self.head = nn.Linear(widths[-1], label_size)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to logits ``(B, label_size)``; any size from 16 pixels."""
        x = image
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = F.relu(norm(convolution(x)))
            if i < len(self.norms) - 1:
                x = F.max_pool2d(x, 2)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits
