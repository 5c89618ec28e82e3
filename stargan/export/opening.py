"""Opens an exported model of any format."""

from __future__ import annotations

from pathlib import Path

import torch

from stargan.export.model import Model, find_device
from stargan.export.parts import open_parts


def open_model(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """Open a run folder, a checkpoint or an exported file.

    Of a run folder, ``generator.safetensors`` is taken unless ``checkpoints/last.ckpt`` is newer.

    Args:
        path: a folder, ``.ckpt`` or ``.safetensors``.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto`` for the best there is.

    Raises:
        UserError: nothing there, not a model, damaged, of another format; says which.
    """
    place = find_device(device)
    parts = open_parts(path, "translator")
    classifier = parts.networks.get("classifier")
    return Model(
        generator=parts.networks["generator"].to(place),
        classifier=None if classifier is None else classifier.to(place),
        labels=parts.labels,
        size=parts.size,
        crops=parts.crops,
        training=parts.training,
    )
