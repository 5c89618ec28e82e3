"""What comes with the package, to try it without training: a model and pictures of drawn faces.

``model=demo`` and ``input=demo`` mean them wherever a model or pictures are asked for, unless a
file or folder of that name is there. ``scripts/train_shipped.py`` makes them; the faces are drawn
ones (``data.drawn``), of nobody.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
MODEL = HERE / "demo.safetensors"
"""A small translator of drawn faces at 64 x 64 pixels: hair, Male, Young; in half precision."""
INPUTS = HERE / "inputs"
"""Drawn faces that the model has not seen."""


def shipped(path: str | Path, what: Path) -> Path | None:
    """``what`` where a path says ``demo`` and nothing on the disk is called so.

    Args:
        path: as typed.
        what: ``MODEL`` or ``INPUTS``.
    """
    return what if str(path) == "demo" and not Path("demo").exists() else None
