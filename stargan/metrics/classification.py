"""How well labels are read: per label, balanced, and as confusion of exclusive labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from stargan.labels import LabelSpace

NONE = "none"
"""What a row of a confusion is called in which no label of the group is set."""


@dataclass(frozen=True)
class Confusion:
    """Which of some exclusive labels was read as which.

    Attributes:
        names: the labels, and ``none`` where a group may be empty and was.
        counts: ``(n, n)`` int64; rows: the truth, columns: what was read.
    """

    names: tuple[str, ...]
    counts: Tensor

    @property
    def accuracy(self) -> float:
        """Share that was read right, NaN of nothing."""
        return ratio(self.counts.trace(), self.counts.sum())

    @property
    def balanced(self) -> float:
        """Mean over the true labels that occur of the share that was read right."""
        rates = recalls(self)
        return float(rates[rates.isfinite()].mean())


@dataclass(frozen=True)
class Reading:
    """How well the labels of one label space were read.

    Attributes:
        count: number of images.
        accuracy: per label, the share of images on which it was read right; of a class of a
            categorical space the share of its own images (with eight classes, saying always no
            would be right seven times of eight).
        balanced: per label, the mean of the share right among images that have it and among
            those that do not, so that 0.5 is chance; of a class of a categorical space as
            ``accuracy``. NaN where no test image has the class.
        exact: share of images, of those of which all labels are known, that were read right.
        confusions: of each exclusive group.
    """

    count: int
    accuracy: dict[str, float]
    balanced: dict[str, float]
    exact: float
    confusions: tuple[Confusion, ...]

    @property
    def mean_balanced(self) -> float:
        """Mean of ``balanced`` over the labels that occur."""
        values = [v for v in self.balanced.values() if v == v]
        return sum(values) / len(values) if values else float("nan")


def reading(read: Tensor, label: Tensor, space: LabelSpace) -> Reading:
    """Compare what was read with the truth.

    Args:
        read: ``(N, L)`` in {0, 1}, what a judge reads.
        label: ``(N, L)`` in {0, 1}, the truth; NaN: not known, counts nowhere.
        space: the ``L`` labels.

    Raises:
        ValueError: shapes that differ.
    """
    if read.shape != label.shape or read.shape[-1] != space.size:
        raise ValueError(f"{tuple(read.shape)} read, {tuple(label.shape)} true, {space.size} names")
    read, label = read.cpu().long(), label.cpu()
    known = ~label.isnan()
    label = label.masked_fill(~known, 0).long()
    confusions = tuple(
        confusion(read[rows], label[rows], space, group)
        for group in space.groups
        for rows in [known[:, [space.index(name) for name in group]].all(1)]
    )
    if space.categorical and space.size > 1:
        rates = dict(zip(space.names, recalls(confusions[0]).tolist(), strict=True))
        accuracy, balanced = rates, rates
    else:
        accuracy, balanced = {}, {}
        for i, name in enumerate(space.names):
            # One label at a time: torchmetrics' form for several refuses a single one.
            rows = known[:, i]
            table = multiclass_confusion_matrix(read[rows, i], label[rows, i], num_classes=2)
            pair = Confusion(("0", "1"), table)
            accuracy[name], balanced[name] = pair.accuracy, pair.balanced
    whole = known.all(1)
    exact = ratio(((read == label).all(1) & whole).sum(), whole.sum())
    return Reading(len(read), accuracy, balanced, exact, confusions)


def confusion(read: Tensor, label: Tensor, space: LabelSpace, group: tuple[str, ...]) -> Confusion:
    """The confusion of the labels of one exclusive group; see ``Confusion``."""
    index = [space.index(name) for name in group]

    def which(rows: Tensor) -> Tensor:
        part = rows[:, index]
        return torch.where(part.any(1), part.argmax(1), len(group))

    truth, found = which(label), which(read)
    size = len(group) + int(bool(((truth == len(group)) | (found == len(group))).any()))
    counts = multiclass_confusion_matrix(found, truth, num_classes=size)
    return Confusion((*group, NONE)[:size], counts)


def recalls(table: Confusion) -> Tensor:
    """Share of each true label that was read right, NaN where it never occurs."""
    return table.counts.diag() / table.counts.sum(1)


def ratio(part: Tensor, whole: Tensor) -> float:
    """``part / whole``, NaN of nothing."""
    return float(part / whole) if whole > 0 else float("nan")


def scores(readings: Mapping[str, Reading]) -> dict[str, float]:
    """One figure per label and one in all, as they are logged.

    Args:
        readings: by the name of the label space.

    Returns:
        ``accuracy/Male`` per label (``accuracy/faces.happy`` where there are several spaces),
        ``balanced`` (the mean over the spaces).
    """
    several = len(readings) > 1
    found = {
        f"accuracy/{f'{space}.' if several else ''}{name}": value
        for space, one in readings.items()
        for name, value in one.accuracy.items()
    }
    means = [one.mean_balanced for one in readings.values()]
    return found | {"balanced": sum(means) / len(means)}
