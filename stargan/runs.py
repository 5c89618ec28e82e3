"""Run folders: which one a path means, wherever one may be named."""

from __future__ import annotations

import re
from pathlib import Path

CONFIG = "config.yaml"
LAST = "checkpoints/last.ckpt"
FIGURES = "figures.json"
"""The final figures of a run that was not interrupted."""
DATED = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
"""What a run folder is called that nobody named."""


def run_folder(path: str | Path) -> Path | None:
    """The run folder that a path means: ``resume=``, ``model=``, ``run=`` and ``judge=`` alike.

    A run folder itself, a file in one or in its ``checkpoints/``, or a folder of runs
    (``runs/NAME``), of which the newest is meant, see ``newest_run``.

    Returns:
        The folder as it was given, not resolved; None where there is none.
    """
    path = Path(path).expanduser()
    inner = newest_run(path)
    if inner is not None:
        return inner
    place = path.absolute()
    steps = [path, path.parent, path.parent.parent]
    if path.is_dir():
        # RUN/checkpoints is as good as a file in it; the parent of another folder is not meant.
        steps = steps[: 2 if place.name == "checkpoints" else 1]
    return next((step for step in steps if (step / CONFIG).is_file()), None)


def newest_run(path: str | Path) -> Path | None:
    """The newest run of a folder of runs that are named by their time, such as ``runs/NAME``.

    Runs that have saved something come before those that have not.

    Returns:
        None where it is no such folder (a set of models has folders of other names).
    """
    path = Path(path)
    if not path.is_dir() or (path / CONFIG).is_file():
        return None
    runs = [p for p in path.iterdir() if DATED.match(p.name) and (p / CONFIG).is_file()]
    return max(runs, key=lambda run: (_has_saved(run), run.name), default=None)


def _has_saved(run: Path) -> bool:
    return (run / LAST).is_file() or any(run.glob("*.safetensors"))
