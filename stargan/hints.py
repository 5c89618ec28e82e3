"""What somebody may have meant who has written a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NEAR = 0.7
"""Of difflib's ratio, 1 for equal words: below it a name is another one, not a slip."""
NEAR_AND_SO_BEGUN = 0.6
"""The same for names with the same first letter: few slips are there."""


def likeness(one: str, other: str) -> float:
    """How alike two names are, from 0 to 1; capitals do not count."""
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()


def near(one: str, other: str) -> float:
    """How alike two names are; 0 where they are too far apart for a slip."""
    ratio = likeness(one, other)
    begun = one[:1].lower() == other[:1].lower()
    return ratio if ratio >= (NEAR_AND_SO_BEGUN if begun else NEAR) else 0.0


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that is nearest to a word; None when none is near."""
    return _best({name: near(word, name) for name in known})


def nearest_key(key: str, known: Iterable[str]) -> str | None:
    """The known dotted key that is nearest, by its last word or as a whole; None if none is."""
    last = key.rpartition(".")[2]
    # Of several keys with the same last word the one in the same place.
    return _best(
        {
            name: score + 1e-3 * likeness(key, name)
            for name in known
            if (score := max(near(last, name.rpartition(".")[2]), near(key, name)))
        }
    )


def did_you_mean(name: str | None, sign: str = "'") -> str:
    """`` Did you mean 'name'?``, or nothing for None."""
    return f" Did you mean {sign}{name}{sign}?" if name is not None else ""


def _best(scores: dict[str, float]) -> str | None:
    best = max(sorted(scores), key=scores.__getitem__, default=None)
    return best if best is not None and scores[best] else None
