"""A model under test and its measurements, which are kept: an interruption loses a batch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from stargan import __version__
from stargan.data.region_files import fingerprint
from stargan.errors import Plain, UserError
from stargan.evaluation.held_out import TestSet, wanted
from stargan.evaluation.measure import Instruments, Records, Shards, translate_set
from stargan.export import Model
from stargan.progress import Progress

PARTS = "parts"
"""The folder of kept measurements."""


def measure_model(
    name: str,
    model: Model,
    test: TestSet,
    tools: Instruments,
    output: Path,
    settings: Plain,
    console: Console,
    batch_size: int = 32,
    cycle: bool = True,
    truth: bool = True,
) -> Records:
    """Measure one model on one data set, or go on where that was interrupted.

    Args:
        name: what the model is called, unlike others in the folder.
        model: opened.
        test, tools: the images and what they are measured with.
        output: measurements are kept in its ``parts/``, those of real images for all models of a
            size together.
        settings: of the data set, as ``conf/data`` has them.
        console: for the progress bar.
        batch_size: images at a time.
        cycle: also translate back.
        truth: also compare with the true images, where they are known.

    Raises:
        UserError: nothing can be translated, or the folder cannot be written to.
    """
    measured = {
        "data": [settings, test.labels.sum(0).tolist(), test.rows.tolist()],
        "judge": [digest(tools.judge.network), tools.columns.tolist()],
        "features": tools.features.name if not tools.own_features else "",
        "version": __version__,
        "size": model.size,
        "batch_size": batch_size,
    }
    if settings.get("regions"):
        measured["regions"] = fingerprint(settings["regions"])
    height, width = model.size
    folder = output / PARTS
    reference = Shards(folder / f"reference_{test.name}_{height}x{width}", measured)
    own = {
        **measured, "model": digest(model.rule), "distance": tools.distance_name, "cycle": cycle,
        "truth": truth, "together": [test.wish_name(c) for c in test.combinations],
    }  # fmt: skip
    shards = Shards(folder / f"{name.replace('/', '_')}_{test.name}", own)
    total = len(test.rows) + len(test.reference_rows)
    with Progress(f"{name}: {test.name}", total, console=console) as progress:
        records = translate_set(
            model, test, tools, batch_size, shards, reference, cycle, progress.advance, truth
        )
    if not records.fake:
        raise UserError(
            f"no image of '{test.name}' can be translated: all have every label, or {name} has no "
            "network for any change."
        )
    return records


def left_out(test: TestSet, records: Records) -> str | None:
    """Which changes a model cannot make and how many are left out, in words; None for all made."""
    lacking = []
    for number, wish in enumerate(test.all_wishes):
        asked = len(wanted(test.space, test.labels, wish, test.rows)[0])
        made = int((records.fake["wish"] == number).sum())
        # Images that cannot be read are asked for nothing.
        if made < asked and made < asked - (len(test) - len(records.real["row"])):
            lacking.append(f"{test.wish_name(wish)} ({made:,} of {asked:,})")
    if not lacking:
        return None
    return (
        "The model has no network for some of the changes that are asked for, these are left out: "
        f"made are {', '.join(lacking)}."
    )


def digest(network: nn.Module) -> str:
    """A digest of a network's weights."""
    found = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:20]
