"""Intervals: coverage where the truth is known, and the cases that have none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stargan.metrics.bootstrap import deal, jackknife_interval, mean_interval


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


def test_missing_values_and_empty_sets() -> None:
    assert mean_interval([1.0, math.nan, 3.0]).value == 2
    assert mean_interval([1.0, math.nan, 3.0]).count == 2
    empty = mean_interval([])
    assert empty.count == 0
    assert empty.to_plain() == {"value": None, "low": None, "high": None, "count": 0}
    one = mean_interval([0.5])
    assert one.value == 0.5
    assert math.isnan(one.low)


def test_jackknife_of_a_mean_is_the_known_standard_error() -> None:
    data = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left_out = [float(np.delete(data.numpy(), i).mean()) for i in range(40)]
    found = jackknife_interval(float(data.mean()), left_out, 40)
    error = float(data.std()) / math.sqrt(40)
    assert found.high - found.value == pytest.approx(2.0227 * error, rel=1e-4)  # t, 39 degrees
    assert math.isnan(jackknife_interval(1.0, [1.0], 40).low)
    assert jackknife_interval(1.0, [0.0, 2.0], 8).low < 0
    assert jackknife_interval(1.0, [0.0, 2.0], 8, least=0).low == 0


def test_deal_gives_every_row_once() -> None:
    assert sorted(torch.cat(deal(11, 3)).tolist()) == list(range(11))
