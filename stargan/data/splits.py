"""Which splits a data set has: train and test always, val where there is one."""

from __future__ import annotations

from collections.abc import Mapping

from stargan.contracts import LabeledImages

SPLITS = ("train", "val", "test")


def splits_with(val: bool) -> tuple[str, ...]:
    """The splits of a data set with or without a val split."""
    return SPLITS if val else ("train", "test")


def splits_of(images: LabeledImages) -> tuple[str, ...]:
    """The splits of the data set that ``images`` are one of, as their attribute ``splits`` says.

    Data sets that say nothing have a train and a test split.
    """
    return tuple(getattr(images, "splits", splits_with(val=False)))


def splits_drawn(count: int | Mapping[str, int]) -> tuple[str, ...]:
    """The splits of drawn images: val only where its number is given."""
    return splits_with(val=not isinstance(count, int) and bool(count.get("val", 0)))
