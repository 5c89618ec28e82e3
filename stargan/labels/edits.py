"""Edits: what is wanted of a label, and how far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stargan.errors import UserError

Edits = Mapping[str, float]
"""Label name to a value in [-1, 1], see ``labels.way``: 1 set, 0 cleared, else part of the way."""


class Way(NamedTuple):
    """Where an edit goes, and how far.

    Attributes:
        on: towards the label set; otherwise towards the label cleared.
        strength: share of the way from the image's own labels, in [0, 1].
    """

    on: bool
    strength: float = 1.0

    @property
    def value(self) -> float:
        """The value of an edit that means this, see ``way``; a clearing in full is 0."""
        if self.on:
            return self.strength
        return 0.0 if self.strength == 1 else -self.strength


def way(name: str, value: float) -> Way:
    """What the value of an edit means.

    Above 0: so far towards the label set (``Male=1``, ``Male=0.5``). Below 0: so far towards the
    label cleared (``Male=-0.5``). 0 is short for -1: cleared.

    Raises:
        UserError: a value outside [-1, 1].
    """
    if not -1 <= value <= 1:
        raise UserError(
            f"'{name}={value:g}': a label's value lies between 0 and 1, or between -1 and 0 for a "
            "part of the way to its absence."
        )
    return Way(True, float(value)) if value > 0 else Way(False, float(-value or 1.0))


def parse_edits(text: str) -> dict[str, float]:
    """``"Blond_Hair,Young=0,Male=0.5"`` as edits, see ``way``; a bare name means 1.

    Raises:
        UserError: an empty part, a value that is no number in [-1, 1], a label named twice.
    """
    edits: dict[str, float] = {}
    for part in text.split(","):
        name, sign, value = (p.strip() for p in part.partition("="))
        if not name:
            raise UserError(f"'{text}' has an empty label: write it like Blond_Hair,Young=0.")
        try:
            number = float(value) if sign else 1.0
        except ValueError:
            number = float("nan")
        if not -1 <= number <= 1:
            raise UserError(f"'{part.strip()}': the value must be a number from -1 to 1.")
        if name in edits:
            raise UserError(f"'{name}' is given twice in '{text}': keep one.")
        edits[name] = number
    return edits
