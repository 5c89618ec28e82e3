"""Known answers of accuracy, balanced accuracy and confusion."""

from __future__ import annotations

import math

import pytest
import torch

from stargan.labels import LabelSpace
from stargan.metrics.classification import reading, scores

HAIR = ("Black", "Blond")
FACES = LabelSpace((*HAIR, "Male"), [HAIR], name="faces")
MOODS = LabelSpace(("happy", "sad", "angry"), categorical=True, name="moods")


def test_binary_labels() -> None:
    truth = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]])
    read = torch.tensor([[1, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 1]])
    one = reading(read, truth, FACES)
    assert one.count == 4
    assert one.accuracy == {"Black": 0.75, "Blond": 0.75, "Male": 0.5}
    # Male: its one image right, one of three others right.
    assert one.balanced["Male"] == pytest.approx((1 + 1 / 3) / 2)
    assert one.balanced["Blond"] == pytest.approx(0.5)
    assert one.exact == 0.25
    (table,) = one.confusions
    assert table.names == ("Black", "Blond", "none")
    assert table.counts.tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert (table.accuracy, table.balanced) == (0.75, pytest.approx(2 / 3))


def test_saying_the_same_always_is_chance() -> None:
    truth = torch.cat([torch.zeros(90, 3), torch.tensor([[0, 0, 1]]).expand(10, 3)])
    one = reading(torch.zeros(100, 3), truth, FACES)
    assert one.accuracy["Male"] == pytest.approx(0.9)
    assert one.balanced["Male"] == 0.5
    # Of a label that no image has, the other half is all there is to measure.
    assert one.balanced["Black"] == 1


def test_classes_count_their_own_images() -> None:
    eye = torch.eye(3)
    truth, read = eye[[0, 0, 0, 1]], eye[[0, 0, 1, 1]]
    one = reading(read, truth, MOODS)
    assert one.accuracy["happy"] == pytest.approx(2 / 3)
    assert one.accuracy["sad"] == 1
    assert math.isnan(one.accuracy["angry"])
    assert one.mean_balanced == pytest.approx(5 / 6)
    assert one.exact == 0.75
    assert one.confusions[0].names == MOODS.names
    assert one.confusions[0].counts.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_scores_name_the_space_only_where_there_are_several() -> None:
    eye = torch.eye(3)
    moods, faces = reading(eye, eye, MOODS), reading(eye[:2], eye[:2], FACES)
    assert scores({"moods": moods})["accuracy/happy"] == 1
    both = scores({"moods": moods, "faces": faces})
    assert both["accuracy/moods.happy"] == both["accuracy/faces.Male"] == both["balanced"] == 1


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="names"):
        reading(torch.zeros(2, 3), torch.zeros(2, 2), FACES)
