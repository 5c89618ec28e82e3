"""Planted signals: each measure says what was put in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from stargan.metrics.convergence import (
    ADAM_EPS,
    Persistence,
    Rise,
    exploded,
    gradient_rms,
    oscillation,
    ranking_accuracy,
    vanished,
)


def test_ranking_accuracy_counts_pairs() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0])
    assert float(ranking_accuracy(real, fake)) == pytest.approx(3 / 4)
    assert float(ranking_accuracy(real, real)) == pytest.approx(0.5)
    assert float(ranking_accuracy(real + 9, fake)) == 1
    assert float(ranking_accuracy(fake - 9, real)) == 0
    # A map of patches is one opinion: the mean.
    maps = torch.stack([torch.full((1, 2, 2), 1.0), torch.full((1, 2, 2), 3.0)])
    assert float(ranking_accuracy(maps, fake)) == pytest.approx(3 / 4)
    assert math.isnan(float(ranking_accuracy(real * math.nan, fake)))


def test_ranking_accuracy_does_not_depend_on_scale_or_offset() -> None:
    draws = torch.Generator().manual_seed(0)
    real, fake = torch.randn(64, generator=draws) + 1, torch.randn(64, generator=draws)
    plain = float(ranking_accuracy(real, fake))
    assert 0.6 < plain < 0.9
    assert float(ranking_accuracy(1000 * real - 5000, 1000 * fake - 5000)) == pytest.approx(plain)


def test_an_image_has_one_opinion_however_its_patches_differ() -> None:
    patches = torch.tensor([[[-9.0, 11.0]]], requires_grad=True)  # mean 1
    other = torch.tensor([[[0.0, 1.0]]])  # mean 1/2
    found = ranking_accuracy(patches, other)
    assert float(found) == 1
    assert not found.requires_grad
    whole = ranking_accuracy(torch.tensor([[3, 4]]), torch.tensor([[2, 4]]))
    assert float(whole) == 1, "whole numbers have a mean too"


def test_half_precision_gradients_do_not_overflow() -> None:
    weight = nn.Parameter(torch.zeros(1024, dtype=torch.float16))
    weight.grad = torch.full_like(weight, 100.0)
    rms = gradient_rms([weight])
    assert rms is not None
    assert float(rms) == pytest.approx(100)


def test_gradient_rms_is_over_all_weights() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert gradient_rms(network.parameters()) is None
    for p in network.parameters():
        p.grad = torch.full_like(p, -2.0)
    rms = gradient_rms(network.parameters())
    assert rms is not None
    assert float(rms) == pytest.approx(2)


def test_gradients_vanish_where_adam_fades_and_explode_against_what_was_usual() -> None:
    assert not vanished(1e-6)
    assert vanished(5e-8)
    # At the limit Adam's first step is a tenth shorter than its learning rate.
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=1.0)
    weight.grad = torch.full((1,), 1e-7)
    optimizer.step()
    assert weight.item() == pytest.approx(-1 / 1.1, rel=1e-4)
    assert exploded(101.0, 1.0)
    assert not exploded(99.0, 1.0)
    assert not exploded(1.0, 0.0)
    assert not exploded(100.0, 1.0), "a hundred times is not more than a hundred times"
    assert exploded(0.51, 0.005)
    assert not vanished(1.05e-7)
    assert not vanished(10 * ADAM_EPS)
    assert torch.optim.Adam([nn.Parameter(torch.zeros(1))]).defaults["eps"] == ADAM_EPS


def rise(values: list[float], window: int) -> float:
    running = Rise(window)
    for value in values:
        running.add(value)
    return running.value


def test_rise_compares_the_last_window_with_the_best_one() -> None:
    flat, up = [2.0] * 20, [1.0] * 20 + [3.0] * 10
    assert rise(flat, 5) == pytest.approx(1)
    assert rise(up, 10) == pytest.approx(3)
    assert rise([3.0] * 10 + [1.0] * 10, 5) == pytest.approx(1), "it fell: at its best"
    assert rise([1.0] * 10 + [3.0] + [1.0] * 10, 5) == pytest.approx(1), "a spike does not stay"
    assert math.isnan(rise([1.0] * 9, 5))
    assert math.isnan(rise([1.0] * 9 + [math.nan, math.inf], 5)), "what is not finite is no value"
    assert rise([1.0] * 10, 5) == 1, "two windows are enough"
    assert math.isnan(rise([-1.0] * 10, 5))
    assert math.isnan(rise([0.0] * 10, 5)), "no multiple of nothing"


def test_oscillation_finds_a_wave_and_its_period() -> None:
    draws = torch.Generator().manual_seed(1)
    time = torch.arange(120)
    noise = 0.3 * torch.randn(120, generator=draws)
    wave = torch.sin(2 * math.pi * time / 12) + noise + 0.02 * time
    strength, period = oscillation(wave.tolist())
    assert strength > 0.7
    assert period % 12 in (0, 1, 11)


@pytest.mark.parametrize("seed", range(10))
def test_noise_and_drift_are_no_oscillation(seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    noise = torch.randn(120, generator=draws)
    assert oscillation(noise.tolist())[0] < 0.5
    assert oscillation((0.05 * torch.arange(120) + 0.5 * noise).tolist())[0] < 0.5
    assert oscillation((noise.cumsum(0) / 3).tolist())[0] < 0.75, "a random walk wanders"


@pytest.mark.parametrize("seed", range(10))
def test_oscillation_is_the_highest_correlation_after_the_first_crossing(seed: int) -> None:
    """Lag by lag, as the definition says, with the line fitted by least squares."""
    draws = np.random.default_rng(seed)
    n = int(draws.integers(16, 80))
    values = (
        draws.normal(size=n) + np.sin(np.arange(n) * draws.uniform(0.3, 2)) + 0.1 * np.arange(n)
    )
    x = values - np.polyval(np.polyfit(np.arange(n), values, 1), np.arange(n))
    found = [np.mean(x[: n - k] * x[k:]) / np.mean(x * x) for k in range(n // 4 + 1)]
    after = [k for k in range(len(found)) if any(c < 0 for c in found[:k])]
    best = max(after, key=lambda k: found[k], default=0)
    strength, period = oscillation(values.tolist())
    if not after or found[best] <= 0:
        assert (strength, period) == (0, 0)
    else:
        assert (strength, period) == (pytest.approx(min(found[best], 1)), best)


def test_a_wave_needs_sixteen_values_and_is_never_stronger_than_one() -> None:
    saw = [1.0, -1.0] * 8
    assert oscillation(saw)[0] == pytest.approx(1, abs=0.1)
    assert oscillation(saw)[0] <= 1
    assert oscillation(saw)[1] % 2 == 0
    assert oscillation(saw[:15]) == (0, 0)
    assert oscillation([*saw[:15], math.nan]) == (0, 0), "what is not finite is no value"


def test_a_signal_that_turns_too_slowly_has_no_wave() -> None:
    """No zero crossing within a quarter of it, or the first one just there."""
    n = 64
    for turns in (0.8, 1.0, 1.1, 1.2, 1.5):
        slow = [math.cos(2 * math.pi * turns * t / n) for t in range(n)]
        assert oscillation(slow) == (0, 0), turns
    # All signals of two levels and seventeen values: never an error, always in bounds.
    for code in range(0, 2**17, 97):
        values = [float(code >> bit & 1) for bit in range(17)]
        strength, period = oscillation(values)
        assert 0 <= strength <= 1
        assert (strength > 0) == (period > 0)


def test_a_constant_or_short_signal_has_no_oscillation() -> None:
    assert oscillation([1.0] * 100) == (0, 0)
    assert oscillation([0.0, 1.0] * 4) == (0, 0)
    assert oscillation([2 * k for k in range(50)]) == (0, 0)


def feed(watch: Persistence, opinions: str, first: int = 10, every: int = 10) -> list[str]:
    """``x`` is bad, ``.`` is fine; the events as ``began@step``."""
    events = []
    for i, mark in enumerate(opinions):
        event = watch.update(first + i * every, mark == "x")
        if event:
            events.append(f"{event}@{first + i * every}")
    return events


def test_trouble_must_last_and_so_must_recovery() -> None:
    assert feed(Persistence(50), "....xxxx......xxxx....") == []
    assert feed(Persistence(50), "....xxxxxxxxxx") == ["began@100"]
    watch = Persistence(50)
    assert feed(watch, "....xxxxxxx.......") == ["began@100", "ended@170"]
    assert watch.since is None


def test_nine_tenths_are_enough() -> None:
    watch = Persistence(90)
    assert feed(watch, "xxxx.xxxxx") == ["began@100"]
    assert watch.bad == 9
    watch = Persistence(90)
    assert feed(watch, "xxxx..xxxx") == []
    assert watch.bad == 8


def test_one_lucky_reading_changes_nothing_over_a_long_patience() -> None:
    watch = Persistence(200)
    assert feed(watch, "x" * 12 + "." + "x" * 30) == ["began@210"]
    assert watch.since == 10


def test_rare_readings_need_their_number() -> None:
    """A look every 500 steps with a patience of 200: five looks all the same."""
    assert feed(Persistence(200), "xxxxx", first=500, every=500) == ["began@2500"]
