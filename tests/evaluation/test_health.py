"""Planted rows of a log: each monitor finds its trouble, and no other one speaks."""

from __future__ import annotations

import json
import math
import random
import sys
import time
from types import FrameType
from typing import Any

import pytest

from stargan.health.monitors import MONITORS, Finding, Health, Row
from stargan.losses.adversarial import ADVERSARIAL, Scale
from tests.evaluation.slow_health import SlowHealth

SCALE = ADVERSARIAL["non_saturating"].scale
HEALTHY = {
    "D/adv": 1.25,
    "G/adv": 0.9,
    "D/rank": 0.7,
    "grad/G": 1e-3,
    "grad/D": 1e-2,
    "samples/ndb": 0.4,
    "samples/jsd": 0.1,
    "samples/bins": 0.8,
    "samples/spread": 0.95,
    "samples/off": 1.5,
    "samples/duplicates": 0.02,
    "label_effect": 0.1,
    "input_effect": 1.0,
    "colour_drift": 0.02,
    "background_drift": 0.03,
    "val/balanced": 0.9,
    "val/chance": 0.5,
}
# What each trouble looks like, on top of a healthy row.
PLANTED = {
    "diverged": {"G/adv": math.nan},
    "discriminator_wins": {"D/adv": 0.01, "G/adv": 6.0, "D/rank": 1.0, "samples/spread": 0.1},
    "losses_explode": {"D/adv": 20.0, "G/adv": 300.0, "samples/spread": 0.1, "grad/G": 5.0},
    "discriminator_blind": {"D/adv": 1.386, "D/rank": 0.51, "samples/jsd": 0.9},
    "gradients_explode": {"grad/D": 5.0},
    "gradients_vanish": {"grad/G": 1e-9},
    "mode_collapse": {"D/rank": 0.2, "samples/spread": 0.2, "samples/duplicates": 0.9},
    "label_ignored": {"label_effect": 0.001},
    "input_ignored": {"input_effect": 0.01, "colour_drift": 0.5, "label_effect": 0.0},
    "colour_drift": {"colour_drift": 0.4, "background_drift": 0.4},
    "background_drift": {"background_drift": 0.4},
    "classifier_guesses": {"val/balanced": 0.44},
}


def run(
    health: Health, change: dict[str, float], first: int, last: int, every: int = 10
) -> list[Finding]:
    """Rows from ``first`` to ``last`` with a small wobble that is no wave."""
    found = []
    for step in range(first, last + 1, every):
        wobble = 1 + 0.02 * math.sin(step * step)
        row = {k: v * wobble for k, v in (HEALTHY | change).items()}
        found += health.read({"step": step, "seconds": 1.0, **row})
    return found


def test_a_healthy_run_is_left_alone() -> None:
    health = Health(SCALE, 1, 200, 200)
    assert run(health, {}, 10, 3000) == []
    assert health.clear


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_trouble_is_found_alone_and_so_is_its_end(name: str) -> None:
    health = Health(SCALE, 1, 200, 200)
    assert run(health, {}, 10, 1000) == []
    found = run(health, PLANTED[name], 1010, 1400)
    assert [(f.monitor, f.event) for f in found] == [(name, "trouble")]
    assert 1010 <= found[0].since <= 1100
    assert list(health.troubles) == [name]
    assert not health.clear
    found = run(health, {}, 1410, 1900)
    assert [(f.monitor, f.event) for f in found] == [(name, "recovered")]
    assert health.clear


@pytest.mark.parametrize("name", sorted(set(PLANTED) - {"diverged"}))
def test_what_passes_soon_is_not_reported(name: str) -> None:
    health = Health(SCALE, 1, 200, 200)
    run(health, {}, 10, 1000)
    # Losses are judged by their mean over ten rows, which remembers.
    last = 1040 if name == "losses_explode" else 1100
    assert run(health, PLANTED[name], 1010, last) + run(health, {}, last + 10, 1500) == []


# Real images of MNIST, a few of its classes, on 512 of 2,000 (mean of ten rows): they look alive.
FEW_KINDS = {
    "0 to 4": {"samples/ndb": 0.58, "samples/jsd": 0.11, "samples/bins": 0.80, "samples/off": 1.0},
    "5 to 9": {"samples/ndb": 0.57, "samples/jsd": 0.12, "samples/bins": 0.73, "samples/off": 1.02},
    "0, 1, 2": {"samples/ndb": 0.85, "samples/jsd": 0.30, "samples/bins": 0.50, "samples/off": 1.1},
    "eights": {"samples/ndb": 0.76, "samples/jsd": 0.31, "samples/bins": 0.4, "samples/off": 1.15},
    "poor eights": {"samples/ndb": 0.7, "samples/jsd": 0.3, "samples/bins": 0.4},
}


@pytest.mark.parametrize("name", FEW_KINDS)
def test_few_kinds_that_look_alive_are_a_collapse(name: str) -> None:
    health = Health(SCALE, 1, 200, 200)
    assert run(health, {}, 10, 1000) == []
    found = run(health, FEW_KINDS[name], 1010, 1500)
    assert [(f.monitor, f.event) for f in found] == [("mode_collapse", "trouble")]


@pytest.mark.parametrize(
    "change",
    [
        # Real images of the classes 0 to 8.
        {"samples/ndb": 0.21, "samples/jsd": 0.03, "samples/bins": 1.0, "samples/off": 1.0},
        # A young healthy DCGAN: bins differ since its images are poor.
        {"samples/ndb": 0.55, "samples/jsd": 0.15, "samples/bins": 0.75, "samples/off": 1.5},
    ],
)
def test_a_class_that_is_missing_or_poor_images_are_none(change: dict[str, float]) -> None:
    health = Health(SCALE, 1, 200, 200)
    assert run(health, change, 10, 2000) == []


def test_settings_make_the_same_monitors_again() -> None:
    for scale in (SCALE, None):
        health = Health(scale, 5, 30, 20)
        again = Health.of(json.loads(json.dumps(health.settings)))
        assert again.history.scale == scale
        assert (again.grace, again.patience) == (health.grace, health.patience) == (150, 100)


def test_every_monitor_has_a_planted_signal() -> None:
    assert {m.name for m in MONITORS} == set(PLANTED) | {"oscillates"}
    names = [m.name for m in MONITORS]
    for i, monitor in enumerate(MONITORS):
        assert set(monitor.explained_by) <= set(names[:i]), "judged before what it explains"


def test_a_wave_in_the_loss_is_an_oscillation() -> None:
    health = Health(SCALE, 1, 200, 200)
    found = []
    for step in range(10, 2500, 10):
        loss = 1.25 + 0.7 * math.sin(2 * math.pi * step / 120)
        found += health.read({"step": step, **HEALTHY, "D/adv": loss})
    assert [f.monitor for f in found] == ["oscillates"]
    assert "every 120 steps" in found[0].evidence


def test_nothing_is_judged_in_the_grace_but_what_is_not_finite() -> None:
    health = Health(SCALE, 5, 200, 200)
    assert run(health, PLANTED["discriminator_wins"], 10, 1000) == []
    assert not health.clear, "nothing is known yet"
    assert [f.monitor for f in run(health, {"D/adv": math.inf}, 1010, 1010)] == ["diverged"]


def test_a_warm_up_of_the_classifier_alone_is_no_part_of_the_game() -> None:
    health = Health(SCALE, 1, 200, 200)
    for step in range(10, 1500, 10):
        assert health.read({"step": step, "D/cls": 0.5, "grad/D": 0.01}) == []
    assert health.first is None
    found = run(health, PLANTED["label_ignored"], 1500, 2200)
    assert found[0].since >= 1700, "grace counts from the first step of G"


def test_every_group_of_networks_is_watched_whatever_it_is_called() -> None:
    for change, monitor, words in (
        ({"Ez/mse": math.nan}, "diverged", "Ez/mse"),
        ({"grad/G_ab": math.inf}, "diverged", "grad/G_ab"),
        ({"grad/Ey": 5.0}, "gradients_explode", "Ey's gradients 5"),
        ({"grad/Ey": 1e-9}, "gradients_vanish", "Ey's gradients 1e-09"),
    ):
        health = Health(SCALE, 1, 200, 200)
        assert run(health, {"Ez/mse": 1.0, "grad/Ey": 1e-2, "grad/G_ab": 1e-2}, 10, 1000) == []
        (found,) = run(health, change, 1010, 1400)
        assert found.monitor == monitor
        assert words in found.evidence
    # What is measured beside the steps may be unknown.
    assert run(Health(SCALE, 1, 200, 200), {"samples/ndb": math.nan}, 10, 900) == []


def test_a_phase_without_the_game_says_nothing_of_it() -> None:
    """The encoders of IcGAN: D and G stand still, what they were last like is no trouble."""
    health = Health(SCALE, 1, 200, 100)
    assert run(health, {}, 10, 1000) == []
    found = []
    for step in range(1010, 2000, 10):
        row = {"Ez/mse": 0.5, "Ey/mse": 0.2, "grad/Ez": 1e-3, "grad/Ey": 1e-3}
        found += health.read({"step": step, "seconds": 1.0, **row})
    assert found == []
    assert "discriminator_wins" not in health.opinions
    assert "gradients_vanish" in health.opinions


def test_a_critic_has_no_zero_its_distance_is_compared_with_its_own_past() -> None:
    health = Health(None, 1, 200, 200)
    assert run(health, {"D/adv": -2.0, "D/rank": 1.0}, 10, 2000) == []
    found = run(health, {"D/adv": -40.0, "G/adv": 30.0, "D/rank": 1.0}, 2010, 2400)
    assert [f.monitor for f in found] == ["discriminator_wins"]


@pytest.mark.parametrize("name", ["least_squares", "hinge"])
def test_the_scale_of_each_loss_finds_a_winning_discriminator(name: str) -> None:
    scale = ADVERSARIAL[name].scale
    assert isinstance(scale, Scale)
    health = Health(scale, 1, 200, 200)
    lost = {"least_squares": 0.49, "hinge": 2.0}[name]
    ease = {"D/adv": 0.9 * scale.guessing, "G/adv": 0.5 * scale.beaten}
    assert run(health, ease, 10, 1000) == []
    won = {"D/adv": 0.1 * scale.sure, "G/adv": lost, "D/rank": 1.0}
    assert [f.monitor for f in run(health, won, 1010, 1400)] == ["discriminator_wins"]


def test_rows_of_an_old_log_are_enough_for_what_they_hold() -> None:
    """Losses alone, as before there were monitors."""
    health, found = Health(SCALE, 1, 200, 200), []
    for step in range(50, 2000, 50):
        found += health.read({"step": step, "D/adv": 0.001, "G/adv": 9.0, "rate/G": 1e-4})
    assert [f.monitor for f in found] == ["discriminator_wins"]


def random_log(seed: int, count: int) -> list[Row]:
    """A run through random stretches of health and of planted troubles, with holes in its log."""
    draws = random.Random(seed)
    every, warm_up = draws.choice([1, 10, 50]), draws.choice([0, 0, 15])
    rows: list[Row] = []
    change: dict[str, float] = {}
    wave = False
    for i in range(count):
        if draws.random() < 0.03:
            names = draws.sample(sorted(PLANTED), draws.choice([0, 1, 1, 2]))
            change = {k: v for name in names for k, v in PLANTED[name].items()}
            wave = draws.random() < 0.3
        row: dict[str, float] = {"step": (i + 1) * every, "seconds": float(i)}
        for name, value in (HEALTHY | change).items():
            if i < warm_up and name[:2] != "D/":
                continue
            if draws.random() < 0.9:
                row[name] = value * draws.uniform(0.7, 1.4)
        if "D/adv" in row and wave:
            row["D/adv"] += 0.8 * math.sin(i / 2)
        if draws.random() < 0.005:
            row[draws.choice(sorted(HEALTHY))] = draws.choice([math.nan, math.inf, -math.inf])
        if i < warm_up:
            row.pop("D/adv", None)
        rows.append(row)
    return rows


@pytest.mark.parametrize("seed", range(24))
def test_verdicts_are_those_of_the_slow_reference(seed: int) -> None:
    scale = None if seed % 4 == 0 else ADVERSARIAL[["hinge", "non_saturating"][seed % 2]].scale
    rows = random_log(seed, 500)
    every = int(rows[0]["step"])
    words = (scale, 1 + seed % 3, 20 * every, (5 + 5 * (seed % 4)) * every)
    fast, slow = Health(*words), SlowHealth(*words)
    events = 0
    for row in rows:
        found = fast.read(row)
        assert [str(f) for f in found] == [str(f) for f in slow.read(row)]
        assert str(fast.troubles) == str(slow.troubles)
        assert str(fast.opinions) == str(slow.opinions), "words and figures too"
        assert fast.clear == slow.clear
        events += len(found)
    assert events > 1, "a log in which nothing happens shows nothing"


def lines_run(health: Health, rows: list[Row]) -> int:
    """Lines of Python that reading takes: a measure that no other load on the machine changes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for row in rows:
            health.read(row)
    finally:
        sys.settrace(before)
    return count


def test_a_late_row_costs_as_much_as_an_early_one() -> None:
    """8,000 rows took 44 s when every row looked at the whole log."""
    rows: list[Row] = []
    for i in range(8000):
        wobble = 1 + 0.02 * math.sin(i * i)
        rows.append({"step": 50 * (i + 1), **{k: v * wobble for k, v in HEALTHY.items()}})
    health = Health(SCALE, 1, 1000, 300)
    for row in rows[:200]:
        health.read(row)
    early = lines_run(health, rows[200:300])
    seconds = []
    for part in (rows[300:1300], rows[1300:-1100], rows[-1100:-100]):
        began = time.process_time()
        for row in part:
            health.read(row)
        seconds.append(time.process_time() - began)
    late = lines_run(health, rows[-100:])
    assert late < 1.05 * early
    assert seconds[2] < 3 * seconds[0], "nor more time, which was fifteen times as much"
    # What is kept of a run for its medians is one number a row, not the rows.
    assert len(health.history.rows) == 64
    assert health.history.count == 8000


def test_a_checkpoint_of_a_trouble_is_never_one_to_go_back_to() -> None:
    health = Health(SCALE, 1, 200, 100)
    run(health, {}, 10, 600)
    assert not health.was_well(200), "not judged yet: the first row of G was at 10"
    assert health.was_well(210)
    assert health.was_well(555), "between two rows that are clear"
    assert not health.was_well(605), "nobody has looked yet"
    run(health, PLANTED["label_ignored"], 610, 900)
    assert health.was_well(600)
    for step in (605, 610, 700, 899, 900):
        assert not health.was_well(step)
    # It is over: of what was written meanwhile nothing has become better by that.
    run(health, {}, 910, 2000)
    assert health.clear
    for step in (605, 700, 900, 950):
        assert not health.was_well(step)
    assert health.was_well(2000)
    assert health.newest_well([0, 500, 700, 900]) == 500
    assert health.newest_well([500, 1500, 700, 2500]) == 1500
    assert health.newest_well([0, 700]) is None
    assert health.newest_well([]) is None


def test_a_trouble_that_is_too_short_to_be_announced_is_no_healthy_moment_either() -> None:
    health = Health(SCALE, 1, 200, 200)
    run(health, {}, 10, 1000)
    assert run(health, PLANTED["label_ignored"], 1010, 1050) == []
    run(health, {}, 1060, 2000)
    assert health.was_well(1000)
    assert not health.was_well(1030)
    assert not health.was_well(1100), "its bad rows are in the memory of the monitor still"
    assert health.was_well(1260)


def test_a_trouble_on_which_there_are_no_opinions_any_more_still_lasts() -> None:
    """Something else explains it for longer than the patience; nobody has seen its end."""
    health = Health(SCALE, 1, 200, 100)
    run(health, {}, 10, 500)
    run(health, PLANTED["label_ignored"], 510, 800)
    blank = dict.fromkeys(HEALTHY, 0.0) | {"D/adv": 1.25, "G/adv": 0.9, "D/rank": 0.7}
    for step in range(810, 1500, 10):
        health.read({"step": step, **{k: v for k, v in blank.items() if v}})
    assert list(health.troubles) == ["label_ignored"]
    assert not health.clear
    assert not health.was_well(1400)
