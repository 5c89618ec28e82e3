from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stargan.data import celeba
from stargan.data.celeba import CelebA
from stargan.errors import UserError
from stargan.labels import JointLabelSpace
from stargan.labels.targets import Edited, Mismatched, Permuted

NAMES = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Smiling", "Young"]
ROWS = {
    "000001.jpg": "1 -1 -1 1 -1 1",
    "000002.jpg": "-1 1 -1 -1 1 1",
    "000003.jpg": "-1 -1 1 -1 1 -1",
    "000004.jpg": "1 -1 1 1 -1 -1",  # Two hair colours: CelebA has such rows.
    "000005.jpg": "-1 -1 -1 1 -1 -1",
    "000006.jpg": "-1 1 -1 1 1 1",
}


def make(root: Path, attributes: str | None = None, images: bool = True) -> Path:
    folder = root / "img_align_celeba"
    folder.mkdir(parents=True)
    if images:
        for name in ROWS:
            Image.new("RGB", (178, 218)).save(folder / name)
    if attributes is None:
        body = "\n".join(f"{n}  {v}" for n, v in ROWS.items())
        attributes = f"{len(ROWS)}\n{' '.join(NAMES)} \n{body}\n"
    (root / "list_attr_celeba.txt").write_text(attributes)
    lines = [f"{n} {p}" for n, p in zip(ROWS, "000012", strict=True)]
    (root / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    return root


def test_official_partition_and_default_labels(tmp_path: Path) -> None:
    make(tmp_path)
    train = CelebA(tmp_path, "train")
    assert train.space.names == ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
    assert train.space.groups == (("Black_Hair", "Blond_Hair", "Brown_Hair"),)
    assert train.space.name == "celeba"
    assert train.labels.tolist() == [[1, 0, 0, 1, 1], [0, 1, 0, 0, 1], [0, 0, 1, 0, 0]]
    assert [train.name(i) for i in range(3)] == ["000001", "000002", "000003"]
    assert train.load(0).size == (178, 218)
    assert train.splits == ("train", "val", "test")
    assert [p.name for p in CelebA(tmp_path, "val").paths] == ["000005.jpg"]
    assert [p.name for p in CelebA(tmp_path, "test").paths] == ["000006.jpg"]


def test_contradictory_training_images_are_kept_as_the_published_code_does(tmp_path: Path) -> None:
    make(tmp_path)
    train = CelebA(tmp_path, "train", contradictory="keep")
    assert [p.stem for p in train.paths] == ["000001", "000002", "000003", "000004"]
    assert train.labels[3].tolist() == [1, 0, 1, 1, 0]
    assert train.space.groups == (("Black_Hair", "Blond_Hair", "Brown_Hair"),)
    assert train.notes == (
        "1 images with two labels of an exclusive group were kept, as in the published code "
        "(contradictory=leave_out leaves them out).",
    )
    # Whatever a method asks of them can be asked.
    labels, rng = JointLabelSpace([train.space]), np.random.default_rng(0)
    table, dataset = train.labels.numpy(), np.zeros(4, dtype=np.int64)
    for edits in ({"Male": 0.0}, {"Blond_Hair": 0.0}):
        kept = Edited(edits)(labels, table, dataset, rng)
        assert kept[3, :3].tolist() == [1, 0, 1]
    assert Edited({"Blond_Hair": 1.0})(labels, table, dataset, rng)[3].tolist() == [0, 1, 0, 1, 0]
    for rule in (Permuted(0.5), Mismatched()):
        assert np.isin(rule(labels, table, dataset, rng), (0, 1)).all()
    # None of them is a test image: what they show cannot be asked for.
    partition = tmp_path / "list_eval_partition.txt"
    partition.write_text(partition.read_text().replace("000004.jpg 0", "000004.jpg 2"))
    test = CelebA(tmp_path, "test", contradictory="keep")
    assert [p.stem for p in test.paths] == ["000006"]
    assert "left out" in test.notes[0]
    with pytest.raises(UserError, match="contradictory=both of CelebA is unknown"):
        CelebA(tmp_path, "train", contradictory="both")


def test_a_val_split_only_where_it_has_images(tmp_path: Path) -> None:
    root = make(tmp_path)
    (root / "img_align_celeba" / "000005.jpg").unlink()
    assert CelebA(root, "train").splits == ("train", "test")
    (root / "list_eval_partition.txt").write_text("000001.jpg 0\n000006.jpg 2\n")
    assert CelebA(root, "test").splits == ("train", "test")


def test_impossible_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    make(tmp_path)
    train = CelebA(tmp_path, "train")
    assert all("000004" not in p.name for p in train.paths)
    assert train.notes == (
        "1 images with two labels of an exclusive group were left out: no target can ask for both.",
    )
    free = CelebA(tmp_path, "train", groups=[])
    assert len(free) == 4
    assert free.notes == ()


@pytest.mark.parametrize("labels", [["Smiling"], ["Young", "Male"], NAMES])
def test_any_labels(tmp_path: Path, labels: list[str]) -> None:
    make(tmp_path)
    images = CelebA(tmp_path, "train", labels=labels)
    assert images.space.names == tuple(labels)
    row = [float(v) for v in ROWS["000002.jpg"].split()]
    want = [max(row[NAMES.index(n)], 0) for n in labels]
    assert images.labels[[p.name for p in images.paths].index("000002.jpg")].tolist() == want


def test_csv_and_zeros(tmp_path: Path) -> None:
    body = "\n".join(f"{n},{','.join(v.replace('-1', '0').split())}" for n, v in ROWS.items())
    make(tmp_path, f"image_id,{','.join(NAMES)}\n{body}\n")
    (tmp_path / "list_attr_celeba.txt").rename(tmp_path / "list_attr_celeba.csv")
    partition = tmp_path / "list_eval_partition.txt"
    text = "image_id,partition\n" + partition.read_text().replace(" ", ",")
    (tmp_path / "list_eval_partition.csv").write_text(text)
    partition.unlink()
    assert CelebA(tmp_path, "train").labels.tolist() == [
        [1, 0, 0, 1, 1],
        [0, 1, 0, 0, 1],
        [0, 0, 1, 0, 0],
    ]


def test_no_count_line(tmp_path: Path) -> None:
    body = "\n".join(f"{n} {v}" for n, v in ROWS.items())
    make(tmp_path, f"{' '.join(NAMES)}\n{body}\n")
    assert len(CelebA(tmp_path, "train")) == 3


def test_the_folder_may_be_one_off(tmp_path: Path) -> None:
    make(tmp_path / "celeba")
    paths = CelebA(tmp_path / "celeba", "train").paths
    assert CelebA(tmp_path, "train").paths == paths
    assert CelebA(tmp_path / "celeba" / "img_align_celeba", "train").paths == paths


def test_paper_partition_is_the_seeded_shuffle_of_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celeba, "CELEBA_SIZE", 2005)
    names = [f"{i:06d}.jpg" for i in range(1, 2006)]
    root = make(tmp_path, "Male Young\n" + "".join(f"{n} 1 -1\n" for n in names), images=False)
    for name in names:
        (root / "img_align_celeba" / name).touch()
    (root / "list_eval_partition.txt").unlink()
    train = CelebA(root, "train", partition="paper")
    test = CelebA(root, "test", partition="paper")
    assert train.splits == ("train", "test")
    order = list(names)
    random.Random(1234).shuffle(order)
    assert [p.name for p in test.paths] == order[:2000]
    assert [p.name for p in train.paths] == order[2000:]
    with pytest.raises(UserError, match="no val"):
        CelebA(root, "val", partition="paper")
    with pytest.raises(UserError, match=r"list_eval_partition.*partition=paper"):
        CelebA(root, "train")
    monkeypatch.setattr(celeba, "CELEBA_SIZE", 202_599)
    other = CelebA(root, "train", partition="paper")
    assert 1700 < len(other) < 1900, "another data set: about a tenth is held out"
    assert "not CelebA" in other.notes[0]
    with pytest.raises(UserError, match=r"list_eval_partition.*partition=share") as caught:
        CelebA(root, "train")
    assert "partition=paper" not in str(caught.value)


def test_missing_images_are_counted(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "img_align_celeba" / "000002.jpg").unlink()
    train = CelebA(tmp_path, "train")
    assert len(train) == 2
    assert train.notes[0].startswith("1 of 4 listed images are not in")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("2\nMale Young\na.jpg 1 -1\nb.jpg 1\n", r"line 4: expected a file name and 2 values"),
        ("Male Young\na.jpg 1 -1\nb.jpg 1 maybe\n", r"line 3: 'maybe' for Young"),
        ("Male Young\na.jpg 1 -1\nb.jpg 1 yes\n", "Young has numbers .line 2. and words .line 3."),
        ("Male Young\na.jpg 1 -1\na.jpg 1 1\n", r"line 3: 'a.jpg' is listed twice"),
        ("Male Young\n", "lists no images"),
        ("", "no header"),
        ("Hat Scarf\na.jpg 1 -1\n", "none of the paper's attributes.*Hat, Scarf"),
    ],
)
def test_malformed_attributes(tmp_path: Path, text: str, word: str) -> None:
    make(tmp_path, text)
    with pytest.raises(UserError, match=f"list_attr_celeba.txt.*{word}"):
        CelebA(tmp_path, "train")


def test_malformed_partition(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 7\n")
    with pytest.raises(UserError, match=r"list_eval_partition.txt', line 2"):
        CelebA(tmp_path, "train")


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"looked for in .*img_align_celeba"):
        CelebA(tmp_path, "train")
    make(tmp_path)
    with pytest.raises(UserError, match=r"unknown label 'Blonde_Hair'. Did you mean 'Blond_Hair'"):
        CelebA(tmp_path, "train", labels=["Blonde_Hair"])
    with pytest.raises(UserError, match="unknown partition"):
        CelebA(tmp_path, "train", partition="mine")
    (tmp_path / "list_attr_celeba.txt").unlink()
    with pytest.raises(UserError, match=r"list_attr_celeba.txt.*looked for"):
        CelebA(tmp_path, "train")


def test_no_listed_image_is_there(tmp_path: Path) -> None:
    make(tmp_path, images=False)
    with pytest.raises(UserError, match="none of the 4 train images"):
        CelebA(tmp_path, "train")
