"""``.pt2`` archives of ``torch.export``: graphs that PyTorch opens without this package.

The archive holds the programs ``model`` (``image, condition -> translated``, of a model with
several networks ``image, own, target -> translated``, see ``graph``; what ``torch.export.load``
gives) and ``classifier`` (``image -> logits``), and the description as the extra file
``stargan.json``.

``torch.export.load`` runs code that a file says. Here nothing of an archive is unpickled or
evaluated: weights are read as plain bytes, graphs are carried out by ``program``, and what else
may lie in an archive (sample inputs, expressions of sizes, notes on the source) is not looked at.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.export.description import check, parse
from stargan.export.graph import Reading, Traced, examples, trace, translation
from stargan.export.model import Model, find_device
from stargan.export.parts import Parts
from stargan.export.program import DTYPES, Program, RefusedError
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
    """Open a .pt2 archive that ``save_pt2`` wrote; runs no code from the file.

    Args:
        path: the file.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``auto``.

    Raises:
        UserError: no such device, or the file is damaged, none of ours, or holds more than graphs
            and plain tensors.
    """
    place = find_device(device)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.partition("/")[2]: name for name in archive.namelist()}
            if f"extra/{DESCRIPTION}" not in members:
                raise UserError(
                    f"'{path}' is an archive of another program: give one that stargan export "
                    "wrote."
                )
            _check_members(archive, members)

            def read(name: str) -> bytes:
                return archive.read(members[name])

            plain = parse(read(f"extra/{DESCRIPTION}"))
            plain, labels, framing = check(plain, str(path))
            names = [n for n in ("model", "classifier") if f"models/{n}.json" in members]
            networks = {name: _program(name, read).to(place) for name in names}
            graph = networks["model"]
    except (RefusedError, RecursionError) as error:
        raise UserError(
            f"'{path}' holds more than graphs and plain tensors, which could run code ({error}): "
            "it is not opened."
        ) from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise UserError(f"'{path}' is damaged, cut short or no .pt2 archive.") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise UserError(
            f"'{path}' is damaged, or was written by a version of PyTorch that is not known here."
        ) from error
    return Model(
        rule=Traced(make_rule(plain["roles"]["translate"], labels), graph),
        reader=networks.get("classifier"),
        labels=labels,
        framing=framing,
        training=dict(plain["training"]),
    )


def _check_members(archive: zipfile.ZipFile, members: Mapping[str, str]) -> None:
    """Refuse compiled code, and archives that unpack to more than they are.

    Raises:
        RefusedError: there is some.
    """
    compiled = next(
        (n for n in members if n.startswith(("data/aotinductor/", "data/executorch/"))), ""
    )
    if compiled:
        raise RefusedError(f"compiled code, {compiled!r}")
    # PyTorch stores and does not compress.
    packed = next((i for i in archive.infolist() if i.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None:
        raise RefusedError(f"a compressed part, {packed.filename!r}")


def _program(name: str, read: Callable[[str], bytes]) -> Program:
    """One graph of an archive with its tensors."""
    if read("byteorder") != sys.byteorder.encode():
        raise ValueError("another byte order")
    tensors: dict[str, Tensor] = {}
    for part in "weights", "constants":
        entries = json.loads(read(f"data/{part}/{name}_{part}_config.json"))["config"]
        storages: dict[str, Tensor] = {}
        for key, entry in entries.items():
            if entry["use_pickle"] is not False:
                raise RefusedError(f"a pickle, {key!r}")
            file, meta = str(entry["path_name"]), entry["tensor_meta"]
            dtype = DTYPES[meta["dtype"]]
            if file not in storages:
                # A copy: what the archive gives cannot be written to.
                data = bytearray(read(f"data/{part}/{file}"))
                storages[file] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0)
            tensor = (
                storages[file]
                .view(dtype)
                .as_strided(
                    [int(n["as_int"]) for n in meta["sizes"]],
                    [int(n["as_int"]) for n in meta["strides"]],
                    int(meta["storage_offset"]["as_int"]),
                )
            )
            tensors[key] = nn.Parameter(tensor, False) if entry["is_param"] else tensor
    return Program(json.loads(read(f"models/{name}.json")), tensors)
