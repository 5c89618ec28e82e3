"""The labels of one data set."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from stargan.errors import UserError
from stargan.hints import did_you_mean, nearest
from stargan.labels.edits import Edits, way

MOST_ABSENT = 8
"""A caption names so many labels of those that are all absent."""


@dataclass(frozen=True)
class LabelSpace:
    """The labels of one data set.

    Attributes:
        names: label names in the order of the label vector.
        groups: exclusive groups of names; at most one label of a group may be set.
        categorical: all names are the classes of one problem, exactly one of which is set
            (expressions). Softmax instead of one sigmoid per label.
        name: what the space is called, for messages and for ``space.label``.
    """

    names: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...] = ()
    categorical: bool = False
    name: str = "labels"
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        names: Iterable[str],
        groups: Iterable[Iterable[str]] = (),
        categorical: bool = False,
        name: str = "labels",
    ) -> None:
        names = tuple(map(label_name, names))
        sets = tuple(tuple(map(label_name, group)) for group in groups)
        if categorical:
            sets = (names,)
        if not names:
            raise UserError(f"label space '{name}' has no labels: name at least one.")
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise UserError(f"label space '{name}' names '{twice}' twice: keep one.")
        bad = next((n for n in names if any(c in n for c in ",=.") or n != n.strip()), None)
        if bad is not None:
            raise UserError(
                f"label name '{bad}' of '{name}' has a comma, '=', '.' or outer space: rename it."
            )
        seen: set[str] = set()
        for group in sets:
            for member in group:
                if member not in names:
                    raise UserError(
                        f"group {list(group)} of '{name}' names the unknown '{member}'."
                    )
                if member in seen:
                    raise UserError(f"label '{member}' of '{name}' is in two exclusive groups.")
                seen.add(member)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "groups", tuple(g for g in sets if len(g) > 1))
        object.__setattr__(self, "categorical", categorical)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_index", {n: i for i, n in enumerate(names)})

    @property
    def size(self) -> int:
        """Length of a label vector of this space."""
        return len(self.names)

    def index(self, label: str) -> int:
        """Position of a label. Raises ``UserError`` with the nearest known name."""
        found = self._index.get(label_name(label))
        if found is None:
            raise UserError(unknown_label(label, self.names))
        return found

    def group_of(self, label: str) -> tuple[str, ...]:
        """The exclusive group of a label, the label alone when it is in none."""
        name = self.names[self.index(label)]
        return next((g for g in self.groups if name in g), (name,))

    def encode(self, labels: Iterable[str]) -> Tensor:
        """``(L,)`` vector with these labels set; ``UserError`` when they exclude each other."""
        vector = torch.zeros(self.size)
        for label in labels:
            vector[self.index(label)] = 1
        self.check(vector)
        return vector

    def describe(self, label: Tensor) -> str:
        """The set labels of one ``(L,)`` vector, for captions; of none ``none of: Male, Young``.

        Labels that are not known (NaN) are neither set nor absent.
        """
        values = list(zip(self.names, label.tolist(), strict=True))
        there = [n for n, v in values if v >= 0.5]
        absent = [n for n, v in values if v < 0.5]
        if there:
            return ", ".join(there)
        if not absent:
            return "not known"
        more = f" and {len(absent) - MOST_ABSENT} more" if len(absent) > MOST_ABSENT else ""
        return f"none of: {', '.join(absent[:MOST_ABSENT])}{more}"

    def check(self, label: Tensor, unknown: bool = False) -> None:
        """Refuse impossible labels.

        Args:
            label: ``(..., L)`` in [0, 1].
            unknown: whether NaN, a label that is not known, may be among them.

        Raises:
            UserError: two labels of a group are set, a value is outside [0, 1], or a categorical
                label has no class; names the labels and the row.
        """
        rows = label.reshape(-1, label.shape[-1])
        if rows.shape[1] != self.size:
            raise UserError(
                f"a label of {rows.shape[1]} values was given to '{self.name}', "
                f"which has {self.size}: {', '.join(self.names)}."
            )
        if unknown and not self.categorical:
            rows = rows.masked_fill(rows.isnan(), 0.0)
        if ((rows < 0) | (rows > 1)).any() or not torch.isfinite(rows).all():
            raise UserError(f"a label value of '{self.name}' lies outside [0, 1].")
        for group in self.groups:
            part = rows[:, [self._index[n] for n in group]]
            # Strength may be fractional (half blond, half brown); a sum above one cannot be.
            bad = torch.nonzero(part.sum(1) > 1 + 1e-4)
            if len(bad):
                row = int(bad[0])
                both = [n for n, v in zip(group, part[row].tolist(), strict=True) if v > 0]
                where = f" (row {row})" if len(rows) > 1 else ""
                raise UserError(
                    f"impossible label in '{self.name}'{where}: {' and '.join(both)} "
                    "exclude each other, choose one."
                )
        if self.categorical:
            none = torch.nonzero(rows.sum(1) < 1 - 1e-4)
            if len(none):
                raise UserError(
                    f"a label of '{self.name}' (row {int(none[0])}) has no class: "
                    f"choose one of {', '.join(self.names)}."
                )

    def edit(
        self, label: Tensor, edits: Edits, strength: float = 1.0, contradictory: bool = False
    ) -> Tensor:
        """Labels with some edited: the one meaning of an edit and of its strength.

        An edit goes from the labels as they are towards the labels with this one set (its
        exclusive group's others cleared) or cleared, and its strength is the share of that way:
        ``label.lerp(label with it set, strength)``. So half an edit of what an image already has
        changes nothing, and half of another class leaves half of its own. Setting several labels
        of one group is refused.

        Args:
            label: ``(..., L)``.
            edits: label name to value, see ``way``.
            strength: of all edits together: how far to go on the way that they describe.
            contradictory: whether labels of an exclusive group that no edit sets may stay together,
                as images of some data have them.

        Returns:
            A new tensor of the same shape.

        Raises:
            UserError: unknown name, value out of range, an impossible combination.
        """
        for name in edits:
            self.index(name)
        ways = {name: way(name, value) for name, value in edits.items()}
        for group in self.groups:
            wanted = [n for n in group if n in ways and ways[n].on]
            if len(wanted) > 1:
                raise UserError(
                    f"impossible label in '{self.name}': {' and '.join(wanted)} "
                    "exclude each other, choose one."
                )
        result = label.clone()
        # Removals first: 'Blond_Hair=0,Brown_Hair=1' in either order means brown.
        for name, step in sorted(ways.items(), key=lambda item: item[1].on):
            wish = result.clone()
            if step.on:
                wish[..., [self._index[n] for n in self.group_of(name)]] = 0
            wish[..., self._index[name]] = float(step.on)
            result = result.lerp(wish, step.strength)
        if self.categorical:
            none = result.sum(-1) < 1 - 1e-4
            if none.any():
                removed = ", ".join(n for n, step in ways.items() if not step.on)
                raise UserError(
                    f"removing '{removed}' leaves an image of '{self.name}' without a class: "
                    f"set the class you want instead ({', '.join(self.names)})."
                )
        if not contradictory:
            self.check(result)
        return result if strength == 1 else label.lerp(result, strength)

    def settled(self, edits: Edits) -> set[str]:
        """The labels that edits decide alone, whatever an image's own labels are."""
        whole = {n: step.on for n, v in edits.items() if (step := way(n, v)).strength == 1}
        return set(whole).union(*(self.group_of(n) for n, on in whole.items() if on))

    def flip(self, label: Tensor, name: str) -> Tensor:
        """Labels with one label turned over.

        Within an exclusive group: choose it where it is absent; where it is present, nothing
        else would be known to be right, so it stays chosen (the paper's test of hair colours).

        Args:
            label: ``(..., L)``.
        """
        i = self.index(name)
        if len(self.group_of(name)) > 1:
            return self.edit(label, {name: 1.0})
        result = label.clone()
        result[..., i] = 1 - result[..., i]
        return result

    def targets(self, label: Tensor) -> list[tuple[str, Tensor]]:
        """The paper's test targets: every label in turn, chosen in its group or flipped.

        Args:
            label: ``(B, L)``.

        Returns:
            ``(label name, (B, L) target)`` for each label, in order.
        """
        return [(name, self.flip(label, name)) for name in self.names]

    def read(self, logits: Tensor) -> Tensor:
        """Labels from a classifier's logits.

        Categorical: the largest. Exclusive group: the largest if it is above zero (probability
        one half). Others: above zero.

        Args:
            logits: ``(..., L)``.

        Returns:
            ``(..., L)`` in {0, 1}, always a possible label.
        """
        result = (logits > 0).to(logits.dtype)
        for group in self.groups:
            part = [self._index[n] for n in group]
            best = torch.nn.functional.one_hot(logits[..., part].argmax(-1), len(part))
            result[..., part] = best.to(logits.dtype) * (
                1 if self.categorical else result[..., part]
            )
        return result

    def to_plain(self) -> dict[str, Any]:
        """As plain data, for checkpoints and exports."""
        return {
            "name": self.name,
            "names": list(self.names),
            "groups": [] if self.categorical else [list(g) for g in self.groups],
            "categorical": self.categorical,
        }

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> LabelSpace:
        """The inverse of ``to_plain``."""
        return LabelSpace(
            plain["names"], plain.get("groups", ()), plain.get("categorical", False), plain["name"]
        )


def label_name(name: object) -> str:
    """A name as all names are compared: composed letters (macOS writes folders' decomposed)."""
    return unicodedata.normalize("NFC", str(name))


def unknown_label(label: str, names: Sequence[str]) -> str:
    """One sentence on a label that does not exist, with the nearest that does."""
    hint = did_you_mean(nearest(label, names))
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return f"unknown label '{label}'.{hint} Known labels: {shown}."
