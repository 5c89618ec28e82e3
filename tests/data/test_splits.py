"""Which images are held out where nobody has split them: by each image"s own name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stargan.data.image_folder import ImageFolder, Images
from stargan.data.splits import held_out
from stargan.errors import UserError
from tests.data.test_image_folder import fill

KEYS = [f"cat/{i:04d}.jpg" for i in range(2000)]


def chosen(keys: list[str], seed: int = 1234) -> set[str]:
    return {k for k, out in zip(keys, held_out(keys, seed, "here"), strict=True) if out}


def test_files_that_come_or_go_move_no_other() -> None:
    all_of_them = chosen(KEYS)
    assert 150 < len(all_of_them) < 250
    for part in (KEYS[::2], KEYS[:300], KEYS[::-1], KEYS[700:]):
        assert chosen(part) == all_of_them & set(part)
    assert chosen(KEYS, seed=5) != all_of_them


GOLDEN = ["0001", "0007", "0014", "0030", "0038", "0053"]


def test_the_split_is_the_same_for_ever() -> None:
    """Test images of a run must not become training images of a later version."""
    keys = [f"dog/{i:04d}.jpg" for i in range(60)]
    assert [k[4:8] for k in keys if k in chosen(keys)] == GOLDEN


def test_endings_do_not_count() -> None:
    png = [k.replace(".jpg", ".PNG") for k in KEYS]
    assert {k[:-4] for k in chosen(png)} == {k[:-4] for k in chosen(KEYS)}
    assert chosen(["é/1.jpg", "b"]) == {"é/1.jpg"} or chosen(["é/1.jpg", "b"]) == {"b"}
    composed, apart = "\u00e9/{}.jpg", "e\u0301/{}.jpg"
    both = [
        [i for i in range(99) if form.format(i) in chosen([form.format(j) for j in range(99)])]
        for form in (composed, apart)
    ]
    assert both[0] == both[1]


@pytest.mark.parametrize("count", range(2, 12))
def test_small_classes_have_one_on_each_side(count: int) -> None:
    for name in "abcdefghij":
        keys = [f"{name}/{i}.png" for i in range(count)]
        assert 1 <= len(chosen(keys)) < count


def test_an_image_that_is_added_takes_no_training_image_out() -> None:
    """The image held out for want of another may go over to training, never the other way."""
    for name in "abcdefghijklmnopqrst":
        keys = [f"{name}/{i}.png" for i in range(40)]
        for count in range(3, 40):
            before, after = chosen(keys[:count]), chosen(keys[: count + 1])
            assert not (after & set(keys[:count])) - before


def test_each_label_has_a_test_image() -> None:
    """However rare, whatever images of other labels come."""
    keys = [f"{i}.png" for i in range(200)]
    plain = held_out(keys, 1234, "here")
    rare = [row for row, out in enumerate(plain) if not out][:3]
    some = held_out(keys, 1234, "here", [rare, rare[:1], range(200)])
    assert [row for row in range(200) if some[row] and not plain[row]] in [[row] for row in rare]
    both = held_out(keys, 1234, "here", [rare, rare[1:]])
    assert {r for r in range(200) if some[r]} <= {r for r in range(200) if both[r]}


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(UserError, match="has 1 image"):
        held_out(["a"], 0, "it")


def test_folders_of_files_follow_it(tmp_path: Path) -> None:
    for name in "ab":
        fill(tmp_path / name, 30)
    held = set(ImageFolder(tmp_path, "test").paths)
    loose = set(Images(tmp_path, "test").paths)
    for name in "ab":
        for i in range(30, 60):
            shutil.copy(tmp_path / name / "000.png", tmp_path / name / f"{i:03d}.png")
    assert held <= set(ImageFolder(tmp_path, "test").paths)
    assert not held & set(ImageFolder(tmp_path, "train").paths)
    assert loose <= set(Images(tmp_path, "test").paths)
    # The same images in train/ alone, and elsewhere.
    (tmp_path / "more" / "train").mkdir(parents=True)
    for name in "ab":
        (tmp_path / name).rename(tmp_path / "more" / "train" / name)
    inner = ImageFolder(tmp_path / "more", "test").keys
    assert {f"{p.parent.name}/{p.name}" for p in held} <= set(inner)
