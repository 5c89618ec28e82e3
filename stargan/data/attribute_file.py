"""Reading CelebA's text files, and those that people write like them.

What has one right reading is read: the official texts, tables of commas, semicolons or tabs, with
quotes, comments, a byte order mark, the index column of pandas or R. All else is refused in a
sentence that names the line.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stargan.errors import UserError
from stargan.labels import label_name, unknown_label
from stargan.labels.written import read_written, written

PAPER_LABELS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
FILE_COLUMNS = frozenset(
    [
        *("image", "images", "imageid", "imagename", "imagefile", "imagepath"),
        *("img", "imgid", "imgname", "imgfile", "imgpath", "photo", "photoid", "picture", "pic"),
        *("file", "files", "fileid", "filename", "filepath", "fname", "path", "name", "id", "key"),
    ]
)
"""What the column of the files may be called, see ``_plain``."""
INDEX_COLUMNS = frozenset(["", "unnamed0", "index", "rownames"])
"""What pandas and R call the column of row numbers."""
PARTITION_COLUMNS = frozenset(["partition", "evalpartition", "split", "set", "subset"])
PARTS = {
    "train": ("0", "train", "training"),
    "val": ("1", "val", "valid", "validation", "dev"),
    "test": ("2", "test", "testing"),
}
"""What may be written for a split."""
_MARKS = ("\t", ";", ",", " ", "any")
_Line = tuple[int, str]


class Attributes(NamedTuple):
    """An attribute file.

    Attributes:
        names: of the chosen labels.
        rows: file name, as it is written, to its place in ``values``.
        values: ``(N, L)`` in {1, 0, NaN}.
        known: all attributes of the file.
        lines: line number by file name.
        notes: what was left out, one sentence each.
    """

    names: tuple[str, ...]
    rows: dict[str, int]
    values: Tensor
    known: list[str]
    lines: dict[str, int]
    notes: list[str]


class _Layout(NamedTuple):
    """How a table is laid out.

    Attributes:
        mark: what is between the fields, one of ``_MARKS``.
        width: fields of a line.
        file: the column of the files.
        columns: column by attribute.
    """

    mark: str
    width: int
    file: int
    columns: dict[str, int]


def read_attributes(path: Path, labels: Sequence[str] | None) -> Attributes:
    """An attribute file.

    Args:
        path: a count (which may be missing), a header with or without a name for the column of the
            files, and a line per image.
        labels: attributes to use, in this order; None: the five of the paper that the file has.

    Raises:
        UserError: a line that cannot be read or that can be read in two ways, an unknown attribute.
    """
    about = path.stat()
    chosen = None if labels is None else tuple(labels)
    return _read(path, chosen, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, labels: tuple[str, ...] | None, time: int, size: int) -> Attributes:
    """See ``read_attributes``, which every split asks; time and size tell a file from its past."""
    lines = _lines(path)
    count = None
    if lines and lines[0][1].strip().strip("\"'").isdecimal():
        count = (lines[0][0], int(lines[0][1].strip().strip("\"'")))
        del lines[0]
    if not lines:
        raise UserError(f"'{path}' has no header line with attribute names.")
    if len(lines) == 1:
        raise UserError(f"'{path}' lists no images below its header (line {lines[0][0]}).")
    layout = _layout(path, lines[0], lines[1])
    names = _choose(path, list(layout.columns), labels)
    columns = [layout.columns[n] for n in names]
    rows: dict[str, int] = {}
    at: dict[str, int] = {}
    values: list[list[float]] = []
    words: list[dict[bool, int]] = [{} for _ in columns]
    minus, twice = False, 0
    for number, line in lines[1:]:
        fields = _row(path, number, line, layout)
        file, found = fields[layout.file], []
        for c, name, kinds in zip(columns, names, words, strict=True):
            value = written(fields[c])
            if value is None:
                raise UserError(
                    f"'{path}', line {number}: '{fields[c]}' for {name} is none of 1, -1, 0."
                )
            found.append(value[0])
            if not math.isnan(value[0]):
                kinds.setdefault(value[1], number)
        if not file:
            raise UserError(f"'{path}', line {number}: the name of the file is missing.")
        if file in rows:
            if repr(values[rows[file]]) != repr(found):  # NaN is NaN here
                raise UserError(
                    f"'{path}', line {number}: '{file}' is listed twice, in line {at[file]} with "
                    "other labels: keep one."
                )
            twice += 1
            continue
        rows[file], at[file] = len(values), number
        values.append(found)
        minus = minus or "-1" in fields
    if count is not None and count[1] != len(values) + twice:
        raise UserError(
            f"'{path}', line {count[0]} says {count[1]:,} images, and {len(values) + twice:,} are "
            "listed: the file was cut short or edited; get it whole, or delete that line."
        )
    table = torch.tensor(values)
    numeric = []
    for i, (name, kinds) in enumerate(zip(names, words, strict=True)):
        if len(kinds) > 1:
            raise UserError(
                f"'{path}': {name} has numbers (line {kinds[False]}) and words (line "
                f"{kinds[True]}): write one or the other."
            )
        if True in kinds:
            table[:, i] = table[:, i].clamp(min=0)
        else:
            numeric.append(i)
    table[:, numeric] = read_written(
        table[:, numeric], [names[i] for i in numeric], str(path), minus
    )
    notes = [f"{twice:,} lines that repeat an image were left out."] if twice else []
    return Attributes(names, rows, table, list(layout.columns), at, notes)


def read_partition(path: Path) -> tuple[dict[str, str], list[str]]:
    """File name to train, val or test, and what was left out.

    Raises:
        UserError: a malformed line, or an image in two splits; names the line.
    """
    lines = _lines(path)
    meaning = {word: split for split, all_words in PARTS.items() for word in all_words}
    mark = next((m for m in _MARKS if lines and len(_fields(lines[0][1], m)) > 1), " ")
    width, file, part = 2, 0, 1
    first = [_plain(f) for f in _fields(lines[0][1], mark)] if lines else []
    if {*FILE_COLUMNS, *PARTITION_COLUMNS, *INDEX_COLUMNS} & set(first):  # The header of a CSV.
        width = len(first)
        file = next((i for i, f in enumerate(first) if f in FILE_COLUMNS), 0)
        part = next((i for i, f in enumerate(first) if f in PARTITION_COLUMNS), width - 1)
        del lines[0]
    table: dict[str, str] = {}
    at: dict[str, int] = {}
    twice = 0
    for number, line in lines:
        fields = _fields(line, mark)
        split = meaning.get(fields[part].lower()) if len(fields) == width else None
        if split is None:
            raise UserError(
                f"'{path}', line {number}: expected a file name and 0 (train), 1 (val) or 2 (test)."
            )
        name = fields[file]
        if name in table:
            if table[name] != split:
                raise UserError(
                    f"'{path}', line {number}: '{name}' is in {split} here and in {table[name]} in "
                    f"line {at[name]}: keep one."
                )
            twice += 1
        table[name], at[name] = split, number
    return table, [f"{twice:,} lines of '{path}' repeat an image."] if twice else []


def _lines(path: Path) -> list[_Line]:
    """Line number and text of each line that is neither blank nor a comment."""
    data = path.read_bytes()
    try:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # As spreadsheets save "Unicode text".
            text = data.decode("utf-16")
        else:
            text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"'{path}', line {number} is not text in UTF-8: save it as UTF-8, or download it again."
        ) from error
    if "\0" in text:
        raise UserError(f"'{path}' is not a text file: download it again.")
    found: list[_Line] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        # A file may be called "photo #1.jpg": what stands between marks is no comment.
        bare = re.sub(r"^\s*#.*$|\s#[^,;\t]*$", "", line) if "#" in line else line
        if bare.strip() and not (not found and bare.lower().startswith("sep=")):
            found.append((number, bare))
    return found


def _fields(line: str, mark: str) -> list[str]:
    if mark == " " and '"' not in line and "'" not in line:
        return line.split()  # The most of 202,599 lines.
    if mark == "any":
        return re.split(r"[\s,;]+", line.strip())
    if '"' in line:
        line = line.strip() if mark == " " else line
        fields = next(csv.reader([line], delimiter=mark, skipinitialspace=True), [])
        fields = [f for f in fields if f] if mark == " " else fields
    else:
        fields = line.split() if mark == " " else line.split(mark)
    stripped = [f.strip() for f in fields]
    return [f[1:-1] if len(f) > 1 and f[0] == f[-1] == "'" else f for f in stripped]


def _plain(name: str) -> str:
    """A column's name in small letters, without ``_``, ``-``, ``.``, ``:`` and spaces."""
    return re.sub(r"[\s_.:-]", "", name).lower()


def _row(path: Path, number: int, line: str, layout: _Layout) -> list[str]:
    fields = _fields(line, layout.mark)
    if len(fields) == layout.width + 1 and not fields[-1]:
        del fields[-1]
    if len(fields) != layout.width:
        values = len(layout.columns)
        raise UserError(
            f"'{path}', line {number}: expected a file name and {values} values, found "
            f"{len(fields)} fields."
        )
    return fields


def _layout(path: Path, head: _Line, first: _Line) -> _Layout:
    """How a table is laid out, from its header and its first line.

    Raises:
        UserError: the two do not fit each other, or fit in two ways.
    """
    tried = []
    for mark in _MARKS:
        header, row = _fields(head[1], mark), _fields(first[1], mark)
        while len(header) > 1 and not header[-1]:
            del header[-1]
            del row[-1:]
        titled = any(_plain(name) in FILE_COLUMNS for name in header)
        if titled and len(row) == len(header) + 1 and not row[-1]:
            del row[-1]
        if len(row) > 1 and any(written(f) is not None for f in row):
            extra = len(row) - len(header)
            # Best where the header names the column of the files, or all but it.
            rank = 0 if extra == (0 if titled else 1) else 1 if extra in (0, 1) else 2
            tried.append((rank, mark, header, row))
    if not tried:
        raise UserError(
            f"'{path}', line {first[0]}: expected a file name and a value, 1, -1 or 0, for each "
            f"name of line {head[0]}, with commas, semicolons, tabs or spaces between."
        )
    _, mark, header, row = min(tried, key=lambda t: t[0])
    header = list(map(label_name, header))
    plain = list(map(_plain, header))
    if len(header) > 1 and all(written(h) is not None for h in header[1:]):
        raise UserError(
            f"'{path}' has no header line with attribute names: line {head[0]} lists an image; add "
            "a line of names before it."
        )
    files = [i for i, name in enumerate(plain) if name in FILE_COLUMNS]
    extra = len(row) - len(header)
    ends = f"line {head[0]} has {len(header)} names and line {first[0]} has {len(row)} fields"
    shift = 0
    if extra == 1 and files:
        # Row numbers without a title, as R writes them.
        if not row[0].isdecimal() or written(row[files[0] + 1]) is not None:
            raise UserError(
                f"'{path}': {ends}: a name is missing in the header, so that labels would change "
                "places; add it."
            )
        shift = 1
    elif extra == 0 and not files:
        if plain[0] not in INDEX_COLUMNS:
            raise UserError(
                f"'{path}': {ends}, the name of the file included: either the header has a name "
                f"too many, so that labels would change places, or '{header[0]}' is the column of "
                "the files; remove that name, or call it image_id."
            )
        files = [0]
    elif extra not in (0, 1):
        raise UserError(
            f"'{path}': {ends}: a file name and a value for each name are expected; correct line "
            f"{head[0]}."
        )
    if extra == 1 and not files:
        file, columns = 0, {name: i + 1 for i, name in enumerate(header)}
    else:
        named = [i for i in files if not row[i + shift].isdecimal()] or files
        file = named[0] + shift
        columns = {
            name: i + shift
            for i, name in enumerate(header)
            if i not in files and not (plain[i] in INDEX_COLUMNS and i == 0)
        }
    shown = [h for i, h in enumerate(header) if h and i not in files]
    twice = next((name for name in shown if shown.count(name) > 1), None)
    if twice is not None:
        places = [str(i + 1) for i, name in enumerate(header) if name == twice]
        raise UserError(
            f"'{path}', line {head[0]}: the name '{twice}' is there twice (names "
            f"{' and '.join(places)}): give one of them another name."
        )
    if "" in columns:
        raise UserError(f"'{path}', line {head[0]}: an attribute has no name: give it one.")
    return _Layout(mark, len(row), file, columns)


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
