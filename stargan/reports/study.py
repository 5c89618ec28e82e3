"""The page of a preference study, and the table of its votes."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from stargan.errors import Plain
from stargan.evaluation.study import Check, Question
from stargan.evaluation.study_key import Study
from stargan.evaluation.tally import Count
from stargan.evaluation.votes import Votes
from stargan.metrics.bootstrap import Estimate
from stargan.reports.page import Page

FEW = 10
"""Voters; with fewer an interval over voters holds the truth less often than it says: in 88 % with
five made-up voters, in 94 % with ten and with twenty."""
INTERVAL = (
    "95 % intervals: bootstrap over voters, all answers of a voter drawn together; they say how "
    "much other voters might change the figure, not other photos."
)


def page_data(
    title: str, each: int, questions: Sequence[Question], checks: Sequence[Check]
) -> Plain:
    """What the page holds.

    Nothing in it says which method made what: names are opaque, pictures are of one size and
    format, and answers stand in the order of their names.
    """
    columns = list(dict.fromkeys(question.column for question in questions))
    first = questions[0].photo
    plain: Plain = {
        "title": title,
        "each": each,
        "shape": f"{first.width} / {first.height}",
        "questions": [
            {
                "name": one.name,
                "group": columns.index(one.column),
                "words": one.words,
                "photo": embedded(one.photo),
                "answers": _answers(one.made),
            }
            for one in questions
        ],
        "checks": [
            {
                "name": one.name,
                "words": "",
                "photo": embedded(one.photo),
                "answers": _answers(one.made),
            }
            for one in checks
        ],
    }
    text = json.dumps(plain, sort_keys=True).encode()
    return {"study": hashlib.sha256(text).hexdigest()[:16], **plain}


def _answers(made: Mapping[str, Image.Image]) -> list[Plain]:
    return [{"name": name, "picture": embedded(picture)} for name, picture in made.items()]


def embedded(image: Image.Image) -> str:
    """A picture as a ``data:`` address, with every pixel as it is: faults of a method must be seen,
    none may be added."""
    data = BytesIO()
    image.convert("RGB").save(data, "WEBP", lossless=True, quality=80, method=4)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"


def page(data: Plain) -> str:
    """The page as one HTML file that asks for nothing from anywhere."""
    here = Path(__file__).parent
    style, script, text = (
        (here / f"study.{kind}").read_text(encoding="utf-8") for kind in ("css", "js", "html")
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; "
        f"script-src {_digest(script)}; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    # A "<" would let a title end the element that holds it.
    plain = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    parts = {"policy": policy, "title": html.escape(data["title"]), "style": style, "data": plain}
    pieces = text.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled.append({**parts, "script": script}[name] + rest)
    return "".join(filled)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def share(estimate: Estimate | None) -> str:
    """``41.2%`` and below it its interval."""
    if estimate is None:
        return "-"
    if math.isnan(estimate.low):
        return f"{estimate.value:.1%}"
    low, high = f"{100 * estimate.low:.1f}", f"{estimate.high:.1%}"
    return f"{estimate.value:.1%}\n{low} to {high}"


def tables(counted: Count, study: Study) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Heads and rows: by column of the comparison's table, by wish, and the agreement."""

    def by(votes: Votes, first: str) -> tuple[list[str], list[list[str]]]:
        there = [m for m in study.methods if any(m in of for of in votes.values())]
        rows = [
            [name, str(next(iter(of.values())).count), *(share(of.get(m)) for m in there)]
            for name, of in votes.items()
        ]
        return [first, "votes", *(study.methods[m] for m in there)], rows

    agreement = [
        ["all questions" if name == "all" else name, "-" if value is None else f"{value:.2f}"]
        for name, value in counted.agreement.items()
    ]
    return {
        "columns": by(counted.columns, "asked for"),
        "wishes": by(counted.wishes, "wish"),
        "agreement": (["asked for", "alpha"], agreement),
    }


def facts(counted: Count, study: Study) -> dict[str, str]:
    """Who voted, and who was left out."""
    fewest, most = counted.answered
    return {
        "voters": f"{counted.voters:,}, of whom {counted.complete:,} answered all their questions",
        "votes": f"{counted.votes:,}, from {fewest} to {most} on a question",
        "left out": f"{counted.failed:,} voters who failed an attention check, "
        f"{counted.unchecked:,} who stopped before the first one or before any other question",
        "counted once": f"{counted.copies:,} further copies of voters who were there already",
        "questions": f"{len(study.questions):,}, {study.each:,} of them for each voter, and "
        f"{len(study.checks):,} attention checks",
        "study": study.fingerprint,
    }


def tally_page(counted: Count, study: Study) -> Page:
    """The tally for reading."""
    found = tables(counted, study)
    report = Page(f"Votes: {study.title}")
    report.items(facts(counted, study))
    if counted.voters < FEW:
        report.warning(
            f"{counted.voters} voters are few: with fewer than {FEW} the intervals are too narrow."
        )
    report.heading("Preference")
    words = f"Share of the votes for the best result. {INTERVAL}"
    report.table(*found["columns"], words)
    report.heading("Wish by wish")
    report.table(*found["wishes"], words)
    report.heading("Agreement")
    report.table(
        *found["agreement"],
        "Krippendorff's alpha of nominal answers: 1, all voters chose the same result of every "
        "question; 0, they agree as often as by chance.",
    )
    return report
