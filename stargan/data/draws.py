"""Random numbers that come with a training batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stargan.contracts import Draw
from stargan.errors import UserError


def draw_numbers(
    draws: Mapping[str, Draw], rows: int, key: Sequence[int]
) -> dict[str, NDArray[np.float32]]:
    """The random numbers that a batch brings along.

    Args:
        draws: what is asked for, by name.
        rows: images of the batch.
        key: whole numbers from which all of them follow. Each name has a stream of its own, so
            that one more changes none of the others.

    Returns:
        By name, in order, ``(repeat * rows, *shape)``.

    Raises:
        UserError: a kind that does not exist.
    """
    found = {}
    for name, draw in sorted(draws.items()):
        rng = np.random.default_rng([*key, crc32(name.encode())])
        shape = (draw.repeat * rows, *draw.shape)
        if draw.kind == "uniform":
            found[name] = rng.random(shape, dtype=np.float32)
        elif draw.kind == "normal":
            found[name] = rng.standard_normal(shape, dtype=np.float32)
        else:
            raise UserError(f"random numbers of kind '{draw.kind}': choose uniform or normal.")
    return found
