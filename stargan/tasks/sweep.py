"""``stargan train -m``: several runs by Hydra's sweepers and launchers, and a table of them.

A job is what ``stargan train OVERRIDES run_dir=FOLDER resume=auto`` would be, so a sweep that was
interrupted goes on by the same command in its folder: what is finished is kept.
"""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stargan import configs
from stargan.errors import UserError
from stargan.hints import did_you_mean, nearest
from stargan.progress import duration
from stargan.runs import FIGURES, LAST
from stargan.writing import markdown_row, write_whole

if TYPE_CHECKING:
    from omegaconf import DictConfig

TABLE = "sweep.md"
OVERRIDES = ".hydra/overrides.yaml"
"""Where Hydra notes what a job was given."""
COLUMNS = 6
"""Figures in the table, the one that is compared among them."""


def main(overrides: Sequence[str]) -> Path:
    """Train with every combination of the values that are typed, or as the sweeper decides.

    Args:
        overrides: as typed after ``stargan train -m``.

    Returns:
        The folder of the sweep.

    Raises:
        UserError: what ``stargan train`` would refuse, and a job that failed: the others are run.
    """
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not any(configs.split_override(o).key == "experiment" for o in overrides):
        names = ", ".join(configs.options("experiment"))
        raise UserError(f"which experiment? Add experiment=NAME, one of {names}.")
    for key in ("resume", "run_dir", "hydra.run.dir"):
        if any(configs.split_override(o).key == key for o in overrides):
            raise UserError(
                f"{key}= is of one run: a sweep has hydra.sweep.dir=DIR, and goes on by the same "
                "command with its folder."
            )
    with configs.session("train") as app:
        words = configs.prepared(app, "train", overrides, sweep=True)
        try:
            # The first job, so that what is missing is said before anything starts.
            first = compose("train", configs.first_job(app, words), return_hydra_config=True)
            direction = str(first.direction)
            if OmegaConf.select(first, "hydra.sweeper.direction") is not None and not any(
                word.startswith("hydra.sweeper.direction=") for word in words
            ):
                words.append(f"hydra.sweeper.direction={direction}")
            check_storage(OmegaConf.select(first, "hydra.sweeper.storage"))
            folder = Path(str(first.hydra.sweep.dir)).expanduser()
            optimize = first.optimize
            configs.plain(first)
            words += [f"hydra.sweep.dir={configs.quoted(str(folder))}", "hydra.mode=MULTIRUN"]
            say(f"sweep folder: {folder}")
            try:
                app.multirun("train", job, words)
            finally:
                rows = table(folder, optimize, direction)
                if rows:
                    say(f"table: {folder / TABLE}")
                    if not all(row.figures for row in rows):
                        say(f"go on with: the same command and hydra.sweep.dir={folder}")
        except (HydraException, OmegaConfBaseException) as error:
            raise configs.refusal(error, overrides) from error
        except RuntimeError as error:
            if not configs.is_launchers(error):
                raise
            raise UserError(
                f"not all jobs were run to their end ({configs.first_sentence(error)}): the same "
                f"command with hydra.sweep.dir={folder} goes on."
            ) from error
    return folder


def check_storage(storage: Any) -> None:
    """Refuse a database that Hydra's Optuna sweeper cannot write to.

    Its last release takes Optuna 2.10, which does not know SQLAlchemy 2.

    Raises:
        UserError: such a database.
    """
    if storage is None or importlib.util.find_spec("sqlalchemy") is None:
        return
    if int(version("sqlalchemy").partition(".")[0]) >= 2:
        raise UserError(
            "hydra.sweeper.storage: the Optuna of Hydra's sweeper (2.10) does not work with "
            "SQLAlchemy 2: leave it out, and hydra.sweeper.sampler.seed=1 lets an interrupted "
            "search go on."
        )


def say(words: str) -> None:
    """A line for the person."""
    print(words, flush=True)


def job(config: DictConfig) -> Any:
    """One run of a sweep, in whatever process a launcher has started for it.

    Args:
        config: composed by Hydra for this job.

    Returns:
        The figure that ``optimize=`` names, or all of them by name.

    Raises:
        UserError: what ``stargan train`` would refuse, or no such figure.
        KeyboardInterrupt: the run was interrupted.
    """
    from hydra.core.hydra_config import HydraConfig

    from stargan.training.run import run_training

    hydra = HydraConfig.get()
    folder = str(hydra.runtime.output_dir)
    typed = list(hydra.overrides.task)
    optimize = config.optimize
    plain = {**configs.plain(config), "run_dir": folder, "resume": configs.AUTO}
    with as_command(["train", *typed, f"run_dir={folder}", f"resume={configs.AUTO}"]):
        made = run_training(plain)
    if made.exit_code > 128:
        raise KeyboardInterrupt
    if optimize is None or not made.figures:  # other processes of a run than its first have none
        return made.figures
    return chosen(made.figures, str(optimize))


def chosen(figures: Mapping[str, float], name: str) -> float:
    """The figure that a sweep compares its jobs by.

    Raises:
        UserError: there is none of that name.
    """
    if name not in figures:
        raise UserError(
            f"optimize={name}: the runs have no such figure.{did_you_mean(nearest(name, figures))} "
            f"They have {', '.join(figures)}; finished runs are kept, so the same command with "
            "another optimize= and hydra.sweep.dir= takes no time."
        )
    return figures[name]


@contextmanager
def as_command(words: list[str]) -> Iterator[None]:
    """Look like ``stargan`` with these words to Lightning, whose launcher starts other processes of
    a run as copies of the command: a job's, not the sweep's or the launcher's."""
    from hydra.core.hydra_config import HydraConfig

    import __main__

    hydra = HydraConfig.instance()
    old = sys.argv, __main__.__spec__, hydra.cfg
    sys.argv = [sys.argv[0], *words]
    __main__.__spec__ = importlib.util.find_spec("stargan.__main__")
    hydra.cfg = None  # else it would add settings of Hydra's to the command
    try:
        yield
    finally:
        sys.argv, __main__.__spec__, hydra.cfg = old


@dataclass(frozen=True)
class Job:
    """A job of a sweep, as its folder says.

    Attributes:
        name: of its folder.
        settings: what was typed, by key.
        figures: the final ones; empty: it has not ended.
        begun: whether there is something to go on with.
    """

    name: str
    settings: dict[str, str]
    figures: dict[str, float]
    begun: bool

    @property
    def state(self) -> str:
        """In a word."""
        return "finished" if self.figures else "interrupted" if self.begun else "not trained"


def jobs(folder: Path) -> list[Job]:
    """The jobs of a sweep by their folders' names, numbers as numbers."""
    found = []
    for note in sorted(folder.glob(f"*/{OVERRIDES}"), key=lambda p: _natural(p.parent.parent.name)):
        place = note.parent.parent
        try:
            typed = yaml.safe_load(note.read_text("utf-8")) or []
            settings = {t.key: t.value or "" for t in map(configs.split_override, map(str, typed))}
            file = place / FIGURES
            figures = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"{place} cannot be read: {configs.first_sentence(error)}.") from error
        found.append(Job(place.name, settings, figures, (place / LAST).is_file()))
    return found


def _natural(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else sys.maxsize, name)


def table(folder: Path, optimize: str | None, direction: str) -> list[Job]:
    """Write sweep.md: what each job was given and what came of it, the best first.

    Args:
        folder: of the sweep.
        optimize: the figure that is compared; None: in the order of the jobs.
        direction: ``minimize`` or ``maximize`` it.

    Returns:
        The jobs in that order; where there are none nothing is written.
    """
    rows = jobs(folder)
    if not rows:
        return rows
    first = rows[0].settings
    keys = list(dict.fromkeys(k for row in rows for k in row.settings))
    swept = [k for k in keys if any(row.settings.get(k) != first.get(k) for row in rows)]
    if optimize:
        sign = -1 if direction == "maximize" else 1

        def place(row: Job) -> tuple[bool, float]:
            value = row.figures.get(optimize, math.nan)
            return math.isnan(value), sign * value

        rows = sorted(rows, key=place)
    names = list(dict.fromkeys(n for row in rows for n in row.figures))
    # Learning rates and time say how it was trained, not what came of it.
    names = [n for n in names if n not in ("step", "seconds") and not n.startswith("lr/")]
    names.sort(key=lambda name: name != optimize)
    names = names[:COLUMNS]
    head = ["job", *swept, *names, "steps", "time", "state"]
    lines = [f"# Sweep {folder.name}", ""]
    common = {k: v for k, v in first.items() if k not in swept}
    lines += [f"All jobs: `{' '.join(f'{k}={v}' for k, v in common.items())}`.", ""]
    if optimize:
        lines += [f"Best first: {direction} {optimize}.", ""]
    lines += [markdown_row(head), markdown_row(["---"] * len(head))]
    for row in rows:
        cells = [row.name, *(unquoted(row.settings.get(k, "")) for k in swept)]
        cells += [f"{row.figures[n]:.4g}" if n in row.figures else "" for n in names]
        ended = row.figures
        cells += [f"{ended['step']:.0f}", duration(ended["seconds"])] if ended else ["", ""]
        lines.append(markdown_row([*cells, row.state]))
    write_whole(folder / TABLE, "\n".join(lines) + "\n")
    return rows


def unquoted(value: str) -> str:
    """A value of Hydra's grammar as it was typed."""
    return value.replace("\\'", "\0").replace("'", "").replace("\0", "'")
