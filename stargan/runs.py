"""Run folders: which one a path means, wherever one may be named."""

from __future__ import annotations

import re
import time
from pathlib import Path

CONFIG = "config.yaml"
LAST = "checkpoints/last.ckpt"
_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")


def run_folder(path: str | Path) -> Path | None:
    """The run folder that a path means: ``resume=``, ``model=``, ``run=`` and ``judge=`` alike.

    A run folder itself, a file in one or in its ``checkpoints/``, or a folder of runs
    (``runs/NAME``), of which the newest is meant.

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
    """The newest run of a folder of runs, such as ``runs/NAME``; None where it is no such folder.

    Runs that have saved something come before those that have not.
    """
    path = Path(path)
    if not path.is_dir() or (path / CONFIG).is_file() or any(path.glob("*.safetensors")):
        return None
    runs = [folder for folder in path.iterdir() if (folder / CONFIG).is_file()]
    return max(runs, key=_age, default=None)


def _age(run: Path) -> tuple[bool, str, str]:
    """Sorts runs: those that have saved, then by the time in their name, else by the clock."""
    saved = (run / LAST).is_file() or any(run.glob("*.safetensors"))
    moment = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime((run / CONFIG).stat().st_mtime))
    return saved, run.name if _STAMP.match(run.name) else moment, run.name
