"""The key of a preference study: whose each answer is. The server of votes opens it: no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stargan.errors import Plain, UserError
from stargan.writing import write_whole

PAGE = "study.html"
KEY = "key.json"
"""Which answer is whose: not for voters."""
FORMAT = 1


@dataclass(frozen=True)
class Asked:
    """A question as the key has it.

    Attributes:
        column, wish: see ``Question``.
        answers: opaque name to method.
    """

    column: str
    wish: str
    answers: dict[str, str]


@dataclass(frozen=True)
class Right:
    """An attention check as the key has it: its answers, and the right one."""

    answers: list[str]
    right: str


@dataclass(frozen=True)
class Study:
    """The key of a study.

    Attributes:
        fingerprint: a digest of all that voters see.
        title: of the page.
        each: questions that a voter gets, checks not counted.
        methods: name to title.
        questions, checks: by name.
        made: how: version, seed, comparison; for people.
    """

    fingerprint: str
    title: str
    each: int
    methods: dict[str, str]
    questions: dict[str, Asked]
    checks: dict[str, Right]
    made: Plain = field(default_factory=dict)

    def takes(self, question: str, answer: str) -> bool:
        """Whether that question has that answer."""
        if question in self.questions:
            return answer in self.questions[question].answers
        return question in self.checks and answer in self.checks[question].answers


def write_key(study: Study, folder: Path) -> None:
    """Write the key of a study."""
    plain = {"format": FORMAT, **asdict(study)}
    write_whole(folder / KEY, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def read_key(folder: str | Path) -> Study:
    """The key of a study.

    Raises:
        UserError: no study, or a damaged one.
    """
    place = Path(folder).expanduser()
    file = place / KEY
    if not file.is_file():
        raise UserError(f"study={folder} is no study: give the output= of stargan study build.")
    try:
        plain = json.loads(file.read_text("utf-8"))
        if plain["format"] != FORMAT:
            raise UserError(f"'{file}' is of another version of stargan: build the study again.")
        study = Study(
            str(plain["fingerprint"]),
            str(plain["title"]),
            int(plain["each"]),
            _texts(plain["methods"]),
            {
                str(name): Asked(str(q["column"]), str(q["wish"]), _texts(q["answers"]))
                for name, q in plain["questions"].items()
            },
            {
                str(name): Right([str(a) for a in c["answers"]], str(c["right"]))
                for name, c in plain["checks"].items()
            },
            dict(plain["made"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"'{file}' is damaged: build the study again.") from error
    whose = {method for asked in study.questions.values() for method in asked.answers.values()}
    if not whose or not whose <= set(study.methods):
        raise UserError(f"'{file}' is damaged: build the study again.")
    return study


def _texts(plain: Mapping[str, str]) -> dict[str, str]:
    return {str(name): str(text) for name, text in plain.items()}
