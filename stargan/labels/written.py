"""Label values as people write them into attribute files: 1, 0 and -1, words, nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from stargan.errors import UserError

YES = frozenset(["true", "t", "yes", "y"])
NO = frozenset(["false", "f", "no", "n"])
NOTHING = frozenset(["", "nan", "na", "n/a", "<na>", "null", "none", "?"])
"""What is written for a label that is not known."""


@lru_cache(maxsize=4096)
def written(text: str) -> tuple[float, bool] | None:
    """A value, and whether it is a word: 1, 0 or -1; -1 for the word no; NaN for what is not known.

    None: it is none of these.
    """
    word = text.strip().lower()
    if word in YES or word in NO:
        return (1.0 if word in YES else -1.0), True
    if word in NOTHING:
        return math.nan, False
    try:
        number = float(word)
    except ValueError:
        return None
    return (number, False) if number in (1, 0, -1) else None


def read_written(
    values: Tensor, names: Sequence[str], where: str, elsewhere: bool = False
) -> Tensor:
    """What values mean: set, not set, not known.

    1 is set. Where a column has -1, that is not set, and 0 between 1 and -1 is not known.
    Where it has none, 0 is not set, unless other columns of the file have -1: then a column of 1
    and 0 could mean either. NaN is not known.

    Args:
        values: ``(N, L)`` in {1, 0, -1, NaN}.
        names: of the columns.
        where: the file, for messages.
        elsewhere: whether -1 is in columns of the file that are not among these.

    Returns:
        ``(N, L)`` in {1, 0, NaN}.

    Raises:
        UserError: a column that could mean either.
    """
    minus, zero = (values == -1).any(0), (values == 0).any(0)
    either = zero & ~minus
    if (minus.any() or elsewhere) and either.any():
        name = names[int(either.int().argmax())]
        raise UserError(
            f"'{where}': {name} has 0 but never -1, and other columns have -1, so that 0 may be "
            "'not' or 'not known': write -1 for 'not' in every column, or 0 in every one."
        )
    unknown = (values == 0) & minus
    return values.clamp(min=0).masked_fill(unknown, torch.nan)


def known_by_exclusion(labels: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """Where one label of an exclusive group is set, the others are not, known or not.

    Args:
        labels: ``(N, L)`` in {1, 0, NaN}.
        groups: columns.
    """
    result = labels.clone()
    for group in groups:
        part = result[:, list(group)]
        sure = (part == 1).any(1, keepdim=True)
        result[:, list(group)] = torch.where(sure & part.isnan(), 0.0, part)
    return result
