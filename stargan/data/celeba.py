"""CelebA: 202,599 photos of celebrities with 40 attributes (Liu et al., ICCV 2015).

Never downloaded: the licence wants every user to ask for it. Put ``img_align_celeba/``,
``list_attr_celeba.txt`` and ``list_eval_partition.txt`` into one folder.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from stargan.data.attribute_file import Attributes, read_attributes, read_partition
from stargan.data.class_folders import check_split
from stargan.data.files import existing_folder, files_below, folders_in
from stargan.data.image_folder import FileImages
from stargan.data.names import Names
from stargan.data.splits import held_out, splits_with
from stargan.errors import UserError
from stargan.imaging.decode import EXTENSIONS
from stargan.imaging.files import counted, other_files
from stargan.labels import LabelSpace, label_name, unknown_label
from stargan.labels.written import known_by_exclusion

EXCLUSIVE = (("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"),)
PARTITIONS = ("official", "paper", "share")
CELEBA_SIZE = 202_599
"""Images of CelebA: a list of another length is another data set."""
_PAPER_TEST = 2000
CONTRADICTORY = ("leave_out", "keep")


class CelebA(FileImages):
    """CelebA or any folder with the same files.

    An image with two labels of an exclusive group (CelebA has some with black and brown hair) is
    left out and counted in ``notes``: no target label can ask for it, and targets are drawn from
    the labels that images have. The published code trains on them as they are; so does
    ``contradictory="keep"``, which leaves them out of the test and val splits all the same.

    There is a val split where the partition file lists one and some of its images are there.

    Names in the files may lack the ending or have another one, and may have folders in front, see
    ``Names``; what ``read_attributes`` takes, they may look like.

    Args:
        root: holds ``img_align_celeba/`` and the attribute file; the image folder itself will do.
        split: "train", "val" (with a partition file only) or "test".
        labels: attributes to use, in this order; None: the five of the paper that the file has.
        partition: "official" (list_eval_partition.txt), "paper" (2,000 random test images, in
            the order of the official code's shuffle, which takes 1,999 of them; of CelebA itself
            only, see ``CELEBA_SIZE``: of another data set its partition file, where it has none
            "share") or "share" (about a tenth, by a hash of the names, see ``held_out``).
        seed: of the paper's partition, and of the hash.
        groups: exclusive groups of attributes, besides the hair colours; where a hair colour is in
            one of them, instead of these. Empty: none. None: the hair colours.
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
        if partition not in PARTITIONS:
            raise UserError(
                f"unknown partition '{partition}' of CelebA: choose {', '.join(PARTITIONS)}."
            )
        base, folder = _find_images(existing_folder(root))
        attributes = _find_file(base, "list_attr_celeba")
        table = read_attributes(attributes, labels)
        notes = list(table.notes)
        space = LabelSpace(
            table.names, groups=exclusive_groups(groups, table, notes), name="celeba"
        )
        found = _on_disk(attributes, table, folder, notes)
        rows, has_val = _split(*(split, partition, seed), base, attributes, table, found, notes)
        lost = len(rows) - sum(name in found for name in rows)
        if lost:
            notes.append(
                f"{lost:,} of {len(rows):,} listed images are not in '{folder}' and were left out."
            )
        there = [name for name in rows if name in found]
        if not there:
            raise UserError(
                f"none of the {len(rows):,} {split} images listed in '{attributes}' is in "
                f"'{folder}': check both."
            )
        groups_of = [[space.index(n) for n in group] for group in space.groups]
        values = table.values[[table.rows[name] for name in there]]
        table_of_labels = known_by_exclusion(values, groups_of)
        possible = torch.ones(len(there), dtype=torch.bool)
        for group in groups_of:
            possible &= table_of_labels[:, group].nansum(1) <= 1
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
        paths = [
            folder / found[name] for name, use in zip(there, possible.tolist(), strict=True) if use
        ]
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
            known=table.known,
            contradictory=keep,
        )
        self.splits = splits_with(val=has_val)


def exclusive_groups(
    groups: Sequence[Sequence[str]] | None, table: Attributes, notes: list[str]
) -> list[list[str]]:
    """The exclusive groups of the chosen labels.

    Args:
        groups: see ``CelebA``.
        table: of the attributes.
        notes: gets a sentence where a group loses attributes that are not among the labels.

    Raises:
        UserError: no groups of names, an unknown name.
    """
    usual = [[n for n in group if n in table.names] for group in EXCLUSIVE]
    if groups is None:
        return usual
    well = not isinstance(groups, str) and all(
        not isinstance(g, str) and isinstance(g, Sequence) and all(isinstance(n, str) for n in g)
        for g in groups
    )
    if not well:
        raise UserError(
            f"groups={groups} must be a list of lists of attributes, groups=[[Child,Senior]]; in a "
            "yaml a name that YAML takes for a value must be in quotes."
        )
    given = [list(map(label_name, group)) for group in groups]
    for name in (n for group in given for n in group):
        if name not in table.known:
            raise UserError(f"groups: {unknown_label(name, table.known)}")
    unused = [n for group in given for n in group if n not in table.names]
    if unused:
        notes.append(f"of the exclusive groups {', '.join(unused)} is not among the labels in use.")
    named = {n for group in given for n in group}
    mine = [[n for n in group if n in table.names] for group in given]
    if not given or any(named & set(group) for group in EXCLUSIVE):
        return mine
    return usual + mine


def _on_disk(attributes: Path, table: Attributes, folder: Path, notes: list[str]) -> dict[str, str]:
    """The file, below the folder of the images, of each listed name that has one."""
    with os.scandir(folder) as entries:
        present = [entry.name for entry in entries]
    flat = set(present)
    found = {name: name for name in table.rows if name in flat}
    if len(found) < len(table.rows):
        there: Iterable[str] = (n for n in present if Path(n).suffix.lower() in EXTENSIONS)
        if folders_in(folder):
            there = [p.relative_to(folder).as_posix() for p in files_below(folder)]
        names = Names(there)
        for name in table.rows:
            if name not in found:
                try:
                    file = names.find(name)
                except UserError as error:
                    raise UserError(f"'{attributes}', line {table.lines[name]}: {error}") from error
                if file is not None:
                    found[name] = file
    taken: dict[str, str] = {}
    for name, file in found.items():
        if taken.setdefault(file, name) != name:
            lines = table.lines[taken[file]], table.lines[name]
            raise UserError(
                f"'{attributes}', lines {min(lines)} and {max(lines)} both mean '{folder / file}': "
                "keep one, or write folders and endings."
            )
    loose = [n for n in present if n not in taken and Path(n).suffix.lower() in EXTENSIONS]
    if loose and found:
        notes.append(
            f"left out: {len(loose):,} files in '{folder}' that '{attributes.name}' does not list."
        )
    others = other_files(folder) if len(present) > len(taken) + len(loose) else None
    if others:
        notes.append(f"left out, as they are no images here: {counted(others)}.")
    return found


def _split(
    split: str,
    partition: str,
    seed: int,
    base: Path,
    attributes: Path,
    table: Attributes,
    found: dict[str, str],
    notes: list[str],
) -> tuple[list[str], bool]:
    """The listed names of a split, and whether there is a val split with images.

    Raises:
        UserError: no partition file, one without images of a split, or no such split.
    """
    listed = list(table.rows)
    whole = len(listed) == CELEBA_SIZE
    file = _find(base, "list_eval_partition")
    if partition == "paper" and not whole:
        partition = "official" if file else "share"
        notes.append(
            f"'{attributes.name}' lists {len(listed):,} images, so this is not CelebA, of which "
            f"the paper tests on {_PAPER_TEST:,}: "
            + (
                f"split as '{file}' says."
                if file
                else "about a tenth, by a hash of the names, is held out."
            )
        )
    if partition == "official":
        if file is None:
            other = (
                f"partition=paper ({_PAPER_TEST:,} random test images, as published)"
                if whole
                else "partition=share (about a tenth is held out, by a hash of the names)"
            )
            raise UserError(
                f"'{base}' has no list_eval_partition.txt (or .csv), nor have its Anno/ and Eval/ "
                f"and the folder above: put it there, or choose data.celeba.{other}."
            )
        return _by_partition(split, file, attributes, listed, found, notes)
    if split == "val":
        raise UserError(
            f"partition={partition} has no val split: use test, or a partition file that lists one."
        )
    if partition == "share":
        there = [name for name in listed if name in found]
        has = table.values[[table.rows[name] for name in there]] == 1
        kinds = [column.nonzero().flatten().tolist() for column in has.T]
        test = held_out([found[name] for name in there], seed, f"'{base}'", kinds)
        held = {name for name, is_test in zip(there, test, strict=True) if is_test}
        part = held if split == "test" else set(there) - held
        # Of the listed images that are not there nothing is said twice.
        lost = len(listed) - len(there)
        if lost:
            notes.append(
                f"left out: {lost:,} of {len(listed):,} listed images, which are not there."
            )
        return [name for name in there if name in part], False
    files = list(listed)
    random.Random(seed).shuffle(files)
    return (files[:_PAPER_TEST] if split == "test" else files[_PAPER_TEST:]), False


def _by_partition(
    split: str,
    file: Path,
    attributes: Path,
    listed: list[str],
    found: dict[str, str],
    notes: list[str],
) -> tuple[list[str], bool]:
    table, more = read_partition(file)
    notes += more
    if not set(listed) <= set(table):
        names = Names(table)
        of = {name: names.find(name) for name in listed}
        table = {name: table[known] for name, known in of.items() if known is not None}
        lost, strange = len(listed) - len(table), len(set(names.all) - set(of.values()))
    else:
        lost, strange = 0, len(table) - len(listed)
    if lost:
        notes.append(f"left out: {lost:,} listed images that '{file}' does not list.")
    if strange:
        notes.append(f"{strange:,} images of '{file}' are not listed in '{attributes.name}'.")
    rows = [name for name in listed if table.get(name) == split]
    if not rows:
        raise UserError(
            f"'{file}' puts no image into {split} that '{attributes}' lists: it may have been cut "
            "short; get it whole, or choose data.celeba.partition=share (a tenth is held out)."
        )
    return rows, any(table.get(name) == "val" for name in found)


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
    found = _find(base, stem)
    if found is None:
        raise UserError(
            f"CelebA's '{stem}.txt' (or .csv) was looked for in '{base}', its Anno/ and Eval/ and "
            "the folder above, and is in none: put it next to img_align_celeba/."
        )
    return found


def _find(base: Path, stem: str) -> Path | None:
    places = [base, base / "Anno", base / "Eval", base.parent]
    files = (place / f"{stem}{ending}" for place in places for ending in (".txt", ".csv"))
    return next((file for file in files if file.is_file()), None)
