"""What a run was trained on is kept with it, and said where it is tested on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stargan.data.celeba import CelebA
from stargan.data.datamodule import DataModule
from stargan.data.drawn.digits import SyntheticDigits
from stargan.data.image_folder import ImageFolder
from stargan.data.record import RECORD, seen_in_training, trained_on, write_record
from stargan.errors import UserError
from stargan.evaluation.held_out import TestSet
from tests.conftest import draw_square


def make(root: Path, limit: int | None = None) -> DataModule:
    data = DataModule(
        {"folder": lambda split: ImageFolder(root, split)}, 8, batch_size=2, limit=limit
    )
    data.setup()
    return data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, count in (("train", 6), ("test", 3)):
        for i, name in enumerate("ab"):
            for k in range(count):
                draw_square(
                    tmp_path / "data" / split / name / f"{split}{k}.png", (9, 9, 9), 50 * i + k
                )
    return tmp_path / "data"


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    write_record(tmp_path / "run", make(root))
    return tmp_path / "run"


def said(data: DataModule, run: Path) -> str:
    return TestSet(data, "folder", data.labels).seen_by(run, "the model")


def test_the_record(run: Path) -> None:
    lines = (run / RECORD).read_text().splitlines()
    assert lines[0] == "split,dataset,name,bytes,digest,label a,label b"
    assert [line.rsplit(",", 4)[0] for line in lines[1:3]] == [
        "train,folder,a/train0.png",
        "train,folder,a/train1.png",
    ]
    rows = [line.split(",") for line in lines[1:]]
    assert {(row[2][0], *row[5:]) for row in rows} == {("a", "1", "0"), ("b", "0", "1")}
    assert sum(line.startswith("test,") for line in lines) == 6
    assert len(trained_on(run) or ()) == 12
    assert trained_on(run / "nowhere") is None
    assert trained_on(None) is None


def test_nothing_is_said_of_images_kept_apart(root: Path, run: Path) -> None:
    assert said(make(root), run) == ""
    assert seen_in_training(run, make(root)) == ""


def test_training_images_that_have_become_test_images(root: Path, run: Path) -> None:
    """Moved, copied, or the whole folder split anew."""
    for k in range(2):
        (root / "train" / "a" / f"train{k}.png").rename(root / "test" / "a" / f"train{k}.png")
    shutil.copy(root / "train" / "b" / "train5.png", root / "test" / "b")
    data = make(root)
    assert said(data, run).startswith("3 of the 9 test images of folder are images that the model")
    assert seen_in_training(run, data) == (
        "3 of the 9 test images that are there now were trained on"
    )
    size = (root / "test" / "a" / "train0.png").stat().st_size
    draw_square(root / "test" / "a" / "train0.png", (9, 99, 9), 7)
    with (root / "test" / "a" / "train0.png").open("ab") as file:
        file.truncate(size)
    assert said(make(root), run).startswith("2 of the 9"), "another picture of the same name"


def test_a_limit_leaves_the_others_untrained(root: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").touch()
    write_record(tmp_path, make(root, limit=4))
    assert len(trained_on(tmp_path) or ()) == 4


def test_a_model_without_its_run(root: Path, tmp_path: Path) -> None:
    (tmp_path / "generator.safetensors").touch()
    assert "is not recorded beside it" in said(make(root), tmp_path / "generator.safetensors")


def test_drawn_images_have_no_record(tmp_path: Path) -> None:
    data = DataModule({"digits": lambda split: SyntheticDigits(split, count=12)}, 28)
    data.setup()
    write_record(tmp_path, data)
    assert not (tmp_path / RECORD).exists()
    assert TestSet(data, "digits", data.labels).seen_by(tmp_path, "the model") == ""


def test_a_damaged_record(root: Path, run: Path) -> None:
    (run / RECORD).write_text("split,dataset,name,bytes\ntrain,folder,a\n")
    with pytest.raises(UserError, match=r"images.csv' is damaged"):
        said(make(root), run)


def relabelled(data: DataModule, run: Path, name: str = "folder") -> str:
    return TestSet(data, name, data.labels).relabelled_since(run, "the judge")


def test_classes_that_have_changed_places(root: Path, run: Path) -> None:
    assert relabelled(make(root), run) == ""
    for split in ("train", "test"):
        for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
            (root / split / old).rename(root / split / new)
    words = relabelled(make(root), run)
    assert words.startswith(
        "Test images of folder have other labels now than when the judge was trained: "
        "a (6 images), b (6 images). If they were not corrected, columns or classes have changed"
    )
    assert relabelled(make(root), root) == "", "no run, no record"


def test_columns_that_have_changed_places(celeba_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "celeba"
    shutil.copytree(celeba_folder, root)

    def opened() -> DataModule:
        def make_split(split: str) -> CelebA:
            return CelebA(root, split, ["Black_Hair", "Male"], partition="official")

        data = DataModule({"celeba": make_split}, 8, batch_size=2)
        data.setup()
        return data

    data = opened()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    write_record(tmp_path / "run", data)
    assert relabelled(data, tmp_path / "run", "celeba") == ""
    table = root / "list_attr_celeba.txt"
    head = table.read_text().splitlines()
    swapped = {"Male": "Black_Hair", "Black_Hair": "Male"}
    head[1] = " ".join(swapped.get(name, name) for name in head[1].split())
    table.write_text("\n".join(head) + "\n")
    words = relabelled(opened(), tmp_path / "run", "celeba")
    male = data.test["celeba"].images.labels
    count = int((male[:, 0] != male[:, 1]).sum())
    assert count
    assert f"Black_Hair ({count} images), Male ({count} images)" in words
