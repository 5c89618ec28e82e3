"""The loss terms of a run: metrics.csv and TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from stargan.training.engine import Engine
from stargan.writing import append, write_whole

Reader = Callable[[pl.Trainer, Engine, dict[str, float]], None]


class MetricsLog(pl.Callback):
    """Means of all terms since the last row, every so many discriminator steps.

    Args:
        path: the CSV file. On resume, rows after the resumed step are cut off.
        every_n_steps: discriminator steps between rows.

    Attributes:
        readers: called with every new row, on all ranks, once it is written.
    """

    def __init__(self, path: Path, every_n_steps: int) -> None:
        self.path = path
        self.every_n_steps = every_n_steps
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.latest: dict[str, float] = {}
        self.readers: list[Reader] = []
        self.columns: list[str] = []
        self.written_step = -1

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        if not trainer.is_global_zero or not self.path.exists():
            return
        rows = [row for row in read_rows(self.path) if row["step"] <= module.step]
        self.rewrite(rows)

    def note(self, values: Mapping[str, float]) -> None:
        """Put what was measured beside the steps into the next row.

        At the end of training into that of the last step, whether it is written yet or not.
        """
        for name, value in values.items():
            self.sums[name], self.counts[name] = torch.tensor(value), 1

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Engine)
        for name, term in module.terms.items():
            # Sums stay on the device: no synchronisation between rows.
            self.sums[name] = self.sums.get(name, torch.zeros_like(term)) + term
            self.counts[name] = self.counts.get(name, 0) + 1
        if module.step % self.every_n_steps == 0:
            self.flush(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        if self.counts and self.written_step == module.step:
            self.amend(trainer, module)
        elif self.counts:
            self.flush(trainer, module)

    def flush(self, trainer: pl.Trainer, module: Engine) -> None:
        """Write the row of this step."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        means |= {f"lr/{name}": lr for name, lr in module.learning_rates().items()}
        self.latest |= means
        self.written_step = module.step
        row = {"step": module.step, "seconds": round(module.seconds, 2), **means}
        if trainer.is_global_zero:
            self.write(row)
            for logger in trainer.loggers:
                logger.log_metrics(means, step=module.step)
        for read in self.readers:
            # As the file has it, so that reading it again gives the same.
            read(trainer, module, {k: float(written(v)) for k, v in row.items()})

    def amend(self, trainer: pl.Trainer, module: Engine) -> None:
        """Put what was measured since into the row of this step, which is written already."""
        found = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        self.latest |= found
        if not trainer.is_global_zero:
            return
        *before, last = read_rows(self.path)
        self.rewrite([*before, last | found])
        for logger in trainer.loggers:
            logger.log_metrics(found, step=module.step)

    def write(self, row: dict[str, float]) -> None:
        """Append a row; a column that was not there before makes the file be written anew."""
        if set(row) <= set(self.columns):
            append(self.path, self.lines([row]))
        else:
            self.rewrite([*(read_rows(self.path) if self.path.exists() else []), row])

    def rewrite(self, rows: Sequence[dict[str, float]]) -> None:
        """All rows anew, whole or not at all: a kill loses none of them."""
        self.columns = list(dict.fromkeys(c for row in rows for c in row))
        head = self.lines([dict(zip(self.columns, self.columns, strict=True))])
        write_whole(self.path, head + self.lines(rows) if rows else "")

    def lines(self, rows: Sequence[Mapping[str, float | str]]) -> str:
        """Rows as text."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        writer.writerows({k: written(v) for k, v in row.items()} for row in rows)
        return text.getvalue()


def written(value: float | str) -> str:
    """A number as metrics.csv has it: six digits, whole ones in full."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def read_rows(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, each with what was logged in it. A torn last row is dropped."""
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                values = {k: float(v) for k, v in row.items() if v != ""}
            except (TypeError, ValueError):
                continue  # cut off in the middle of a write
            rows.append(values | {"step": int(values["step"])})
    return rows


def read_terms(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv with all columns; what was not logged is NaN."""
    rows = read_rows(path)
    columns = dict.fromkeys(c for row in rows for c in row)
    return [dict.fromkeys(columns, float("nan")) | row for row in rows]
