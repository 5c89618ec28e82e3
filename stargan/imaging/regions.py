"""Where a label is in an image: boxes and masks, and what a crop makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from stargan.imaging.framing import crop_resize, crop_window


class Box(NamedTuple):
    """A box in pixels, from edge to edge; the pixel (0, 0) is ``Box(0, 0, 1, 1)``.

    Of whole numbers ``bottom`` and ``right`` are the first row and column outside.
    """

    top: float
    left: float
    bottom: float
    right: float

    @property
    def area(self) -> float:
        """Number of pixels; 0 of a box turned inside out."""
        return max(self.bottom - self.top, 0) * max(self.right - self.left, 0)

    def within(self, other: Box) -> Box:
        """What the two have in common; its area is 0 where that is nothing."""
        return Box(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )


def box_of(mask: NDArray[np.bool_]) -> Box | None:
    """The smallest box around all that is set in ``(H, W)``; None of nothing."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def boxes_of(mask: NDArray[np.bool_]) -> tuple[Box, ...]:
    """The smallest box around all that is set in ``(H, W)``, then one around each part of several.

    Maps are boxed around their largest part: without those of the parts, a map that is exactly
    the mask would not fit where the hair on the head and the brows are apart.
    """
    whole = box_of(mask)
    parts, count = ndimage.label(mask)
    several = ndimage.find_objects(parts) if count > 1 else []
    return (
        *([whole] if whole else []),
        *(Box(y.start, x.start, y.stop, x.stop) for y, x in several),
    )


@dataclass(frozen=True)
class Region:
    """Where one label is in one image.

    Attributes:
        size: (height, width) of the image.
        boxes: around it; several where the image shows it several times or in parts, none where
            nothing of it is in the image.
        mask: ``(H, W)`` bool; None where only the boxes are known.
    """

    size: tuple[int, int]
    boxes: tuple[Box, ...]
    mask: NDArray[np.bool_] | None = None

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_]) -> Region:
        """The region that is set in ``(H, W)``, and the boxes around it and its parts."""
        return cls((mask.shape[0], mask.shape[1]), boxes_of(mask), mask)

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """``(H, W)`` bool: the mask, or all pixels that a box touches."""
        if self.mask is not None:
            return self.mask
        found = np.zeros(self.size, dtype=np.bool_)
        for box in self.boxes:
            rows = slice(max(math.floor(box.top), 0), math.ceil(box.bottom))
            found[rows, max(math.floor(box.left), 0) : math.ceil(box.right)] = True
        return found

    def cut(self, window: Box) -> Region:
        """The region after the image was cropped to a window of whole pixels within it."""
        top, left, bottom, right = (int(n) for n in window)
        size = bottom - top, right - left
        if self.mask is not None:
            return Region.of_mask(self.mask[top:bottom, left:right])
        moved = (
            Box(b.top - top, b.left - left, b.bottom - top, b.right - left)
            for b in (box.within(window) for box in self.boxes)
            if b.area > 0
        )
        return Region(size, tuple(moved))

    def framed(self, size: tuple[int, int], crop: int | None) -> Region:
        """The region after the image went through ``images.crop_resize`` with these arguments.

        Boxes are cut at the crop and keep their fractions of pixels; those cut away are left out.
        A pixel of the mask counts when anything of the region went into it: resizing mixes
        neighbours, so the mask may grow by up to a pixel on each side, its box does not.

        Raises:
            UserError: the crop is larger than the image.
        """
        window = Box(*crop_window(self.size, size, crop))
        tall = size[0] / (window.bottom - window.top)
        wide = size[1] / (window.right - window.left)
        boxes: tuple[Box, ...] = self.boxes
        mask = None
        if self.mask is not None:
            # The boxes of what is left, which the crop may have made smaller on every side.
            top, left, bottom, right = (int(n) for n in window)
            rest = np.zeros_like(self.mask)
            rest[top:bottom, left:right] = self.mask[top:bottom, left:right]
            boxes = boxes_of(rest)
            grey = Image.fromarray(self.mask.astype(np.uint8) * 255)
            mask = np.asarray(crop_resize(grey, size, crop)) > 0
        cut = (box.within(window) for box in boxes)
        moved = tuple(
            Box(
                (b.top - window.top) * tall,
                (b.left - window.left) * wide,
                (b.bottom - window.top) * tall,
                (b.right - window.left) * wide,
            )
            for b in cut
            if b.area > 0
        )
        return Region(size, moved, mask)
