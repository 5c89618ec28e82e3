"""Opens an exported model of any format."""

from __future__ import annotations

from pathlib import Path

import torch

from stargan.building import Packages
from stargan.export.model import Model, find_device
from stargan.export.onnx import open_onnx
from stargan.export.parts import Parts, find, open_parts
from stargan.export.pt2 import open_pt2
from stargan.export.sets import join, members

GRAPHS = {".onnx": open_onnx, ".pt2": open_pt2}


def open_model(
    path: str | Path,
    device: str | torch.device = "cpu",
    revision: str | None = None,
    trust: Packages = (),
) -> Model:
    """Open a translator: a run folder, a file of any exported format, or a model on the hub.

    Args:
        path: a run folder (``generator.safetensors`` is taken unless ``checkpoints/last.ckpt``
            has made more steps), a folder of run folders of single-purpose models (``sets``), a
            folder that ``save_pretrained`` wrote, a ``.ckpt``, ``.safetensors``,
            ``.onnx`` or ``.pt2`` file, ``owner/name`` on the Hugging Face hub, or ``demo``, the
            one that comes with the package.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto`` for the best there is.
        revision: of a model on the hub: a branch, tag or commit.
        trust: packages whose networks the file may name, see ``building``.

    Raises:
        UserError: nothing there, not a model, damaged, of another format; says which.
    """
    if members(path):
        return as_model(open_translator(path, trust), find_device(device))
    file = find(path, "translator", revision)
    if file.suffix in GRAPHS:
        return GRAPHS[file.suffix](file, device)
    return as_model(open_parts(file, "translator", trust), find_device(device))


def open_translator(path: str | Path, trust: Packages = ()) -> Parts:
    """The networks of a translator, or of a set of them (``sets``).

    Raises:
        UserError: see ``open_parts`` and ``sets.join``.
    """
    found = members(path)
    if not found:
        return open_parts(path, "translator", trust)
    return join({one.name: open_parts(one, "translator", trust) for one in found}, str(path))


def as_model(parts: Parts, place: torch.device) -> Model:
    """A translator's networks, moved to a device, as a model."""
    reader = parts.role("read")
    return Model(
        rule=parts.rule().to(place),
        reader=None if reader is None else reader.to(place),
        labels=parts.labels,
        framing=parts.framing,
        training=parts.training,
        parts=parts,
    )
