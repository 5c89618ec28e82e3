"""Label spaces, and the mask vector that lets one generator serve several of them.

The only place that builds a condition vector or knows its size. A *label* is what the data say of
an image, a *target* the label wanted, a *condition* the vector that the generator sees.

Source: Choi et al., StarGAN, CVPR 2018, sections 3.2 and 4 (mask vector, target labels at test).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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

    def edit(self, label: Tensor, edits: Edits) -> Tensor:
        """Labels with some values changed.

        A label of an exclusive group takes its share from the others: at strength 1 they become
        0, at 0.5 they are halved. Setting several labels of one group is refused unless at most
        one of them is above zero.

        Args:
            label: ``(..., L)``.
            edits: label name to value in [0, 1].

        Returns:
            A new tensor of the same shape.

        Raises:
            UserError: unknown name, value out of range, an impossible combination.
        """
        for name, value in edits.items():
            self.index(name)
            if not 0 <= value <= 1:
                raise UserError(f"'{name}={value:g}': a label's value lies between 0 and 1.")
        for group in self.groups:
            wanted = [n for n in group if edits.get(n, 0) > 0]
            if len(wanted) > 1:
                raise UserError(
                    f"impossible label in '{self.name}': {' and '.join(wanted)} "
                    "exclude each other, choose one."
                )
        result = label.clone()
        # Removals first: 'Blond_Hair=0,Brown_Hair=1' in either order means brown.
        for name, value in sorted(edits.items(), key=lambda item: item[1]):
            group = self.group_of(name)
            if len(group) > 1 and value > 0:
                for other in group:
                    result[..., self._index[other]] *= 1 - value
            result[..., self._index[name]] = value
        if self.categorical:
            none = result.sum(-1) < 1 - 1e-4
            if none.any():
                removed = ", ".join(n for n, v in edits.items() if v < 1)
                raise UserError(
                    f"'{removed}' below 1 leaves an image of '{self.name}' without a class: "
                    f"set the class you want instead ({', '.join(self.names)})."
                )
        self.check(result)
        return result

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

    def draw_targets(
        self, label: Tensor, source: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Target labels for training: a permutation of the batch's labels within each source.

        So every target is a label that some image has; nothing impossible is ever asked for.

        Args:
            label: ``(B, L)``.
            source: ``(B,)``.
            generator: a CPU generator.

        Returns:
            ``(B, L)``.
        """
        target = label.clone()
        for i in range(len(self.spaces)):
            rows = torch.nonzero(source == i).squeeze(1)
            order = torch.randperm(len(rows), generator=generator).to(rows.device)
            target[rows] = label[rows[order]]
        return target

    def draw_changes(
        self, label: Tensor, source: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Target labels that change one thing: a flipped label, or another one of a group.

        Each label, and each exclusive group as one, is as likely as the others. What is asked for
        at test time; a permutation often changes several labels at once, or none.

        Args:
            label: ``(B, L)``.
            source: ``(B,)``.
            generator: a CPU generator.

        Returns:
            ``(B, L)``.
        """

        def draw(count: int) -> int:
            return int(torch.randint(count, (), generator=generator))

        target = label.cpu().clone()
        for row, i in zip(target, source.tolist(), strict=True):
            space, own = self.spaces[i], row[self.slices[i]]
            choices = [space.group_of(name) for name in space.names]
            group = list(dict.fromkeys(choices))[draw(len(dict.fromkeys(choices)))]
            absent = [name for name in group if own[space.index(name)] < 0.5]
            name = absent[draw(len(absent))] if len(group) > 1 else group[0]
            own.copy_(space.flip(own, name))
        return target.to(label.device)

    def edit(self, label: Tensor, source: int, edits: Edits) -> Tensor:
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
        result[..., part] = self.spaces[source].edit(label[..., part], inner)
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


def parse_edits(text: str) -> dict[str, float]:
    """``"Blond_Hair,Young=0,Male=0.5"`` as edits; a bare name means 1.

    Raises:
        UserError: an empty part, a value that is no number in [0, 1], a label named twice.
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
        if not 0 <= number <= 1:
            raise UserError(f"'{part.strip()}': the value must be a number from 0 to 1.")
        if name in edits:
            raise UserError(f"'{name}' is given twice in '{text}': keep one.")
        edits[name] = number
    return edits


def unknown_label(label: str, names: Sequence[str]) -> str:
    """One sentence on a label that does not exist, with the nearest that does."""
    hint = did_you_mean(nearest(label, names))
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return f"unknown label '{label}'.{hint} Known labels: {shown}."
