"""A model under test and its measurements, which are kept: an interruption loses a batch."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console

from stargan.errors import Plain, UserError
from stargan.evaluation import identity
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
    path: Path | None = None,
    files: Plain | None = None,
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
        path: the file of the model, by which kept measurements know it; None: by its weights.
        files: digests of the weights ``inception`` and ``lpips``, where such are used.

    Raises:
        UserError: nothing can be translated, or the folder cannot be written to.
    """
    measured = identity.of_images(test, tools, settings, batch_size)
    measured["inception"] = (files or {}).get("inception")
    height, width = model.size
    folder = output / PARTS
    reference = Shards(folder / f"reference_{test.name}_{height}x{width}", measured)
    own = {
        **measured,
        # A graph has no weights to look at: its file says which it is.
        "model": identity.of_network(model.rule) if path is None else identity.of_model(path),
        "model_labels": model.labels.to_plain(),
        "distance": tools.distance_name,
        "lpips": (files or {}).get("lpips"),
        "cycle": cycle,
        "truth": truth,
        "together": [test.wish_name(c) for c in test.combinations],
    }
    named = re.sub(r"[^\w.-]", "_", name)
    shards = Shards(folder / f"{named}_{test.name}", own)
    total = len(test.rows) + len(test.reference_rows)
    words = f"translating and judging, {name}: {test.name}"
    with Progress(words, total, console=console) as progress:
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
