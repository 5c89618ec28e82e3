"""How far a long task is: a bar on a terminal, a plain line now and then where output is a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from rich import progress as bars
from rich.console import Console
from rich.errors import LiveError
from rich.text import Text

EVERY = 15.0
"""Seconds between lines where there is no terminal."""


def plain_console(stderr: bool = False) -> Console:
    """A console that prints text as it is: what is in square brackets, or between colons, may be
    the name of a label."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


@contextmanager
def phase(words: str, console: Console | None = None) -> Iterator[None]:
    """Names what runs where nothing can be counted: on a terminal while it lasts, else by a line.

    ::

        with phase("checking the file"):
            ...

    Args:
        words: what is being done.
        console: where to write; default: stderr.
    """
    console = console or plain_console(stderr=True)
    if not console.is_terminal:
        console.print(f"{words} ...", markup=False, emoji=False, soft_wrap=True)
        yield
        return
    status = console.status(Text(words))
    with suppress(LiveError):  # Another bar is on the screen (training's): go without.
        status.start()
    try:
        yield
    finally:
        status.stop()


class Progress:
    """How far a task is, on stderr.

    ::

        with Progress("translating", len(files)) as progress:
            for file in files:
                ...
                progress.advance()

    Args:
        words: what is being done.
        total: how much there is to do.
        unit: what is counted; ``%`` for a share of 100.
        console: where to write; default: stderr.
        after: seconds in which a task that is quick stays unmentioned.
    """

    def __init__(
        self,
        words: str,
        total: float,
        unit: str = "images",
        console: Console | None = None,
        after: float = 0.0,
    ) -> None:
        self.words, self.total, self.unit = words, total, unit
        self.console = console or plain_console(stderr=True)
        self.after = after
        self.done = 0.0
        self._began = self._spoke = time.monotonic()
        self._bar: bars.Progress | None = None
        if self.console.is_terminal:
            columns = [bars.TextColumn("{task.description}", markup=False), bars.BarColumn(24)]
            self._bar = bars.Progress(
                *columns,
                bars.TextColumn("{task.fields[count]}"),
                bars.TextColumn("{task.fields[rate]}"),
                bars.TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task(
                words, total=total, visible=not after, count=self.count, rate=""
            )

    def __enter__(self) -> Progress:
        self._began = self._spoke = time.monotonic()
        if self._bar is not None:
            with suppress(LiveError):  # Another bar is on the screen (training's): go without.
                self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: float = 1) -> None:
        """So many more are done."""
        self.reach(self.done + count)

    def reach(self, done: float) -> None:
        """So many are done in all."""
        self.done = done
        now = time.monotonic()
        seconds = now - self._began
        rate = done / seconds if seconds > 0 else 0.0
        pace = f"{rate:.1f} {self.unit}/s" if rate and self.unit != "%" else ""
        if self._bar is not None:
            shown = seconds >= self.after
            self._bar.update(self._task, completed=done, visible=shown, count=self.count, rate=pace)
        elif now - self._spoke >= EVERY and seconds >= self.after and done < self.total:
            self._spoke = now
            left = [f"{duration((self.total - done) / rate)} left"] if rate else []
            words = ", ".join([*([pace] if pace else []), *left])
            self.console.print(
                f"{self.words}  {self.count}  {words}".rstrip(),
                markup=False,
                emoji=False,
                soft_wrap=True,
            )

    @property
    def count(self) -> str:
        """``120/5,000``, or ``35 %``."""
        if self.unit == "%":
            return f"{self.done:.0f} %"
        return f"{self.done:,.0f}/{self.total:,.0f}"


def duration(seconds: float) -> str:
    """``2 d 3 h``, ``3 h 20 min``, ``4 min 05 s``, ``12 s``."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days} d {h} h"
    if hours:
        return f"{h} h {m:02d} min"
    return f"{m} min {s:02d} s" if minutes else f"{s} s"
