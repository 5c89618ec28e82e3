"""Label spaces, edits, the mask vector and the targets."""

from __future__ import annotations

import pytest
import torch

from stargan.errors import UserError
from stargan.labels import JointLabelSpace, LabelSpace, match, parse_edits, way
from stargan.labels.edits import Way

HAIR = ["Black_Hair", "Blond_Hair", "Brown_Hair"]
CELEBA = LabelSpace([*HAIR, "Male", "Young"], [HAIR], name="celeba")
RAFD = LabelSpace(["angry", "happy", "sad"], categorical=True, name="rafd")
JOINT = JointLabelSpace([CELEBA, RAFD])


def test_sizes_of_the_paper() -> None:
    expressions = LabelSpace([f"e{i}" for i in range(8)], categorical=True, name="rafd")
    assert JointLabelSpace([CELEBA]).condition_size == 5
    assert JointLabelSpace([expressions]).condition_size == 8
    joint = JointLabelSpace([CELEBA, expressions])
    assert (joint.size, joint.condition_size) == (13, 15)


def test_edit_sets_one_several_and_within_a_group() -> None:
    label = CELEBA.encode(["Black_Hair", "Young"])
    assert CELEBA.edit(label, {"Blond_Hair": 1}).tolist() == [0, 1, 0, 0, 1]
    assert CELEBA.edit(label, {"Male": 1, "Young": 0}).tolist() == [1, 0, 0, 1, 0]
    assert CELEBA.edit(label, {"Black_Hair": 0}).tolist() == [0, 0, 0, 0, 1]
    assert label.tolist() == [1, 0, 0, 0, 1], "the input is left alone"


def test_edit_with_strength_shares_the_group() -> None:
    label = CELEBA.encode(["Black_Hair"])
    assert CELEBA.edit(label, {"Blond_Hair": 0.25})[:3].tolist() == [0.75, 0.25, 0]
    happy = RAFD.encode(["angry"])
    assert RAFD.edit(happy, {"happy": 0.5}).tolist() == [0.5, 0.5, 0]


def test_strength_is_a_part_of_the_way_from_the_own_labels() -> None:
    man = CELEBA.encode(["Blond_Hair", "Male"])
    # Part of the way to what is there already: it stays.
    assert CELEBA.edit(man, {"Male": 0.5, "Blond_Hair": 0.25}).tolist() == man.tolist()
    assert CELEBA.edit(man, {"Male": -0.25, "Young": 0.5}).tolist() == [0, 1, 0, 0.75, 0.5]
    assert CELEBA.edit(man, {"Blond_Hair": -0.5}).tolist() == [0, 0.5, 0, 1, 0]
    assert CELEBA.edit(man, {"Male": -1}).tolist() == CELEBA.edit(man, {"Male": 0}).tolist()
    sad = RAFD.encode(["sad"])
    assert RAFD.edit(sad, {"sad": 0.5}).tolist() == [0, 0, 1]
    with pytest.raises(UserError, match="without a class"):
        RAFD.edit(sad, {"sad": -0.5})
    # The strength of all edits together goes the same way.
    both = {"Black_Hair": 1.0, "Male": -0.5}
    one = CELEBA.edit(man, both, strength=0.5)
    assert one.tolist() == [0.5, 0.5, 0, 0.75, 0]
    joint = JOINT.edit(JOINT.expand(man, 0), 0, both, strength=0.5)
    assert joint.tolist() == [*one.tolist(), 0, 0, 0]


@pytest.mark.parametrize("value", [1.0, 0.25, 0.0, -0.5])
def test_the_value_of_a_way_is_its_inverse(value: float) -> None:
    assert way("x", value).value == value


def test_edits_settle_what_they_decide_alone() -> None:
    assert CELEBA.settled({"Black_Hair": 1, "Male": 0, "Young": 0.5}) == {*HAIR, "Male"}
    assert CELEBA.settled({"Black_Hair": 0, "Male": -1, "Young": -0.5}) == {"Black_Hair", "Male"}
    assert RAFD.settled({"sad": 1}) == set(RAFD.names)
    assert RAFD.settled({"sad": 0.5}) == set()


def test_labels_are_matched_by_name() -> None:
    turned = LabelSpace(CELEBA.names[::-1], [HAIR], name="turned")
    found = match(JointLabelSpace([turned]), JOINT, "the data", "the judge")
    assert (found.needed, found.known, found.columns) == (0, 0, (4, 3, 2, 1, 0))
    assert found.take(torch.arange(8.0)[None]).tolist() == [[4, 3, 2, 1, 0]]
    few = JointLabelSpace([LabelSpace(["sad", "calm"], categorical=True)])
    found = match(few, JOINT, "the model", "the data", some_classes=True)
    assert (found.known, found.columns, found.places) == (1, (7, None), [7])
    assert found.take(torch.arange(8.0)).tolist() == [7, 0]
    with pytest.raises(UserError, match=r"the model needs .*sad, calm.*the data has.*happy, sad"):
        match(few, JOINT, "the model", "the data")
    # Of several spaces the one of the same name is meant, and no other.
    again = JointLabelSpace([LabelSpace(RAFD.names, categorical=True, name="again"), RAFD])
    assert match(JointLabelSpace([RAFD]), again, "a", "b").known == 1
    assert match(again, JointLabelSpace([RAFD]), "a", "b").needed == 1
    stranger = JointLabelSpace([LabelSpace(RAFD.names, categorical=True, name="stranger")])
    with pytest.raises(UserError, match="several label spaces fit"):
        match(stranger, again, "a", "b")
    other = JointLabelSpace([LabelSpace(["Male", "Bald"], name="celeba"), LabelSpace(["Young"])])
    with pytest.raises(UserError, match="a needs 'celeba'"):
        match(other, JointLabelSpace([CELEBA]), "a", "b")


@pytest.mark.parametrize("order", [("Black_Hair", "Blond_Hair"), ("Blond_Hair", "Black_Hair")])
def test_edit_does_not_depend_on_the_order(order: tuple[str, str]) -> None:
    values = {"Black_Hair": 0.0, "Blond_Hair": 1.0}
    edits = {name: values[name] for name in order}
    label = CELEBA.encode(["Black_Hair", "Male"])
    assert CELEBA.edit(label, edits).tolist() == [0, 1, 0, 1, 0]


def test_impossible_labels_are_named() -> None:
    with pytest.raises(UserError, match=r"Black_Hair and Blond_Hair exclude each other"):
        CELEBA.encode(["Black_Hair", "Blond_Hair"])
    with pytest.raises(UserError, match=r"Black_Hair and Brown_Hair exclude each other"):
        CELEBA.edit(torch.zeros(5), {"Black_Hair": 1, "Brown_Hair": 1})
    with pytest.raises(UserError, match="row 1"):
        CELEBA.check(torch.tensor([[0.0, 0, 0, 0, 0], [1, 0, 1, 0, 0]]))
    with pytest.raises(UserError, match="without a class"):
        RAFD.edit(RAFD.encode(["happy"]), {"happy": 0})
    with pytest.raises(UserError, match="has no class"):
        RAFD.check(torch.zeros(1, 3))
    with pytest.raises(UserError, match="between 0 and 1"):
        CELEBA.edit(torch.zeros(5), {"Male": 2})


def test_unknown_label_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'Blond_Hair'"):
        JOINT.locate("blond_hair")


@pytest.mark.parametrize(
    ("names", "groups", "words"),
    [
        ([], [], "no labels"),
        (["a", "a"], [], "twice"),
        (["a=b"], [], "rename"),
        (["a", "b"], [["a", "c"]], "unknown 'c'"),
        (["a", "b", "c"], [["a", "b"], ["b", "c"]], "two exclusive groups"),
    ],
)
def test_spaces_that_cannot_be(names: list[str], groups: list[list[str]], words: str) -> None:
    with pytest.raises(UserError, match=words):
        LabelSpace(names, groups)


def test_targets_of_the_paper() -> None:
    label = CELEBA.encode(["Brown_Hair", "Young"])[None]
    targets = dict(CELEBA.targets(label))
    assert targets["Black_Hair"].tolist() == [[1, 0, 0, 0, 1]]
    assert targets["Male"].tolist() == [[0, 0, 1, 1, 1]]
    assert targets["Young"].tolist() == [[0, 0, 1, 0, 0]]
    assert [n for n, _ in RAFD.targets(RAFD.encode(["sad"])[None])] == ["angry", "happy", "sad"]


def test_condition_is_labels_zeros_mask() -> None:
    first = JOINT.expand(CELEBA.encode(["Blond_Hair", "Male"]), 0)
    second = JOINT.expand(RAFD.encode(["sad"]), 1)
    condition = JOINT.condition(torch.stack([first, second]), torch.tensor([0, 1]))
    assert condition.tolist() == [
        [0, 1, 0, 1, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 1, 0, 1],
    ]


def test_condition_ignores_labels_of_another_source() -> None:
    everything = torch.ones(1, JOINT.size)
    condition = JOINT.condition(everything, torch.tensor([1]))
    assert condition.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 0, 1]]


def test_single_space_has_no_mask() -> None:
    label = torch.rand(4, 5)
    single = JointLabelSpace([CELEBA])
    assert single.condition(label, torch.zeros(4, dtype=torch.long)) is label


def test_edits_find_their_space() -> None:
    assert JOINT.split_edits({"happy": 1, "Male": 0}) == [(0, {"Male": 0}), (1, {"happy": 1})]
    label = JOINT.expand(RAFD.encode(["sad"]), 1)
    assert JOINT.edit(label, 1, {"happy": 1}).tolist() == [0, 0, 0, 0, 0, 0, 1, 0]
    with pytest.raises(UserError, match="belongs to 'celeba'"):
        JOINT.edit(label, 1, {"Male": 1})


def test_a_name_in_two_spaces_must_be_qualified() -> None:
    joint = JointLabelSpace([LabelSpace(["x"], name="one"), LabelSpace(["x"], name="two")])
    with pytest.raises(UserError, match=r"one\.x or two\.x"):
        joint.locate("x")
    assert joint.locate("two.x") == (1, "x")


def test_read_gives_possible_labels() -> None:
    logits = torch.tensor([[1.0, 2, -1, -3, 4], [-1, -2, -3, 1, -1]])
    assert CELEBA.read(logits).tolist() == [[0, 1, 0, 0, 1], [0, 0, 0, 1, 0]]
    assert RAFD.read(torch.tensor([[-3.0, -1, -2]])).tolist() == [[0, 1, 0]]


def test_plain_round_trip() -> None:
    assert JointLabelSpace.from_plain(JOINT.to_plain()) == JOINT


def test_parse_edits() -> None:
    expected = {"Blond_Hair": 1.0, "Young": 0.0, "Male": 0.5}
    assert parse_edits("Blond_Hair, Young=0,Male=0.5") == expected
    assert parse_edits("Young=-0.5") == {"Young": -0.5}
    assert parse_edits("Young=-1,Male=1") == {"Young": -1.0, "Male": 1.0}


def test_a_way_is_the_whole_way_if_nothing_is_said() -> None:
    assert Way(True) == way("x", 1) == (True, 1)
    assert Way(False) == way("x", 0) == way("x", -1) == (False, 1)
    for value in (1.5, 2, -1.5, float("nan")):
        with pytest.raises(UserError, match=r"'x=.*between 0 and 1"):
            way("x", value)


def test_a_space_of_another_name_may_have_the_label() -> None:
    """One space is needed: it may be anywhere. Of several each must be in that of its name."""
    needed = JointLabelSpace([LabelSpace(["Male"], name="faces")])
    known = JointLabelSpace(
        [LabelSpace(["Young"], name="faces"), LabelSpace(["Male"], name="others")]
    )
    assert match(needed, known, "a", "b").known == 1
    two = JointLabelSpace([LabelSpace(["Male"], name="x"), LabelSpace(["Old"], name="y")])
    assert match(two, known, "a", "b").places == [1]
    with pytest.raises(UserError, match=r"\(Bald is missing\)"):
        match(JointLabelSpace([LabelSpace(["Male", "Bald"])]), known, "a", "b")
    neither = JointLabelSpace([LabelSpace(["Bald"], name="x"), LabelSpace(["Odd"], name="y")])
    with pytest.raises(UserError) as refused:
        match(neither, known, "a", "b")
    assert "missing" not in str(refused.value), "of several spaces that says nothing"


def test_a_label_with_several_dots_is_unknown() -> None:
    for label in ("rafd.sad.very", "a.b.c"):
        with pytest.raises(UserError, match=label.rpartition(".")[2]):
            JOINT.locate(label)


def test_an_unknown_label_beside_one_of_its_group_is_no_contradiction() -> None:
    row = CELEBA.encode(["Black_Hair"])
    row[1] = float("nan")
    CELEBA.check(row, unknown=True)
    with pytest.raises(UserError, match="outside"):
        CELEBA.check(row)


@pytest.mark.parametrize("text", ["", "a,,b", "a=", "a=x", "a=2", "a=-1.1", "a,a=0", "a=nan"])
def test_parse_edits_refuses(text: str) -> None:
    with pytest.raises(UserError):
        parse_edits(text)


def test_what_is_not_known_is_told_apart_from_what_is_not_set() -> None:
    label = torch.tensor([[1.0, float("nan"), 0.0]])
    filled, known = JOINT.without_unknown(label)
    assert filled.tolist() == [[1, 0, 0]]
    assert known.tolist() == [[True, False, True]]
    assert torch.isnan(label[0, 1]), "the given labels are left alone"


def test_a_condition_has_the_precision_of_the_labels() -> None:
    labels = JOINT.expand(CELEBA.encode(["Male"]), 0)[None].double()
    assert JOINT.condition(labels, torch.zeros(1, dtype=torch.long)).dtype == torch.float64


def test_a_space_is_not_categorical_unless_it_is_said() -> None:
    assert not LabelSpace(["a", "b"]).categorical
    assert not LabelSpace.categorical
    assert "_index" not in repr(CELEBA)
    assert LabelSpace(["a"]) == LabelSpace(["a"])
