"""Which images a run is trained on, kept with it, and whether others are among them."""

from __future__ import annotations

import csv
import io
from collections import Counter
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
"""In a run folder: split, data set, name there, bytes, digest and labels of each image."""

LABEL = "label "
"""Begins the columns of labels: 1, 0, or nothing where a label is not known."""

MOST_DIGESTS = 50_000
"""Of larger data sets, whose files would take long to open, name and bytes have to do."""

_PART = 4096

Known = dict[str, tuple[int, str]]
"""Bytes and digest (or nothing) by the name in a data set, which knows no split."""


def write_record(folder: Path, data: DataModule) -> None:
    """Write which images are in which split; of drawn ones, which have no files, nothing."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    every = list(dict.fromkeys(n for d in data.train.values() for n in d.images.space.names))
    heads = [LABEL + name for name in every]
    table.writerow(["split", "dataset", "name", "bytes", "digest", *heads])
    empty = text.tell()
    splits = list(zip(SPLITS, (data.train, data.val, data.test), strict=True))
    for name in data.train:
        here = [(split, datasets[name]) for split, datasets in splits if name in datasets]
        few = sum(len(prepared) for _, prepared in here) <= MOST_DIGESTS
        for split, prepared in here:
            for row in range(len(prepared)):
                values = labels_of(prepared.images, row)
                labels = [values.get(n, "") for n in every]
                for key, path in files_of(prepared.images, [row]):
                    size = path.stat().st_size
                    content = digest(path, size) if few else ""
                    table.writerow([split, name, key, size, content, *labels])
    if text.tell() > empty:
        write_whole(folder / RECORD, text.getvalue())


def files_of(images: LabeledImages, rows: Iterable[int]) -> Iterator[tuple[str, Path]]:
    """Names in the data set and files of some rows; of data sets without files none."""
    for row in rows:
        whole, index = origin(images, row)
        if isinstance(whole, FileImages):
            yield whole.keys[index], whole.paths[index]


def labels_of(images: LabeledImages, row: int) -> dict[str, str]:
    """Whether an image has each label that is known of it: 1 or 0."""
    values = zip(images.space.names, images.labels[row].tolist(), strict=True)
    return {name: str(int(value > 0.5)) for name, value in values if value == value}


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
    rows = read_record(folder)
    if rows is None:
        return None
    try:
        return {
            row["name"]: (int(row["bytes"]), row["digest"] or "")
            for row in rows
            if row["split"] == "train"
        }
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder) from error


def read_record(folder: Path | None) -> list[dict[str, str]] | None:
    """The rows of a run's record; None where there is none.

    Raises:
        UserError: the record is damaged.
    """
    file = None if folder is None else folder / RECORD
    if file is None or not file.is_file():
        return None
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return list(csv.DictReader(opened))
    except (OSError, ValueError, csv.Error) as error:
        raise _damaged(folder) from error


def _damaged(folder: Path | None) -> UserError:
    file = RECORD if folder is None else folder / RECORD
    return UserError(f"'{file}' is damaged: delete it, or put it back as it was.")


def relabelled(folder: Path | None, images: LabeledImages, rows: Iterable[int], name: str) -> str:
    """Which labels some images have now and had not when a run was trained, in words.

    Args:
        folder: of the run.
        images: a split of a data set; ``rows`` of it are looked at, ``name`` is the data set's.

    Returns:
        Such as ``Male (12 images)``, the most first; empty: none, or it is not recorded.

    Raises:
        UserError: the record is damaged.
    """
    record = read_record(folder) or []
    if not record or LABEL + images.space.names[0] not in record[0]:
        return ""
    # An image is known by its content, for a class folder that was renamed renames its images;
    # where no digests were kept by its name.
    known = {
        (row.get("bytes"), row["digest"]) if row.get("digest") else row.get("name"): row
        for row in record
        if row.get("dataset") == name
    }
    others: Counter[str] = Counter()
    for row in rows:
        for key, path in files_of(images, [row]):
            size = path.stat().st_size
            was = known.get((str(size), digest(path, size))) or known.get(key, {})
            others.update(
                label
                for label, value in labels_of(images, row).items()
                if was.get(LABEL + label, "") not in ("", value)
            )
    return ", ".join(f"{label} ({count:,} images)" for label, count in others.most_common())


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
