"""Which images a run is trained on, kept with it, and whether others are among them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
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
"""In a run folder: split, data set, name in the data set and bytes of each image."""

Known = tuple[str, int]
"""An image by its name in its data set, which knows no split, and by its size in bytes."""


def write_record(folder: Path, data: DataModule) -> None:
    """Write which images are in which split; of drawn ones, which have no files, nothing."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["split", "dataset", "name", "bytes"])
    empty = text.tell()
    for split, datasets in zip(SPLITS, (data.train, data.val, data.test), strict=True):
        for name, prepared in datasets.items():
            for key, size in images_of(prepared.images, range(len(prepared))):
                table.writerow([split, name, key, size])
    if text.tell() > empty:
        write_whole(folder / RECORD, text.getvalue())


def images_of(images: LabeledImages, rows: Iterable[int]) -> Iterator[Known]:
    """The images of some rows; of data sets without files none."""
    for row in rows:
        whole, index = origin(images, row)
        if isinstance(whole, FileImages):
            yield whole.keys[index], whole.paths[index].stat().st_size


def trained_on(folder: Path | None) -> set[Known] | None:
    """The training images of a run; None where that is not recorded.

    Raises:
        UserError: the record is damaged.
    """
    file = None if folder is None else folder / RECORD
    if file is None or not file.is_file():
        return None
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened))
            return {(row["name"], int(row["bytes"])) for row in rows if row["split"] == "train"}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"'{file}' is damaged: delete it, or put it back as it was.") from error


def seen_in_training(folder: Path, data: DataModule) -> str:
    """How many of the test images a run was trained on, in words; empty: none."""
    trained = trained_on(folder)
    if not trained:
        return ""
    every = [one for test in data.test.values() for one in images_of(test.images, range(len(test)))]
    seen = sum(one in trained for one in every)
    return f"{seen:,} of the {len(every):,} test images that are there now were trained on" * bool(
        seen
    )
