"""What kept measurements depend on: a photo replaced, a label corrected, a judge that sees more."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from stargan.data.datamodule import DataModule
from stargan.data.image_folder import ImageFolder
from stargan.errors import Plain
from stargan.evaluation import identity
from stargan.evaluation.held_out import TestSet
from stargan.evaluation.measure import Instruments, judge_instruments
from stargan.judges.judge import open_judge
from tests.tiny import write_judge


def opened(root: Path) -> tuple[TestSet, Instruments]:
    data = DataModule({"folder": partial(ImageFolder, root=root)}, image_size=20)
    data.setup()
    path = root.parent / "judge.safetensors"
    if not path.is_file():
        write_judge(path, *data.labels.spaces)
    test = TestSet(data, "folder", data.labels)
    return test, judge_instruments(open_judge(path), test.space, "judge")


def of(test: TestSet, tools: Instruments) -> Plain:
    return identity.of_images(test, tools, {"crop": None}, 8)


@pytest.fixture
def root(class_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(class_folder, tmp_path / "data")
    return tmp_path / "data"


def test_nothing_changed_is_the_same(root: Path) -> None:
    assert of(*opened(root)) == of(*opened(root))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_photo_that_was_replaced_is_another_one(root: Path, split: str) -> None:
    before = of(*opened(root))
    photo = root / split / "blue" / "0.png"
    times = photo.stat()
    Image.new("RGB", (40, 40), "white").save(photo)
    os.utime(photo, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a copying program keeps it
    assert of(*opened(root)) != before


def test_labels_that_changed_places_are_others(root: Path) -> None:
    """The sums over the images are the same."""
    test, tools = opened(root)
    before = of(test, tools)
    test.labels = test.labels[[*range(1, len(test.labels)), 0]]
    assert of(test, tools) != before


def test_a_judge_that_sees_images_otherwise_is_another_one(root: Path) -> None:
    test, tools = opened(root)
    before = of(test, tools)
    assert of(test, replace(tools, judge=replace(tools.judge, size=(24, 24)))) != before
    crops = dict.fromkeys(tools.judge.crops, 30)
    assert of(test, replace(tools, judge=replace(tools.judge, crops=crops))) != before
    assert of(test, replace(tools, columns=tools.columns.flip(0))) != before


def test_models_are_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    before = identity.of_file(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"2")
    assert identity.of_file(tmp_path / "a") != before
