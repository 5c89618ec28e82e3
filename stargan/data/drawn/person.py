"""Who a drawn face is: everything about a person and a shot that labels do not decide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stargan.data.drawn.canvas import Colour, mix

HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair")
EXPRESSIONS = (
    "angry",
    "contemptuous",
    "disgusted",
    "fearful",
    "happy",
    "neutral",
    "sad",
    "surprised",
)

_HAIR: dict[str, tuple[Colour, Colour]] = {
    "Black_Hair": ((24, 22, 28), (44, 38, 42)),
    "Blond_Hair": ((222, 178, 92), (244, 214, 140)),
    "Brown_Hair": ((98, 56, 30), (132, 80, 44)),
}
_SKIN: tuple[Colour, ...] = (
    (246, 216, 192),
    (238, 200, 170),
    (228, 184, 148),
    (206, 156, 116),
    (172, 120, 84),
    (136, 90, 62),
)
_EYES: tuple[Colour, ...] = (
    (86, 54, 32),
    (120, 84, 44),
    (70, 110, 150),
    (76, 120, 84),
    (104, 112, 122),
)
_CLOTHES: tuple[Colour, ...] = (
    (196, 72, 66),
    (62, 104, 168),
    (72, 140, 110),
    (236, 192, 92),
    (122, 88, 152),
    (52, 60, 78),
    (232, 228, 220),
    (226, 132, 118),
    (70, 150, 168),
)
_BACKDROPS: tuple[Colour, ...] = (
    (158, 202, 220),
    (236, 210, 168),
    (176, 206, 164),
    (208, 180, 214),
    (240, 184, 164),
    (110, 146, 168),
    (204, 204, 196),
    (146, 132, 160),
    (226, 226, 176),
    (96, 128, 120),
)


@dataclass(frozen=True)
class Look:
    """What labels decide.

    Attributes:
        hair: one of ``HAIR_COLOURS``.
        expression: one of ``EXPRESSIONS``.
    """

    hair: str
    male: bool
    young: bool
    expression: str


@dataclass(frozen=True)
class Person:
    """One person in one shot. Lengths are in face units, angles in radians."""

    skin: Colour
    hair: dict[str, Colour]
    eyes: Colour
    head_width: float
    jaw: float
    chin: float
    eye_distance: float
    eye_size: float
    nose: float
    mouth: float
    lips: float
    brow: float
    cheeks: float
    freckles: bool
    glasses: bool
    hair_top: str
    hairline: str
    long_hair: str
    beard: str
    hair_length: float
    hair_volume: float
    parting: float
    wobble: float
    side: int
    intensity: float
    shirt: Colour
    shirt_detail: Colour
    neckline: str
    stripes: bool
    shoulders: float
    size: float
    x: float
    y: float
    tilt: float
    yaw: float
    pitch: float
    light: tuple[float, float, float]
    light_strength: float
    tint: Colour
    corners: tuple[Colour, Colour, Colour, Colour]
    scene: str
    scene_seed: int


def draw_person(rng: np.random.Generator, kind: str) -> tuple[Person, Look]:
    """A person and a look at random; ``kind`` decides how the pictures are taken.

    "attributes" has poses, lights and places of all sorts, as photos from the wild; "expressions"
    has a light studio backdrop, a closer frame and little movement. People are drawn alike.
    """

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def pick(names: tuple[str, ...]) -> str:
        return names[int(rng.integers(len(names)))]

    def colour(palette: tuple[Colour, ...]) -> Colour:
        return palette[int(rng.integers(len(palette)))]

    tone = between(0, len(_SKIN) - 1.001)
    skin = mix(_SKIN[int(tone)], _SKIN[int(tone) + 1], tone % 1)
    shirt = mix(colour(_CLOTHES), (128, 128, 128), between(0, 0.25))
    first, second = colour(_BACKDROPS), colour(_BACKDROPS)
    corners = [
        mix(mix(first, second, s), (255, 255, 255), between(0, 0.3)) for s in (0, 0.4, 0.6, 1)
    ]
    order = rng.permutation(4)
    warm = between(-0.1, 0.1)
    hair_top = pick(("flat", "flat", "flat", "quiff", "spiky", "curls"))
    person = Person(
        skin=skin,
        hair={name: mix(*_HAIR[name], between(0, 1)) for name in HAIR_COLOURS},
        eyes=colour(_EYES),
        head_width=between(0.9, 1.03),
        jaw=between(-0.04, 0.04),
        chin=between(-0.05, 0.05),
        eye_distance=between(0.40, 0.46),
        eye_size=between(0.92, 1.1),
        nose=between(0.85, 1.2),
        mouth=between(0.9, 1.12),
        lips=between(0, 1),
        brow=between(0.85, 1.15),
        cheeks=between(0.1, 0.35),
        freckles=between(0, 1) < 0.12,
        glasses=between(0, 1) < 0.07,
        hair_top=hair_top,
        hairline=pick(("fringe", "parted", "centre", "swept", "swept", "back")),
        long_hair="curls" if hair_top == "curls" else pick(("long", "long", "wavy", "bob", "tail")),
        beard=pick(("full", "full", "goatee", "moustache", "stubble", "none")),
        hair_length=between(0, 1),
        hair_volume=between(0, 0.12),
        parting=between(0.3, 0.55),
        wobble=between(0, 6.28),
        side=1 if between(0, 1) < 0.5 else -1,
        intensity=between(0.92, 1.12),
        shirt=shirt,
        shirt_detail=mix(shirt, colour(_CLOTHES), 0.6),
        neckline=pick(("round", "vee", "collar", "turtle")),
        stripes=between(0, 1) < 0.25,
        shoulders=between(1.5, 1.85),
        size=between(0.268, 0.305),
        x=between(-0.05, 0.05),
        y=between(-0.02, 0.05),
        tilt=between(-0.16, 0.16),
        yaw=between(-0.34, 0.34),
        pitch=between(-0.1, 0.1),
        light=(between(-1, 1), between(-0.9, 0.1), between(0.7, 1.3)),
        light_strength=between(0.25, 0.6),
        tint=(1 - warm, 1.0, 1 + warm),
        corners=(corners[order[0]], corners[order[1]], corners[order[2]], corners[order[3]]),
        scene=pick(("plain", "dots", "hills", "window", "bars", "lights")),
        scene_seed=int(rng.integers(2**31)),
    )
    look = Look(
        hair=pick(HAIR_COLOURS),
        male=between(0, 1) < 0.5,
        young=between(0, 1) < 0.5,
        expression=pick((*EXPRESSIONS, "neutral", "neutral", "neutral", "happy", "happy", "happy")),
    )
    if kind == "attributes":
        return replace(person, intensity=person.intensity * 0.8), look
    grey = between(222, 244)
    backdrop: Colour = (grey, grey + 2, grey + 4)
    lower = mix(backdrop, (190, 194, 204), between(0.1, 0.5))
    return replace(
        person,
        size=person.size * 0.35 + 0.315 * 0.65,
        x=person.x * 0.4,
        y=person.y * 0.3 + 0.03,
        tilt=person.tilt * 0.35,
        yaw=person.yaw * 0.7,
        light=(person.light[0] * 0.5, -0.5, 1.2),
        light_strength=person.light_strength * 0.6,
        tint=(1.0, 1.0, 1.0),
        corners=(backdrop, backdrop, lower, lower),
        scene="plain",
    ), look
