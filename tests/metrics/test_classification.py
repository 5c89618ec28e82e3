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


def test_the_figure_in_all_is_the_mean_of_the_spaces() -> None:
    eye = torch.eye(3)
    moods = reading(eye, eye, MOODS)
    faces = reading(torch.zeros(4, 3), torch.tensor([[0, 0, 1.0]] * 2 + [[0, 0, 0]] * 2), FACES)
    assert moods.mean_balanced == 1
    # Of Black and Blond, which no image has, only the absent ones count; Male is chance.
    assert faces.mean_balanced == pytest.approx((1 + 1 + 0.5) / 3)
    both = scores({"moods": moods, "faces": faces})
    assert both["balanced"] == pytest.approx((1 + 2.5 / 3) / 2)


def test_nothing_read_is_no_figure() -> None:
    none = reading(torch.zeros(0, 3), torch.zeros(0, 3), MOODS)
    assert none.count == 0
    assert math.isnan(none.exact)
    assert math.isnan(none.mean_balanced)
    assert math.isnan(none.confusions[0].accuracy)


def test_two_classes_and_a_single_image() -> None:
    space = LabelSpace(["yes", "no"], categorical=True, name="two")
    one = reading(torch.tensor([[1, 0]]), torch.tensor([[1, 0]]), space)
    assert one.accuracy["yes"] == one.exact == 1
    assert math.isnan(one.accuracy["no"]), "a class that no image has"
    wrong = reading(torch.tensor([[1, 0]]), torch.tensor([[0, 1]]), space)
    assert wrong.exact == wrong.confusions[0].accuracy == wrong.accuracy["no"] == 0


@pytest.mark.parametrize("categorical", [True, False])
def test_a_label_alone(categorical: bool) -> None:
    """The commonest wish of all: one label."""
    space = LabelSpace(["only"], categorical=categorical, name="one")
    one = reading(torch.tensor([[1], [0], [1]]), torch.tensor([[1], [1], [1]]), space)
    assert one.accuracy["only"] == pytest.approx(2 / 3)
    assert one.confusions == ()


def test_a_group_that_may_be_empty_has_a_row_for_that_where_it_was() -> None:
    full = torch.tensor([[1, 0, 0], [0, 1, 0]])
    empty = torch.tensor([[1, 0, 0], [0, 0, 0]])
    assert reading(full, full, FACES).confusions[0].names == ("Black", "Blond")
    # None in the truth alone, and in what was read alone.
    for read, truth, counts in (
        (full, empty, [[1, 0, 0], [0, 0, 0], [0, 1, 0]]),
        (empty, full, [[1, 0, 0], [0, 0, 1], [0, 0, 0]]),
    ):
        (table,) = reading(read, truth, FACES).confusions
        assert table.names == ("Black", "Blond", "none")
        assert table.counts.tolist() == counts


def test_what_is_read_may_carry_a_graph() -> None:
    eye = torch.eye(3)
    one = reading(eye.requires_grad_(), eye.clone().detach().requires_grad_(), MOODS)
    assert one.exact == 1


@pytest.mark.parametrize("shapes", [((2, 3), (2, 2)), ((2, 3), (1, 3)), ((2, 2), (2, 2))])
def test_shapes_must_agree(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="names"):
        reading(torch.zeros(shapes[0]), torch.zeros(shapes[1]), FACES)
