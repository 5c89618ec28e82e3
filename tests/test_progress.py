"""What is said of a long task: plain lines in a file, a bar on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from stargan import progress
from stargan.progress import Progress, duration, phase


class Clock:
    """A clock that the test turns."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_a_file_gets_a_line_now_and_then_with_counts_and_time_left(clock: Clock) -> None:
    file = io.StringIO()
    with Progress("translating", 4000, console=Console(file=file, width=40)) as bar:
        for _ in range(4000):
            clock.now += 1 / 64
            bar.advance()
    lines = file.getvalue().splitlines()
    assert len(lines) == 4, "62.5 seconds, a line every 15"
    assert lines[0].startswith("translating  960/4,000  64.0 images/s, 48 s left")
    assert lines[3].startswith("translating  3,840/4,000  64.0 images/s, 2 s left")


def test_a_quick_task_says_nothing_in_a_file(clock: Clock) -> None:
    file = io.StringIO()
    with Progress("translating", 100, console=Console(file=file)) as bar:
        for _ in range(100):
            clock.now += 0.1
            bar.advance()
    assert file.getvalue() == ""


def test_shares_and_words_with_brackets(clock: Clock) -> None:
    file = io.StringIO()
    with Progress("judge of [faces]", 100, "%", Console(file=file, width=200)) as bar:
        clock.now += 20
        bar.reach(25)
    assert file.getvalue() == "judge of [faces]  25 %  1 min 00 s left\n"


def test_a_terminal_gets_a_bar_and_keeps_nothing_of_it(clock: Clock) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, color_system=None)
    with Progress("maps of [cats]", 20, console=console) as bar:
        clock.now += 2
        bar.reach(10)
        assert bar._bar is not None
        bar._bar.refresh()
    shown = file.getvalue()
    assert "maps of [cats]" in shown
    assert "10/20" in shown
    assert "5.0 images/s" in shown
    assert "\n" not in shown.rsplit("10/20", 1)[1].strip("\x1b[]?0123456789hKA\r\n")


def test_what_is_quick_does_not_flash_up(clock: Clock) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100)
    with Progress("drawing", 20, "faces", console, after=2.0) as bar:
        assert bar._bar is not None
        assert not bar._bar.tasks[0].visible
        clock.now += 1.9
        bar.reach(1)
        assert not bar._bar.tasks[0].visible
        clock.now += 0.2
        bar.reach(2)
        assert bar._bar.tasks[0].visible


def test_a_bar_within_a_bar(clock: Clock) -> None:
    """Faces are drawn while training's bar is on the screen: one of the two goes without."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Progress("training", 20, console=console), Progress("drawing", 5, console=console) as bar:
        bar.advance(5)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (12.4, "12 s"),
        (59.6, "1 min 00 s"),
        (245, "4 min 05 s"),
        (12000, "3 h 20 min"),
        (183600, "2 d 3 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_phase_is_named_in_a_file(clock: Clock) -> None:
    file = io.StringIO()
    with phase("checking [a] :b:", Console(file=file, width=40)):
        assert file.getvalue() == "checking [a] :b: ...\n"


def test_a_phase_on_a_terminal_goes_with_it() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, color_system=None)
    with phase("checking [a]", console), phase("within", console):
        pass
    assert "checking [a]" in file.getvalue()
    assert file.getvalue().rstrip().endswith(("\x1b[?25h", "\x1b[2K")), "nothing of it stays"
