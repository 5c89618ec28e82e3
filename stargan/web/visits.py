"""What the server remembers of a visit, and how it forgets it.

On disk a photo lies from its upload until a few seconds after it has been read; in memory the
small pictures that the networks see are kept until the page is closed.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Timer

from torch import Tensor


@dataclass
class Seen:
    """A visitor's photo as one model sees it.

    Attributes:
        photo: ``(3, H, W)`` in [-1, 1], of the model's size.
        probability: what the model reads off it, None when it cannot.
        own: the same as yes and no.
        row: the pictures of all labels, once they have been made.
        framing: what was done to a photo that is not framed like the training's images.
    """

    photo: Tensor
    probability: dict[str, float] | None
    own: dict[str, bool] | None
    row: str | None = None
    framing: str | None = None


@dataclass
class Visit:
    """One visitor: the photo for each model by its index, and the edits wanted last."""

    seen: dict[int, Seen] = field(default_factory=dict)
    edits: dict[str, float] = field(default_factory=dict)


class Visits:
    """Visits by session, at most so many, none idle for longer than a given time.

    Args:
        capacity: how many; the one idle longest is forgotten first.
        seconds: how long an idle one is remembered.
        clock: seconds, for tests.
    """

    def __init__(
        self, capacity: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.capacity = capacity
        self.seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._visits: OrderedDict[str, tuple[float, Visit]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._visits)

    def __contains__(self, session: str) -> bool:
        return session in self._visits

    def keep(self, session: str, visit: Visit) -> None:
        """Remember a visit."""
        with self._lock:
            self._visits[session] = self._clock(), visit
            self._visits.move_to_end(session)
            while len(self._visits) > self.capacity:
                self._visits.popitem(last=False)

    def find(self, session: str) -> Visit | None:
        """The visit of a session, which thereby is not idle."""
        with self._lock:
            if session not in self._visits:
                return None
            _, visit = self._visits[session]
            self._visits[session] = self._clock(), visit
            self._visits.move_to_end(session)
            return visit

    def forget(self, session: str) -> None:
        """Forget one visit."""
        with self._lock:
            self._visits.pop(session, None)

    def forget_idle(self) -> None:
        """Forget the visits that have been idle too long."""
        with self._lock:
            now = self._clock()
            for session, (last, _) in list(self._visits.items()):
                if now - last <= self.seconds:
                    break  # The oldest come first.
                del self._visits[session]


def discard_soon(file: Path, seconds: float = 3) -> None:
    """Delete an uploaded file when the browser that sent it has shown it, too.

    The same picture sent again lies at the same place: that new file stays for its own reader.
    """
    try:
        read = file.stat().st_ino, file.stat().st_mtime_ns
    except OSError:
        return

    def discard() -> None:
        with suppress(OSError):
            if (file.stat().st_ino, file.stat().st_mtime_ns) == read:
                file.unlink()
                file.parent.rmdir()

    timer = Timer(seconds, discard)
    timer.daemon = True
    timer.start()


def sweep(folder: Path, seconds: float) -> None:
    """Delete the files in a folder that have not changed for so long, and empty folders in it."""
    if not folder.is_dir():
        return
    oldest = time.time() - seconds
    # Deepest first, so that a folder is empty when its turn comes.
    for path in sorted(folder.rglob("*"), key=lambda p: len(p.parts), reverse=True):
        with suppress(OSError):  # Somebody else was faster, or a folder is not empty.
            if path.lstat().st_mtime > oldest:
                continue
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
                continue
            path.unlink()
            if path.parent != folder:
                path.parent.rmdir()
