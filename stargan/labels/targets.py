"""Target labels of a training batch, drawn where the batch is made.

All of it is NumPy with a generator that the caller gives, so that a batch is a function of the
numbers that seed it, on every device and in every worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from stargan.errors import UserError

if TYPE_CHECKING:
    from stargan.labels import JointLabelSpace


@dataclass(frozen=True)
class Permuted:
    """Targets are a permutation of the batch's own labels within each data set.

    So every target is a label that some image has (Choi et al., StarGAN, CVPR 2018, and its
    published code). A permutation often changes several labels at once, or none; at test time one
    is asked for, so a share of the rows can change exactly one thing instead: a label is flipped,
    or another one of an exclusive group is chosen. Each label, and each group as one, is as likely
    as the others.

    Args:
        one_change: the share of rows, 0 to 1.

    Raises:
        UserError: another share.
    """

    one_change: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.one_change <= 1:
            raise UserError(f"one_change={self.one_change} is a share: choose it from 0 to 1.")

    @property
    def smallest_batch(self) -> int:
        """The fewest rows of a data set that give targets other than their own labels."""
        return 1 if self.one_change == 1 else 2

    def __call__(
        self,
        labels: JointLabelSpace,
        label: NDArray[np.float32],
        dataset: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """See ``contracts.TargetRule``."""
        # The rows by data set, once in their order and once in a random one.
        place = np.argsort(dataset, kind="stable")
        permuted = np.empty_like(label)
        permuted[place] = label[np.lexsort((rng.random(len(dataset)), dataset))]
        if not self.one_change:
            return permuted
        changed = change_one(labels, label, dataset, rng)
        return np.where(rng.random((len(dataset), 1)) < self.one_change, changed, permuted)


@dataclass(frozen=True)
class Mismatched:
    """Targets are the labels of another image of the batch that differ from the row's own.

    So a discriminator can be shown real images with wrong labels (Reed et al., ICML 2016; Perarnau
    et al., IcGAN, 2016, whose code takes the labels of random training images until they differ).
    Each of the rows that differ is as likely as the others. Where all rows of a data set have the
    same labels, one thing changes instead.

    Attributes:
        smallest_batch: the fewest rows of a data set that make sense.
    """

    smallest_batch: ClassVar[int] = 2

    def __call__(
        self,
        labels: JointLabelSpace,
        label: NDArray[np.float32],
        dataset: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """See ``contracts.TargetRule``."""
        differs = (label[:, None] != label[None]).any(2) & (dataset[:, None] == dataset[None])
        rank = np.where(differs, rng.random(differs.shape), -1.0)
        changed = change_one(labels, label, dataset, rng)
        return np.where(differs.any(1, keepdims=True), label[rank.argmax(1)], changed)


@dataclass(frozen=True)
class Edited:
    """Targets are the images' own labels with the same edits on all of them.

    An edit reaches the rows of the data set that the label belongs to.

    Args:
        edits: label name (``space.label`` where two spaces share it) to value in [0, 1], see
            ``LabelSpace.edit``.
    """

    edits: Mapping[str, float]

    def __call__(
        self,
        labels: JointLabelSpace,
        label: NDArray[np.float32],
        dataset: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """See ``contracts.TargetRule``. Raises ``UserError`` for edits that cannot be."""
        target = label.copy()
        for number, edits in labels.split_edits(self.edits):
            rows = np.flatnonzero(dataset == number)
            part = labels.slices[number]
            space, own = labels.spaces[number], label[rows, part]
            known = torch.from_numpy(np.nan_to_num(own))
            edited = space.edit(known, edits, contradictory=True).numpy()
            unknown = np.isnan(own)
            unknown[:, [space.index(name) for name in space.settled(edits)]] = False
            target[rows, part] = np.where(unknown, np.nan, edited)
        return target


def settle(
    labels: JointLabelSpace,
    target: NDArray[np.float32],
    label: NDArray[np.float32],
    dataset: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Targets without unknown labels (NaN): nobody can be asked for what is not known.

    A label, or an exclusive group as one, that the target does not know is the image's own where
    that is known, otherwise that of a random image of the batch of which it is, otherwise not set.

    Args:
        target, label: ``(B, L)``.
        dataset: ``(B,)``.

    Returns:
        ``(B, L)`` in {0, 1}; the same array where everything is known.
    """
    if not np.isnan(target).any():
        return target
    result = target.copy()
    things = _things(labels)
    for number, first in enumerate(things.first):
        for members in things.members[first : first + things.number[number]]:
            own = label[:, members]
            known = (dataset == number) & ~np.isnan(own).any(1)
            rows = np.flatnonzero((dataset == number) & np.isnan(target[:, members]).any(1))
            others = np.flatnonzero(known)
            for row in rows:
                giver = row if known[row] else rng.choice(others) if len(others) else None
                result[row, members] = 0.0 if giver is None else own[giver]
    return result


class _Things(NamedTuple):
    """What can change by itself in the spaces of a joint label space, space after space."""

    first: NDArray[np.int64]  # per space, where its things begin
    number: NDArray[np.int64]  # per space, how many
    members: NDArray[np.bool_]  # (things, L): one label, or the labels of an exclusive group


@lru_cache(maxsize=8)
def _things(labels: JointLabelSpace) -> _Things:
    first, number = [], []
    members: list[NDArray[np.bool_]] = []
    for space, part in zip(labels.spaces, labels.slices, strict=True):
        groups = list(dict.fromkeys(space.group_of(name) for name in space.names))
        first.append(len(members))
        number.append(len(groups))
        for group in groups:
            columns = np.zeros(labels.size, dtype=bool)
            # The only class of a categorical space cannot change.
            if len(group) > 1 or not space.categorical:
                columns[[part.start + space.index(name) for name in group]] = True
            members.append(columns)
    return _Things(np.array(first), np.array(number), np.array(members))


def change_one(
    labels: JointLabelSpace,
    label: NDArray[np.float32],
    dataset: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Labels with one thing changed in each row, see ``Permuted``.

    Args:
        label: ``(B, L)`` in {0, 1}, NaN where a label is not known.
        dataset: ``(B,)``.

    Returns:
        ``(B, L)``.
    """
    things = _things(labels)
    chosen = things.members[things.first[dataset] + rng.integers(things.number[dataset])]
    # One of the absent labels of the thing is set, the others are not: a label alone that is
    # there already has none that is absent, and goes; one that is not known comes or goes.
    unknown = np.isnan(label)
    absent = label < 0.5
    if unknown.any():
        absent |= unknown & (rng.random(label.shape) < 0.5)
    absent &= chosen
    rank = np.where(absent, rng.random(label.shape), -1.0)
    wanted = absent & (np.arange(labels.size) == rank.argmax(axis=1, keepdims=True))
    return np.where(chosen, wanted, label).astype(np.float32, copy=False)
