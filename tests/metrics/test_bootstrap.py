"""Intervals: coverage where the truth is known, and the cases that have none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stargan.metrics.bootstrap import (
    GROUPS,
    LEVEL,
    Estimate,
    deal,
    jackknife_interval,
    mean_interval,
)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for i in range(200):
        found = mean_interval((rng.random(80) < 0.3).astype(float).tolist(), draws=300, seed=i)
        hits += found.low <= 0.3 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_no_error_at_all_is_not_certainty() -> None:
    none = mean_interval([0.0] * 20)
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(0.1684, abs=1e-3)  # Clopper-Pearson, 0 of 20
    every = mean_interval([1.0] * 20)
    assert every.low == pytest.approx(1 - none.high)
    assert (every.value, every.high, every.count) == (1, 1, 20)


def test_values_of_one_photo_are_drawn_together() -> None:
    rng = np.random.default_rng(1)
    per_photo = rng.random(30)
    values, photo = np.repeat(per_photo, 8), np.repeat(np.arange(30), 8)
    alone = mean_interval(per_photo.tolist())
    together = mean_interval(values.tolist(), photo.tolist())
    naive = mean_interval(values.tolist())
    assert together.value == pytest.approx(alone.value)
    assert together.count == 240
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=1e-9)
    assert naive.high - naive.low < 0.6 * (together.high - together.low)


def percentiles(values: list[float], draws: int, seed: int) -> list[float]:
    """The plain percentile bootstrap of a mean, all resamples at once."""
    rng, n = np.random.default_rng(seed), len(values)
    weight = rng.multinomial(n, np.full(n, 1 / n), draws)
    return list(np.quantile(weight @ np.array(values) / n, [0.025, 0.975]))


@pytest.mark.parametrize("draws", [37, 100, 250])
def test_the_interval_is_that_of_the_plain_bootstrap(draws: int) -> None:
    values = np.random.default_rng(5).normal(size=23).tolist()
    found = mean_interval(values, draws=draws, seed=7)
    if draws <= 100:  # Above, draws are made a hundred at a time: the same law, other numbers.
        assert [found.low, found.high] == pytest.approx(percentiles(values, draws, 7))
    assert found.low < found.value < found.high
    assert mean_interval(values, draws=draws, seed=7) == found, "the same values, the same interval"
    assert mean_interval(values, draws=draws, seed=8) != found


def test_settings_of_the_reports() -> None:
    """A thousand resamples of seed 0, twenty groups; figures of old reports were made so."""
    assert (GROUPS, LEVEL) == (20, 0.95)
    values = np.random.default_rng(5).normal(size=23).tolist()
    assert mean_interval(values) == mean_interval(values, draws=1000, seed=0)
    rough = percentiles(values, 20_000, 0)
    found = mean_interval(values)
    assert [found.low, found.high] == pytest.approx(rough, abs=0.05)


def test_missing_values_and_empty_sets() -> None:
    assert mean_interval([1.0, math.nan, 3.0]).value == 2
    assert mean_interval([1.0, math.nan, 3.0]).count == 2
    empty = mean_interval([])
    assert empty.count == 0
    assert empty.to_plain() == {"value": None, "low": None, "high": None, "count": 0}
    assert math.isnan(empty.value)
    assert math.isnan(empty.low)
    one = mean_interval([0.5])
    assert (one.value, one.count) == (0.5, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    # Two translations of one photo are one photo; two photos are enough for an interval.
    assert math.isnan(mean_interval([0.2, 0.4], [5, 5]).low)
    two = mean_interval([0.2, 0.4])
    assert (two.low, two.value, two.high) == pytest.approx((0.2, 0.3, 0.4))
    # The photo of a value that is missing goes with it.
    some = mean_interval([0.2, math.nan, 0.4, 0.4], [0, 1, 2, 2])
    assert some == mean_interval([0.2, 0.4, 0.4], [0, 2, 2])


def test_only_equal_values_at_an_end_have_the_exact_interval() -> None:
    half = mean_interval([0.5] * 20)
    assert (half.low, half.high) == (0.5, 0.5), "the bootstrap's own"
    # A mean of 1 out of others, and of 0: no share.
    for values in ([2.0, 0.0, 1.0] * 10, [-1.0, 1.0, 0.0] * 10):
        found = mean_interval(values)
        assert found.low < found.value < found.high
        assert found.value in (0, 1)
    # Four photos of three translations each count four times.
    assert mean_interval([1.0] * 12, [0, 1, 2, 3] * 3).low == pytest.approx(0.025**0.25)


def test_jackknife_of_a_mean_is_the_known_standard_error() -> None:
    data = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left_out = [float(np.delete(data.numpy(), i).mean()) for i in range(40)]
    found = jackknife_interval(float(data.mean()), left_out, 40)
    error = float(data.std()) / math.sqrt(40)
    assert found.high - found.value == pytest.approx(2.0227 * error, rel=1e-4)  # t, 39 degrees
    assert (found.value, found.count) == (float(data.mean()), 40)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    one = jackknife_interval(1.0, [1.0], 40)
    assert one.value == 1
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    two = jackknife_interval(1.0, [0.0, 2.0], 8)  # t of 0.975, one degree, times an error of 1
    assert (two.low, two.high) == pytest.approx((1 - 12.7062, 1 + 12.7062), abs=1e-3)
    assert jackknife_interval(1.0, [0.0, 2.0], 8).low < 0
    assert jackknife_interval(1.0, [0.0, 2.0], 8, least=0).low == 0


def test_deal_gives_every_row_once() -> None:
    assert sorted(torch.cat(deal(11, 3)).tolist()) == list(range(11))


def test_an_estimate_in_words() -> None:
    share = Estimate(0.952, 0.941, 0.96, 100)
    assert share.shown(".1%") == "95.2% [94.1, 96.0]"
    assert share.rest.shown(".1%") == "4.8% [4.0, 5.9]"
    assert Estimate(12.345, 11.0, 13.5, 9).shown(".2f", "\n") == "12.35\n[11.00, 13.50]"
    assert Estimate(0.5, math.nan, math.nan, 1).shown(".2f", "\n") == "0.50"
