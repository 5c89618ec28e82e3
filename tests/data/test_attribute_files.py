"""Attribute files as people have them: one right reading, or a sentence that names the line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from stargan.data.celeba import CelebA
from stargan.data.names import Names
from stargan.errors import UserError

NAMES = ["Child", "Adult", "Senior", "Male"]
ROWS = {
    "a1.jpg": [1, 0, 0, 1],
    "a2.jpg": [0, 1, 0, 0],
    "a3.jpg": [0, 0, 1, 1],
    "a4.jpg": [0, 1, 0, 1],
}
PARTITION = {"a1.jpg": "0", "a2.jpg": "0", "a3.jpg": "0", "a4.jpg": "2"}


def make(root: Path, text: str | bytes, ending: str = ".jpg", partition: str | None = None) -> Path:
    folder = root / "img_align_celeba"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ROWS:
        Image.new("RGB", (8, 8)).save((folder / name).with_suffix(ending))
    data = text if isinstance(text, bytes) else text.encode()
    (root / "list_attr_celeba.txt").write_bytes(data)
    if partition is None:
        partition = "".join(f"{n} {p}\n" for n, p in PARTITION.items())
    (root / "list_eval_partition.txt").write_text(partition)
    return root


def train(root: Path, **more: object) -> CelebA:
    return CelebA(root, "train", labels=NAMES, **more)  # type: ignore[arg-type]


def table(mark: str = " ", head: str = "", yes: str = "1", no: str = "-1", end: str = "\n") -> str:
    lines = [head + mark.join(NAMES)]
    for name, row in ROWS.items():
        lines.append(mark.join([name, *(yes if v else no for v in row)]))
    return end.join(lines) + end


def indexed(head: str = ",image_id,") -> str:
    rows = (",".join([str(i), name, *map(str, row)]) for i, (name, row) in enumerate(ROWS.items()))
    return "\n".join([head + ",".join(NAMES), *rows])


WELL = {
    "official": "4\n" + table(),
    "more spaces": "4\n" + table("  "),
    "commas": table(",", "image_id,"),
    "commas, no title": table(","),
    "semicolons": table(";", "file;"),
    "tabs": table("\t", "Filename\t"),
    "spaces after commas": table(", ", "image id, "),
    "words": table(",", "photo,", "True", "False"),
    "yes and no": table(",", "photo,", "yes", "no"),
    "0 and 1": table(",", "photo,", "1", "0"),
    "1.0": table(",", "photo,", "1.0", "0.0"),
    "windows": table(",", "image_id,", end="\r\n"),
    "old mac": table(end="\r"),
    "byte order mark": "\ufeff" + "4\n" + table(),
    "byte order mark, commas": "\ufeff" + table(",", "image_id,"),
    "pandas": indexed(),
    "pandas, unnamed": indexed("Unnamed: 0,image_id,"),
    "pandas, files as the index": table(",", ","),
    "R": indexed("image_id,").replace(",", " "),
    "quotes": table('","', 'image_id","', end='"\n"').replace("image", '"image', 1)[:-1],
    "single quotes": table(",", "image_id,").replace("a1.jpg", "'a1.jpg'"),
    "comments": "# of mine\n4 # images\n" + table() + "# the end\n",
    "a line twice": "5\n" + table() + "a1.jpg 1 -1 -1 1\n",
    "blank lines": "\n4\n\n" + table(end="\n\n"),
    "excel": "sep=;\n" + table(";", "file;"),
    "commas at the end": table(",", "image_id,", end=",\n"),
    "folders": "4\n" + table().replace("a1.jpg", "img_align_celeba/a1.jpg"),
    "backslashes": "4\n" + table().replace("a2.jpg", "D:\\faces\\a2.jpg"),
    "no endings": "4\n" + table().replace(".jpg", ""),
    "other endings": "4\n" + table().replace(".jpg", ".png"),
    "capitals": "4\n" + table().replace("a1.jpg", "A1.JPG"),
    "mixed marks": table().replace("a1.jpg ", "a1.jpg,"),
    "other columns": table(",", "image_id,", "1,34,Bob", "0,34,Bob").replace(
        ",".join(NAMES), ",".join(f"{n},age{n},who{n}" for n in NAMES)
    ),
}


@pytest.mark.parametrize("name", WELL)
def test_one_right_reading(tmp_path: Path, name: str) -> None:
    make(tmp_path, WELL[name])
    images = train(tmp_path, groups=[])
    assert [p.name for p in images.paths] == ["a1.jpg", "a2.jpg", "a3.jpg"]
    assert images.labels.tolist() == [[float(v) for v in ROWS[p.name]] for p in images.paths]
    assert [p.name for p in CelebA(tmp_path, "test", labels=NAMES).paths] == ["a4.jpg"]
    expected = ["1 lines that repeat an image"] if name == "a line twice" else []
    assert [n[: len(e)] for n, e in zip(images.notes, expected, strict=True)] == expected


def test_utf_16_as_spreadsheets_save_it(tmp_path: Path) -> None:
    make(tmp_path, table("\t", "file\t").encode("utf-16"))
    assert len(train(tmp_path)) == 3


def test_a_list_of_jpg_for_files_of_png(tmp_path: Path) -> None:
    make(tmp_path, "4\n" + table(), ".png")
    assert [p.name for p in train(tmp_path).paths] == ["a1.png", "a2.png", "a3.png"]
    (tmp_path / "img_align_celeba" / "a1.webp").touch()
    with pytest.raises(UserError, match=r"line 3: 'a1.jpg' may be 'a1.*' or 'a1.*'"):
        train(tmp_path)


def test_empty_fields_are_not_known(tmp_path: Path) -> None:
    make(tmp_path, table(",", "image_id,").replace("a2.jpg,-1,1", "a2.jpg,,NaN"))
    labels = train(tmp_path, groups=[]).labels
    assert labels[1].isnan().tolist() == [True, True, False, False]
    assert math.isnan(float(labels[1, 0]))
    assert torch.equal(labels[0], torch.tensor([1.0, 0, 0, 1]))


LONG = "Child Adult Senior Hat Male"
REFUSED = {
    "a name too many": (table().replace("Child", "Hat Child"), "line 1 has 5 names.*too many"),
    "a name too few": (table().replace("Child ", ""), "line 1 has 3 names and line 2 has 5 fields"),
    "too few, titled": (
        table(",", "image_id,").replace("Child,", ""),
        "name is missing in the header",
    ),
    "too many, titled": (
        table(",", "image_id,").replace("Child,", "Hat,Child,"),
        "line 1 has 6 names and line 2 has 5",
    ),
    "a title of one's own": (table(",", "wer,"), "'wer' is the column of the files"),
    "a name twice": (table().replace("Senior", "Child"), "line 1: the name 'Child' is there twice"),
    "no name": (table(",", "image_id,").replace("Child", ""), "an attribute has no name"),
    "count": ("7\n" + table(), "line 1 says 7 images, and 4 are listed"),
    "count of fewer": ("# x\n3\n" + table(), "line 2 says 3 images, and 4 are listed"),
    "no header": (table().split("\n", 1)[1], "has no header line.*line 1 lists an image"),
    "a field more": (table() + "a5.jpg 1 1 1 1 1\n", "line 6: expected a file name and 4 values"),
    "a field less": (table() + "a5.jpg 1 1 1\n", "line 6: expected a file name and 4 values"),
    "a value": (table() + "a5.jpg 1 1 1 2\n", "line 6: '2' for Male"),
    "twice": (
        table() + "a1.jpg 1 1 1 1\n",
        "line 6: 'a1.jpg' is listed twice, in line 2 with other",
    ),
    "two names of one": (table() + "x/a1.jpg 1 1 1 1\n", "lines 2 and 6 both mean"),
    "no file": (table(",", "image_id,") + ",1,1,1,1\n", "line 6: the name of the file is missing"),
    "latin letters": ("Männlich Male\n".encode("latin-1"), "line 1 is not text in UTF-8"),
    "no text": (b"\x00\x01\x02", "is not a text file"),
    "no values": ("Child Male\na1.jpg x\n", "line 2: expected a file name and a value"),
    "words among numbers": (
        table().replace("a3.jpg -1", "a3.jpg false"),
        "Child has numbers .line 2. and words .line 4.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_line(tmp_path: Path, name: str) -> None:
    text, words = REFUSED[name]
    make(tmp_path, text)
    with pytest.raises(UserError, match=f"list_attr_celeba.txt.*{words}") as caught:
        train(tmp_path, groups=[])
    assert "\n" not in str(caught.value)


def test_what_is_not_listed_or_not_there_is_counted(tmp_path: Path) -> None:
    make(tmp_path, table() + "gone.jpg 1 -1 -1 1\n", partition="a1.jpg 0\na4.jpg 2\ngone.jpg 0\n")
    Image.new("RGB", (8, 8)).save(tmp_path / "img_align_celeba" / "more.png")
    (tmp_path / "img_align_celeba" / "more.heif2").touch()
    said = "\n".join(train(tmp_path).notes)
    assert "left out: 1 files in" in said
    assert "left out, as they are no images here: 1 .heif2" in said
    assert "left out: 2 listed images that" in said
    assert "1 of 2 listed images are not in" in said


PARTITIONS = {
    "csv": "image_id,partition\na1.jpg,0\na2,0\nx/a3.jpg,0\na4.jpg,2\n",
    "pandas": ",image_id,partition\n0,a1.jpg,0\n1,a2.jpg,0\n2,a3.jpg,0\n3,a4.jpg,2\n",
    "words": "\ufeff# mine\r\na1.jpg train\r\na2.jpg Train\r\na3.png training\r\na4.jpg test\r\n",
    "twice alike": "a1.jpg 0\na1.jpg 0\na2.jpg 0\na3.jpg 0\na4.jpg 2\n",
}


@pytest.mark.parametrize("name", PARTITIONS)
def test_partitions(tmp_path: Path, name: str) -> None:
    make(tmp_path, table(), partition=PARTITIONS[name])
    assert [p.name for p in train(tmp_path).paths] == ["a1.jpg", "a2.jpg", "a3.jpg"]
    assert len(CelebA(tmp_path, "test", labels=NAMES)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a1.jpg 0\na1.jpg 2\n", "line 2: 'a1.jpg' is in test here and in train in line 1"),
        ("a1.jpg 7\na2.jpg 0\n", "line 1: expected a file name"),
        ("a1.jpg 2\na2.jpg 2\n", "puts no image into train.*partition=share"),
        ("", "puts no image into train"),
    ],
)
def test_partitions_that_are_refused(tmp_path: Path, text: str, words: str) -> None:
    make(tmp_path, table(), partition=text)
    with pytest.raises(UserError, match=f"list_eval_partition.txt'.*{words}"):
        train(tmp_path)


def test_groups_of_ones_own(tmp_path: Path) -> None:
    text = table() + "a5.jpg 1 1 -1 -1\n"
    make(tmp_path, text, partition="".join(f"a{i}.jpg 0\n" for i in range(1, 6)))
    Image.new("RGB", (8, 8)).save(tmp_path / "img_align_celeba" / "a5.jpg")
    images = train(tmp_path, groups=[["Child", "Adult", "Senior"]])
    assert images.space.groups == (("Child", "Adult", "Senior"),)
    assert len(images) == 4
    assert "1 images with two labels of an exclusive group" in images.notes[-1]
    edited = images.space.edit(images.space.encode(["Senior", "Male"]), {"Child": 1.0})
    assert edited.tolist() == [1, 0, 0, 1]
    assert len(train(tmp_path)) == 5
    some = CelebA(tmp_path, "train", ["Child", "Male"], groups=[["Child", "Adult", "Senior"]])
    assert some.space.groups == ()
    assert "Adult, Senior is not among the labels" in some.notes[0]
    for groups, words in (
        ([["Child", "Adlt"]], "groups: unknown label 'Adlt'. Did you mean 'Adult'"),
        ([["Child", "Adult"], ["Senior", "Child"]], "'Child' of 'celeba' is in two exclusive"),
        ("Child", "must be a list of lists"),
        ([[True, "Child"]], "must be a list of lists.*in quotes"),
    ):
        with pytest.raises(UserError, match=words):
            train(tmp_path, groups=groups)


def test_groups_beside_the_hair_colours(tmp_path: Path) -> None:
    names = ["Black_Hair", "Blond_Hair", "Child", "Senior"]
    text = " ".join(names) + "\na1.jpg 1 -1 -1 1\na2.jpg -1 1 1 -1\n"
    make(tmp_path, text, partition="a1.jpg 0\na2.jpg 2\n")

    def groups(given: list[list[str]] | None) -> tuple[tuple[str, ...], ...]:
        return CelebA(tmp_path, "train", names, groups=given).space.groups

    hair, age = ("Black_Hair", "Blond_Hair"), ("Child", "Senior")
    assert groups(None) == (hair,)
    assert groups([list(age)]) == (hair, age)
    assert groups([list(age), ["Black_Hair"]]) == (age,)
    assert groups([]) == ()


def test_a_share_is_held_out_by_name(tmp_path: Path) -> None:
    root = tmp_path / "own"
    rows = [f"{i:04d}.jpg" for i in range(300)]
    make(root, "Child Male\n" + "".join(f"{n} 1 -1\n" for n in rows))
    for name in rows:
        (root / "img_align_celeba" / name).touch()
    test = [p.name for p in CelebA(root, "test", ["Child"], "share").paths]
    assert 15 < len(test) < 50
    (root / "list_attr_celeba.txt").write_text(
        "Child Male\n" + "".join(f"{n} 1 -1\n" for n in rows[100:])
    )
    later = [p.name for p in CelebA(root, "test", ["Child"], "share").paths]
    assert later == [n for n in test if n >= rows[100]]
    (root / "list_eval_partition.txt").unlink()
    paper = CelebA(root, "test", ["Child"], "paper")
    assert [p.name for p in paper.paths] == later
    assert "lists 200 images, so this is not CelebA" in "".join(paper.notes)
    with pytest.raises(UserError, match="has no val split"):
        CelebA(root, "val", ["Child"], "paper")


def test_names_with_folders() -> None:
    names = Names(["cat/1.jpg", "dog/1.jpg", "dog/2.jpg", "3.jpg"])
    assert names.find("dog/1") == "dog/1.jpg"
    assert names.find("/home/me/dog/1.png") == "dog/1.jpg"
    assert names.find("2") == "dog/2.jpg"
    assert names.find("any/3.jpg") == "3.jpg"
    assert names.find("cat/2.jpg") is None
    with pytest.raises(UserError, match=r"'1' may be 'cat/1.jpg' or 'dog/1.jpg'"):
        names.find("1")
