"""Draws a person with a look: the picture of a label that the embedded faces are made of."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from stargan.data.drawn.canvas import Canvas, Colour, Points, ellipse, mirrored, mix, smooth
from stargan.data.drawn.features import (
    Expression,
    draw_brow,
    draw_eye,
    draw_mouth,
    draw_nose,
    expression_of,
)
from stargan.data.drawn.hair import draw_back_hair, draw_beard, draw_front_hair
from stargan.data.drawn.person import Look, Person


def draw_face(person: Person, look: Look, size: tuple[int, int]) -> Image.Image:
    """The picture of a person with a look.

    Args:
        size: ``(height, width)`` in pixels.

    Returns:
        RGB of exactly that size.
    """
    height, width = size
    short = min(height, width)
    factor = 4 if short <= 48 else 3 if short <= 160 else 2
    canvas = Canvas(
        _backdrop(person, (width * factor, height * factor)),
        factor,
        unit=person.size * short,
        centre=(width / 2 + person.x * short, height / 2 + person.y * short),
        tilt=person.tilt,
        yaw=person.yaw,
        pitch=person.pitch,
    )
    face = expression_of(look.expression, person.intensity)
    head = _head(person, look)
    shade = mix(person.skin, (96, 30, 26), 0.36)
    draw_back_hair(canvas, person, look)
    _draw_body(canvas, person, head, shade)
    _draw_ears(canvas, person, shade)
    canvas.fill(head, person.skin, solid=True)
    _draw_skin(canvas, person, face, shade)
    if not look.young:
        _draw_age(canvas, person, shade)
    draw_beard(canvas, person, look, head)
    draw_nose(canvas, person, face, shade)
    draw_mouth(canvas, person, look, face, shade)
    for side in (-1, 1):
        draw_eye(canvas, person, look, face, shade, side)
    draw_front_hair(canvas, person, look)
    for side in (-1, 1):
        draw_brow(canvas, person, look, face, side)
    if person.glasses:
        _draw_glasses(canvas, person)
    return canvas.finish(person.light, person.light_strength, person.tint)


def _backdrop(person: Person, size: tuple[int, int]) -> Image.Image:
    """A gradient with soft shapes, drawn tiny and enlarged: that is the blur of a lens."""
    corners = np.array(person.corners, dtype=np.uint8).reshape(2, 2, 3)
    small = Image.fromarray(corners).resize((40, 40), Image.Resampling.BILINEAR)
    if person.scene != "plain":
        rng = np.random.default_rng(person.scene_seed)
        draw = ImageDraw.Draw(small, "RGBA")
        tone = tuple(int(c) for c in mix(person.corners[0], (40, 60, 80), 0.45))
        bright = (255, 250, 235, 110)
        if person.scene == "hills":
            for depth in (16, 25):
                top = depth + rng.integers(-4, 5, size=3)
                outline = smooth(
                    [(-4, float(top[0])), (20, float(top[1])), (44, float(top[2]))], closed=False
                )
                draw.polygon([*outline.ravel().tolist(), 44, 44, -4, 44], fill=(*tone, 80))
        elif person.scene == "window":
            x = int(rng.integers(-4, 30))
            draw.rectangle((x, 3, x + 14, 26), fill=bright)
            draw.line((x + 7, 3, x + 7, 26), fill=(*tone, 160), width=1)
            draw.line((x, 14, x + 14, 14), fill=(*tone, 160), width=1)
        elif person.scene == "bars":
            step = int(rng.integers(6, 12))
            for x in range(int(rng.integers(0, step)), 40, step):
                draw.rectangle((x, 0, x + step // 2 - 1, 40), fill=(*tone, 60))
        else:
            for _ in range(9 if person.scene == "lights" else 5):
                x, y = rng.uniform(0, 40, size=2)
                r = rng.uniform(1.5, 3.5) if person.scene == "lights" else rng.uniform(4, 9)
                fill = bright if person.scene == "lights" else (*tone, 56)
                draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        small = small.filter(ImageFilter.GaussianBlur(1.0))
    return small.resize(size, Image.Resampling.BICUBIC)


def _head(person: Person, look: Look) -> Points:
    w = person.head_width
    jaw = (0.84 if look.male else 0.75) + person.jaw
    chin = (0.46 if look.male else 0.34) + person.chin
    outline = smooth(
        mirrored(
            [
                (0, -1.24),
                (0.55 * w, -1.13),
                (0.92 * w, -0.66),
                (w, -0.08),
                (0.96 * w, 0.4),
                (jaw * w, 0.82),
                (chin * w, 1.13),
                (0, 1.2),
            ]
        )
    )
    # The chin goes with the face when the head turns.
    shift = 0.3 * np.sin(person.yaw) * np.clip(outline[:, 1] + 0.1, 0, 1)
    outline[:, 0] += shift
    return outline


def _draw_body(canvas: Canvas, person: Person, head: Points, shade: Colour) -> None:
    s = person.shoulders
    shirt, detail = person.shirt, person.shirt_detail
    canvas.fill(
        np.array([(-0.46, 0.6), (0.46, 0.6), (0.52, 1.95), (-0.52, 1.95)]), person.skin, solid=True
    )
    # The chin's shadow on the neck.
    shadow = head[head[:, 1] > 0.55] * (0.72, 1) + (0, 0.2)
    canvas.fill(shadow, shade, 0.6)
    torso = smooth(
        mirrored(
            [(0, 1.75), (0.5, 1.52), (1.0, 1.66), (s, 1.95), (s + 0.2, 2.7), (0.9, 4.0), (0, 4.2)]
        )
    )
    neck: dict[str, list[tuple[float, float]]] = {
        "round": [(0, 1.86), (0.42, 1.7), (0.5, 1.4)],
        "vee": [(0, 2.3), (0.28, 1.85), (0.48, 1.4)],
        "collar": [(0, 2.05), (0.3, 1.72), (0.46, 1.4)],
        "turtle": [(0, 1.42), (0.4, 1.4), (0.46, 1.36)],
    }
    canvas.fill(torso, shirt, solid=True)
    if person.stripes:
        for y in (2.0, 2.3, 2.6, 2.9):
            band = np.array(
                [
                    (-1.6, y + 0.1),
                    (0, y + 0.16),
                    (1.6, y + 0.1),
                    (1.6, y + 0.2),
                    (0, y + 0.26),
                    (-1.6, y + 0.2),
                ]
            )
            canvas.fill(band, detail, 0.8)
    if person.neckline == "turtle":
        canvas.fill(
            smooth([(-0.5, 1.75), (-0.48, 1.28), (0, 1.38), (0.48, 1.28), (0.5, 1.75), (0, 1.86)]),
            shirt,
            solid=True,
        )
        canvas.stroke(
            smooth([(-0.48, 1.62), (0, 1.74), (0.48, 1.62)], closed=False),
            mix(shirt, (0, 0, 0), 0.3),
            0.05,
            0.6,
        )
        return
    opening = neck[person.neckline]
    hole = np.array([*((-x, y) for x, y in reversed(opening)), *opening[1:]])
    canvas.fill(hole, person.skin)
    canvas.fill(shadow * (0.95, 1), shade, 0.25)
    edge = mix(shirt, (0, 0, 0), 0.25)
    if person.neckline == "collar":
        for side in (-1.0, 1.0):
            flap = np.array([(0, 2.1), (0.1, 2.32), (0.62, 1.98), (0.5, 1.45)]) * (side, 1)
            canvas.fill(flap, mix(shirt, (255, 255, 255), 0.35), solid=True)
        canvas.stroke(np.array([(0.0, 2.1), (0.0, 2.6), (0.0, 3.2)]), edge, 0.05, 0.7)
    else:
        for side in (-1.0, 1.0):
            canvas.stroke(np.array(opening) * (side, 1), edge, 0.09, 0.8, (0.8, 0.4))


def _draw_ears(canvas: Canvas, person: Person, shade: Colour) -> None:
    for side in (-1, 1):
        x = side * (person.head_width + 0.03) - 0.25 * np.sin(person.yaw)
        canvas.fill(ellipse(x, 0.05, 0.17, 0.26), mix(person.skin, shade, 0.15), solid=True)
        canvas.fill(ellipse(x + side * 0.02, 0.06, 0.09, 0.16), shade, 0.45)


def _draw_skin(canvas: Canvas, person: Person, face: Expression, shade: Colour) -> None:
    """Soft volume: the shaded side, the sockets, the cheeks."""
    away = -1.0 if person.light[0] > 0 else 1.0
    w = person.head_width
    for share in (0.0, 0.1):
        crescent = smooth(
            [
                (away * 0.9 * w, -0.75),
                (away * w, -0.05),
                (away * 0.93 * w, 0.42),
                (away * 0.7 * w, 0.88),
                (away * 0.35 * w, 1.12),
                (away * (0.58 - share) * w, 0.72),
                (away * (0.78 - share) * w, 0.1),
            ]
        )
        canvas.fill(crescent, shade, 0.1)
    blush: Colour = mix(person.skin, (226, 74, 74), 0.5)
    for side in (-1.0, 1.0):
        for r in (0.3, 0.23, 0.15):
            spot = ellipse(side * 0.56, 0.36 - 0.06 * face.cheek, r, r * 0.7)
            canvas.fill(
                canvas.on_face(spot), blush, 0.28 * (person.cheeks + 0.5 * face.cheek) + 0.02
            )
        if person.freckles:
            for dx, dy in ((0, 0), (0.1, 0.06), (-0.1, 0.05), (0.03, 0.12), (-0.06, -0.06)):
                dot = ellipse(side * 0.5 + dx, 0.3 + dy, 0.022, 0.022, 8)
                canvas.fill(canvas.on_face(dot), shade, 0.6)
    if face.furrow > 0:
        for side in (-1.0, 1.0):
            line = smooth(
                [(side * 0.08, -0.5), (side * 0.1, -0.36), (side * 0.06, -0.24)], closed=False
            )
            canvas.stroke(canvas.on_face(line), shade, 0.05, 0.75 * min(face.furrow, 1))


def _draw_age(canvas: Canvas, person: Person, shade: Colour) -> None:
    """Forehead lines, bags, crow's feet, folds and jowls; never the colour of the hair."""
    ink = mix(shade, (84, 34, 28), 0.4)

    def line(points: list[tuple[float, float]], width: float, alpha: float) -> None:
        canvas.stroke(canvas.on_face(smooth(points, closed=False)), ink, width, alpha, (0.1, 0.1))

    for y, half in ((-0.94, 0.4), (-0.79, 0.5), (-0.65, 0.42)):
        line(
            [
                (-half, y + 0.02),
                (-half / 2, y - 0.03),
                (0, y + 0.01),
                (half / 2, y - 0.03),
                (half, y + 0.02),
            ],
            0.055,
            0.6,
        )
    for side in (-1.0, 1.0):
        x = side * person.eye_distance
        bag = smooth(
            [
                (x - 0.22, 0.13),
                (x, 0.2),
                (x + 0.22, 0.13),
                (x + 0.15, 0.27),
                (x, 0.33),
                (x - 0.15, 0.27),
            ]
        )
        canvas.fill(canvas.on_face(bag), shade, 0.4)
        line([(x - 0.22, 0.2), (x - 0.04, 0.33), (x + 0.2, 0.24)], 0.05, 0.75)
        for dy in (-0.1, 0.02, 0.14):
            line(
                [(side * 0.71, 0.0 + dy * 0.5), (side * 0.8, dy * 0.9), (side * 0.88, dy * 1.4)],
                0.04,
                0.6,
            )
        line([(side * 0.2, 0.36), (side * 0.4, 0.55), (side * 0.5, 0.84)], 0.075, 0.7)
        line([(side * 0.4, 0.9), (side * 0.45, 1.0), (side * 0.42, 1.1)], 0.05, 0.55)
        hollow = smooth(
            [(side * 0.62, 0.45), (side * 0.8, 0.4), (side * 0.72, 0.72), (side * 0.56, 0.86)]
        )
        canvas.fill(canvas.on_face(hollow), shade, 0.22)


def _draw_glasses(canvas: Canvas, person: Person) -> None:
    frame: Colour = mix(person.shirt_detail, (30, 26, 32), 0.8)
    for side in (-1.0, 1.0):
        ring = ellipse(side * person.eye_distance, 0.01, 0.35, 0.33, 28)
        closed = canvas.on_face(np.concatenate([ring, ring[:1]]), 0.06)
        canvas.fill(closed, (255, 255, 255), 0.08)
        canvas.stroke(closed, frame, 0.036, 0.85, (1, 1))
        arm = np.array([(side * 0.78, -0.02), (side * 0.9, -0.04), (side * 1.0, -0.05)])
        canvas.stroke(canvas.on_face(arm, 0.03), frame, 0.036, 0.85, (1, 1))
    nose = smooth([(-0.1, -0.02), (0, -0.07), (0.1, -0.02)], closed=False)
    canvas.stroke(canvas.on_face(nose, 0.1), frame, 0.036, 0.85, (1, 1))
