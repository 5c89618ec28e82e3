"""Planted rows of a log: each monitor finds its trouble, and no other one speaks."""

from __future__ import annotations

import math

import pytest

from stargan.evaluation.health import MONITORS, Finding, Health
from stargan.losses.adversarial import ADVERSARIAL, Scale

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
    "samples/duplicates": 0.02,
    "label_effect": 0.1,
    "input_effect": 1.0,
    "colour_drift": 0.02,
    "background_drift": 0.03,
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
