from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from stargan.contracts import LabeledImages
from stargan.data.image_folder import ImageFolder, Images
from stargan.errors import UserError


def fill(folder: Path, count: int = 2, ending: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / f"{i:03d}{ending}")


def test_split_folders(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        fill(tmp_path / split / "cat", count)
        fill(tmp_path / split / "ant", count, ".JPG")
    (tmp_path / "train" / "cat" / ".hidden.png").write_bytes(b"")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    train, test = ImageFolder(tmp_path, "train"), ImageFolder(tmp_path, "test")
    assert isinstance(train, LabeledImages)
    assert train.space.names == ("ant", "cat")
    assert train.space.categorical
    assert train.space.name == "folder"
    assert train.labels.tolist() == [[1, 0]] * 3 + [[0, 1]] * 3
    assert len(test) == 4
    assert train.load(3).size == (8, 8)
    assert len({train.name(i) for i in range(len(train))}) == len(train)
    assert train.name(0) == "ant_000"


def test_val_stands_in_for_test(tmp_path: Path) -> None:
    for split in ("train", "Valid"):
        fill(tmp_path / split / "a")
        fill(tmp_path / split / "b")
    assert all("Valid" in str(p) for p in ImageFolder(tmp_path, "test").paths)
    assert len(ImageFolder(tmp_path, "val")) == 4
    train = ImageFolder(tmp_path, "train")
    assert len(train) == 4
    assert train.splits == ("train", "test"), "the same images are not a second split"


@pytest.mark.parametrize("name", ["val", "Valid", "validation"])
def test_a_val_split_beside_the_others(tmp_path: Path, name: str) -> None:
    for i, split in enumerate(("train", "test", name)):
        for label in "ab":
            fill(tmp_path / split / label, i + 1)
    train, val = ImageFolder(tmp_path, "train"), ImageFolder(tmp_path, "val")
    assert train.splits == val.splits == ("train", "val", "test")
    assert [len(ImageFolder(tmp_path, s)) for s in train.splits] == [2, 6, 4]
    assert all(p.parents[1].name == name for p in val.paths)
    images = Images(tmp_path, "train")
    assert images.splits == ("train", "val", "test")
    assert [len(Images(tmp_path, s)) for s in images.splits] == [2, 6, 4]


@pytest.mark.parametrize("inner", ["", "train"])
def test_without_a_test_folder_a_tenth_is_drawn(tmp_path: Path, inner: str) -> None:
    fill(tmp_path / inner / "a", 20)
    fill(tmp_path / inner / "b", 4)
    train, test = ImageFolder(tmp_path, "train"), ImageFolder(tmp_path, "test")
    assert all(test.labels.sum(0) >= 1)
    assert (train.labels.sum(0) + test.labels.sum(0)).tolist() == [20, 4]
    assert any("no test/" in note for note in train.notes) == bool(inner)
    assert not set(train.paths) & set(test.paths)
    assert ImageFolder(tmp_path, "test").paths == test.paths
    assert ImageFolder(tmp_path, "test", seed=5).paths != test.paths
    assert train.splits == ("train", "test")
    with pytest.raises(UserError, match="val"):
        ImageFolder(tmp_path, "val")


def test_labels_choose_classes_and_their_order(tmp_path: Path) -> None:
    for name in "abc":
        fill(tmp_path / name)
    chosen = ImageFolder(tmp_path, "train", labels=["c", "a"])
    assert chosen.space.names == ("c", "a")
    assert chosen.paths[0].parent.name == "c"
    with pytest.raises(UserError, match=r"unknown label 'd'.*a, b, c"):
        ImageFolder(tmp_path, "train", labels=["a", "d"])


@pytest.mark.parametrize("name", ["test", "Val", "valid", "VALIDATION", "testing"])
def test_a_class_named_like_a_split_is_refused(tmp_path: Path, name: str) -> None:
    fill(tmp_path / name)
    fill(tmp_path / "other")
    with pytest.raises(UserError, match=rf"folder '{name}'.*pointed at the parent"):
        ImageFolder(tmp_path, "train")


def test_the_parent_of_split_folders_is_explained(tmp_path: Path) -> None:
    fill(tmp_path / "mine" / "train" / "a")
    fill(tmp_path / "mine" / "test" / "a")
    fill(tmp_path / "other")
    with pytest.raises(UserError, match="holds test and train, so give"):
        ImageFolder(tmp_path, "train")


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        ImageFolder(tmp_path / "nowhere", "train")
    with pytest.raises(UserError, match="no class folders"):
        ImageFolder(tmp_path, "train")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        ImageFolder(tmp_path / "file", "train")
    fill(tmp_path / "a")
    with pytest.raises(UserError, match="one class, 'a'"):
        ImageFolder(tmp_path, "train")
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match=r"class 'b'.*no images"):
        ImageFolder(tmp_path, "train")
    fill(tmp_path / "b", 1)
    with pytest.raises(UserError, match=r"class 'b'.*1 image"):
        ImageFolder(tmp_path, "train")
    with pytest.raises(UserError, match="unknown split 'dev'"):
        ImageFolder(tmp_path, "dev")


def test_splits_must_have_the_same_classes(tmp_path: Path) -> None:
    for name in "ab":
        fill(tmp_path / "train" / name)
    for name in "ac":
        fill(tmp_path / "test" / name)
    with pytest.raises(UserError, match=r"class 'b' is in .* but not in"):
        ImageFolder(tmp_path, "test")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    for name in "ab":
        fill(tmp_path / name, 3)
        for file in (tmp_path / name).iterdir():
            file.write_bytes(b"broken")
    images = ImageFolder(tmp_path, "train")
    with pytest.raises(UserError, match=str(images.paths[0])):
        images.load(0)


def test_labels_are_floats(tmp_path: Path) -> None:
    for name in "ab":
        fill(tmp_path / name)
    assert ImageFolder(tmp_path, "train").labels.dtype == torch.float32


def test_images_without_classes(tmp_path: Path) -> None:
    for name in ("a.png", "inner/b.png", "inner/more/c.png", ".hidden/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name, format="PNG")
    train, test = Images(tmp_path, "train"), Images(tmp_path, "test")
    found = sorted(p.name for p in [*train.paths, *test.paths])
    assert found == ["a.png", "b.png", "c.png"]
    assert (len(train), len(test)) == (2, 1)
    assert train.space.names == ("image",)
    assert train.labels.tolist() == [[1], [1]]
    assert Images(tmp_path, "test").paths == test.paths
    assert train.splits == ("train", "test")
    with pytest.raises(UserError, match=r"unknown split 'val'.*train, test"):
        Images(tmp_path, "val")


def test_images_without_classes_in_split_folders(tmp_path: Path) -> None:
    for name in ("train/a.png", "train/x/b.png", "val/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert [p.name for p in Images(tmp_path, "train").paths] == ["a.png", "b.png"]
    assert [p.name for p in Images(tmp_path, "test").paths] == ["c.png"]
    assert Images(tmp_path, "train").splits == ("train", "test")


def test_images_without_classes_need_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 0 image"):
        Images(tmp_path, "train")
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        Images(tmp_path, "train")
    with pytest.raises(UserError, match="does not exist"):
        Images(tmp_path / "no", "train")
