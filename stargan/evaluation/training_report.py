"""report.md at the end of a training run: what was trained, how it went, what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stargan.contracts import Plain, Translate
from stargan.data.datamodule import DataModule
from stargan.data.synthetic_faces import is_drawn
from stargan.evaluation.figures import Row, figures
from stargan.evaluation.judge import judge_of_faces
from stargan.evaluation.test_set import TestSet
from stargan.evaluation.translate_set import judge_instruments, translate_set
from stargan.writing import write_whole

COUNT = 256
BATCH = 32

Scores = dict[str, list[Row]]
"""The figures of each label by data set; empty where the truth is not known."""


def write_report(
    path: Path,
    facts: Mapping[str, str],
    terms: Mapping[str, float],
    sections: list[list[str]],
    scores: Scores,
) -> None:
    """Write the report.

    Args:
        path: report.md in the run folder.
        facts: what was trained, name to words.
        terms: the last values of the loss terms.
        sections: further Markdown, lines of each; paths relative to the run folder.
        scores: what ``judge_embedded`` found; empty where the truth is not known.
    """
    lines = [f"# {facts['name']}", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items() if name != "name"]
    for source, rows in scores.items():
        lines += [
            "",
            f"## Translations of held-out faces: {source}",
            "",
            "A classifier trained on real drawn faces judges translations of people that neither "
            "it nor the model has seen. More: `stargan evaluate`.",
            "",
            "| label | judged right | others kept | change outside | change inside | images | "
            "judge on real |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
        lines += [
            "",
            "*judged right*: the wanted label is read; *others kept*: all other labels are read "
            "as before; *change*: mean absolute difference to the input on [0, 1], over the "
            "pixels that the label does not concern (*outside*) and those that it does.",
        ]
    if terms:
        lines += ["", "## Terms at the end", "", "| term | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4g} |" for name, value in terms.items()]
    for section in sections:
        lines += ["", *section] if section else []
    write_whole(path, "\n".join(lines) + "\n")


def judge_embedded(
    translate: Translate, data: DataModule, settings: Plain, console: Console
) -> Scores:
    """The figures of a model on the sets of embedded faces among its data; others are left out.

    Args:
        translate: the model.
        data: what it was trained on.
        settings: how each source was made, by name; other faces get another judge.
        console: where the progress of training a judge is shown.
    """
    scores: Scores = {}
    for name, prepared in data.test.items():
        if not is_drawn(prepared.images):
            continue
        judge = judge_of_faces(data, name, settings[name], console)
        test = TestSet(data, name, translate.labels, COUNT)
        tools = judge_instruments(judge, test.space, "judge")
        records = translate_set(translate, test, tools, BATCH, cycle=False)
        scores[name] = [row for s in figures(records, test, intervals=False)[:1] for row in s.rows]
    return scores


def score_table(source: str, rows: list[Row]) -> Table:
    """The figures for the terminal."""
    shown = Table(title=f"translations of held-out faces: {source}", title_justify="left")
    for column in ("label", "judged right", "others kept", "change outside", "change inside"):
        shown.add_column(column, justify="left" if column == "label" else "right")
    for row in rows:
        shown.add_row(*_cells(row)[:5])
    return shown


def _cells(row: Row) -> list[str]:
    """Label, judged right, others kept, change outside and inside, images, judge on real."""
    found = row.figures
    kept = f"{found['kept'].value:.1%}" if "kept" in found else "-"
    return [
        row.name,
        f"{1 - found['error'].value:.1%}",
        kept,
        f"{found['outside'].value:.4f}",
        f"{found['inside'].value:.4f}",
        str(found["error"].count),
        f"{1 - found['real_error'].value:.1%}",
    ]
