"""Votes of made-up voters: read, kept and counted; what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from stargan.errors import UserError
from stargan.evaluation.ballots import (
    LARGEST,
    Answer,
    Ballot,
    BallotBox,
    BallotError,
    FullError,
    OtherStudyError,
    parse,
    read_files,
)
from stargan.evaluation.tally import alpha, count, to_plain
from stargan.evaluation.votes import read_tally
from stargan.metrics.bootstrap import mean_interval
from tests.studies import as_text, ballot, made_up

STUDY = made_up()
THREE = [ballot(1, "aabb"), ballot(2, "abbb"), ballot(3, "aac-")]


def test_three_voters_by_hand() -> None:
    found = count(THREE, STUDY)
    assert (found.voters, found.votes, found.complete, found.answered) == (3, 11, 2, (2, 3))
    hair = {name: (e.value, e.count) for name, e in found.columns["Hair"].items()}
    assert hair == {
        "a": (pytest.approx(5 / 9), 9), "b": (pytest.approx(3 / 9), 9),
        "c": (pytest.approx(1 / 9), 9),
    }  # fmt: skip
    assert [e.value for e in found.columns["Male"].values()] == [0, 1, 0]
    assert found.wishes == {"Blond_Hair": found.columns["Hair"], "not Male": found.columns["Male"]}
    # aaa, aba, bbc: 4 pairs apart of 9, values 5, 3 and 1 times.
    assert found.agreement["Hair"] == pytest.approx(1 - 8 * 4 / (81 - 25 - 9 - 1))
    assert found.agreement["Male"] is None, "all chose one method: nothing to agree by chance on"


def test_the_interval_draws_voters_and_not_votes() -> None:
    """Two voters who always choose one method each are two opinions, however many their votes."""
    alone = count([ballot(1, "aaa-"), ballot(2, "bbb-")], STUDY).columns["Hair"]["a"]
    assert (alone.value, alone.low, alone.high) == (0.5, 0, 1)
    assert mean_interval([1.0] * 3 + [0.0] * 3).low > 0, "votes drawn one by one say more"
    for e in count(THREE, STUDY).columns["Hair"].values():
        assert 0 <= e.low <= e.value <= e.high <= 1
    one = count([ballot(1, "aabb")], STUDY).columns["Hair"]["a"]
    assert math.isnan(one.low), "one voter allows no interval"


def test_more_voters_say_more() -> None:
    few = count([ballot(i, "aab-" if i % 2 else "bba-") for i in range(6)], STUDY)
    many = count([ballot(i, "aab-" if i % 2 else "bba-") for i in range(96)], STUDY)
    wide, narrow = (of.columns["Hair"]["a"] for of in (few, many))
    assert wide.value == narrow.value == 0.5
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_alpha_of_the_published_example() -> None:
    """Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, part C: 0.743."""
    observers = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    units = [[o[i] for o in observers if o[i] != "."] for i in range(12)]
    assert alpha(units) == pytest.approx(0.743, abs=0.0005)
    assert alpha([["a", "a"], ["b", "b"]]) == 1
    assert alpha([["a"], ["b"]]) is None


def test_who_is_left_out_and_who_counts_once() -> None:
    wrong, never = ballot(4, "cccc", check="no"), ballot(5, "cccc", check="")
    only_check = ballot(6, "----")
    later = Ballot(THREE[0].voter, {"q1": Answer("q1-b", 10**6), "q2": Answer("q2-c", 0)})
    found = count([*THREE, wrong, never, only_check, later, THREE[1]], STUDY)
    assert (found.voters, found.failed, found.unchecked, found.copies) == (3, 1, 2, 2)
    assert found.columns["Hair"]["a"].value == pytest.approx(4 / 9), "the later answer counts"
    assert found.columns["Hair"]["c"].value == pytest.approx(1 / 9), "the earlier one does not"
    lenient = count([*THREE, wrong], STUDY, fails=1)
    assert (lenient.voters, lenient.failed) == (4, 0)
    assert count([THREE[2], *THREE[:2]], STUDY) == count(THREE, STUDY), "in any order"
    with pytest.raises(UserError, match="1 voters failed the attention checks, 1 did not get"):
        count([wrong, never], STUDY)
    with pytest.raises(UserError, match="give the files of the voters as votes=FOLDER"):
        count([], STUDY)


def test_compare_takes_the_tally(tmp_path: Path) -> None:
    path = tmp_path / "tally.json"
    for voters in (THREE, THREE[:1]):  # of one voter there is no interval
        found = count(voters, STUDY)
        path.write_text(json.dumps(to_plain(found, STUDY), allow_nan=False))
        read = read_tally(path).shares["Hair"]["a"]
        assert (read.value, read.count) == (found.columns["Hair"]["a"].value, 3 * len(voters))
        assert math.isnan(read.low) == (len(voters) == 1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"voter": "me"}, "no voter"),
        ({"voter": 3}, "no voter"),
        ({"answers": []}, "no answers"),
        ({"answers": {"q1": {"name": "q2-a", "at": 1}}}, "does not have"),
        ({"answers": {"q9": {"name": "q9-a", "at": 1}}}, "does not have"),
        ({"answers": {"q1": "q1-a"}}, "does not have"),
        ({"answers": {"q1": {"name": ["q1-a"], "at": 1}}}, "does not have"),
        ({"answers": {"q1": {"name": "q1-a", "at": -1}}}, "without its time"),
        ({"answers": {"q1": {"name": "q1-a", "at": True}}}, "without its time"),
        ({"answers": {"q1": {"name": "q1-a", "at": 2**60}}}, "without its time"),
        ({"study": None}, "not what the page"),
        ({"more": "x" * LARGEST}, "too large"),
    ],
)
def test_what_the_page_does_not_make_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BallotError, match=says):
        parse(as_text(THREE[0], STUDY, **changes), STUDY)
    assert parse(as_text(THREE[0], STUDY), STUDY) == THREE[0]


@pytest.mark.parametrize("text", ["", "[", "null", "[]", "3", "[" * 100_000, '"\\ud800"'])
def test_what_is_no_ballot_is_refused(text: str) -> None:
    with pytest.raises(BallotError):
        parse(text, STUDY)
    with pytest.raises(BallotError):
        parse(b"\xff\xfe\x00", STUDY)


def test_files_are_read_or_named(tmp_path: Path) -> None:
    for i, one in enumerate(THREE):
        (tmp_path / f"{i}.json").write_text(as_text(one, STUDY))
    (tmp_path / "notes.txt").write_text("of no account")
    assert read_files([str(tmp_path)], STUDY) == THREE
    once = read_files([str(tmp_path / "1.json"), str(tmp_path / "1.json")], STUDY)
    assert once == THREE[1:2]
    with pytest.raises(UserError, match=r"'.*lost\.json' cannot be read"):
        read_files([str(tmp_path / "lost.json")], STUDY)
    (tmp_path / "cut.json").write_text(as_text(THREE[0], STUDY)[:-5])
    with pytest.raises(UserError, match=r"'.*cut\.json' is damaged \(no JSON\)"):
        read_files([str(tmp_path)], STUDY)
    (tmp_path / "cut.json").write_text(as_text(THREE[0], STUDY, study="0" * 16))
    with pytest.raises(UserError, match=r"cut\.json' is of another study \(0{16}\), not of f{16}"):
        read_files([str(tmp_path)], STUDY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"has no \.json file"):
        read_files([str(tmp_path / "empty")], STUDY)


def test_the_box_keeps_each_answer_once(tmp_path: Path) -> None:
    box = BallotBox(tmp_path / "votes.sqlite", STUDY, most=2)
    box.add(THREE[0])
    box.add(THREE[0])
    old = Ballot(THREE[0].voter, {"q1": Answer("q1-c", 0), "q2": Answer("q2-c", 99)})
    box.add(old)
    (kept,) = BallotBox(tmp_path / "votes.sqlite", STUDY).ballots()
    assert kept.answers["q1"].name == "q1-a", "older than what is there"
    assert kept.answers["q2"].name == "q2-c", "changed later"
    box.add(THREE[1])
    with pytest.raises(FullError):
        box.add(THREE[2])
    box.add(THREE[1])
    assert [b.voter for b in box.ballots()] == [b.voter for b in THREE[:2]]


def test_a_box_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "votes.sqlite"
    BallotBox(path, STUDY)
    other = made_up()
    object.__setattr__(other, "fingerprint", "0" * 16)
    with pytest.raises(UserError, match="has votes of another study"):
        BallotBox(path, other)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match="cannot be used as a database of votes"):
        BallotBox(path, STUDY)
    with pytest.raises(UserError, match="cannot be used as a database of votes"):
        BallotBox(tmp_path / "no" / "folder", STUDY)


def test_other_studies_are_told_apart() -> None:
    with pytest.raises(OtherStudyError, match=r"^0{16}$"):
        parse(as_text(THREE[0], STUDY, study="0" * 16), STUDY)
