"""Exported models: writing, opening, checking. No Lightning, no Hydra."""

from __future__ import annotations

from stargan.export.description import (
    FORMAT,
    PRODUCTS,
    Framing,
    describe,
    reads,
    refuse_untrained,
    samples,
    untrained,
)
from stargan.export.model import Model, find_device
from stargan.export.opening import open_model
from stargan.export.parts import Parts, open_parts, save_export
from stargan.export.rules import Rule, by_change, by_target, conditional, encoded, possible

__all__ = [
    "FORMAT",
    "PRODUCTS",
    "Framing",
    "Model",
    "Parts",
    "Rule",
    "by_change",
    "by_target",
    "conditional",
    "describe",
    "encoded",
    "find_device",
    "open_model",
    "open_parts",
    "possible",
    "reads",
    "refuse_untrained",
    "samples",
    "save_export",
    "untrained",
]
