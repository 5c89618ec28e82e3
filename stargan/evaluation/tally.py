"""The votes of a preference study, counted: shares, intervals over voters, agreement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from stargan.errors import Plain, UserError
from stargan.evaluation.ballots import Ballot
from stargan.evaluation.study_key import Study
from stargan.evaluation.votes import Votes
from stargan.metrics.bootstrap import mean_interval


@dataclass(frozen=True)
class Count:
    """The votes of a study, counted.

    Attributes:
        columns: share of the votes by column of the table of preference.
        wishes: the same by single wish (``Blond_Hair``, ``not Male``).
        agreement: Krippendorff's alpha by column, and of all questions (``all``); None where nobody
            answered a question of another one, or all always chose the same method.
        voters: who count.
        votes: theirs, checks left out.
        complete: of the voters those who have answered as many questions as they were given.
        failed: voters left out for failed checks.
        unchecked: voters left out because they never answered a check.
        copies: further files of voters who are there already.
        answered: of each question how many have answered it: fewest, most.
    """

    columns: Votes
    wishes: Votes
    agreement: dict[str, float | None]
    voters: int
    votes: int
    complete: int
    failed: int
    unchecked: int
    copies: int
    answered: tuple[int, int]


def count(ballots: Iterable[Ballot], study: Study, fails: int = 0) -> Count:
    """Count the votes.

    Args:
        ballots: of one voter there may be several; they count as one.
        study: its key.
        fails: checks that a voter may fail and still be counted.

    Raises:
        UserError: nobody has voted, or nobody is left.
    """
    by_voter: dict[str, Ballot] = {}
    copies = 0
    for ballot in ballots:
        mine = by_voter.get(ballot.voter)
        if mine is None:
            by_voter[ballot.voter] = Ballot(ballot.voter, dict(ballot.answers))
        else:
            mine.add(ballot)
            copies += 1
    kept, failed, unchecked = [], 0, 0
    for _, ballot in sorted(by_voter.items()):  # the same table whatever the order of the files
        shown = [q for q in study.checks if q in ballot.answers]
        wrong = sum(ballot.answers[q].name != study.checks[q].right for q in shown)
        voted = any(q in study.questions for q in ballot.answers)
        if wrong > fails:
            failed += 1
        elif (study.checks and not shown) or not voted:
            unchecked += 1
        else:
            kept.append(ballot)
    if not kept:
        raise UserError(
            "there are no votes to count"
            + (
                f": {failed} voters failed the attention checks, {unchecked} did not get as far."
                if by_voter
                else ": give the files of the voters as votes=FOLDER, or let them vote through "
                "stargan study serve."
            )
        )
    columns: dict[str, dict[str, dict[int, str]]] = {}
    wishes: dict[str, dict[str, dict[int, str]]] = {}
    everything: dict[str, dict[int, str]] = {}
    for name, asked in study.questions.items():
        chosen = {
            voter: asked.answers[ballot.answers[name].name]
            for voter, ballot in enumerate(kept)
            if name in ballot.answers
        }
        everything[name] = chosen
        columns.setdefault(asked.column, {})[name] = chosen
        wishes.setdefault(asked.wish, {})[name] = chosen
    each = [len(of) for of in everything.values()]
    given = [sum(q in study.questions for q in ballot.answers) for ballot in kept]
    return Count(
        columns=_shares(columns, study),
        wishes=_shares(wishes, study),
        agreement={
            "all": alpha(of.values() for of in everything.values()),
            **{c: alpha(of.values() for of in units.values()) for c, units in columns.items()},
        },
        voters=len(kept),
        votes=sum(each),
        complete=sum(n >= study.each for n in given),
        failed=failed,
        unchecked=unchecked,
        copies=copies,
        answered=(min(each), max(each)),
    )


def _shares(table: Mapping[str, Mapping[str, Mapping[int, str]]], study: Study) -> Votes:
    """Share of the votes of each method, with the interval over voters drawn anew."""
    found: Votes = {}
    for column, questions in table.items():
        there = {m for name in questions for m in study.questions[name].answers.values()}
        names = [name for name in study.methods if name in there]
        votes = [(voter, method) for of in questions.values() for voter, method in of.items()]
        if votes:
            voters = [voter for voter, _ in votes]
            found[column] = {
                name: mean_interval([float(m == name) for _, m in votes], voters) for name in names
            }
    return found


def alpha(units: Iterable[Iterable[str]]) -> float | None:
    """Krippendorff's alpha of nominal answers (Krippendorff, "Computing Krippendorff's
    Alpha-Reliability", 2011): 1 where all agree, 0 where they agree as by chance.

    Args:
        units: of each question the answers of those who were asked it; who was not asked counts
            neither way.

    Returns:
        None where it is not defined: no question with two answers, or only one answer at all.
    """
    rows = [list(unit) for unit in units]
    names = sorted({name for row in rows for name in row})
    together = np.zeros((len(names), len(names)))
    for row in rows:
        if len(row) < 2:
            continue
        of = np.array([row.count(name) for name in names], dtype=np.float64)
        together += (np.outer(of, of) - np.diag(of)) / (len(row) - 1)
    each = together.sum(0)
    total = each.sum()
    expected = total**2 - (each**2).sum()
    if not total or not expected:
        return None
    apart = total - np.trace(together)
    return float(1 - (total - 1) * apart / expected)


def to_plain(counted: Count, study: Study) -> Plain:
    """The tally as ``stargan compare study=`` takes it, and what else a reader should know."""
    return {
        "preference": {
            column: {name: e.to_plain() for name, e in of.items()}
            for column, of in counted.columns.items()
        },
        "wishes": {
            wish: {name: e.to_plain() for name, e in of.items()}
            for wish, of in counted.wishes.items()
        },
        "agreement": counted.agreement,
        "votes_by": "people",
        "study": study.fingerprint,
        "methods": study.methods,
        "voters": counted.voters,
        "votes": counted.votes,
        "complete": counted.complete,
        "questions": len(study.questions),
        "questions_each": study.each,
        "answers_of_a_question": list(counted.answered),
        "left_out": {"failed": counted.failed, "unchecked": counted.unchecked},
        "copies": counted.copies,
    }
