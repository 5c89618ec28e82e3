"""Images as files, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from stargan.writing import whole


def save_png(image: Image.Image, path: str | Path) -> None:
    """Write a PNG whole or not at all; makes the folder. An interrupted write leaves no half file.

    Raises:
        UserError: the place cannot be written to.
    """
    _save(image, Path(path), format="PNG")


def save_animation(
    frames: Sequence[Image.Image], path: str | Path, seconds: float = 0.2, last: float = 2.0
) -> None:
    """Write a GIF that starts again and again, whole or not at all.

    Args:
        frames: at least one, all of one size.
        path: the file.
        seconds: how long a frame is shown.
        last: how long the last one is.

    Raises:
        UserError: the place cannot be written to.
    """
    times = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * last)]
    _save(
        frames[0],
        Path(path),
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=times,
        loop=0,
    )


def _save(image: Image.Image, path: Path, **how: Any) -> None:
    with whole(path) as part, part.open("xb") as file:
        image.save(file, **how)
