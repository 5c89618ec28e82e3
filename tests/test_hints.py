"""A hint is given where a name is near, and kept back where none is."""

from __future__ import annotations

import pytest

from stargan.configs import compose
from stargan.errors import UserError
from stargan.hints import did_you_mean, nearest, nearest_key
from stargan.labels import unknown_label

HAIR = ("Black_Hair", "Blond_Hair", "Male", "Young")


def test_the_nearest_name_that_is_near() -> None:
    assert nearest("trian", ["train", "translate"]) == "train"
    assert nearest("blond_hair", HAIR) == "Blond_Hair", "capitals do not count"
    assert nearest("Blonde", HAIR) == "Blond_Hair"
    for far in ("", "Smiling", "x", "zebra"):
        assert nearest(far, HAIR) is None
    assert nearest("anything", []) is None


def test_the_nearest_key_is_by_its_last_word_and_its_place() -> None:
    keys = ["data.batch_size", "callbacks.evaluate.batch_size", "method.lambda_rec", "seed"]
    assert nearest_key("data.batchsize", keys) == "data.batch_size"
    assert nearest_key("callbacks.evaluate.batchsize", keys) == "callbacks.evaluate.batch_size"
    assert nearest_key("evaluate.batch_size", keys) == "callbacks.evaluate.batch_size"
    assert nearest_key("lamda_rec", keys) == "method.lambda_rec"
    assert nearest_key("trainer.seed", keys) == "seed"
    assert nearest_key("nonsense", keys) is None


def test_words() -> None:
    assert did_you_mean("train") == " Did you mean 'train'?"
    assert did_you_mean("seed=", "") == " Did you mean seed=?"
    assert did_you_mean(None) == ""


def test_what_is_far_from_everything_is_refused_without_a_guess() -> None:
    with pytest.raises(UserError) as caught:
        compose("train", ["experiment=demo", "qwertz=1"])
    assert "Did you mean" not in str(caught.value)
    with pytest.raises(UserError) as caught:
        compose("train", ["experiment=qwertz"])
    assert "Did you mean" not in str(caught.value)
    assert "Did you mean" not in unknown_label("qwertz", HAIR)
    assert "Did you mean 'Male'" in unknown_label("male", HAIR)
