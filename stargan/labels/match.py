"""Bringing the labels of two sides together by name: model, data, judge."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from stargan.errors import UserError
from stargan.labels.joint import JointLabelSpace


@dataclass(frozen=True)
class Match:
    """Where the labels of one side are on the other.

    Attributes:
        needed: index of the space that needs its labels found.
        known: index of the space where they are.
        columns: for each label of the needed space its place in the joint labels of the other
            side; None where it is not there (classes only, where that is allowed).
    """

    needed: int
    known: int
    columns: tuple[int | None, ...]

    @property
    def places(self) -> list[int]:
        """``columns`` where every label has been found."""
        return [column for column in self.columns if column is not None]

    def take(self, joint: Tensor) -> Tensor:
        """The needed labels ``(..., L)`` out of joint labels, logits or the like ``(..., K)``.

        A label that is not there is 0.
        """
        found = joint.new_zeros(*joint.shape[:-1], len(self.columns))
        here = [i for i, column in enumerate(self.columns) if column is not None]
        found[..., here] = joint[..., self.places]
        return found


def match(
    needed: JointLabelSpace,
    known: JointLabelSpace,
    needs: str,
    has: str,
    some_classes: bool = False,
) -> Match:
    """Brings the labels of two sides together by name: model and data, model and judge.

    Looks for one space of either side such that the known one has all labels of the needed one, in
    any order. Of several pairs the one whose spaces have the same name is meant.

    Args:
        needed: the side whose labels must be found, such as the model's, or one space of it.
        known: the side that has labels, such as the judge's.
        needs: what the first side is called, such as ``the model``.
        has: the same of the second.
        some_classes: of a categorical space some of the classes are enough.

    Raises:
        UserError: no pair fits, or several do; shows the labels of both sides.
    """
    pairs = [(a, b) for a in range(len(needed.spaces)) for b in range(len(known.spaces))]
    named = [(a, b) for a, b in pairs if needed.spaces[a].name == known.spaces[b].name]
    if len(needed.spaces) > 1 and named:
        # Another space would be another mask vector: the one of that name, or none.
        pairs = named

    def fits(a: int, b: int) -> bool:
        wanted, there = set(needed.spaces[a].names), set(known.spaces[b].names)
        if some_classes and needed.spaces[a].categorical:
            return bool(wanted & there)
        return wanted <= there

    fitting = [pair for pair in pairs if fits(*pair)]
    fitting = [pair for pair in fitting if pair in named] or fitting
    if len(fitting) != 1:
        sides = (
            f"{needs} needs {_shown(needed)}, and {has} has {_shown(known)}: "
            "give both of the same labels"
        )
        if fitting:
            raise UserError(f"several label spaces fit each other: {sides}, in spaces of one name.")
        first = needed.spaces[pairs[0][0]].names
        there = {n for _, b in pairs for n in known.spaces[b].names}
        missing = ", ".join(n for n in first if n not in there) if len(needed.spaces) == 1 else ""
        lacks = f" ({missing} is missing)" if missing else ""
        raise UserError(f"{sides}{lacks}.")
    a, b = fitting[0]
    space, start = known.spaces[b], known.slices[b].start
    columns = tuple(
        start + space.index(n) if n in space.names else None for n in needed.spaces[a].names
    )
    return Match(a, b, columns)


def _shown(labels: JointLabelSpace) -> str:
    return "; ".join(f"'{space.name}' ({', '.join(space.names)})" for space in labels.spaces)
