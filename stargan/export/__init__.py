"""Exported models: writing, opening, checking. No Lightning, no Hydra."""

from __future__ import annotations

from stargan.export.description import FORMAT, PRODUCTS, describe
from stargan.export.model import Model, find_device
from stargan.export.opening import open_model
from stargan.export.parts import Parts, open_parts, save_export

__all__ = [
    "FORMAT",
    "PRODUCTS",
    "Model",
    "Parts",
    "describe",
    "find_device",
    "open_model",
    "open_parts",
    "save_export",
]
