from __future__ import annotations

import itertools

import pytest

from stargan.errors import UserError
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.web.controls import (
    KEEP,
    Control,
    Setting,
    controls_of,
    edits_from,
    is_active,
    own_labels,
    readable,
    settings_from,
    tap,
)
from tests.tiny import FACES, MOODS

OWN = {"Black_Hair": True, "Blond_Hair": False, "Brown_Hair": False, "Male": True, "Young": False}
AS_IS = [Setting(KEEP), Setting(True), Setting(False)]


def controls(*spaces: LabelSpace, reads: bool = True) -> list[Control]:
    joint = JointLabelSpace(spaces or (FACES,))
    return controls_of(joint, joint.names, reads)


def test_groups_are_choices_and_other_labels_are_switches() -> None:
    hair, male, young = controls()
    assert hair.title == "Hair"
    assert hair.choices == [("Keep", KEEP), ("Black", "0"), ("Blond", "1"), ("Brown", "2")]
    assert [c.title for c in (male, young)] == ["Male", "Young"]
    assert hair.is_choice
    assert not male.is_choice


def test_a_joint_model_names_its_spaces() -> None:
    hair, *_, mood = controls(FACES, MOODS)
    assert (hair.heading, mood.heading) == ("Faces", None)
    assert mood.title == "Moods"
    assert mood.choices[0] == ("Keep", KEEP)


def test_names_that_two_spaces_share_stay_apart() -> None:
    one, two = LabelSpace(["smile"], name="one"), LabelSpace(["smile"], name="two")
    joint = JointLabelSpace([one, two])
    found = controls_of(joint, ["one.smile", "two.smile"], reads=True)
    assert [c.names for c in found] == [("one.smile",), ("two.smile",)]
    assert [c.title for c in found] == ["Smile", "Smile"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("Black_Hair", "Black hair"), ("moods.happy", "Happy"), ("5_o_Clock", "5 o Clock")],
)
def test_readable(name: str, words: str) -> None:
    assert readable(name) == words


def test_a_group_without_a_common_word_is_one_of() -> None:
    (choice,) = controls(LabelSpace(["cat", "dog"], [["cat", "dog"]]))
    assert (choice.title, choice.options) == ("One of", ("Cat", "Dog"))


def test_own_labels_are_possible_labels() -> None:
    joint = JointLabelSpace([FACES, MOODS])
    sure = dict(zip(joint.names, (0.6, 0.9, 0.1, 0.2, 0.7, 0.3, 0.3, 0.4), strict=True))
    own = own_labels(joint, joint.names, sure)
    assert [name for name, yes in own.items() if yes] == ["Blond_Hair", "Young", "neutral"]


def test_nothing_moved_is_no_edit() -> None:
    assert edits_from(controls(), AS_IS, OWN) == {}


@pytest.mark.parametrize(
    ("place", "setting", "edits"),
    [
        (0, Setting("1"), {"Blond_Hair": 1.0}),
        (0, Setting("1", 0.25), {"Blond_Hair": 0.25}),
        (0, Setting("0", 0.25), {"Black_Hair": 0.25}),  # Of what is there already: it stays.
        (0, Setting("1", 0), {}),
        (1, Setting(False), {"Male": 0.0}),
        (1, Setting(False, 0.25), {"Male": -0.25}),
        (2, Setting(True, 0.5), {"Young": 0.5}),
    ],
)
def test_edits(place: int, setting: Setting, edits: dict[str, float]) -> None:
    assert edits_from(controls(), [*AS_IS[:place], setting, *AS_IS[place + 1 :]], OWN) == edits


def test_settings_are_the_inverse_of_edits() -> None:
    hair = [Setting(KEEP), Setting("1"), Setting("2", 0.5)]
    male = [Setting(True), Setting(False), Setting(False, 0.5)]
    young = [Setting(False), Setting(True), Setting(True, 0.25)]
    for settings in itertools.product(hair, male, young):
        edits = edits_from(controls(), settings, OWN)
        assert settings_from(controls(), edits, OWN) == list(settings)


def test_edits_of_another_photo_are_dropped_where_nothing_changes() -> None:
    settings = settings_from(controls(), {"Male": 1.0, "Young": 1.0}, OWN)
    assert edits_from(controls(), settings, OWN) == {"Young": 1.0}


def test_without_reading_every_control_speaks() -> None:
    found = controls(reads=False)
    settings = settings_from(found, {"Blond_Hair": 1.0, "Young": 1.0}, None)
    assert edits_from(found, settings, None) == {"Blond_Hair": 1.0, "Male": 0.0, "Young": 1.0}
    assert not any(is_active(c, s, None) for c, s in zip(found, settings, strict=True))


def test_the_strength_shows_where_something_changes() -> None:
    hair, male, _ = controls()
    assert is_active(hair, Setting("1"), OWN)
    assert not is_active(hair, Setting("0"), OWN)
    assert not is_active(hair, Setting(KEEP), OWN)
    assert is_active(male, Setting(False), OWN)
    assert not is_active(male, Setting(True), OWN)


def test_a_tap_chooses_one_label_and_a_second_undoes_it() -> None:
    assert tap(controls(), {}, "Blond_Hair", OWN) == {"Blond_Hair": 1.0}
    assert tap(controls(), {"Young": 1.0}, "Male", OWN) == {"Male": 0.0}
    assert tap(controls(), {"Male": 0.0}, "Male", OWN) == {}


@pytest.mark.parametrize(
    "setting", [Setting("7"), Setting("x"), Setting("1", 1.5), Setting(True), Setting("1", "x")]
)
def test_values_of_a_foreign_client_are_refused(setting: Setting) -> None:
    with pytest.raises(UserError):
        edits_from(controls(), [setting, *AS_IS[1:]], OWN)
    with pytest.raises(UserError):
        edits_from(controls(), [AS_IS[0], Setting("yes"), AS_IS[2]], OWN)
    with pytest.raises(UserError, match="no label 'Hat'"):
        tap(controls(), {}, "Hat", OWN)
