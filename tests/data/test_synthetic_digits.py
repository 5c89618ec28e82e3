from __future__ import annotations

import numpy as np
import pytest
import torch

from stargan.contracts import LabeledImages
from stargan.data.drawn.digits import DIGITS, WAYS, SyntheticDigits, draw_digit, smooth
from stargan.errors import UserError


def pixels(data: SyntheticDigits) -> torch.Tensor:
    rows = [np.asarray(data.load(i).convert("L"), dtype=np.float32) for i in range(len(data))]
    return torch.from_numpy(np.stack(rows)).flatten(1) / 255


def test_is_a_data_set() -> None:
    data = SyntheticDigits("train", count=30)
    assert isinstance(data, LabeledImages)
    assert data.space.categorical
    assert data.space.names == DIGITS
    assert data.load(3).mode == "RGB"
    assert data.load(3).size == (28, 28)
    assert data.labels.shape == (30, 10)
    assert data.labels.sum(0).tolist() == [3] * 10
    data.space.check(data.labels)
    assert len({data.name(i) for i in range(30)}) == 30


def test_a_drawing_is_a_function_of_seed_split_and_index() -> None:
    few, many = SyntheticDigits("train", count=10), SyntheticDigits("train", count=500)
    assert torch.equal(pixels(few), pixels(few))
    assert np.array_equal(few.load(7), many.load(7))
    other = [SyntheticDigits("test", count=10), SyntheticDigits("train", count=10, seed=1)]
    assert not any(np.array_equal(few.load(7), data.load(7)) for data in other)


@pytest.mark.parametrize("digit", DIGITS)
def test_digits_vary_and_stay_in_the_picture(digit: str) -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([draw_digit(digit, rng) for _ in range(60)]).astype(float) / 255
    ink = drawn.mean((1, 2))
    assert ink.min() > 0.02
    assert ink.max() < 0.35
    assert ink.std() > 0.01  # thin and thick
    border = np.concatenate([drawn[:, [0, -1]].ravel(), drawn[:, :, [0, -1]].ravel()])
    assert border.mean() < 0.01
    # Soft edges: some grey, mostly black and white.
    grey = (drawn > 0.1) & (drawn < 0.8)
    assert 0.01 < grey.mean() < 0.3
    distance = np.abs(drawn[:30] - drawn[30:]).mean((1, 2))
    assert distance.min() > 0.01  # no two alike


def test_every_way_of_writing_a_digit_is_one_connected_shape() -> None:
    from scipy.ndimage import label

    for digit, ways in WAYS.items():
        assert len(ways) >= 2, digit
    rng = np.random.default_rng(1)
    parts = [label(draw_digit(d, rng, (56, 56)) > 100)[1] for d in DIGITS for _ in range(20)]
    # A jittered second stroke may miss the first now and then (the bar of a five).
    assert np.mean(np.array(parts) == 1) > 0.9


def test_a_plain_classifier_tells_them_apart() -> None:
    """Least squares on pixels: the classes are real, and train and test are of one kind."""
    train, test = SyntheticDigits("train", count=800), SyntheticDigits("test", count=200)
    x = torch.cat([pixels(train), torch.ones(800, 1)], 1)
    ridge = x.T @ x + 5 * torch.eye(x.shape[1])
    weights = torch.linalg.solve(ridge, x.T @ train.labels)
    read = (torch.cat([pixels(test), torch.ones(200, 1)], 1) @ weights).argmax(1)
    accuracy = (read == test.labels.argmax(1)).float().mean().item()
    assert 0.8 < accuracy < 1.0


def test_other_sizes_and_some_digits() -> None:
    data = SyntheticDigits("test", size=[16, 32], count={"train": 5, "test": 6}, labels=[3, 7])
    assert len(data) == 6
    assert data.load(1).size == (32, 16)
    assert data.space.names == ("3", "7")
    assert data.labels.argmax(1).tolist() == [0, 1, 0, 1, 0, 1]


def test_a_val_split_is_there_where_it_has_a_number() -> None:
    counts = {"train": 5, "val": 4, "test": 3}
    made = {split: SyntheticDigits(split, count=counts) for split in counts}
    assert {split: len(digits) for split, digits in made.items()} == counts
    assert all(digits.splits == ("train", "val", "test") for digits in made.values())
    drawings = {d.load(i).tobytes() for d in made.values() for i in range(3)}
    assert len(drawings) == 9
    for count in (5, {"train": 5, "test": 3}, {**counts, "val": 0}):
        assert SyntheticDigits("train", count=count).splits == ("train", "test")
    # What was drawn before there was a val split is drawn alike.
    for number, split in enumerate(("train", "test")):
        wanted = draw_digit("1", np.random.default_rng([0, number, 1]))
        assert np.array_equal(np.asarray(made[split].load(1))[..., 0], wanted)


def test_smooth_goes_through_its_points_and_keeps_corners() -> None:
    points = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
    line = smooth(points)
    for point in points:
        assert np.abs(line - point).sum(1).min() < 1e-6
    # Two straight pieces: nothing leaves them.
    assert np.minimum(np.abs(line[:, 1]), np.abs(line[:, 0] - 1)).max() < 1e-6


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"split": "dev"}, "train, test, val"),
        ({"split": "val", "count": {"train": 5, "test": 5}}, "count of at least 1"),
        ({"size": 4}, "8 or more"),
        ({"count": 0}, "count of at least 1"),
        ({"seed": -1}, "seed of at least 0"),
        ({"labels": [3, 11]}, "'11' is no digit"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        SyntheticDigits(**{"split": "train", **settings})  # type: ignore[arg-type]


def test_an_index_outside_is_refused() -> None:
    with pytest.raises(IndexError):
        SyntheticDigits("train", count=3).load(3)
