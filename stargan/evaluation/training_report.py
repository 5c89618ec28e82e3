"""report.md at the end of a training run: what was trained, how it went, what it can do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from stargan.contracts import Plain, RegionImages, Translate
from stargan.data.datamodule import DataModule
from stargan.evaluation.embedded import LabelScore, score
from stargan.evaluation.judge import accuracy, cached_judge, stack

COUNT = 256

Scores = dict[str, tuple[list[LabelScore], dict[str, float]]]
"""Per data set: the figures of each label, and the judge's own accuracy on real images."""


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
    for source, (rows, real) in scores.items():
        lines += [
            "",
            f"## Translations of held-out faces: {source}",
            "",
            "A classifier trained on real drawn faces judges translations of people that neither "
            "it nor the model has seen.",
            "",
            "| label | judged right | others kept | change outside | change inside | images | "
            "judge on real |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r.label} | {r.right:.1%} | {r.kept:.1%} | {r.outside:.4f} | {r.inside:.4f} "
            f"| {r.count} | {real[r.label]:.1%} |"
            for r in rows
        ]
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
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


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
    for i, name in enumerate(data.test):
        train, test = data.train[name].images, data.test[name].images
        if not isinstance(test, RegionImages):
            continue
        size, identity = data.image_size, str(sorted(settings[name].items()))
        with Progress(
            TextColumn(f"judge of {name}"),
            BarColumn(24),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as bar:
            progress = partial(advance, bar, bar.add_task("", total=1.0))
            judge = cached_judge(train, size, identity, progress)
        image = stack(test, size, COUNT).float() / 127.5 - 1
        real = accuracy(judge, image, test.labels[: len(image)])
        scores[name] = score(translate, test, i, judge, size, COUNT), real
    return scores


def advance(bar: Progress, task: TaskID, share: float) -> None:
    """Move a bar whose total is 1."""
    bar.update(task, completed=share)


def score_table(source: str, rows: list[LabelScore]) -> Table:
    """The figures for the terminal."""
    shown = Table(title=f"translations of held-out faces: {source}", title_justify="left")
    for column in ("label", "judged right", "others kept", "change outside", "change inside"):
        shown.add_column(column, justify="left" if column == "label" else "right")
    for r in rows:
        figures = (f"{r.right:.1%}", f"{r.kept:.1%}", f"{r.outside:.4f}", f"{r.inside:.4f}")
        shown.add_row(r.label, *figures)
    return shown
