"""The log of terms, the progress line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from stargan.progress import duration
from stargan.training.engine import Engine
from stargan.training.metrics_log import MetricsLog, read_rows, read_terms
from stargan.training.progress import ProgressBar
from tests.rig import make_engine, make_icgan, make_stargan


class Trainer:
    """As much of Lightning's Trainer as the callbacks ask for."""

    is_global_zero = True
    loggers: tuple[Any, ...] = ()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = make_engine(make_stargan())
    optimizers = made.configure_optimizers()
    monkeypatch.setattr(made, "optimizers", lambda: optimizers)
    return made


def step(engine: Engine, number: int, **terms: float) -> None:
    engine.step = number
    engine.terms = {name.replace("_", "/"): torch.tensor(v) for name, v in terms.items()}


def test_rows_are_means_since_the_last_row(engine: Engine, tmp_path: Path) -> None:
    log: Any = MetricsLog(tmp_path / "metrics.csv", 2)
    step(engine, 1, D_adv=1.0)
    log.on_train_batch_end(Trainer(), engine)
    step(engine, 2, D_adv=3.0, G_adv=5.0)
    log.on_train_batch_end(Trainer(), engine)
    step(engine, 3, D_adv=7.0, G_rec=1.0)
    log.on_train_batch_end(Trainer(), engine)
    log.on_train_end(Trainer(), engine)
    rows = read_terms(tmp_path / "metrics.csv")
    assert [r["step"] for r in rows] == [2, 3]
    # G/adv came once in two steps: its own mean, not half of it.
    assert (rows[0]["D/adv"], rows[0]["G/adv"]) == (2, 5)
    assert rows[0]["G/rec"] != rows[0]["G/rec"], "a column that came later is empty before"
    assert (rows[1]["D/adv"], rows[1]["G/rec"]) == (7, 1)


def test_resume_cuts_off_later_rows_and_a_torn_one(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,seconds,D/adv\n2,0.1,1.5\n4,0.2,2.5\n6,0.3,3.5\n8,0.")
    engine.step = 4
    log: Any = MetricsLog(path, 2)
    log.on_fit_start(Trainer(), engine)
    rows = read_terms(path)
    assert [(r["step"], r["D/adv"]) for r in rows] == [(2, 1.5), (4, 2.5)]


def test_what_was_not_logged_is_not_what_is_not_a_number(engine: Engine, tmp_path: Path) -> None:
    log: Any = MetricsLog(tmp_path / "metrics.csv", 1)
    step(engine, 1, D_adv=float("nan"))
    log.on_train_batch_end(Trainer(), engine)
    step(engine, 1_234_567, D_adv=1.0, G_adv=float("inf"))
    log.on_train_batch_end(Trainer(), engine)
    first, second = read_rows(tmp_path / "metrics.csv")
    assert first["D/adv"] != first["D/adv"]
    assert "G/adv" not in first
    assert (second["step"], second["G/adv"]) == (1_234_567, float("inf"))


def test_progress_warns_of_a_long_run_on_a_cpu(engine: Engine, tmp_path: Path) -> None:
    shown = io.StringIO()
    log = MetricsLog(tmp_path / "metrics.csv", 1)
    log.latest = {"D/adv": 0.5, "lr/G": 1e-4}
    console = Console(file=shown, width=120)
    bar: Any = ProgressBar(10_000_000, None, log, console)
    bar.on_train_start(Trainer(), engine)
    bar.marks[0] = (bar.began - 25, 0)
    bar.spoke -= 100
    engine.step = 20
    bar.on_train_batch_end(Trainer(), engine)
    text = shown.getvalue()
    assert "This run is on a CPU at 0.80 steps/s" in text
    assert "d " in text, "the estimate is in days"
    assert "step 20/10000000" in text
    assert "D/adv 0.5" in text
    assert "lr/" not in text


def test_only_terms_of_what_steps_are_shown(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "m.csv", 1)
    log.latest = {"D/adv": 0.5, "G/adv": 0.7, "Ez/mse": 0.9, "Ey/mse": 0.25, "lr/Ez": 1.0}
    bar: Any = ProgressBar(100, None, log, Console(file=io.StringIO()))
    engine = make_engine(make_icgan())
    bar.on_train_start(Trainer(), engine)
    for phase, words in enumerate(("D/adv 0.5  G/adv 0.7", "", "Ez/mse 0.9  Ey/mse 0.25")):
        engine.phase_number = phase
        bar.on_train_batch_end(Trainer(), engine)
        assert bar.describe() == words


def test_a_short_run_is_not_warned_of(engine: Engine, tmp_path: Path) -> None:
    shown = io.StringIO()
    bar: Any = ProgressBar(100, 5.0, MetricsLog(tmp_path / "m.csv", 1), Console(file=shown))
    bar.on_train_start(Trainer(), engine)
    bar.marks[0] = (bar.began - 25, 0)
    bar.spoke -= 100
    engine.step = 20
    bar.on_train_batch_end(Trainer(), engine)
    assert "long run" not in shown.getvalue()
    # The time may end the run: of how many steps says nothing.
    assert "step 20  " in shown.getvalue()
    engine.seconds = 150.0
    assert bar.done(engine) == 0.5
    engine.step = 60
    assert bar.done(engine) == 0.6


def test_a_pause_does_not_spoil_the_speed(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("stargan.training.progress.time.monotonic", lambda: now[0])
    shown = io.StringIO()
    log = MetricsLog(tmp_path / "m.csv", 1)
    bar: Any = ProgressBar(200, None, log, Console(file=shown, width=120))
    bar.on_train_start(Trainer(), engine)
    for number in range(1, 101):
        now[0] += 60 if number == 100 else 1
        engine.step = number
        bar.on_train_batch_end(Trainer(), engine)
    assert shown.getvalue().splitlines()[-1].startswith("step 100/200  0.24 steps/s, 6 min 5")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(12, "12 s"), (245, "4 min 05 s"), (12_000, "3 h 20 min"), (200_000, "2 d 7 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_rewriting_the_log_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new column writes the file anew: killed there, it is as before."""
    path = tmp_path / "metrics.csv"
    log: Any = MetricsLog(path, 1)
    log.write({"step": 1, "D/adv": 1.5})
    before = path.read_text(encoding="utf-8")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        log.write({"step": 2, "D/adv": 2.5, "G/adv": 1.0})
    assert path.read_text(encoding="utf-8") == before
