"""What measurements depend on, as plain data: when one of these changes, they are taken anew."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from stargan import __version__
from stargan.data.prepared import PreparedImages
from stargan.data.region_files import fingerprint
from stargan.data.subset import origin
from stargan.errors import Plain
from stargan.evaluation.held_out import TestSet
from stargan.evaluation.measure import Instruments
from stargan.export.parts import find
from stargan.export.sets import members
from stargan.judges.judge import Judge

FORMAT = 2
"""Of the tables that are kept; raise it when what they hold changes."""


def of_images(test: TestSet, tools: Instruments, settings: Plain, batch_size: int) -> Plain:
    """What measurements of the real images of a test set depend on.

    Args:
        test: the images; their files count by size and time, their labels by value.
        tools: judge and features.
        settings: of the data set, as the configuration has them.
        batch_size: images in a table.
    """
    given = settings.get("regions")
    return {
        "format": FORMAT,
        "version": __version__,
        "data": {k: v for k, v in settings.items() if k != "root"},
        "images": [
            [contents(split, rows.tolist()), of_tensors(rows, labels)]
            for split, rows, labels in (
                (test.test, test.rows, test.labels),
                (test.reference, test.reference_rows, test.reference_labels),
            )
        ],
        "size": list(test.test.size),
        "labels": list(test.space.names),
        "regions": fingerprint(given) if given else None,
        "judge": [*of_judge(tools.judge), tools.columns.tolist()],
        "features": "" if tools.own_features else tools.features.name,
        "batch_size": batch_size,
    }


def contents(split: PreparedImages, rows: Sequence[int]) -> str:
    """A digest of some images of a split: of files their names, sizes and times, else the pixels.

    A photo that is replaced by another one of the same name changes it.
    """
    found = hashlib.sha256()
    for row in rows:
        images, index = origin(split.images, row)
        found.update(images.name(index).encode())
        paths = getattr(images, "paths", None)
        if paths is not None:
            about = Path(paths[index]).stat()
            found.update(f"{about.st_size} {about.st_mtime_ns}".encode())
        else:
            pixels = split.pixels(row)
            found.update(b"" if pixels is None else pixels.tobytes())
    return found.hexdigest()[:20]


def of_judge(judge: Judge) -> list[Plain | str | list[int]]:
    """A judge by its weights, and by how it sees an image."""
    crops: Plain = {space.name: judge.crops.get(space.name) for space in judge.labels.spaces}
    return [of_network(judge.network), type(judge.network).__name__, list(judge.size), crops]


def of_network(network: nn.Module) -> str:
    """A digest of a network's weights."""
    state = network.state_dict()
    names = hashlib.sha256("\n".join(state).encode()).hexdigest()
    return of_tensors(*state.values(), words=names)


def of_tensors(*tensors: Tensor, words: str = "") -> str:
    """A digest of numbers, their order and shapes."""
    found = hashlib.sha256(words.encode())
    for tensor in tensors:
        found.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        plain = tensor.detach().cpu().contiguous().view(-1)
        found.update(plain.view(torch.uint8).numpy().data)
    return found.hexdigest()[:20]


def of_file(path: str | Path) -> str:
    """A digest of a file's bytes."""
    with Path(path).expanduser().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:20]


def of_model(path: str | Path) -> list[str]:
    """The file of a model, or the files of a set of models."""
    return [of_file(find(one, "translator")) for one in members(path) or [Path(path)]]
