"""Errors that a person can mend, and plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


class UserError(Exception):
    """Something the user can mend. The message is one sentence: what, where, what to do.

    The command line prints the message alone and exits with 2; nobody sees a traceback.
    """


class UnreadableImageError(UserError):
    """An image of a data set that cannot be read: met between two steps, so that what has been
    trained is whole."""


Plain = dict[str, Any]
"""Nested dict, list, str, int, float, bool, None: what may enter a checkpoint."""


def first_sentence(error: Exception) -> str:
    """The first line of a library's message, without its trail."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
