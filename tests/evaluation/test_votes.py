"""Votes by hand-made figures; several labels at once; what fills a set of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from stargan.errors import UserError
from stargan.evaluation.held_out import Combination, TestSet, combinations_of, group_name, wanted
from stargan.evaluation.measure import Records
from stargan.evaluation.runs import curve
from stargan.evaluation.suite import Entrant, Training, merged, purposes_of
from stargan.evaluation.votes import judge_votes, read_tally, winners
from stargan.labels import LabelSpace
from tests.tiny import FACES, HAIR, MOODS

HAIR_COLUMNS, MALE, YOUNG = (0, 1, 2), (3,), (4,)


def test_combinations_are_those_of_the_paper() -> None:
    found = [c.groups for c in combinations_of(FACES, True)]
    assert found == [
        (HAIR_COLUMNS, MALE), (HAIR_COLUMNS, YOUNG), (MALE, YOUNG), (HAIR_COLUMNS, MALE, YOUNG)
    ]  # fmt: skip
    assert combinations_of(FACES, False) == []
    assert combinations_of(MOODS, True) == []
    many = LabelSpace(("a", "b", "c", "d"), name="many")
    assert combinations_of(many, True) == [], "eleven combinations of four are not asked unasked"
    (one,) = combinations_of(many, ["d+a"])
    assert one.groups == ((3,), (0,))
    assert combinations_of(MOODS, ["a+d"]) == [], "names of another space are passed over"
    for wrong in ("Male", "Blond_Hair+Black_Hair", "Male+happy"):
        with pytest.raises(UserError, match="must join labels of 'faces'"):
            combinations_of(FACES, [wrong])


def test_what_is_asked_for_at_once() -> None:
    # Black and male and young; blond; no hair colour at all.
    label = torch.tensor([[1.0, 0, 0, 1, 1], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1]]).repeat(200, 1)
    row = torch.arange(600)
    rows, target = wanted(FACES, label, Combination((HAIR_COLUMNS, MALE)), row)
    assert rows.tolist() == list(range(600))
    assert torch.equal(target[:, 3], 1 - label[:, 3]), "turned over"
    assert torch.equal(target[:, 4], label[:, 4]), "not asked for"
    assert (target[:, :3].sum(1) == 1).all()
    assert ((target[:, :3] * label[:, :3]).sum(1) == 0).all(), "another colour"
    FACES.check(target)
    for kind, colours in ((0, {1, 2}), (1, {0, 2}), (2, {0, 1, 2})):
        asked = target[kind::3, :3].argmax(1).tolist()
        assert set(asked) == colours
        # About as often as each other, although the labels come in a period of three.
        assert min(asked.count(c) for c in colours) > 0.8 * 200 / len(colours)
    again = wanted(FACES, label[9:12], Combination((HAIR_COLUMNS, MALE)), row[9:12])[1]
    assert torch.equal(again, target[9:12]), "whatever other images there are"


def test_names_of_groups() -> None:
    assert group_name(HAIR) == "Hair"
    assert group_name(["Male"]) == "Male"
    assert group_name(["happy", "sad"]) == "happy/sad"


def test_the_best_by_the_first_key_that_differs() -> None:
    nan = float("-inf")
    scores = torch.tensor(
        [
            [[1.0, 0, -9], [1, 1, -2], [0, 1, -1], [1, 1, -1]],
            [[0.0, 1, -1], [1, 1, -1], [0, 1, -1], [1, 0, 0]],
            [[0.0, 1, -1], [0, 1, 0], [0, 0, nan], [1, 1, -1]],
        ]
    )
    assert winners(scores).tolist() == [[1, 0, 0.5, 0.5], [0, 1, 0.5, 0], [0, 0, 0, 0.5]]


def records(row: list[int], right: list[int], distance: list[float]) -> Records:
    """Translations to ``Male`` (wish 3) of women; ``right`` says on which the judge reads it."""
    count = len(row)
    logits = torch.tensor([-1.0, -1, -1, -1, -1]).repeat(count, 1)
    logits[:, 3] = torch.tensor(right) * 2.0 - 1
    target = torch.tensor([0.0, 0, 0, 1, 0]).repeat(count, 1)
    fake = {
        "row": torch.tensor(row), "wish": torch.full((count,), 3), "logits": logits,
        "target": target, "label": torch.zeros(count, 5), "distance": torch.tensor(distance),
    }  # fmt: skip
    return Records({}, fake, {})


def faces_test() -> TestSet:
    """All that votes ask of a test set."""
    made: Any = object.__new__(TestSet)
    made.space, made.combinations = FACES, []
    return cast(TestSet, made)


def test_votes_of_the_judge() -> None:
    # Rows in another order, and one that only one method could translate.
    one = records([4, 7, 9], [1, 1, 0], [1.0, 1.0, 1.0])
    two = records([9, 7, 4, 5], [1, 1, 0, 1], [3.0, 0.5, 0.1, 0.1])
    found = judge_votes({"a": [one], "b": [two]}, faces_test())
    assert list(found) == ["Male"]
    shares = {m: (e.value, e.count) for m, e in found["Male"].items()}
    assert shares["a"] == (pytest.approx(1 / 3), 3), "row 4: b is not read as male"
    assert shares["b"] == (pytest.approx(2 / 3), 3), "row 7 by distance, row 9 by reading"
    # Two seeds: the first compete with the first.
    again = judge_votes({"a": [one, two], "b": [two, one]}, faces_test())["Male"]
    assert (again["a"].value, again["a"].count) == (pytest.approx(0.5), 6)


def test_a_tally_is_read_or_refused(tmp_path: Path) -> None:
    share = {"value": 0.5, "low": 0.4, "high": 0.6, "count": 30}
    path = tmp_path / "tally.json"
    path.write_text(json.dumps({"preference": {"Male": {"stargan": share}}}))
    tally = read_tally(path)
    assert tally.shares["Male"]["stargan"].count == 30
    assert tally.to_plain() == {"Male": {"stargan": share}}
    path.write_text("{")
    with pytest.raises(UserError, match="is no tally of a study"):
        read_tally(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_tally(tmp_path / "missing.json")


def test_the_models_of_a_set() -> None:
    assert list(purposes_of("one", FACES)) == [""]
    targets = purposes_of("targets", FACES)
    assert list(targets) == [*HAIR, "Male", "not_Male", "Young", "not_Young"]
    assert targets["not_Male"] == {"target": "Male=0", "inputs": "null"}
    pairs = purposes_of("pairs", FACES)
    assert pairs["Black_Hair-Brown_Hair"] == {"pair": "[Black_Hair,Brown_Hair]"}
    assert list(pairs)[3:] == ["Male", "Young"]
    # With a neutral class everything starts from it, as in the paper.
    assert purposes_of("targets", MOODS) == {
        n: {"target": n, "inputs": "neutral"} for n in ("happy", "sad")
    }
    assert list(purposes_of("pairs", MOODS)) == ["neutral-happy", "neutral-sad"]


def test_of_each_setting_the_last() -> None:
    assert merged(["a=1", "b=2", "a=3", "c.d=4"], drop=("c.",)) == ("a=3", "b=2")


def test_the_curve_of_a_set(tmp_path: Path) -> None:
    """Minutes add up, errors are averaged at equal shares of the time."""
    for name, errors in (("a", [1.0, 0.5]), ("b", [0.6, 0.1, 0.0])):
        folder = tmp_path / name
        folder.mkdir()
        lines = [f"{i + 1},{60.0 * (i + 1)},{e}" for i, e in enumerate(errors)]
        lines.insert(1, "1,90.0,")
        (folder / "metrics.csv").write_text("step,seconds,eval/error\n" + "\n".join(lines) + "\n")
    entrant = Entrant(
        "m", "M", None, 1, ("d",), tuple(Training(tmp_path / n, ()) for n in "ab"), "targets"
    )
    assert curve(entrant) == [(2.0, pytest.approx(0.8)), (4.0, pytest.approx(0.3))]
    bare = Entrant("m", "M", None, 1, ("d",), (Training(tmp_path / "none", ()),))
    assert curve(bare) == []
