"""Label spaces, and the mask vector that lets one generator serve several of them.

The only place that builds a condition vector or knows its size. A *label* is what the data say of
an image, a *target* the label wanted, a *condition* the vector that the generator sees.

Source: Choi et al., StarGAN, CVPR 2018, sections 3.2 and 4 (mask vector, target labels at test).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stargan.contracts import Edits, UserError
from stargan.hints import did_you_mean, nearest


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
        names = tuple(str(n) for n in names)
        sets = tuple(tuple(str(n) for n in group) for group in groups)
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
        if label not in self._index:
            raise UserError(unknown_label(label, self.names))
        return self._index[label]

    def group_of(self, label: str) -> tuple[str, ...]:
        """The exclusive group of a label, the label alone when it is in none."""
        self.index(label)
        return next((g for g in self.groups if label in g), (label,))

    def encode(self, labels: Iterable[str]) -> Tensor:
        """``(L,)`` vector with these labels set; ``UserError`` when they exclude each other."""
        vector = torch.zeros(self.size)
        for label in labels:
            vector[self.index(label)] = 1
        self.check(vector)
        return vector

    def describe(self, label: Tensor) -> str:
        """The set labels of one ``(L,)`` vector, for captions."""
        return ", ".join(n for n, v in zip(self.names, label.tolist(), strict=True) if v >= 0.5)

    def check(self, label: Tensor) -> None:
        """Refuse impossible labels.

        Args:
            label: ``(..., L)`` in [0, 1].

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

    def edit(self, label: Tensor, edits: Edits, strength: float = 1.0) -> Tensor:
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


class JointLabelSpace:
    """Any number of label spaces side by side, with a mask vector when there are several.

    Joint labels are ``(B, L)`` with ``L`` the sum of the sizes; a row is zero outside the slice of
    its source. Attributes: ``spaces``, ``names`` (joined), ``slices`` (one per space).
    """

    def __init__(self, spaces: Sequence[LabelSpace]) -> None:
        if not spaces:
            raise UserError("a joint label space needs at least one label space.")
        titles = [s.name for s in spaces]
        if len(set(titles)) != len(titles):
            raise UserError(f"two label spaces have the same name: {', '.join(titles)}.")
        self.spaces = tuple(spaces)
        self.names = tuple(n for s in spaces for n in s.names)
        ends = torch.tensor([s.size for s in spaces]).cumsum(0).tolist()
        self.slices = tuple(slice(end - s.size, end) for s, end in zip(spaces, ends, strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JointLabelSpace) and self.spaces == other.spaces

    def __hash__(self) -> int:
        return hash(self.spaces)

    def __repr__(self) -> str:
        return f"JointLabelSpace({list(self.spaces)!r})"

    @property
    def size(self) -> int:
        """Length of a joint label vector: what the domain classifier puts out."""
        return len(self.names)

    @property
    def condition_size(self) -> int:
        """Length of a condition vector: the labels and, with several spaces, the mask."""
        return self.size + (len(self.spaces) if len(self.spaces) > 1 else 0)

    def locate(self, label: str) -> tuple[int, str]:
        """Which space a label belongs to.

        Args:
            label: a label name, or ``space.label`` where two spaces share a name.

        Returns:
            Index of the space, name inside it.

        Raises:
            UserError: unknown or ambiguous name.
        """
        if "." in label:
            title, inner = label.split(".", 1)
            for i, space in enumerate(self.spaces):
                if space.name == title:
                    space.index(inner)
                    return i, inner
        owners = [i for i, space in enumerate(self.spaces) if label in space.names]
        if len(owners) > 1:
            both = " or ".join(f"{self.spaces[i].name}.{label}" for i in owners)
            raise UserError(f"label '{label}' is in several label spaces: write {both}.")
        if not owners:
            raise UserError(unknown_label(label, self.names))
        return owners[0], label

    def expand(self, label: Tensor, source: int) -> Tensor:
        """A space's own labels ``(..., size of the space)`` as joint labels ``(..., L)``."""
        joint = label.new_zeros(*label.shape[:-1], self.size)
        joint[..., self.slices[source]] = label
        return joint

    def condition(self, label: Tensor, source: Tensor) -> Tensor:
        """What the generator sees: ``[labels of the source, zeros elsewhere, one-hot mask]``.

        Paper equation (7). Without a second space there is no mask. Labels outside the source's
        slice are zeroed, so a wrong source (the paper's figure 7) shows what the mask does only
        if the labels are written into that source's slice first.

        Args:
            label: ``(B, L)`` joint labels.
            source: ``(B,)`` int64.

        Returns:
            ``(B, condition_size)`` of the dtype of ``label``.
        """
        if len(self.spaces) == 1:
            return label
        mask = torch.nn.functional.one_hot(source, len(self.spaces)).to(label)
        return torch.cat([label * self.known(source).to(label), mask], dim=1)

    def known(self, source: Tensor) -> Tensor:
        """``(B, L)`` bool: the labels that rows of this source have."""
        table = torch.zeros(len(self.spaces), self.size, dtype=torch.bool, device=source.device)
        for i, part in enumerate(self.slices):
            table[i, part] = True
        return table[source]

    def edit(self, label: Tensor, source: int, edits: Edits, strength: float = 1.0) -> Tensor:
        """Joint labels of one source, edited. See ``LabelSpace.edit``.

        Raises:
            UserError: a name belongs to another space, which this source knows nothing of.
        """
        inner: dict[str, float] = {}
        for name, value in edits.items():
            i, own = self.locate(name)
            if i != source:
                raise UserError(
                    f"'{name}' belongs to '{self.spaces[i].name}', "
                    f"not to '{self.spaces[source].name}'."
                )
            inner[own] = value
        part = self.slices[source]
        result = label.clone()
        result[..., part] = self.spaces[source].edit(label[..., part], inner, strength)
        return result

    def split_edits(self, edits: Edits) -> list[tuple[int, dict[str, float]]]:
        """Edits sorted by space: ``[(source, edits within it)]`` in the order of the spaces.

        Raises:
            UserError: unknown or ambiguous names, impossible values.
        """
        sorted_edits: dict[int, dict[str, float]] = {}
        for name, value in edits.items():
            i, own = self.locate(name)
            sorted_edits.setdefault(i, {})[own] = value
        return sorted(sorted_edits.items())

    def targets(self, label: Tensor, source: int) -> list[tuple[str, Tensor]]:
        """The paper's test targets within one source: ``[(label name, (B, L) target)]``."""
        part = self.slices[source]
        space = self.spaces[source]
        return [(n, self.expand(t, source)) for n, t in space.targets(label[..., part])]

    def to_plain(self) -> list[dict[str, Any]]:
        """As plain data, for checkpoints and exports."""
        return [space.to_plain() for space in self.spaces]

    @staticmethod
    def from_plain(plain: Sequence[Mapping[str, Any]]) -> JointLabelSpace:
        """The inverse of ``to_plain``."""
        return JointLabelSpace([LabelSpace.from_plain(p) for p in plain])


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


def unknown_label(label: str, names: Sequence[str]) -> str:
    """One sentence on a label that does not exist, with the nearest that does."""
    hint = did_you_mean(nearest(label, names))
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return f"unknown label '{label}'.{hint} Known labels: {shown}."
