"""Blocks that several networks share, and the check of image sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stargan.errors import UserError


def check_image_size(
    image_size: int | Sequence[int], multiple: int, minimum: int, network: str
) -> tuple[int, int]:
    """An image size as ``(height, width)``, refused where the strides do not divide it.

    A stride that leaves a rest drops rows silently: 127 px in would be 124 px out.

    Args:
        image_size: one number for both sides, or ``(height, width)``.
        multiple: what both sides must be a multiple of.
        minimum: the least side that works, itself a multiple.
        network: who refuses, for the message.

    Raises:
        UserError: names the nearest sizes that fit.
    """
    sides = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
    if len(sides) != 2 or any(isinstance(n, bool) or not isinstance(n, int) for n in sides):
        raise UserError(
            f"image size {image_size!r} of the {network} is neither a whole number "
            "nor (height, width): give one of them."
        )
    for side in sides:
        if side < minimum or side % multiple:
            below = side // multiple * multiple
            near = [n for n in (below, below + multiple) if n >= minimum] or [minimum]
            raise UserError(
                f"image size {side} does not fit the {network}, which takes multiples of "
                f"{multiple} from {minimum} on: the nearest is {' or '.join(map(str, near))}."
            )
    return sides[0], sides[1]


class ConditionedConv2d(nn.Conv2d):
    """A convolution of the image and the condition, tiled over space, with zero padding.

    Equal to concatenating the condition as constant planes, but those planes are never made:
    over a constant plane a convolution takes few distinct values, one inside and one per distance
    to each border, so it is computed on the smallest plane that has them all and stretched. The
    weight is one parameter ``(out, 3 + condition, k, k)``, as published.

    Zero padding is what lets the label in: behind an instance norm only the response near the
    border is left of it, and with reflection padding nothing.

    Args:
        condition_size: length of the condition vector.
        channels: output channels.
        kernel_size: odd; the output has the size of the image.
    """

    def __init__(self, condition_size: int, channels: int, kernel_size: int) -> None:
        super().__init__(
            3 + condition_size, channels, kernel_size, padding=kernel_size // 2, bias=False
        )

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:  # type: ignore[override]
        """``(B, 3, H, W)`` and ``(B, C)`` to ``(B, channels, H, W)``."""
        height, width = image.shape[-2:]
        kernel = self.kernel_size[0]
        plane = condition[:, :, None, None].expand(-1, -1, min(height, kernel), min(width, kernel))
        response = F.conv2d(plane, self.weight[:, 3:], padding=self.padding)
        response = self._stretch(self._stretch(response, 2, height), 3, width)
        return F.conv2d(image, self.weight[:, :3], padding=self.padding) + response

    def _stretch(self, response: Tensor, dim: int, size: int) -> Tensor:
        """Repeat the middle, where the kernel touches no border, until ``size`` is reached."""
        kernel = self.kernel_size[0]
        if size <= kernel:
            return response
        border = kernel // 2
        first, middle, last = response.split([border, 1, border], dim)
        shape = [-1] * 4
        shape[dim] = size - 2 * border
        return torch.cat([first, middle.expand(shape), last], dim)
