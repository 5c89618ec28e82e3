"""CycleGAN's layout of folders, and the random crop of training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stargan.contracts import Feed, Stratum
from stargan.data.datamodule import DataModule
from stargan.data.unaligned import Unaligned
from stargan.errors import UserError
from tests.conftest import draw_square


def write_sides(root: Path, counts: dict[str, int] | None = None) -> Path:
    """The four folders, red squares in A and blue ones in B."""
    counts = counts or {"trainA": 6, "trainB": 4, "testA": 2, "testB": 3}
    for number, (folder, count) in enumerate(counts.items()):
        (root / folder).mkdir(parents=True, exist_ok=True)
        colour = (200, 50, 40) if folder.endswith("A") else (40, 60, 200)
        for k in range(count):
            draw_square(root / folder / f"{k}.png", colour, 10 * number + k)
    return root


def test_four_folders_are_two_domains(tmp_path: Path) -> None:
    root = write_sides(tmp_path)
    train, test = Unaligned(root, "train"), Unaligned(root, "test")
    assert train.space.names == ("A", "B")
    assert train.space.categorical
    assert train.labels.sum(0).tolist() == [6, 4]
    assert test.labels.sum(0).tolist() == [2, 3]
    assert train.splits == ("train", "test")
    red = np.asarray(train.load(0)).mean((0, 1))
    assert red[0] > red[2]


def test_domains_may_have_names_and_a_val_split(tmp_path: Path) -> None:
    counts = {f"{split}{side}": 2 for split in ("train", "val", "test") for side in "AB"}
    root = write_sides(tmp_path, counts)
    found = Unaligned(root, "val", names=["horse", "zebra"])
    assert found.space.names == ("horse", "zebra")
    assert found.splits == ("train", "val", "test")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", "no folder testB: the layout is"),
        ("empty", "trainA' holds no images, so one side of the pair is empty"),
        ("names", "there are two domains"),
        ("file", "give the folder of the images"),
    ],
)
def test_half_a_pair_is_refused(change: str, words: str, tmp_path: Path) -> None:
    root = write_sides(tmp_path)
    names: Any = ["x"] if change == "names" else None
    split = "train"
    if change == "missing":
        for path in (root / "testB").iterdir():
            path.unlink()
        (root / "testB").rmdir()
        split = "test"
    if change == "empty":
        for path in (root / "trainA").iterdir():
            path.unlink()
    if change == "file":
        root = root / "trainA" / "0.png"
    with pytest.raises(UserError, match=words):
        Unaligned(root, split, names)


# Random crop ----------------------------------------------------------------------------------


def module(root: Path, **settings: Any) -> DataModule:
    data = DataModule(
        {"unaligned": lambda split: Unaligned(root, split)},
        **{"image_size": 16, "batch_size": 2, "flip": 0.0, "num_workers": 0, **settings},
    )
    data.feed = Feed(None, {}, (Stratum(0, {"A": 1}), Stratum(0, {"B": 1})))
    data.max_steps = 6
    return data


def test_a_random_crop_is_a_window_of_the_larger_image_and_a_function_of_the_step(
    tmp_path: Path,
) -> None:
    root = write_sides(tmp_path)
    data = module(root, load_scale=1.5)
    batches = [b.image for b in data.train_dataloader()]
    assert batches[0].shape == (4, 3, 16, 16)
    larger = module(root, image_size=24)
    larger.setup()
    whole = [larger.train["unaligned"].pixels(i) for i in range(10)]

    def window(image: torch.Tensor) -> tuple[int, int, int]:
        array = image.permute(1, 2, 0).numpy()
        return next(
            (i, top, left)
            for i, one in enumerate(whole)
            for top in range(9)
            for left in range(9)
            if one is not None and np.array_equal(one[top : top + 16, left : left + 16], array)
        )

    places = [window(image) for batch in batches for image in batch]
    assert len({place[1:] for place in places}) > 6, "at many places"
    # A and B, in this order.
    assert all(i < 6 for i, _, _ in places[:2])
    assert all(i >= 6 for i, _, _ in places[2:4])
    again = module(root, load_scale=1.5)
    again.start_step = 3
    assert torch.equal(next(iter(again.train_dataloader())).image, batches[3])
    assert data.train["unaligned"].size == (16, 16), "elsewhere images are not cropped at random"


@pytest.mark.parametrize("scale", [0.9, 5, "much"])
def test_an_impossible_scale_is_refused(scale: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="load_scale"):
        module(tmp_path, load_scale=scale)
