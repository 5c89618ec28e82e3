"""``stargan health``: reads a run that has ended or still trains, and writes a page about it."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from stargan import configs
from stargan.callbacks.gan_health import LOG_NAME, read_log
from stargan.errors import Plain, UserError
from stargan.health.monitors import BY_NAME, Health
from stargan.health.page import last_sample, make_page, replay
from stargan.progress import plain_console
from stargan.runs import run_folder
from stargan.training.metrics_log import read_rows
from stargan.training.resuming import is_trained

REFRESH = 10
"""Seconds between two readings of the page while a run trains."""
LOOK = 1.0
"""Seconds between two looks at the run."""


def main(config: Plain) -> Path:
    """Write the page and say the verdicts; of a run that trains again and again, until it ends.

    Args:
        config: ``run``, a run folder; ``output``, the page, or None for health.html there;
            ``live``, whether to stay with a run that trains.

    Returns:
        The page.

    Raises:
        UserError: no run folder, nothing logged and nobody who trains, a page that cannot be
            written.
    """
    console = plain_console()
    if not isinstance(config["live"], bool):
        raise UserError(f"live={config['live']} is neither true nor false.")
    given = Path(config["run"]).expanduser()
    folder = run_folder(given) or given
    settings = configs.load_yaml(folder / "config.yaml")
    if "method" not in settings:
        raise UserError(f"{folder / 'config.yaml'} is not the configuration of a training run.")
    path = Path(config["output"] or folder / "health.html").expanduser()
    if config["live"] and is_trained(folder):
        stay(folder, settings, path, console)
    health = write(folder, settings, path)
    if health is None:
        raise UserError(
            f"{folder} has no rows in metrics.csv yet: wait until log.every_n_steps steps are made."
        )
    for trouble in health.troubles:
        console.print(said(health, trouble), soft_wrap=True)
    if not health.troubles:
        console.print("all is well" if health.judged else "too young to be judged", soft_wrap=True)
    console.print(f"page       {path}", markup=False, soft_wrap=True)
    return path


def write(folder: Path, settings: Plain, path: Path, refresh: int | None = None) -> Health | None:
    """Write the page as the run stands now.

    Args:
        folder: of the run.
        settings: its configuration.
        path: the page.
        refresh: seconds between two readings of the page; None: it is the last.

    Returns:
        The monitors; None where nothing is logged yet, then a last page is not written.
    """
    log = folder / "metrics.csv"
    rows = read_rows(log) if log.is_file() else []
    if not rows and refresh is None:
        return None
    health, found = replay(folder, settings, rows)
    # The run's own story knows of rollbacks, whose rows are gone; without it, what the rows say.
    story = read_log(folder / LOG_NAME) or found
    name = str(settings.get("name", folder.name))
    make_page(name, health, rows, story, last_sample(folder), refresh).save(path)
    return health if rows else None


def stay(folder: Path, settings: Plain, path: Path, console: Console) -> None:
    """Write the page whenever the run has logged something, until it ends or Ctrl-C.

    New troubles are said as they come.

    Args:
        folder, settings, path: see ``write``.
        console: for what is said.
    """
    console.print(f"page       {path}", soft_wrap=True)
    console.print(
        "the run goes on: the page is written again and refreshes itself in a browser "
        "(Ctrl-C ends this, not the run)",
        soft_wrap=True,
    )
    known: set[str] = set()
    before: tuple[int, ...] | None = None
    try:
        while is_trained(folder):
            now = _state(folder)
            if now != before:
                health = write(folder, settings, path, REFRESH)
                before = now
                troubles = set(health.troubles) if health else set()
                for trouble in sorted(troubles - known):
                    assert health is not None
                    console.print(said(health, trouble), soft_wrap=True)
                for name in sorted(known - troubles):
                    console.print(f"over: {BY_NAME[name].title}", soft_wrap=True)
                known = troubles
            time.sleep(LOOK)
    except KeyboardInterrupt:
        console.print("ended; the page stays as the run stands now.", soft_wrap=True)
    else:
        console.print("the run has ended.", soft_wrap=True)


def _state(folder: Path) -> tuple[int, ...]:
    """Changes when the run has logged or drawn something."""
    sample = last_sample(folder)
    files = [folder / "metrics.csv", folder / LOG_NAME, *([sample] if sample else [])]
    return tuple(f.stat().st_mtime_ns if f.is_file() else 0 for f in files)


def said(health: Health, name: str) -> str:
    """A trouble and what usually helps, on two lines."""
    trouble, monitor = health.troubles[name], BY_NAME[name]
    return (
        f"{monitor.title}, since step {trouble.since}: {trouble.evidence}\n"
        f"  what usually helps: {monitor.cures}"
    )
