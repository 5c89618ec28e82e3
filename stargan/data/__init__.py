"""Data sets with label spaces, and the one data module that turns them into batches."""

from __future__ import annotations

from typing import Any

from stargan import building
from stargan.building import Kind
from stargan.contracts import LabeledImages


def _fits(found: Any) -> bool:
    methods = ("__len__", "load", "name")
    return building.fits_or_returns(
        found, lambda cls: all(callable(getattr(cls, name, None)) for name in methods)
    )


DATASET = Kind(
    "data set",
    "stargan.data",
    "a class with load, name, __len__, space, labels and where (contracts.LabeledImages), or a "
    "function annotated to return one",
    _fits,
    lambda made: isinstance(made, LabeledImages),
)
