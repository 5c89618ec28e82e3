"""A model as a folder in the layout of the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from stargan.errors import Plain
from stargan.export import hub
from stargan.export.card import model_card
from stargan.export.parts import save_export
from stargan.writing import write_whole


def save_folder(
    folder: Path, networks: Mapping[str, nn.Module], description: Plain, half: bool = False
) -> Path:
    """Write ``config.json``, ``model.safetensors`` and ``README.md``.

    A README.md that is there already stays: its author knows more of the model.

    Args:
        folder: made if it does not exist.
        networks, description, half: see ``save_export``.

    Raises:
        UserError: the place cannot be written to.
    """
    if half:
        description = {**description, "precision": "fp16"}
    save_export(folder / hub.WEIGHTS, networks, description, half)
    hub.save_config(folder, description)
    if not (folder / hub.CARD).exists():
        card = model_card(description, hub.WEIGHTS, (folder / hub.WEIGHTS).stat().st_size)
        write_whole(folder / hub.CARD, card.encode())
    return folder
