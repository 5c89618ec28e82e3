"""What is not taken from a folder is counted and said, and links make no image two."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stargan.data.image_folder import ImageFolder, Images
from stargan.data.rafd import RaFD
from stargan.data.unaligned import Unaligned
from stargan.errors import UserError
from stargan.imaging.decode import HEIC
from stargan.imaging.files import left_out
from tests.data.test_image_folder import fill


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in "ab":
        fill(tmp_path / name, 10)
    return tmp_path


def notes(root: Path, **more: bool) -> str:
    return "\n".join(ImageFolder(root, "train", **more).notes)


def both(root: Path, **more: bool) -> int:
    return len(ImageFolder(root, "train", **more)) + len(ImageFolder(root, "test", **more))


def test_nothing_left_out_is_not_mentioned(root: Path) -> None:
    (root / "a" / ".hidden").touch()
    (root / "a" / "Thumbs.db").touch()
    assert notes(root) == ""


def test_subfolders_of_a_class(root: Path) -> None:
    fill(root / "a" / "holiday" / "more", 4)
    assert both(root) == 20
    assert "4 images in subfolders of classes (a 4); data.folder.deep=true takes them" in notes(
        root
    )
    assert both(root, deep=True) == 24
    assert notes(root, deep=True) == ""
    assert "a/holiday/more/000.png" in {
        key for s in ("train", "test") for key in ImageFolder(root, s, deep=True).keys
    }
    assert "in subfolders of classes (a 4)." in RaFD(root, "train").notes[0]


def test_a_class_with_nothing_but_subfolders(root: Path) -> None:
    fill(root / "c" / "inner", 4)
    with pytest.raises(
        UserError, match=r"'c'.*4 images of it are in subfolders, .*deep=true takes"
    ):
        ImageFolder(root, "train")
    assert both(root, deep=True) == 24


def test_files_that_are_no_images(root: Path) -> None:
    (root / "a" / "1.psd").touch()
    (root / "a" / "2.psd").touch()
    (root / "b" / "readme").touch()
    (root / "b" / "dead.png").symlink_to("nowhere.png")
    said = notes(root)
    assert "2 .psd" in said
    assert "1 without an ending" in said
    assert "1 links that lead nowhere" in said
    assert both(root) == 20


def test_heic_says_how_it_is_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stargan.imaging import decode, files

    known = decode.EXTENSIONS - HEIC
    monkeypatch.setattr(files, "EXTENSIONS", known)
    monkeypatch.setattr(decode, "EXTENSIONS", known)
    for i in range(3):
        (root / "a" / f"{i}.HEIC").touch()
    assert "3 .heic (pip install 'stargan[heic]' opens them)" in notes(root)
    assert "3 .heic" in left_out(root / "a")
    with pytest.raises(UserError, match=r"not an image.*stargan\[heic\]"):
        decode.open_image(root / "a" / "0.HEIC")
    for file in (root / "b").iterdir():
        file.unlink()
    (root / "b" / "1.heic").touch()
    with pytest.raises(UserError, match=r"class 'b'.*holds 1 .heic"):
        ImageFolder(root, "train")


def test_beside_the_folders(root: Path) -> None:
    fill(root, 2)
    assert "2 images in" in notes(root)
    for split in ("train", "Train", "test"):
        for name in "ab":
            fill(root / split / name, 3)
    if len({p.name for p in root.iterdir()}) < 5:
        pytest.skip("this file system does not tell Train from train")
    said = notes(root)
    assert "Train' with 6 images, a second 'train'" in said
    assert "'a' with 10 images, no class of any split" in said.replace(f"{root}/", "")
    assert "2 images beside the folders of the splits" in said
    assert both(root) == 12


def test_a_link_that_leads_back(root: Path) -> None:
    for link in (root / "back", root / "a" / "back", root / "a" / "here"):
        link.symlink_to(root if "back" in link.name else root / "a")
    assert both(root) == 20
    assert both(root, deep=True) == 20
    (root / "a" / "other").symlink_to(root / "b")
    with pytest.raises(UserError, match="one file, by a link, in the classes 'a' and 'b'"):
        ImageFolder(root, "train", deep=True)
    images = [p for s in ("train", "test") for p in Images(root, s).paths]
    assert len(images) == 20


def test_one_file_by_two_names(root: Path) -> None:
    (root / "a" / "aaa.png").symlink_to("000.png")
    os.link(root / "b" / "000.png", root / "b" / "zzz.png")
    assert both(root) == 20
    assert "left out: 2 links to images of the same class" in notes(root)
    assert "a/000.png" in ImageFolder(root, "train").keys + ImageFolder(root, "test").keys
    assert len(Images(root, "train")) + len(Images(root, "test")) == 20
    for side in ("trainA", "trainB", "testA", "testB"):
        fill(root / "pairs" / side, 3)
    (root / "pairs" / "trainA" / "link.png").symlink_to("000.png")
    assert len(Unaligned(root / "pairs", "train")) == 6


def test_one_file_in_two_classes(root: Path) -> None:
    (root / "b" / "link.png").symlink_to(root / "a" / "000.png")
    with pytest.raises(UserError, match=r"000.png' and .*link.png' are one file"):
        ImageFolder(root, "train")


def test_training_images_are_no_test_images(tmp_path: Path) -> None:
    for name in "ab":
        fill(tmp_path / "train" / name, 4)
        fill(tmp_path / "test" / name, 2)
        (tmp_path / "test" / name / "003.png").symlink_to(tmp_path / "train" / name / "003.png")
    test = ImageFolder(tmp_path, "test")
    assert len(test) == 4
    assert "left out: 2 images that a link makes" in test.notes[0]
    assert len(Images(tmp_path, "test")) == 4
    (tmp_path / "val").symlink_to(tmp_path / "train")
    with pytest.raises(UserError, match=r"every image of class 'a' in .*val' is a training image"):
        ImageFolder(tmp_path, "val")


def test_two_spellings_of_one_class(root: Path) -> None:
    fill(root / "\u00e9")
    fill(root / "e\u0301")
    if len(list(root.iterdir())) < 4:
        pytest.skip("this file system knows one of the two")
    with pytest.raises(UserError, match="two folders that are both called"):
        ImageFolder(root, "train")
