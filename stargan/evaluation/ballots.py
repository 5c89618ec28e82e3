"""What voters of a study said: read, checked, kept.

A voter's answers travel as one JSON, in a file or to the server: the study's fingerprint, a random
number for the voter, and for each question the opaque name of the answer.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stargan.errors import UserError
from stargan.evaluation.study_key import Study

DATABASE = "votes.sqlite"
LARGEST = 262_144
"""Bytes of a voter's JSON: thousands of questions."""
VOTER = re.compile(r"[0-9a-f]{32}")
LATEST = 2**53
"""Milliseconds since 1970: what JSON's numbers hold exactly."""


class BallotError(ValueError):
    """Not what the page makes. The message says why, in a few words."""


class OtherStudyError(BallotError):
    """Votes of another study."""


class FullError(Exception):
    """No more voters are taken."""


@dataclass(frozen=True)
class Answer:
    """The opaque name of what was chosen, and when, in milliseconds of the voter's clock."""

    name: str
    at: int


@dataclass
class Ballot:
    """A voter's answers, by question."""

    voter: str
    answers: dict[str, Answer]

    def add(self, other: Ballot) -> None:
        """Take a later copy's answers too; of each question the last one counts."""
        for question, answer in other.answers.items():
            mine = self.answers.get(question)
            if mine is None or answer.at > mine.at:
                self.answers[question] = answer


def parse(text: bytes | str, study: Study) -> Ballot:
    """A voter's JSON.

    Raises:
        OtherStudyError: it is of another study.
        BallotError: it is anything else than what the page of this study makes.
    """
    if len(text) > LARGEST:
        raise BallotError("too large")
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BallotError("no JSON") from error
    if not isinstance(plain, dict) or not isinstance(plain.get("study"), str):
        raise BallotError("not what the page of a study saves")
    if plain["study"] != study.fingerprint:
        raise OtherStudyError(plain["study"][:40])
    voter, answers = plain.get("voter"), plain.get("answers")
    if not isinstance(voter, str) or not VOTER.fullmatch(voter):
        raise BallotError("no voter")
    if not isinstance(answers, dict):
        raise BallotError("no answers")
    return Ballot(voter, {q: _answer(q, one, study) for q, one in answers.items()})


def _answer(question: str, plain: Any, study: Study) -> Answer:
    name, at = (plain.get("name"), plain.get("at")) if isinstance(plain, dict) else (None, None)
    if not isinstance(name, str) or not study.takes(question, name):
        raise BallotError("an answer that the study does not have")
    if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < LATEST:
        raise BallotError("an answer without its time")
    return Answer(name, at)


class BallotBox:
    """The votes that a server was sent, in SQLite: a row per voter and question.

    Each call has a connection of its own and ends with a commit on the disk, so that a kill at any
    time loses nothing that was acknowledged, and a second reader sees what is there.

    Args:
        path: the file; made where it is missing.
        study: whose votes these are.
        most: voters that are taken.

    Raises:
        UserError: the file is damaged, of another study, or cannot be written to.
    """

    def __init__(self, path: Path, study: Study, most: int = 2**31) -> None:
        self.path = path
        self.study = study
        self.most = most
        with self._open() as base:
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("CREATE TABLE IF NOT EXISTS study (fingerprint TEXT NOT NULL UNIQUE)")
            base.execute(
                "CREATE TABLE IF NOT EXISTS vote (voter TEXT, question TEXT, answer TEXT NOT NULL,"
                " at INTEGER NOT NULL, PRIMARY KEY (voter, question)) WITHOUT ROWID"
            )
            whose = base.execute("SELECT fingerprint FROM study").fetchall()
            if not whose:
                base.execute("INSERT OR IGNORE INTO study VALUES (?)", (study.fingerprint,))
            elif whose != [(study.fingerprint,)]:
                raise UserError(
                    f"'{path}' has votes of another study ({whose[0][0]}): the study beside it is "
                    f"{study.fingerprint}."
                )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=20)) as base, base:
                base.execute("PRAGMA synchronous=FULL")
                yield base
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"'{self.path}' cannot be used as a database of votes ({error}): it is damaged, or "
                "the folder cannot be written to."
            ) from error

    def add(self, ballot: Ballot) -> None:
        """Keep a voter's answers; the same ones again change nothing, older ones neither.

        Raises:
            FullError: there are as many voters as are taken.
        """
        with self._open() as base:
            base.execute("BEGIN IMMEDIATE")
            known = base.execute("SELECT 1 FROM vote WHERE voter = ?", (ballot.voter,)).fetchone()
            count = base.execute("SELECT COUNT(DISTINCT voter) FROM vote").fetchone()[0]
            if known is None and count >= self.most:
                raise FullError
            base.executemany(
                "INSERT INTO vote VALUES (?, ?, ?, ?) ON CONFLICT (voter, question) DO UPDATE SET "
                "answer = excluded.answer, at = excluded.at WHERE excluded.at > vote.at",
                [(ballot.voter, q, a.name, a.at) for q, a in ballot.answers.items()],
            )

    def ballots(self) -> list[Ballot]:
        """All voters.

        Raises:
            UserError: a row that the study does not have.
        """
        with self._open() as base:
            rows = base.execute("SELECT voter, question, answer, at FROM vote").fetchall()
        found: dict[str, Ballot] = {}
        for voter, question, name, at in rows:
            if not self.study.takes(question, name):
                raise UserError(f"'{self.path}' has an answer that the study does not have.")
            found.setdefault(voter, Ballot(voter, {})).answers[question] = Answer(name, int(at))
        return list(found.values())


def read_files(paths: Sequence[str], study: Study) -> list[Ballot]:
    """The votes in files, and in all JSON files of folders.

    Raises:
        UserError: a file that is missing, damaged, or of another study; says which.
    """
    files: list[Path] = []
    for given in paths:
        path = Path(given).expanduser()
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"votes={given} has no .json file: put the files of the voters there.")
        files += inside
    found = []
    for file in dict.fromkeys(files):
        try:
            if file.stat().st_size > LARGEST:
                raise BallotError("too large")
            found.append(parse(file.read_bytes(), study))
        except OSError as error:
            raise UserError(
                f"votes file '{file}' cannot be read ({error.strerror or error})."
            ) from error
        except OtherStudyError as error:
            raise UserError(
                f"votes file '{file}' is of another study ({error}), not of {study.fingerprint}: "
                "leave it out."
            ) from error
        except BallotError as error:
            raise UserError(
                f"votes file '{file}' is damaged ({error}): ask the voter for it again, or leave "
                "it out."
            ) from error
    return found
