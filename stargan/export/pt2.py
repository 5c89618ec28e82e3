"""``.pt2`` archives of ``torch.export``: graphs that PyTorch opens without this package.

The archive holds the programs ``model`` (``image, condition -> translated``, of a model with
several networks ``image, own, target -> translated``, see ``graph``; what ``torch.export.load``
gives) and ``classifier`` (``image -> logits``), and the description as the extra file
``stargan.json``. Unlike the other formats it is not safe to open one from a stranger: PyTorch
evaluates expressions of the file. Archives with pickled parts or compiled code are refused.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from stargan.contracts import UserError
from stargan.export.description import check
from stargan.export.graph import Reading, Traced, examples, trace, translation
from stargan.export.model import Model, find_device
from stargan.export.parts import Parts
from stargan.export.rules import make_rule
from stargan.writing import write_whole

DESCRIPTION = "stargan.json"


def save_pt2(path: Path, parts: Parts, precision: str) -> None:
    """Write a .pt2 archive.

    Args:
        path: usually ``*.pt2``.
        parts: of a translator; without a classifier the file cannot read labels.
        precision: ``fp32`` or ``fp16``, see ``graph``.

    Raises:
        UserError: the network has no graph.
    """
    from torch.export.pt2_archive._package import package_pt2

    inputs = examples(parts)
    translating = translation(parts.rule(), kept_in_half=precision == "fp16")
    programs = {"model": trace(translating, inputs)}
    reader = parts.role("read")
    if reader is not None:
        programs["classifier"] = trace(Reading(reader), {"image": inputs["image"]})
    description = {**parts.plain, "precision": precision}
    buffer = io.BytesIO()
    extra = {DESCRIPTION: json.dumps(description)}
    package_pt2(buffer, exported_programs=programs, extra_files=extra)
    write_whole(path, buffer.getvalue())


def open_pt2(path: Path, device: str | torch.device = "cpu") -> Model:
    """Open a .pt2 archive that ``save_pt2`` wrote; only those that you trust, see above.

    Args:
        path: the file.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``auto``.

    Raises:
        UserError: no such device, or the file is damaged, none of ours, or holds more than graphs
            and plain tensors.
    """
    from torch.export.passes import move_to_device_pass
    from torch.export.pt2_archive._package import load_pt2

    place = find_device(device)
    plain = _inspect(path)
    plain, labels, framing = check(plain, str(path))
    try:
        programs = load_pt2(str(path)).exported_programs
        networks = {
            name: (move_to_device_pass(program, place) if place.type != "cpu" else program).module()
            for name, program in programs.items()
        }
        graph = networks["model"].requires_grad_(False)
    except Exception as error:  # torch raises almost anything on damaged files.
        raise UserError(
            f"'{path}' is damaged, or was written by another version of PyTorch than the one "
            f"here ({torch.__version__})."
        ) from error
    return Model(
        rule=Traced(make_rule(plain["roles"]["translate"], labels), graph),
        reader=networks.get("classifier"),
        labels=labels,
        framing=framing,
        training=dict(plain["training"]),
    )


def _inspect(path: Path) -> Any:
    """The description of an archive that holds nothing but graphs and plain tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            described = next((n for n in names if n.endswith(f"/extra/{DESCRIPTION}")), None)
            if described is None:
                raise UserError(
                    f"'{path}' is an archive of another program: give one that stargan export "
                    "wrote."
                )
            plain = json.loads(archive.read(described))
            configs = [
                json.loads(archive.read(name))["config"].values()
                for name in names
                if name.endswith(("_weights_config.json", "_constants_config.json"))
            ]
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"'{path}' is damaged, cut short or no .pt2 archive.") from error
    except (ValueError, KeyError, AttributeError) as error:
        raise UserError(f"'{path}' is damaged: its description is not readable.") from error
    pickled = any(entry.get("use_pickle", True) for config in configs for entry in config)
    if pickled or any("/aotinductor/" in n or "/executorch/" in n for n in names):
        raise UserError(
            f"'{path}' holds more than graphs and plain tensors, which could run code: "
            "it is not opened."
        )
    return plain
