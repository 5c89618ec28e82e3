"""At the end of a run on embedded faces: a judge looks at translations of held-out people."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from stargan import building
from stargan.data.drawn.faces import is_drawn
from stargan.errors import Plain
from stargan.evaluation.figures import Row, figures
from stargan.evaluation.held_out import TestSet
from stargan.evaluation.measure import judge_instruments, translate_set
from stargan.export import open_model
from stargan.judges.drawn import judge_of_faces
from stargan.methods.base import Translation
from stargan.progress import Progress
from stargan.training.callback import Run, RunCallback
from stargan.writing import markdown_row

COUNT = 256
BATCH = 32


class EmbeddedJudge(RunCallback):
    """Judges the exported model on the embedded faces among its data; real images are left out.

    Attributes:
        scores: the figures of each label by data set.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.scores: dict[str, list[Row]] = {}

    @classmethod
    def of(cls, run: Run, settings: Plain) -> EmbeddedJudge | None:
        """For every method that translates embedded faces."""
        drawn = any(is_drawn(prepared.images) for prepared in run.data.test.values())
        return cls(run) if drawn and isinstance(run.method, Translation) else None

    def finish(self, exported: Path, cut_short: bool) -> None:
        """Judge the exported file."""
        if cut_short:
            return
        run, data = self.run, self.run.data
        trust = building.own_targets(run.config["method"])
        translate = open_model(exported, run.method.device, trust=trust)
        for name, prepared in data.test.items():
            if not is_drawn(prepared.images):
                continue
            judge = judge_of_faces(data, name, run.config["data"][name], run.console)
            test = TestSet(data, name, translate.labels, COUNT)
            tools = judge_instruments(judge, test.space, "judge")
            words = f"judging translations of held-out faces: {name}"
            count = len(test.rows) + len(test.reference_rows)
            with Progress(words, count, console=run.console) as progress:
                records = translate_set(
                    translate, test, tools, BATCH, cycle=False, advance=progress.advance
                )
            found = figures(records, test, intervals=False, bins=0)[:1]
            self.scores[name] = [row for s in found for row in s.rows]

    def report(self) -> list[str]:
        """A table for each data set."""
        lines: list[str] = []
        for dataset, rows in self.scores.items():
            lines += [
                "",
                f"## Translations of held-out faces: {dataset}",
                "",
                "A classifier trained on real drawn faces judges translations of people that "
                "neither it nor the model has seen. More: `stargan evaluate`.",
                "",
                "| label | judged right | others kept | change outside | change inside | images | "
                "judge on real |",
                "|---|---|---|---|---|---|---|",
                *(markdown_row(_cells(row)) for row in rows),
                "",
                "*judged right*: the wanted label is read; *others kept*: all other labels are "
                "read as before; *change*: mean absolute difference to the input on [0, 1], over "
                "the pixels that the label does not concern (*outside*) and those that it does.",
            ]
        return lines[1:]

    def summary(self) -> dict[str, str]:
        """The table goes to the terminal."""
        for dataset, rows in self.scores.items():
            self.run.console.print(score_table(dataset, rows))
        return {}

    def figures(self) -> dict[str, float]:
        """``DATASET/LABEL/error`` and so on."""
        return {
            f"{dataset}/{row.name}/{name}": figure.value
            for dataset, rows in self.scores.items()
            for row in rows
            for name, figure in row.figures.items()
        }


def score_table(dataset: str, rows: list[Row]) -> Table:
    """The figures for the terminal."""
    shown = Table(title=f"translations of held-out faces: {dataset}", title_justify="left")
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
