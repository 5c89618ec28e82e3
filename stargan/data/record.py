"""Which images a run is trained on, kept with it, and whether others are among them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from stargan.contracts import LabeledImages
from stargan.data.image_folder import FileImages
from stargan.data.splits import SPLITS
from stargan.data.subset import origin
from stargan.errors import UserError
from stargan.writing import write_whole

if TYPE_CHECKING:
    from stargan.data.datamodule import DataModule

RECORD = "images.csv"
"""In a run folder: split, data set, name in the data set, bytes and digest of each image."""

MOST_DIGESTS = 50_000
"""Of larger data sets, whose files would take long to open, name and bytes have to do."""

_PART = 4096

Known = dict[str, tuple[int, str]]
"""Bytes and digest (or nothing) by the name in a data set, which knows no split."""


def write_record(folder: Path, data: DataModule) -> None:
    """Write which images are in which split; of drawn ones, which have no files, nothing."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["split", "dataset", "name", "bytes", "digest"])
    empty = text.tell()
    splits = list(zip(SPLITS, (data.train, data.val, data.test), strict=True))
    for name in data.train:
        here = [(split, datasets[name]) for split, datasets in splits if name in datasets]
        few = sum(len(prepared) for _, prepared in here) <= MOST_DIGESTS
        for split, prepared in here:
            for key, path in files_of(prepared.images, range(len(prepared))):
                size = path.stat().st_size
                table.writerow([split, name, key, size, digest(path, size) if few else ""])
    if text.tell() > empty:
        write_whole(folder / RECORD, text.getvalue())


def files_of(images: LabeledImages, rows: Iterable[int]) -> Iterator[tuple[str, Path]]:
    """Names in the data set and files of some rows; of data sets without files none."""
    for row in rows:
        whole, index = origin(images, row)
        if isinstance(whole, FileImages):
            yield whole.keys[index], whole.paths[index]


def digest(path: Path, size: int) -> str:
    """Of the beginning, the middle and the end of a file: uncompressed images have one size."""
    found = sha256()
    with path.open("rb") as file:
        for start in sorted({0, max(0, (size - _PART) // 2), max(0, size - _PART)}):
            file.seek(start)
            found.update(file.read(_PART))
    return found.hexdigest()[:16]


def trained_on(folder: Path | None) -> Known | None:
    """The training images of a run; None where that is not recorded.

    Raises:
        UserError: the record is damaged.
    """
    file = None if folder is None else folder / RECORD
    if file is None or not file.is_file():
        return None
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return {
                row["name"]: (int(row["bytes"]), row["digest"] or "")
                for row in csv.DictReader(opened)
                if row["split"] == "train"
            }
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"'{file}' is damaged: delete it, or put it back as it was.") from error


def count_seen(known: Known, files: Sequence[tuple[str, Path]]) -> int:
    """How many of some files are among those that are known, by name and content."""
    seen = 0
    for key, path in files:
        size, content = known.get(key, (-1, ""))
        same = size >= 0 and path.stat().st_size == size
        seen += same and (not content or digest(path, size) == content)
    return seen


def seen_in_training(folder: Path, data: DataModule) -> str:
    """How many of the test images a run was trained on, in words; empty: none."""
    known = trained_on(folder)
    if not known:
        return ""
    every = [one for test in data.test.values() for one in files_of(test.images, range(len(test)))]
    seen = count_seen(known, every)
    words = f"{seen:,} of the {len(every):,} test images that are there now were trained on"
    return words if seen else ""
