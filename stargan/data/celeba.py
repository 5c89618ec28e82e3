"""CelebA: 202,599 photos of celebrities with 40 attributes (Liu et al., ICCV 2015).

Never downloaded: the licence wants every user to ask for it. Put ``img_align_celeba/``,
``list_attr_celeba.txt`` and ``list_eval_partition.txt`` into one folder.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from stargan.data.files import existing_folder
from stargan.data.image_folder import FileImages, check_split
from stargan.data.splits import splits_with
from stargan.errors import UserError
from stargan.labels import LabelSpace, label_name, unknown_label
from stargan.labels.written import WRITTEN, known_by_exclusion, read_written

PAPER_LABELS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
EXCLUSIVE = (("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"),)
_PARTITION = {"train": "0", "val": "1", "test": "2"}
_PAPER_TEST = 2000
CONTRADICTORY = ("leave_out", "keep")


class CelebA(FileImages):
    """CelebA or any folder with the same files.

    An image with two labels of an exclusive group (CelebA has some with black and brown hair) is
    left out and counted in ``notes``: no target label can ask for it, and targets are drawn from
    the labels that images have. The published code trains on them as they are; so does
    ``contradictory="keep"``, which leaves them out of the test and val splits all the same.

    There is a val split where the official partition lists one and some of its images are there.

    Args:
        root: holds ``img_align_celeba/`` and the attribute file; the image folder itself will do.
        split: "train", "val" (official partition only) or "test".
        labels: attributes to use, in this order; None: the five of the paper that the file has.
        partition: "official" (list_eval_partition.txt) or "paper" (2,000 random test images, in
            the order of the official code's shuffle, which takes 1,999 of them).
        seed: of the paper's partition.
        groups: exclusive groups of attributes; None: the hair colours.
        contradictory: training images with two labels of an exclusive group: "leave_out" or "keep".
        regions: a text of boxes or a folder of masks, see ``region_files``.

    Raises:
        UserError: missing files (says what was looked for), a malformed line (names file and
            line), unknown attributes, nothing left.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        labels: Sequence[str] | None = None,
        partition: str = "official",
        seed: int = 1234,
        groups: Sequence[Sequence[str]] | None = None,
        regions: str | Path | None = None,
        contradictory: str = "leave_out",
    ) -> None:
        check_split(split)
        if contradictory not in CONTRADICTORY:
            raise UserError(
                f"contradictory={contradictory} of CelebA is unknown: choose "
                f"{' or '.join(CONTRADICTORY)}."
            )
        if partition not in ("official", "paper"):
            raise UserError(f"unknown partition '{partition}' of CelebA: choose official or paper.")
        if partition == "paper" and split == "val":
            raise UserError(
                "the paper's partition has no val split: use test, or the official one."
            )
        base, folder = _find_images(existing_folder(root))
        attributes = _find_file(base, "list_attr_celeba")
        names, rows, header = _read_attributes(attributes, labels)
        known = EXCLUSIVE if groups is None else groups
        chosen = [[n for n in group if n in names] for group in known] if groups is None else known
        space = LabelSpace(names, groups=chosen, name="celeba")

        files = list(rows)
        val: list[str] = []
        if partition == "official":
            table = _read_partition(_find_file(base, "list_eval_partition"))
            val = [f for f in files if table.get(f) == _PARTITION["val"]]
            files = [f for f in files if table.get(f) == _PARTITION[split]]
        else:
            if len(files) <= _PAPER_TEST:
                raise UserError(
                    f"'{attributes}' lists {len(files)} images, the paper's partition tests on "
                    f"{_PAPER_TEST}: use partition=official."
                )
            random.Random(seed).shuffle(files)
            files = files[:_PAPER_TEST] if split == "test" else files[_PAPER_TEST:]
        notes = []
        with os.scandir(folder) as entries:
            present = {entry.name for entry in entries}
        there = [f for f in files if f in present]
        if len(there) < len(files):
            notes.append(
                f"{len(files) - len(there):,} of {len(files):,} listed images are not in "
                f"'{folder}' and were left out."
            )
        if not there:
            raise UserError(
                f"none of the {len(files):,} {split} images listed in '{attributes}' is in "
                f"'{folder}': check both."
            )
        groups_of = [[space.index(n) for n in group] for group in space.groups]
        table_of_labels = known_by_exclusion(torch.tensor([rows[f] for f in there]), groups_of)
        possible = torch.ones(len(there), dtype=torch.bool)
        for group in space.groups:
            possible &= table_of_labels[:, [space.index(n) for n in group]].nansum(1) <= 1
        keep = contradictory == "keep" and split == "train"
        if not possible.all():
            count = int((~possible).sum())
            what = f"{count:,} images with two labels of an exclusive group were "
            notes.append(
                f"{what}kept, as in the published code (contradictory=leave_out leaves them out)."
                if keep
                else f"{what}left out: no target can ask for both."
            )
        if keep:
            possible[:] = True
        paths = [folder / f for f, keep in zip(there, possible.tolist(), strict=True) if keep]
        if not paths:
            raise UserError(
                f"every {split} image of '{base}' has two labels of an exclusive group."
            )
        super().__init__(
            space,
            paths,
            table_of_labels[possible],
            where=f"{base} ({split})",
            notes=notes,
            regions=regions,
            base=folder,
            known=header,
            contradictory=keep,
        )
        self.splits = splits_with(val=not present.isdisjoint(val))


def _find_images(root: Path) -> tuple[Path, Path]:
    """The folder of the text files and the folder of the images."""
    for base in (root, root / "celeba", root / "CelebA"):
        for inner in ("img_align_celeba", "Img/img_align_celeba"):
            folder = base / inner
            if (folder / "img_align_celeba").is_dir():  # Some archives pack the folder twice.
                folder = folder / "img_align_celeba"
            if folder.is_dir():
                return base, folder
    if root.name == "img_align_celeba":
        return root.parent, root
    raise UserError(
        f"CelebA's images were looked for in '{root / 'img_align_celeba'}' and "
        f"'{root / 'celeba' / 'img_align_celeba'}', which do not exist: "
        "give the folder that holds img_align_celeba/."
    )


def _find_file(base: Path, stem: str) -> Path:
    places = [base, base / "Anno", base / "Eval", base.parent]
    for place in places:
        for ending in (".txt", ".csv"):
            if (place / f"{stem}{ending}").is_file():
                return place / f"{stem}{ending}"
    hint = " or set partition=paper" if stem == "list_eval_partition" else ""
    raise UserError(
        f"CelebA's '{stem}.txt' (or .csv) was looked for in '{base}', its Anno/ and Eval/ and the "
        f"folder above, and is in none: put it next to img_align_celeba/{hint}."
    )


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                fields = line.replace(",", " ").split()
                if fields:
                    yield number, fields
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not a text file: download it again.") from error


def _read_attributes(
    path: Path, labels: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, list[float]], list[str]]:
    """Chosen attribute names, file name to their values, and all names.

    Takes the official text (a count, a header without a column for the file, -1/1) and the
    common CSV (header with image_id, 0/1 or -1/1), and anything between.
    """
    lines = _lines(path)
    number, header = next(lines, (1, []))
    if len(header) == 1 and header[0].isdecimal():
        number, header = next(lines, (2, []))
    header = list(map(label_name, header))
    if not header:
        raise UserError(f"'{path}' has no header line with attribute names.")
    rows: dict[str, list[float]] = {}
    names: tuple[str, ...] = ()
    columns: list[int] = []
    minus = False
    for number, fields in lines:
        if not rows:
            # The header names the column of the file or it does not: the first row tells.
            if len(fields) == len(header):
                header = header[1:]
            names = _choose(path, header, labels)
            columns = [header.index(n) + 1 for n in names]
        if len(fields) != len(header) + 1:
            raise UserError(
                f"'{path}', line {number}: expected a file name and {len(header)} values, "
                f"found {len(fields)} fields."
            )
        values = [WRITTEN.get(fields[c]) for c in columns]
        if None in values:
            c = columns[values.index(None)]
            raise UserError(
                f"'{path}', line {number}: '{fields[c]}' for {header[c - 1]} is none of 1, -1, 0."
            )
        if fields[0] in rows:
            raise UserError(f"'{path}', line {number}: '{fields[0]}' is listed twice.")
        rows[fields[0]] = [v for v in values if v is not None]
        minus = minus or "-1" in fields
    if not rows:
        raise UserError(f"'{path}' lists no images below its header (line {number}).")
    table = read_written(torch.tensor(list(rows.values())), names, str(path), minus)
    return names, dict(zip(rows, table.tolist(), strict=True)), header


def _choose(path: Path, header: list[str], labels: Sequence[str] | None) -> tuple[str, ...]:
    if labels is None:
        names = tuple(n for n in PAPER_LABELS if n in header)
        if not names:
            raise UserError(
                f"'{path}' has none of the paper's attributes: name the labels you want among "
                f"{', '.join(header)}."
            )
        return names
    wanted = tuple(map(label_name, labels))
    for name in wanted:
        if name not in header:
            raise UserError(f"'{path}': {unknown_label(name, header)}")
    return wanted


def _read_partition(path: Path) -> dict[str, str]:
    table = {}
    for number, fields in _lines(path):
        if number == 1 and fields[-1] not in _PARTITION.values():
            continue  # The header of the CSV.
        if len(fields) != 2 or fields[1] not in _PARTITION.values():
            raise UserError(
                f"'{path}', line {number}: expected a file name and 0 (train), 1 (val) or 2 (test)."
            )
        table[fields[0]] = fields[1]
    return table
