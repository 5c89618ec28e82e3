"""The hair of drawn faces: behind the head, in front of it, and beards."""

from __future__ import annotations

import numpy as np

from stargan.data.drawn.canvas import Canvas, Points, mirrored, mix, smooth
from stargan.data.drawn.person import Look, Person

_LONG = {"long": (1.7, 0.75), "wavy": (1.55, 0.7), "bob": (0.95, 0.2), "curls": (1.2, 0.3)}
"""Style to shortest length and how much longer it may be."""

_WAVES = {"curls": (15, 0.065), "wavy": (9, 0.05), "spiky": (11, 0.07)}
"""Style to waves along an outline and their depth."""


def _length(person: Person) -> float:
    low, more = _LONG[person.long_hair]
    return low + more * person.hair_length


def _wobble(points: Points, person: Person, style: str) -> Points:
    """An outline with curls, waves or spikes: pushed out and in along the way from the middle."""
    if style not in _WAVES:
        return points
    count, depth = _WAVES[style]
    angle = np.linspace(0, 2 * np.pi * count, len(points)) + person.wobble
    wave = np.sin(angle)
    if style == "spiky":
        wave = np.abs((angle / np.pi) % 2 - 1) * 2 - 1
    elif style == "curls":
        wave = np.abs(np.sin(angle / 2)) * 2 - 1
    away = points - (0, -0.1)
    away = away / (np.hypot(away[:, 0], away[:, 1]) + 1e-9)[:, None]
    return points + away * (wave * depth)[:, None]


def draw_back_hair(canvas: Canvas, person: Person, look: Look) -> None:
    """Long hair behind the shoulders; men wear it short."""
    if look.male:
        return
    colour = mix(person.hair[look.hair], (10, 6, 8), 0.22)
    w, v = person.head_width, person.hair_volume
    if person.long_hair == "tail":
        s = -person.side
        tail = smooth(
            [
                (s * 0.8, -0.3),
                (s * 1.2, 0.2),
                (s * 1.42, 0.9),
                (s * 1.25, 1.7),
                (s * 1.0, 2.1),
                (s * 0.95, 1.3),
                (s * 0.7, 0.5),
            ]
        )
        canvas.fill(tail, colour, solid=True)
        return
    length = _length(person)
    wide = 1.2 * w + v + (0.16 if person.long_hair == "curls" else 0)
    outline = smooth(
        mirrored(
            [
                (0, -1.4),
                (0.85 * w, -1.15),
                (wide, -0.3),
                (wide + 0.06, 0.35 * length),
                (wide + 0.02, 0.8 * length),
                (0.85 * wide, length + 0.05),
                (0, length + 0.1),
            ]
        ),
        steps=8,
    )
    canvas.fill(_wobble(outline, person, person.long_hair), colour, solid=True)


def _hairline(person: Person, look: Look) -> list[tuple[float, float]]:
    """The edge of the hair on the face, from the right temple to the left."""
    w = person.head_width
    p = person.parting * person.side
    lines: dict[str, list[tuple[float, float]]] = {
        "fringe": [
            (0.9, -0.12),
            (0.74, -0.42),
            (0.36, -0.5),
            (0.0, -0.53),
            (-0.36, -0.5),
            (-0.74, -0.42),
            (-0.9, -0.12),
        ],
        "centre": [
            (0.93, -0.05),
            (0.72, -0.42),
            (0.32, -0.74),
            (0.0, -1.02),
            (-0.32, -0.74),
            (-0.72, -0.42),
            (-0.93, -0.05),
        ],
        "parted": [
            (0.93, -0.1),
            (0.78, -0.5),
            (p + 0.3, -0.8),
            (p, -1.0),
            (p - 0.3, -0.8),
            (-0.78, -0.5),
            (-0.93, -0.1),
        ],
        "swept": [
            (0.92, -0.1),
            (0.78, -0.48),
            (0.42, -0.66 - 0.14 * person.side),
            (0.0, -0.76),
            (-0.42, -0.66 + 0.14 * person.side),
            (-0.78, -0.48),
            (-0.92, -0.1),
        ],
        "back": [
            (0.94, -0.1),
            (0.8, -0.62),
            (0.45, -0.86),
            (0.0, -0.84),
            (-0.45, -0.86),
            (-0.8, -0.62),
            (-0.94, -0.1),
        ],
    }
    line = lines[person.hairline]
    if not look.young:
        # The hair recedes, most at the temples; a fringe most of all, as it hides the forehead.
        deep = 0.3 if person.hairline == "fringe" else 0.18
        line = [
            (x, y - deep * (1.35 if 0.2 < abs(x) < 0.6 else 1.0) * (abs(x) < 0.85)) for x, y in line
        ]
        line = [(x, max(y, -1.13 + 0.25 * abs(x))) for x, y in line]
    return [(x * w, y) for x, y in line]


def draw_front_hair(canvas: Canvas, person: Person, look: Look) -> None:
    """The cap of hair, its strands, and for long hair the locks beside the face."""
    base = person.hair[look.hair]
    dark, light = mix(base, (8, 4, 6), 0.32), mix(base, (255, 240, 220), 0.26)
    w, v = person.head_width, person.hair_volume
    style = person.hair_top
    # Above the ears men and women wear the same hair, so that Male concerns the lengths alone.
    side_end = 0.06 if look.male else 0.25
    rise = {"flat": 0.0, "quiff": 0.1, "spiky": 0.08, "curls": 0.1}[style]
    lean = 0.3 * person.side if style == "quiff" else 0.0
    side_w = 1.08 * w + v * 0.5
    crown = smooth(
        [
            (side_w * 0.97, side_end),
            (side_w + 0.02, -0.42),
            (0.88 * w + v, -1.0),
            (0.5 + lean * 0.2, -1.33 - v - rise * (1.0 + lean)),
            (lean * 0.4, -1.42 - v - rise),
            (-0.5 + lean * 0.2, -1.33 - v - rise * (1.0 - lean)),
            (-0.88 * w - v, -1.0),
            (-side_w - 0.02, -0.42),
            (-side_w * 0.97, side_end),
        ],
        closed=False,
        steps=8,
    )
    crown = _wobble(crown, person, style)
    edge = smooth(_hairline(person, look), closed=False)
    inner = canvas.on_face(edge)
    # The ends stay at the sides of the head, whichever way the face looks.
    keep = np.clip((np.abs(edge[:, 0]) - 0.6 * w) / (0.3 * w), 0, 1)[:, None]
    inner = inner * (1 - keep) + edge * keep
    canvas.fill(np.concatenate([crown, inner[::-1]]), base, solid=True)
    canvas.stroke(inner, dark, 0.05, 0.35, (0.3, 0.3))
    part = inner[len(inner) // 2]
    for t in (-0.8, -0.5, -0.2, 0.15, 0.45, 0.75):
        i = round((0.5 - t * 0.42) * (len(crown) - 1))
        j = round((0.5 - t * 0.46) * (len(inner) - 1))
        top, end = crown[i], inner[j]
        start = top * 0.88 + part * 0.12
        bend = (start + end) / 2 + (0.1 * t, -0.06)
        strand = smooth(np.stack([start, bend, end * 0.93 + start * 0.07]), closed=False)
        canvas.stroke(strand, dark if round(t * 20) % 2 else light, 0.07, 0.3, (0.1, 0.2))
    shine = smooth(
        [(-0.62 * w, -0.98), (-0.25, -1.2 - v * 0.7), (0.1, -1.24 - v * 0.7)]
        if person.light[0] < 0
        else [(0.62 * w, -0.98), (0.25, -1.2 - v * 0.7), (-0.1, -1.24 - v * 0.7)],
        closed=False,
    )
    canvas.stroke(shine, light, 0.11, 0.55, (0.0, 0.1))
    if look.male or person.long_hair == "tail":
        return
    length = _length(person)
    for side in (-1.0, 1.0):
        lock = smooth(
            [
                (side * 0.86 * w, -0.5),
                (side * side_w, -0.35),
                (side * (side_w + 0.07), 0.3 * length),
                (side * (side_w + 0.05), 0.75 * length),
                (side * 0.92 * side_w, length),
                (side * 0.86 * w, 0.8 * length),
                (side * 0.93 * w, 0.4 * length),
                (side * 0.9 * w, -0.05),
            ]
        )
        canvas.fill(_wobble(lock, person, person.long_hair), base, solid=True)
        for at in (0.25, 0.6):
            x = 0.92 * w + (side_w - 0.92 * w) * at
            strand = smooth(
                [
                    (side * x, -0.3),
                    (side * (x + 0.04), 0.35 * length),
                    (side * (x + 0.01), 0.88 * length),
                ],
                closed=False,
            )
            canvas.stroke(strand, dark if at > 0.5 else light, 0.06, 0.4, (0.1, 0.1))


def draw_beard(canvas: Canvas, person: Person, look: Look, head: Points) -> None:
    """Men's beards, under the mouth that is drawn afterwards."""
    if not look.male or person.beard == "none":
        return
    colour = mix(person.hair[look.hair], (20, 12, 10), 0.18)
    if person.beard in ("full", "stubble"):
        w = person.head_width
        chin = head[head[:, 1] > 0.05]
        chin = chin[np.argsort(np.arctan2(chin[:, 1] - 0.05, chin[:, 0]))]
        outer = chin + (chin - (0, 0.4)) * (0.05 if person.beard == "full" else 0.0)
        cheek = canvas.on_face(
            smooth(
                [
                    (-0.88 * w, 0.16),
                    (-0.66 * w, 0.5),
                    (-0.32, 0.54),
                    (0, 0.52),
                    (0.32, 0.54),
                    (0.66 * w, 0.5),
                    (0.88 * w, 0.16),
                ],
                closed=False,
            )
        )
        canvas.fill(
            np.concatenate([outer, cheek]), colour, 0.96 if person.beard == "full" else 0.34
        )
        if person.beard == "full":
            for x in (-0.5, -0.25, 0.0, 0.25, 0.5):
                hair = smooth(
                    [(x, 0.98), (x * 0.95, 1.07), (x * 0.85, 1.16 - 0.1 * abs(x))], closed=False
                )
                canvas.stroke(canvas.on_face(hair), mix(colour, (255, 236, 210), 0.25), 0.05, 0.4)
        return
    if person.beard == "goatee":
        patch = smooth([(-0.2, 0.9), (0, 0.92), (0.2, 0.9), (0.26, 1.08), (0, 1.24), (-0.26, 1.08)])
        canvas.fill(canvas.on_face(patch), colour, 0.95)
    moustache = smooth(
        mirrored([(0, 0.5), (0.22, 0.5), (0.44, 0.64), (0.42, 0.74), (0.2, 0.66), (0, 0.62)])
    )
    canvas.fill(canvas.on_face(moustache), colour, 0.97)
