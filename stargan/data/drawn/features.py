"""The parts of a drawn face that speak: brows, eyes, nose and mouth, and the eight expressions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from stargan.data.drawn.canvas import Canvas, Colour, Points, ellipse, mix, smooth
from stargan.data.drawn.person import Look, Person


@dataclass(frozen=True)
class Expression:
    """An expression. Heights are upwards in face units; openness is relative to rest."""

    brow_in: float = 0.0
    brow_mid: float = 0.0
    brow_out: float = 0.0
    brow_skew: float = 0.0  # one brow up
    lid: float = 1.0
    lower_lid: float = 1.0
    lid_tilt: float = 0.0  # outer end of the upper lid up
    pupil: float = 1.0
    width: float = 0.34
    corner: float = 0.02
    skew: float = 0.0  # one mouth corner up
    top: float = 0.0
    bottom: float = 0.0
    teeth: float = 0.0
    lower_teeth: float = 0.0
    tongue: float = 0.0
    square: float = 0.0  # the mouth's outline, from almond to rectangle
    furrow: float = 0.0
    wrinkle: float = 0.0
    cheek: float = 0.0


_EXPRESSIONS = {
    "neutral": Expression(),
    "angry": Expression(
        brow_in=-0.24, brow_mid=-0.12, brow_out=0.10, lid=0.74, lower_lid=0.75, lid_tilt=0.55,
        pupil=0.85, width=0.30, corner=-0.13, top=0.03, bottom=0.0, furrow=1.0,
    ),
    "contemptuous": Expression(
        brow_in=-0.02, brow_skew=0.24, lid=0.52, lower_lid=0.8, width=0.35, corner=0.02, skew=0.22,
        top=-0.01, bottom=-0.02, cheek=0.3,
    ),
    "disgusted": Expression(
        brow_in=-0.16, brow_mid=-0.1, brow_out=-0.02, lid=0.42, lower_lid=0.45, lid_tilt=0.1,
        width=0.3, corner=-0.12, top=0.13, bottom=-0.07, teeth=0.5, tongue=1.0, wrinkle=1.0,
        square=0.3, furrow=0.5,
    ),
    "fearful": Expression(
        brow_in=0.2, brow_mid=0.12, brow_out=-0.02, lid=1.32, lower_lid=1.2, pupil=0.62,
        lid_tilt=-0.2, width=0.38, corner=-0.05, top=0.1, bottom=-0.19, teeth=0.75,
        lower_teeth=0.75, square=1.0,
    ),
    "happy": Expression(
        brow_in=0.03, brow_mid=0.07, brow_out=0.02, lid=0.92, lower_lid=0.35, width=0.45,
        corner=0.13, top=0.0, bottom=-0.32, teeth=0.9, cheek=1.0,
    ),
    "sad": Expression(
        brow_in=0.2, brow_mid=0.03, brow_out=-0.14, lid=0.72, lower_lid=0.95, lid_tilt=-0.5,
        width=0.25, corner=-0.13, top=0.05, bottom=0.03,
    ),
    "surprised": Expression(
        brow_in=0.2, brow_mid=0.26, brow_out=0.14, lid=1.42, lower_lid=1.3, pupil=0.8, width=0.21,
        corner=-0.03, top=0.16, bottom=-0.32, square=0.55,
    ),
}  # fmt: skip


def expression_of(name: str, intensity: float) -> Expression:
    """The named expression; ``intensity`` 0 is a face at rest, 1 the full expression."""
    rest, full = Expression(), _EXPRESSIONS[name]
    return Expression(
        **{
            f.name: getattr(rest, f.name)
            + (getattr(full, f.name) - getattr(rest, f.name)) * intensity
            for f in fields(Expression)
        }
    )


def draw_nose(canvas: Canvas, person: Person, face: Expression, shade: Colour) -> None:
    """The nose; disgust wrinkles it."""
    n = person.nose
    away = -1.0 if person.light[0] > 0 else 1.0
    bridge = smooth(
        [(away * 0.07, -0.12), (away * 0.08 * n, 0.14), (away * 0.17 * n, 0.33)], closed=False
    )
    canvas.stroke(canvas.on_face(bridge, 0.12), shade, 0.07, 0.4, (0.1, 0.6))
    tip = smooth(
        [(-0.19 * n, 0.33), (-0.13 * n, 0.42), (0, 0.39), (0.13 * n, 0.42), (0.19 * n, 0.33)],
        closed=False,
    )
    canvas.stroke(canvas.on_face(tip, 0.12), mix(shade, (60, 16, 16), 0.25), 0.06, 0.8, (0.3, 0.3))
    glow = ellipse(-away * 0.04, 0.27, 0.06 * n, 0.08, 12)
    canvas.fill(canvas.on_face(glow, 0.15), (255, 255, 255), 0.22)
    if face.wrinkle > 0:
        for y in (-0.08, 0.02, 0.12):
            crease = smooth([(-0.15, y - 0.04), (0, y + 0.03), (0.15, y - 0.04)], closed=False)
            canvas.stroke(canvas.on_face(crease, 0.05), shade, 0.045, 0.8 * min(face.wrinkle, 1))
        for side in (-1.0, 1.0):
            fold = smooth(
                [(side * 0.2, 0.28), (side * 0.38, 0.42), (side * 0.46, 0.62)], closed=False
            )
            canvas.stroke(canvas.on_face(fold), shade, 0.06, 0.6 * min(face.wrinkle, 1))


def draw_mouth(canvas: Canvas, person: Person, look: Look, face: Expression, shade: Colour) -> None:
    """The mouth, closed or open; lips tell women from men."""
    y = 0.76
    w = face.width * person.mouth
    left = (
        y - face.corner - max(face.skew * person.side, 0) + 0.25 * max(-face.skew * person.side, 0)
    )
    right = (
        y - face.corner - max(-face.skew * person.side, 0) + 0.25 * max(face.skew * person.side, 0)
    )
    bend = 0.55 + 0.4 * face.square

    def edge(middle: float) -> Points:
        """From the left to the right corner through the middle."""
        return canvas.on_face(
            smooth(
                [
                    (-w, left),
                    (-w * 0.62, left + (middle - left) * bend),
                    (0, middle),
                    (w * 0.62, right + (middle - right) * bend),
                    (w, right),
                ],
                closed=False,
            ),
            0.04,
        )

    upper, lower = edge(y - face.top), edge(y - face.bottom)
    natural = mix(person.skin, (170, 56, 54), 0.42)
    painted = mix(natural, (204, 30, 62), 0.5 + 0.3 * person.lips)
    lip = natural if look.male else painted
    opening = float((lower - upper)[:, 1].max())
    if opening > 0.07:
        canvas.fill(np.concatenate([upper, lower[::-1]]), (92, 26, 32))
        depth = (lower - upper) * (0, 1)
        if face.tongue > 0.3:
            t = smooth(
                [
                    (-0.14, y + 0.0),
                    (0, y - 0.02),
                    (0.14, y + 0.0),
                    (0.15, y + 0.22),
                    (0, y + 0.29),
                    (-0.15, y + 0.22),
                ]
            )
            canvas.fill(canvas.on_face(t, 0.06), (226, 106, 112))
            canvas.stroke(
                canvas.on_face(np.array([(0, y + 0.02), (0, y + 0.1), (0, y + 0.18)]), 0.06),
                (176, 66, 78),
                0.035,
                0.8,
            )
        elif face.square < 0.3 or face.teeth < 0.3:
            inside = upper + depth * 0.62
            canvas.fill(np.concatenate([inside[6:-6], lower[6:-6][::-1]]), (214, 92, 98))
        if face.teeth > 0.2:
            canvas.fill(
                np.concatenate([upper, (upper + depth * 0.42 * face.teeth)[::-1]]), (250, 248, 240)
            )
        if face.lower_teeth > 0.2:
            canvas.fill(
                np.concatenate([lower - depth * 0.42 * face.lower_teeth, lower[::-1]]),
                (240, 238, 230),
            )
        canvas.stroke(upper, lip, 0.06 if look.male else 0.085, 1, (0.5, 0.5))
        if face.tongue <= 0.3:
            canvas.stroke(lower, lip, 0.07 if look.male else 0.1, 1, (0.5, 0.5))
        return
    middle = (upper + lower) / 2
    full = (0.05 if look.male else 0.105) * (0.9 + 0.25 * person.lips)
    arch = np.sin(np.linspace(0, np.pi, len(middle)))[:, None]
    canvas.fill(np.concatenate([middle - arch * (0, full), middle[::-1]]), lip)
    canvas.fill(
        np.concatenate([middle, (middle + arch * (0, full * 1.35))[::-1]]),
        mix(lip, (255, 255, 255), 0.1),
    )
    canvas.stroke(middle, mix(shade, (70, 10, 20), 0.6), 0.055, 0.95, (0.5, 0.5))
    canvas.stroke((middle + arch * (0, full * 1.3 + 0.09))[6:-6], shade, 0.06, 0.35)
    if face.skew > 0.05:
        x, at = (w, right) if person.side < 0 else (-w, left)
        crease = smooth(
            [(x * 1.05, at - 0.1), (x * 1.22, at - 0.02), (x * 1.14, at + 0.08)], closed=False
        )
        canvas.stroke(canvas.on_face(crease), shade, 0.06, 0.8)


def draw_eye(
    canvas: Canvas, person: Person, look: Look, face: Expression, shade: Colour, side: int
) -> None:
    """One eye (side -1 left, 1 right); women have lashes, age droops the lids."""
    x0, y0 = side * person.eye_distance, -0.02
    half = 0.235 * person.eye_size
    high = 0.165 * person.eye_size * face.lid
    low = 0.12 * person.eye_size * face.lower_lid
    tilt = face.lid_tilt * 0.13
    u = np.linspace(-1, 1, 17)
    curve = (1 - u**2) ** 0.75

    def lid(height: float, slope: float) -> Callable[[Points], Points]:
        def y(at: Points) -> Points:
            v = np.clip(at, -1, 1)
            return y0 - height * (1 - v**2) ** 0.75 - slope * v * side * (1 - v**2) ** 0.5

        return y

    upper, lower = lid(high, tilt), lid(-low, 0.0)
    top = np.stack([x0 + half * u, upper(u)], 1)
    bottom = np.stack([x0 + half * u, lower(u)], 1)
    socket = ellipse(x0, y0 - 0.05, half * 1.25, 0.24)
    canvas.fill(canvas.on_face(socket), shade, 0.16)
    canvas.fill(canvas.on_face(np.concatenate([top, bottom[::-1]])), (250, 249, 246))

    def ball(radius: float, dy: float = 0.0) -> Points:
        """A disc of the iris, cut off by the lids."""
        disc = ellipse(x0, y0 - 0.01 + dy, radius, radius, 24)
        v = (disc[:, 0] - x0) / half
        disc[:, 1] = np.clip(disc[:, 1], np.minimum(upper(v), lower(v)), lower(v))
        return canvas.on_face(disc)

    r = 0.135 * person.eye_size
    canvas.fill(ball(r * (0.55 + 0.45 * face.pupil)), mix(person.eyes, (0, 0, 0), 0.35))
    canvas.fill(ball(r * 0.8 * (0.55 + 0.45 * face.pupil)), person.eyes)
    canvas.fill(ball(r * 0.5 * face.pupil), (18, 14, 16))
    if high + low > 0.16:
        canvas.fill(
            canvas.on_face(ellipse(x0 - 0.05, y0 - 0.06, 0.035, 0.035, 10)), (255, 255, 255), 0.9
        )
    line = mix(shade, (30, 14, 14), 0.75)
    if look.male:
        canvas.stroke(canvas.on_face(top), line, 0.065, 0.9, (0.4, 0.5))
    else:
        wing = np.array([(x0 + side * half * 1.22, y0 - high * 0.3 - 0.06 - tilt * 0.3)])
        lashed = np.concatenate([top, wing]) if side > 0 else np.concatenate([wing, top])
        canvas.stroke(
            canvas.on_face(lashed), (22, 14, 18), 0.085, 1, (0.2, 0.9) if side < 0 else (0.9, 0.2)
        )
        for v in (0.45, 0.8):
            root = np.array([x0 + side * half * v, float(upper(np.array([side * v]))[0])])
            lash = root + np.array([(0, 0), (side * 0.04, -0.06), (side * 0.1, -0.1)])
            canvas.stroke(canvas.on_face(lash), (22, 14, 18), 0.045, 1, (1.0, 0.1))
    canvas.stroke(canvas.on_face(bottom), shade, 0.04, 0.6, (0.2, 0.2))
    if not look.young:
        droop = np.stack(
            [x0 + half * 1.1 * u, y0 - high * 0.55 * curve - 0.11 + 0.05 * u * side], 1
        )
        canvas.stroke(canvas.on_face(droop), shade, 0.07, 0.7)


def draw_brow(canvas: Canvas, person: Person, look: Look, face: Expression, side: int) -> None:
    """One brow, in the colour of the hair."""
    x, y = person.eye_distance, -0.36
    lift = face.brow_skew if side == person.side else -face.brow_skew * 0.35
    arch = 0.04 if look.male else 0.09
    brow = smooth(
        [
            (side * (x - 0.27), y - face.brow_in - lift * 0.6),
            (side * (x - 0.05), y - arch * 0.7 - face.brow_mid - lift),
            (side * (x + 0.15), y - arch - face.brow_mid * 0.6 - face.brow_out * 0.4 - lift),
            (side * (x + 0.32), y + 0.06 - face.brow_out - lift * 0.7),
        ],
        closed=False,
    )
    width = (0.15 if look.male else 0.085) * person.brow
    colour = mix(person.hair[look.hair], (40, 22, 12), 0.3)
    canvas.stroke(canvas.on_face(brow), colour, width, 0.95, (0.75, 0.15))
