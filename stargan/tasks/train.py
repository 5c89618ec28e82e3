"""``stargan train``: see ``stargan.training.run``."""

from __future__ import annotations

from pathlib import Path

from stargan.errors import Plain
from stargan.training.run import run_training


def main(config: Plain) -> Path:
    """Train as configured; exits with the code of whatever ended the run before its time.

    Returns:
        The run folder.
    """
    made = run_training(config)
    if made.exit_code:
        raise SystemExit(made.exit_code)
    return made.folder
