"""Label spaces at their edges: what is refused, in which words; values half way; no rows."""

from __future__ import annotations

import math

import pytest
import torch

from stargan.errors import UserError
from stargan.labels import JointLabelSpace, LabelSpace, unknown_label

HAIR = ["Black_Hair", "Blond_Hair", "Brown_Hair"]
CELEBA = LabelSpace([*HAIR, "Male", "Young"], [HAIR], name="celeba")
RAFD = LabelSpace(["angry", "happy", "sad"], categorical=True, name="rafd")
JOINT = JointLabelSpace([CELEBA, RAFD])


def test_a_space_is_what_it_was_given() -> None:
    plain = LabelSpace(["a", "b", "c"], [["a", "b"], ["c"]])
    assert (plain.name, plain.categorical, plain.size) == ("labels", False, 3)
    assert plain.groups == (("a", "b"),), "a group of one excludes nothing"
    assert plain.group_of("c") == ("c",)
    assert plain.group_of("b") == ("a", "b")
    assert LabelSpace(["only"], categorical=True).groups == ()
    assert LabelSpace(["a", "b"], [["a"]], categorical=True).groups == (("a", "b"),)
    assert LabelSpace.from_plain(plain.to_plain()) == plain
    # Files of before may not say what is not so.
    assert LabelSpace.from_plain({"names": ["a", "b"], "name": "n"}) == LabelSpace("ab", name="n")
    assert RAFD.to_plain()["groups"] == []
    assert CELEBA.to_plain()["groups"] == [HAIR]


def test_messages_name_what_is_wrong() -> None:
    with pytest.raises(UserError, match="names 'b' twice"):
        LabelSpace(["a", "b", "b"])
    for name in ("a,b", "a=b", "a.b", " a", "a "):
        with pytest.raises(UserError, match=r"has a comma, '=', '\.' or outer space"):
            LabelSpace(["x", name])
    with pytest.raises(UserError, match="unknown label 'Bald'"):
        CELEBA.index("Bald")
    for use in (CELEBA.group_of, lambda name: CELEBA.encode([name])):
        with pytest.raises(UserError, match="unknown label 'Bald'"):
            use("Bald")
    with pytest.raises(UserError, match="unknown label 'Bald'"):
        CELEBA.edit(torch.zeros(5), {"Bald": 1.0})
    with pytest.raises(UserError, match="at least one label space"):
        JointLabelSpace([])
    with pytest.raises(UserError, match="same name: one, one"):
        JointLabelSpace([LabelSpace(["a"], name="one"), LabelSpace(["b"], name="one")])
    with pytest.raises(UserError, match="unknown label 'bald'"):
        JOINT.locate("celeba.bald")
    with pytest.raises(UserError, match=r"unknown label 'other\.Male'"):
        JOINT.locate("other.Male")


def test_many_names_are_cut_short() -> None:
    names = [f"n{i:02d}" for i in range(41)]
    assert unknown_label("x", names).endswith("n38, n39, ....")
    assert unknown_label("x", names[:40]).endswith("n38, n39.")


def test_a_label_may_have_its_values_from_0_to_1() -> None:
    CELEBA.check(torch.tensor([[0.0, 0.4, 0.6, 1.0, 0.3]]))
    CELEBA.check(torch.tensor([0.5, 0.5, 0.00005, 0, 1]))
    RAFD.check(torch.tensor([[0.5, 0.49995, 0]]))
    CELEBA.check(torch.zeros(0, 5))
    for bad in (-0.001, 1.001, math.nan, math.inf):
        for place in (3, 4):
            label = torch.full((3, 5), 0.2)
            label[1, place] = bad
            with pytest.raises(UserError, match=r"value of 'celeba' lies outside \[0, 1\]"):
                CELEBA.check(label)
    with pytest.raises(UserError, match="a label of 4 values was given to 'celeba', which has 5"):
        CELEBA.check(torch.zeros(2, 4))


def test_which_row_is_impossible() -> None:
    rows = torch.zeros(3, 5)
    rows[2, :2] = torch.tensor([0.5, 0.501])
    with pytest.raises(UserError, match=r"'celeba' \(row 2\): Black_Hair and Blond_Hair exclude"):
        CELEBA.check(rows)
    with pytest.raises(UserError, match="'celeba': Black_Hair and Blond_Hair exclude"):
        CELEBA.check(rows[2])
    with pytest.raises(UserError, match=r"of 'rafd' \(row 1\) has no class: choose one of angry"):
        RAFD.check(torch.tensor([[0.0, 1, 0], [0.999, 0, 0], [0, 0, 0]]))


def test_describe_names_what_is_set() -> None:
    assert CELEBA.describe(torch.tensor([0.5, 0.49, 0, 1, 0])) == "Black_Hair, Male"
    names = ", ".join(CELEBA.names)
    assert CELEBA.describe(torch.zeros(5)) == f"none of: {names}"
    unknown = torch.full((5,), torch.nan)
    assert CELEBA.describe(unknown) == "not known"
    unknown[3:] = 0
    assert CELEBA.describe(unknown) == f"none of: {', '.join(CELEBA.names[3:])}"
    many = LabelSpace([f"l{i}" for i in range(10)])
    assert many.describe(torch.zeros(10)) == f"none of: {', '.join(many.names[:8])} and 2 more"
    with pytest.raises(ValueError, match="shorter"):
        CELEBA.describe(torch.zeros(4))


def test_edits_of_many_rows_at_once() -> None:
    rows = torch.tensor([[[1.0, 0, 0, 0, 1]], [[0, 0, 1, 1, 0]]])
    assert CELEBA.edit(rows, {"Blond_Hair": 1, "Young": 0}).tolist() == [
        [[0, 1, 0, 0, 0]],
        [[0, 1, 0, 1, 0]],
    ]
    with pytest.raises(UserError, match=r"'sad'.* leaves an image of 'rafd' without a class"):
        RAFD.edit(torch.tensor([[1.0, 0, 0], [0, 0, 1]]), {"sad": 0})
    # Clearing what is not there takes nobody's class.
    assert RAFD.edit(torch.tensor([[1.0, 0, 0]]), {"sad": 0}).tolist() == [[1, 0, 0]]
    # The labels themselves must have been possible.
    with pytest.raises(UserError, match="exclude each other"):
        CELEBA.edit(torch.tensor([1.0, 1, 0, 0, 0]), {"Male": 1})
    assert CELEBA.edit(rows, {}).tolist() == rows.tolist()


def test_two_of_a_group_cannot_be_wanted_but_two_may_be_cleared() -> None:
    label = CELEBA.encode(["Brown_Hair"])
    cleared = CELEBA.edit(label, {"Black_Hair": 0, "Blond_Hair": 0})
    assert cleared.tolist() == label.tolist()
    assert CELEBA.edit(label, {"Male": 1, "Young": 1}).tolist() == [0, 0, 1, 1, 1]
    with pytest.raises(UserError, match="Black_Hair and Blond_Hair exclude each other"):
        CELEBA.edit(label, {"Black_Hair": 0.5, "Blond_Hair": 0.5})
    with pytest.raises(UserError, match="happy and sad exclude each other"):
        RAFD.edit(RAFD.encode(["angry"]), {"sad": 0.25, "happy": 0.25})


def test_read_needs_more_than_a_half() -> None:
    assert CELEBA.read(torch.zeros(5)).tolist() == [0] * 5
    assert CELEBA.read(torch.tensor([-1.0, -2, -3, 0.1, -0.1])).tolist() == [0, 0, 0, 1, 0]
    # (3 classes x 3 rows): the largest of a row, not of a column.
    logits = torch.tensor([[-1.0, -2, -3], [-9, -5, -7], [5, 4, 6]])
    assert RAFD.read(logits).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert RAFD.read(logits[None, :, None]).shape == (1, 3, 1, 3)
    assert RAFD.read(logits).dtype == logits.dtype
    hair = torch.tensor([[3.0, 1, 2, 0, 0], [1, 3, 2, 0, 0], [1, 2, 3, 0, 0]])
    assert CELEBA.read(hair)[:, :3].tolist() == torch.eye(3).tolist()


def test_flips_and_targets_of_rows() -> None:
    rows = torch.tensor([[1.0, 0, 0, 0, 1], [0, 0, 0, 1, 0]])
    assert CELEBA.flip(rows, "Male").tolist() == [[1, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
    assert CELEBA.flip(rows, "Black_Hair").tolist() == [[1, 0, 0, 0, 1], [1, 0, 0, 1, 0]]
    joint = torch.cat([rows, torch.zeros(2, 3)], dim=1)
    targets = dict(JOINT.targets(joint, 0))
    assert list(targets) == list(CELEBA.names)
    assert targets["Young"].tolist() == [[1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0, 0]]
    faces = torch.cat([torch.zeros(1, 5), torch.tensor([[0.0, 0, 1]])], dim=1)
    assert dict(JOINT.targets(faces, 1))["angry"].tolist() == [[0, 0, 0, 0, 0, 1, 0, 0]]


def test_joint_spaces_are_equal_when_their_spaces_are() -> None:
    again = JointLabelSpace([CELEBA, RAFD])
    assert again == JOINT
    assert hash(again) == hash(JOINT)
    assert JointLabelSpace([RAFD, CELEBA]) != JOINT
    assert JOINT != [CELEBA, RAFD]
    assert "rafd" in repr(JOINT)
    assert JOINT.slices == (slice(0, 5), slice(5, 8))
    assert (JointLabelSpace([CELEBA]).condition_size, JOINT.condition_size) == (5, 10)


def test_expand_and_known() -> None:
    assert JOINT.expand(torch.ones(2, 1, 3), 1).tolist() == [[[0] * 5 + [1] * 3]] * 2
    dataset = torch.tensor([1, 0, 1])
    assert JOINT.known(dataset).tolist() == [
        [False] * 5 + [True] * 3,
        [True] * 5 + [False] * 3,
        [False] * 5 + [True] * 3,
    ]
    condition = JOINT.condition(torch.full((3, 8), 0.5, dtype=torch.float64), dataset)
    assert condition.dtype == torch.float64
    assert condition[1].tolist() == [0.5] * 5 + [0] * 3 + [1, 0]


def test_a_name_of_a_space_and_a_label() -> None:
    assert JOINT.locate("celeba.Male") == (0, "Male")
    assert JOINT.locate("sad") == (1, "sad")
    assert JOINT.split_edits({"sad": 0.5, "celeba.Male": 1.0, "Young": 0.0}) == [
        (0, {"Male": 1.0, "Young": 0.0}),
        (1, {"sad": 0.5}),
    ]
    with pytest.raises(UserError, match="'sad' belongs to 'rafd', not to 'celeba'"):
        JOINT.edit(torch.zeros(1, 8), 0, {"sad": 1.0})
