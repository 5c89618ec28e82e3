"""The embedded digits: the ten digits drawn by code as if by many hands, white on black.

They stand in for MNIST in tests and first looks: nothing to download, no font needed, and every
class has its own ways of being written (a seven with or without a bar, an open or a closed four).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from stargan.data.splits import splits_drawn
from stargan.errors import UserError
from stargan.labels import LabelSpace

DIGITS = tuple("0123456789")
_SPLITS = ("train", "test", "val")  # In this order: it seeds the drawings.
_PIECES = 5  # Straight pieces between two points of a stroke.

Points = Sequence[tuple[float, float]]
Way = Sequence[Points]
"""One way to write a digit: its strokes, each the points that a smooth line goes through; x to the
right and y down, in a box from 0 to 1. A point given twice is a corner."""

WAYS: Mapping[str, Sequence[Way]] = {
    "0": (
        ((
            (0.52, 0.02), (0.24, 0.16), (0.14, 0.50), (0.24, 0.84), (0.50, 0.98),
            (0.77, 0.84), (0.87, 0.50), (0.77, 0.16), (0.50, 0.02),
        ),),
        ((
            (0.66, 0.06), (0.38, 0.14), (0.22, 0.52), (0.30, 0.88), (0.52, 0.96),
            (0.74, 0.76), (0.82, 0.38), (0.68, 0.10), (0.56, 0.06),
        ),),
    ),
    "1": (
        (((0.50, 0.00), (0.50, 0.50), (0.50, 1.00)),),
        (((0.30, 0.22), (0.54, 0.02), (0.54, 0.02), (0.54, 0.50), (0.54, 1.00)),),
        (
            ((0.30, 0.20), (0.52, 0.02), (0.52, 0.02), (0.52, 0.50), (0.52, 0.98)),
            ((0.26, 0.98), (0.52, 0.98), (0.80, 0.98)),
        ),
    ),
    "2": (
        ((
            (0.18, 0.24), (0.34, 0.04), (0.62, 0.02), (0.80, 0.22), (0.70, 0.48), (0.40, 0.76),
            (0.14, 0.98), (0.14, 0.98), (0.50, 0.97), (0.88, 0.96),
        ),),
        ((
            (0.20, 0.20), (0.44, 0.02), (0.76, 0.12), (0.76, 0.40), (0.50, 0.72), (0.24, 0.92),
            (0.12, 0.84), (0.26, 0.74), (0.50, 0.86), (0.72, 0.98), (0.92, 0.90),
        ),),
    ),
    "3": (
        ((
            (0.18, 0.14), (0.44, 0.01), (0.76, 0.14), (0.72, 0.38), (0.42, 0.48), (0.42, 0.48),
            (0.78, 0.58), (0.82, 0.84), (0.52, 0.99), (0.16, 0.88),
        ),),
        ((
            (0.18, 0.04), (0.50, 0.04), (0.80, 0.04), (0.80, 0.04), (0.60, 0.24), (0.44, 0.42),
            (0.44, 0.42), (0.80, 0.56), (0.80, 0.86), (0.48, 0.99), (0.16, 0.90),
        ),),
    ),
    "4": (
        (
            ((0.26, 0.02), (0.22, 0.30), (0.18, 0.54), (0.18, 0.54), (0.52, 0.56), (0.88, 0.52)),
            ((0.72, 0.04), (0.70, 0.50), (0.66, 0.98)),
        ),
        (
            (
                (0.64, 0.98), (0.66, 0.50), (0.68, 0.02), (0.68, 0.02), (0.38, 0.36), (0.08, 0.68),
                (0.08, 0.68), (0.50, 0.68), (0.92, 0.68),
            ),
        ),
    ),
    "5": (
        (
            (
                (0.30, 0.04), (0.26, 0.22), (0.22, 0.44), (0.22, 0.44), (0.50, 0.38), (0.80, 0.54),
                (0.80, 0.82), (0.52, 0.98), (0.16, 0.90),
            ),
            ((0.30, 0.04), (0.56, 0.04), (0.84, 0.02)),
        ),
        ((
            (0.82, 0.04), (0.56, 0.04), (0.30, 0.06), (0.30, 0.06), (0.28, 0.26), (0.26, 0.42),
            (0.26, 0.42), (0.60, 0.44), (0.78, 0.68), (0.62, 0.94), (0.18, 0.94),
        ),),
    ),
    "6": (
        ((
            (0.68, 0.02), (0.40, 0.20), (0.20, 0.56), (0.26, 0.88), (0.52, 0.99), (0.78, 0.84),
            (0.74, 0.60), (0.50, 0.52), (0.26, 0.70),
        ),),
        ((
            (0.44, 0.00), (0.26, 0.34), (0.20, 0.72), (0.40, 0.98), (0.70, 0.94), (0.80, 0.72),
            (0.58, 0.60), (0.34, 0.70), (0.28, 0.88),
        ),),
    ),
    "7": (
        ((
            (0.12, 0.06), (0.48, 0.06), (0.84, 0.04), (0.84, 0.04), (0.62, 0.48), (0.42, 0.98),
        ),),
        (
            ((0.12, 0.08), (0.48, 0.06), (0.84, 0.04), (0.84, 0.04), (0.62, 0.48), (0.44, 0.98)),
            ((0.34, 0.50), (0.58, 0.50), (0.82, 0.48)),
        ),
    ),
    "8": (
        ((
            (0.74, 0.14), (0.48, 0.01), (0.24, 0.16), (0.34, 0.38), (0.56, 0.52), (0.80, 0.74),
            (0.62, 0.96), (0.36, 0.97), (0.20, 0.76), (0.46, 0.50), (0.72, 0.32), (0.74, 0.14),
        ),),
        (
            (
                (0.50, 0.02), (0.28, 0.14), (0.30, 0.38), (0.50, 0.47), (0.70, 0.38), (0.72, 0.14),
                (0.50, 0.02),
            ),
            (
                (0.50, 0.47), (0.20, 0.62), (0.22, 0.88), (0.50, 0.99), (0.78, 0.88), (0.80, 0.62),
                (0.50, 0.47),
            ),
        ),
    ),
    "9": (
        ((
            (0.76, 0.20), (0.52, 0.02), (0.24, 0.18), (0.26, 0.42), (0.52, 0.50), (0.74, 0.34),
            (0.78, 0.14), (0.78, 0.14), (0.74, 0.56), (0.68, 0.98),
        ),),
        ((
            (0.74, 0.12), (0.44, 0.02), (0.22, 0.26), (0.40, 0.46), (0.68, 0.36), (0.76, 0.14),
            (0.76, 0.14), (0.76, 0.54), (0.62, 0.88), (0.28, 0.96),
        ),),
    ),
}  # fmt: skip


class SyntheticDigits:
    """Drawn digits, a function of (seed, split, index); each is drawn when it is asked for.

    The classes come in turn, so that all are equally frequent. Stroke points, thickness, slant,
    proportions, size and position vary as in handwriting; the splits are different drawings.
    Digit ``i`` does not depend on ``count``.

    Args:
        split: "train", "test" or "val".
        size: side in pixels.
        count: how many, one number or one per split, of which val may be missing or 0.
        seed: another seed, other drawings.
        labels: the digits to draw, such as ``[3, 7]``; None: all ten.

    Raises:
        UserError: an unknown split or digit, an impossible size, count or seed.
    """

    def __init__(
        self,
        split: str,
        size: int | Sequence[int] = 28,
        count: int | Mapping[str, int] = 6000,
        seed: int = 0,
        labels: Sequence[int | str] | None = None,
    ) -> None:
        if split not in _SPLITS:
            raise UserError(f"drawn digits have no split '{split}': choose {', '.join(_SPLITS)}.")
        height, width = (size, size) if isinstance(size, int) else (int(s) for s in size)
        number = count if isinstance(count, int) else int(count.get(split, 0))
        if min(height, width) < 8:
            raise UserError(f"drawn digits of {height}x{width} pixels show nothing: use 8 or more.")
        if number < 1 or seed < 0:
            raise UserError(
                f"drawn digits need a count of at least 1 and a seed of at least 0, "
                f"not {number} ({split}) and {seed}."
            )
        names = DIGITS if labels is None else tuple(str(n) for n in labels)
        unknown = next((n for n in names if n not in DIGITS), None)
        if unknown is not None:
            raise UserError(f"'{unknown}' is no digit: choose of {', '.join(DIGITS)}.")
        self.space = LabelSpace(names, categorical=True, name="digits")
        self.splits = splits_drawn(count)
        self.where = f"drawn digits ({split})"
        self.labels = torch.eye(len(names))[torch.arange(number) % len(names)]
        self._split, self._size, self._seed = split, (height, width), seed

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Image.Image:
        """Digit ``index`` as RGB, white on black."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng = np.random.default_rng([self._seed, _SPLITS.index(self._split), index])
        digit = self.space.names[index % self.space.size]
        return Image.fromarray(draw_digit(digit, rng, self._size)).convert("RGB")

    def name(self, index: int) -> str:
        """Such as ``digits_test_00017``."""
        return f"digits_{self._split}_{index:05d}"


def draw_digit(
    digit: str, rng: np.random.Generator, size: tuple[int, int] = (28, 28)
) -> NDArray[np.uint8]:
    """One digit in a random hand.

    Args:
        digit: one of ``DIGITS``.
        rng: decides everything about the hand.
        size: (height, width).

    Returns:
        ``(height, width)`` uint8, white on black.
    """
    ways = WAYS[digit]
    way = ways[int(rng.integers(len(ways)))]
    slant, turn = rng.normal(0.12, 0.16), rng.normal(0, 0.06)
    tall = rng.uniform(0.62, 0.76)
    wide = tall * rng.uniform(0.58, 0.84)
    shape = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shape = shape @ np.array([[1, -slant], [0, 1]]) @ np.diag([wide, tall])
    centre = np.array([0.5, 0.5]) + rng.normal(0, 0.025, 2)
    radius = float(np.clip(rng.normal(0.048, 0.012), 0.026, 0.085))

    pieces = []
    for stroke in way:
        points = np.array(stroke)
        # A repeated point moves as one, or the corner would become a loop.
        moves = rng.normal(0, 0.022, points.shape)
        for i in range(1, len(points)):
            if (points[i] == points[i - 1]).all():
                moves[i] = moves[i - 1]
        line = (smooth(points + moves) - 0.5) @ shape.T + centre
        pieces.append(np.stack([line[:-1], line[1:]], 1))
    height, width = size
    side = min(height, width)
    # Pixel centres in units of the shorter side, the box in the middle of the picture; pieces
    # along the last axis. In single precision: this is where the time goes.
    y = ((np.arange(height, dtype=np.float32) + 0.5 - (height - side) / 2) / side)[:, None, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5 - (width - side) / 2) / side)[None, :, None]
    (x0, x1), (y0, y1) = np.concatenate(pieces).astype(np.float32).transpose(2, 1, 0)
    dx, dy = x1 - x0, y1 - y0
    length = np.maximum(dx * dx + dy * dy, np.float32(1e-12))
    share = (((x - x0) * (dx / length)) + ((y - y0) * (dy / length))).clip(0, 1)
    distance = np.sqrt((np.square(x - x0 - share * dx) + np.square(y - y0 - share * dy)).min(2))
    # Ink fades out over a pixel and a half, as a scanned pen stroke does.
    ink = ((radius - distance) * side / 1.5 + 0.5).clip(0, 1) * rng.uniform(0.88, 1.0)
    return np.asarray((ink * 255).round(), dtype=np.uint8)


def smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A centripetal Catmull-Rom line ``(M, 2)`` through points ``(N, 2)``; corners stay."""
    runs, first = [], 0
    for i in range(1, len(points)):
        if (points[i] == points[i - 1]).all():
            runs.append(points[first:i])
            first = i
    runs.append(points[first:])
    return np.concatenate([_spline(run) for run in runs if len(run) > 1])


def _spline(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The line through points without corners; the ends go on as they began."""
    whole = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    knots = np.concatenate(
        [[0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(whole, axis=0), axis=1) + 1e-9))]
    )
    line = [points[:1]]
    for i in range(1, len(whole) - 2):
        p, t = whole[i - 1 : i + 3], knots[i - 1 : i + 3]
        at = np.linspace(t[1], t[2], _PIECES + 1)[1:, None]
        a = [
            ((t[j + 1] - at) * p[j] + (at - t[j]) * p[j + 1]) / (t[j + 1] - t[j]) for j in range(3)
        ]
        b = [
            ((t[j + 2] - at) * a[j] + (at - t[j]) * a[j + 1]) / (t[j + 2] - t[j]) for j in range(2)
        ]
        line.append(((t[2] - at) * b[0] + (at - t[1]) * b[1]) / (t[2] - t[1]))
    return np.concatenate(line)
