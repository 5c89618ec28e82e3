"""``stargan health``: one page, and the live page of a run that trains."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stargan import cli
from stargan.errors import UserError
from stargan.tasks import health
from stargan.training.resuming import is_trained, lock

HEAD = "step,seconds,D/adv,G/adv,D/rank,lr/G\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that has logged a row."""
    folder = tmp_path / "runs" / "faces" / "2026-11-25_20-14-01"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("name: faces\nmethod: {n_critic: 1}\n", encoding="utf-8")
    (folder / "metrics.csv").write_text(HEAD, encoding="utf-8")
    log_row(folder, 50)
    return folder


def log_row(folder: Path, step: int) -> None:
    with (folder / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write(f"{step},{step / 2},0.5,0.5,0.7,0.001\n")


def page_of(run: Path) -> str:
    return (run / "health.html").read_text(encoding="utf-8")


def each_second(monkeypatch: pytest.MonkeyPatch, *happens: Callable[[], None]) -> list[float]:
    """Instead of waiting something happens; the seconds that were asked for."""
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        happens[len(waited) - 1]()

    monkeypatch.setattr(health.time, "sleep", sleep)
    return waited


def test_the_page_of_a_run_that_has_ended_is_written_once(run: Path, tmp_path: Path) -> None:
    cli.run(["health", f"run={run}"])
    text = page_of(run)
    assert "<h1>Health of faces</h1>" in text, "by its name, not by its time"
    assert "1 rows of the log" not in text
    assert "1 row of the log, to step 50, 25 s of training" in text
    assert 'http-equiv="refresh"' not in text
    assert str(tmp_path) not in text
    # A lock that nobody holds is what an ended run leaves.
    lock(run).release()
    cli.run(["health", f"run={run}"])
    assert 'http-equiv="refresh"' not in page_of(run)


def test_the_page_follows_a_run_until_it_ends(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = lock(run)
    seen: list[str] = []
    times: list[int] = []

    def look() -> None:
        seen.append(page_of(run))
        times.append((run / "health.html").stat().st_mtime_ns)

    def logs() -> None:
        look()
        log_row(run, 100)

    def ends() -> None:
        look()
        held.release()

    each_second(monkeypatch, logs, look, ends)
    assert is_trained(run)
    cli.run(["health", f"run={run}"])
    assert ["to step 50" in seen[0], "to step 100" in seen[1]] == [True, True]
    assert times[1] == times[2], "nothing new, nothing written"
    for text in seen:
        assert f'<meta http-equiv="refresh" content="{health.REFRESH}">' in text
        assert "The run goes on, as of " in text
        assert not re.search(r"https?:", text)
    # The last page stands still.
    assert 'http-equiv="refresh"' not in page_of(run)
    assert "The run goes on" not in page_of(run)
    assert "the run has ended" in capsys.readouterr().out


def test_ctrl_c_ends_the_watching_and_not_the_run(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        assert 'http-equiv="refresh"' in page_of(run)
        raise KeyboardInterrupt

    held = lock(run)
    each_second(monkeypatch, interrupt)
    cli.run(["health", f"run={run}"])
    assert is_trained(run)
    assert 'http-equiv="refresh"' not in page_of(run)
    assert "ended; the page stays" in capsys.readouterr().out
    held.release()


def test_a_run_that_has_logged_nothing_yet_is_waited_for(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "metrics.csv").unlink()
    held = lock(run)

    def first_row() -> None:
        assert "nothing is logged yet" in page_of(run)
        (run / "metrics.csv").write_text(HEAD, encoding="utf-8")
        log_row(run, 50)

    each_second(monkeypatch, first_row, held.release)
    cli.run(["health", f"run={run}"])
    assert "to step 50" in page_of(run)


def test_live_false_leaves_at_once(run: Path) -> None:
    held = lock(run)
    cli.run(["health", f"run={run}", "live=false"])
    assert 'http-equiv="refresh"' not in page_of(run)
    (run / "metrics.csv").unlink()
    with pytest.raises(UserError, match=r"no rows in metrics\.csv"):
        cli.run(["health", f"run={run}", "live=false"])
    with pytest.raises(UserError, match="live=perhaps is neither"):
        cli.run(["health", f"run={run}", "live=perhaps"])
    held.release()
