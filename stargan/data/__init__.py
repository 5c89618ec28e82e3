"""Data sets with label spaces, and the one data module that turns them into batches."""

from __future__ import annotations

from stargan.building import Kind

# contracts.LabeledImages
DATASET = Kind(
    "data set",
    "stargan.data",
    parts=("load", "name", "__len__"),
    more=("space", "labels", "where"),
)
