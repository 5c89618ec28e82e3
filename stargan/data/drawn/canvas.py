"""A small vector canvas in face units: smooth curves, tapered strokes, flat fills, one light.

A face unit is half the width of a head; the origin is the middle of the head, y points down.
Shapes are drawn several times too large with PIL and averaged down, which antialiases them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]
Colour = tuple[float, float, float]


@lru_cache(maxsize=64)
def _spline_basis(count: int, closed: bool, steps: int) -> Points:
    """``(segments * steps, count)`` weights of a Catmull-Rom spline through ``count`` points."""
    segments = count if closed else count - 1
    basis = np.zeros((segments * steps + (not closed), count))
    for row in range(len(basis)):
        segment, t = (
            (count - 2, 1.0) if row == segments * steps else (row // steps, row % steps / steps)
        )
        weights = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (-(t**2) + t**3) / 2,
        )
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            i = segment + offset
            basis[row, i % count if closed else min(max(i, 0), count - 1)] += weight
    return basis


def smooth(
    points: Points | list[tuple[float, float]], closed: bool = True, steps: int = 6
) -> Points:
    """A smooth curve ``(M, 2)`` through ``(N, 2)`` points (Catmull-Rom)."""
    array = np.asarray(points, dtype=np.float64)
    return _spline_basis(len(array), closed, steps) @ array


def ellipse(x: float, y: float, rx: float, ry: float, count: int = 20) -> Points:
    """``(count, 2)`` points on an upright ellipse."""
    return _circle(count) * (rx, ry) + (x, y)


@lru_cache(maxsize=8)
def _circle(count: int) -> Points:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


_LEFT = np.array([-1.0, 1.0])
_ELLIPSOID = np.array([1 / 1.08, 1 / 1.5])


@lru_cache(maxsize=64)
def _taper(count: int, first: float, last: float) -> Points:
    """``(count,)`` share of a stroke's width along its way."""
    t = np.linspace(0, 1, count)
    floor = first * (1 - t) + last * t
    return floor + (1 - floor) * np.sin(np.pi * t) ** 0.6


def mirrored(right: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points of the right half, top to bottom, closed to a shape symmetrical about x = 0."""
    return right + [(-x, y) for x, y in reversed(right) if x != 0]


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """``a`` with ``share`` of ``b``."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


class Canvas:
    """An image being drawn in face units.

    Args:
        background: the picture behind, at the drawing size (``factor`` times the final size).
        factor: how many times larger than the result is drawn.
        unit: pixels of the result per face unit.
        centre: where the origin lies in the result, (x, y) in pixels.
        tilt: turn of the head to its left, radians.
        yaw, pitch: turn of the face about the vertical and the horizontal axis, radians.
    """

    def __init__(
        self,
        background: Image.Image,
        factor: int,
        unit: float,
        centre: tuple[float, float],
        tilt: float,
        yaw: float,
        pitch: float,
    ) -> None:
        self._image = background
        self._factor = factor
        self._solid = Image.new("L", background.size, 0)
        self._shapes: list[tuple[Points, Colour, float, bool]] = []
        cos, sin = math.cos(tilt), math.sin(tilt)
        self._turn = np.array([[cos, sin], [-sin, cos]]) * unit
        self._centre = np.array(centre)
        self._flattened = np.array([math.cos(yaw), 1.0])
        self._turned = np.array([math.sin(yaw), math.sin(pitch)])

    def on_face(self, points: Points, lift: float = 0.0) -> Points:
        """Where points on the front of the head come to lie when the head turns.

        Args:
            lift: how far they stand out of the head's ellipsoid (the nose does).
        """
        scaled = points * _ELLIPSOID
        depth = 0.85 * np.sqrt(np.maximum(0, 1 - (scaled * scaled).sum(1))) + lift
        turned = depth[:, None] * self._turned
        turned += points * self._flattened
        return turned

    def fill(self, points: Points, colour: Colour, alpha: float = 1.0, solid: bool = False) -> None:
        """A filled polygon, drawn by ``finish``: all points are placed in one go, which is quick.

        Args:
            points: ``(N, 2)`` in face units.
            colour: RGB in [0, 255].
            alpha: 1 covers, less shines through.
            solid: belongs to the lit person rather than to a mark on it.
        """
        self._shapes.append((points, colour, alpha, solid))

    def stroke(
        self,
        points: Points,
        colour: Colour,
        width: float,
        alpha: float = 1.0,
        ends: tuple[float, float] = (0.15, 0.15),
    ) -> None:
        """A brush stroke along ``(N, 2)`` points, widest in the middle.

        Args:
            width: greatest width in face units.
            ends: width at the first and at the last point as a share of ``width``.
        """
        across = np.empty_like(points)
        across[1:-1] = points[2:] - points[:-2]
        across[0] = points[1] - points[0]
        across[-1] = points[-1] - points[-2]
        across = across[:, ::-1] * _LEFT
        length = np.sqrt((across * across).sum(1)) + 1e-9
        across *= (0.5 * width * _taper(len(points), *ends) / length)[:, None]
        self.fill(np.concatenate([points + across, (points - across)[::-1]]), colour, alpha)

    def finish(
        self, light: tuple[float, float, float], strength: float, tint: Colour
    ) -> Image.Image:
        """Average down and light the person as an ellipsoid.

        Args:
            light: direction to the light (right, down, towards the viewer).
            strength: contrast between the lit and the dark side.
            tint: colour of the light, 1 is white.
        """
        self._draw_shapes()
        image = np.asarray(self._image.reduce(self._factor), dtype=np.float32)
        solid = np.asarray(self._solid.reduce(self._factor), dtype=np.float32) / 255
        height, width = solid.shape
        # A rotation times a scale: its inverse is its transpose over the square of the scale.
        inverse = (self._turn.T / abs(np.linalg.det(self._turn))).astype(np.float32)
        px = np.arange(width, dtype=np.float32)[None, :] + 0.5 - float(self._centre[0])
        py = np.arange(height, dtype=np.float32)[:, None] + 0.5 - float(self._centre[1])
        nx = (px * inverse[0, 0] + py * inverse[1, 0]) / 1.35
        ny = (px * inverse[0, 1] + py * inverse[1, 1]) / 1.75
        radius = np.maximum(np.hypot(nx, ny), 0.97) / 0.97
        nx, ny = nx / radius, ny / radius
        nz = np.sqrt(np.maximum(0, 1 - nx**2 - ny**2))
        x, y, z = np.array(light) / np.linalg.norm(light)
        lambert = nx * float(x) + ny * float(y) + nz * float(z)
        shade = solid * strength * (lambert - 0.72)
        image = image * (1 + shade[..., None] * np.array(tint, dtype=np.float32))
        return Image.fromarray(np.clip(image + 0.5, 0, 255).astype(np.uint8))

    def _draw_shapes(self) -> None:
        draw = ImageDraw.Draw(self._image, "RGBA")
        solid_draw = ImageDraw.Draw(self._solid)
        turn, centre = self._turn * self._factor, self._centre * self._factor
        every = np.concatenate([points for points, *_ in self._shapes]) @ turn + centre
        flat = every.ravel().tolist()
        start = 0
        for points, colour, alpha, solid in self._shapes:
            end = start + 2 * len(points)
            r, g, b = colour
            draw.polygon(flat[start:end], fill=(round(r), round(g), round(b), round(255 * alpha)))
            if solid:
                solid_draw.polygon(flat[start:end], fill=255)
            start = end
