"""FID, KID and Inception Score at their edges, and their jackknife intervals by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stargan.metrics.bootstrap import Estimate, jackknife_interval
from stargan.metrics.fid import BLOCK, FEWEST_GROUPS, fid, inception_score, kid
from tests.metrics.test_fid import normal


@pytest.mark.parametrize("figure", [fid, kid])
def test_the_smaller_side_counts(figure: Callable[..., Estimate]) -> None:
    for sizes in ((1, 9), (9, 1)):
        one = figure(normal(sizes[0], 4, 7), normal(sizes[1], 4, 8))
        assert one.count == 1
        assert math.isnan(one.value)
        assert math.isnan(one.low)
        assert math.isnan(one.high)
    for sizes in ((2, 9), (9, 2)):
        two = figure(normal(sizes[0], 4, 7), normal(sizes[1], 4, 8))
        assert two.count == 2
        assert math.isfinite(two.value)


def left_out(figure: Callable[..., Estimate], *tables: Tensor, groups: int) -> list[float]:
    """The figure without each group in turn, dealt like cards."""
    found = []
    for i in range(groups):
        parts = [table[torch.arange(len(table)) % groups != i] for table in tables]
        found.append(figure(*parts, groups=0).value)
    return found


@pytest.mark.parametrize("features", [3, 100])
@pytest.mark.parametrize("figure", [fid, kid])
def test_intervals_are_the_jackknife_over_both_sets(
    figure: Callable[..., Estimate], features: int
) -> None:
    """Both ways of taking FID; groups of at least four images, of the smaller set."""
    real, fake = normal(90, features, 1), normal(63, features, 2, shift=0.5)
    whole = figure(real, fake)
    least = 0.0 if figure is fid else -math.inf
    value = figure(real, fake, groups=0).value
    for found, groups in ((whole, 63 // 4), (figure(real, fake, groups=11), 11)):
        parts = left_out(figure, real, fake, groups=groups)
        expected = jackknife_interval(value, parts, 63, least)
        assert (found.value, found.count) == (pytest.approx(value), 63)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-6)
    assert figure(fake, real).count == 63


def test_ten_groups_are_enough_and_nine_are_none() -> None:
    assert FEWEST_GROUPS == 10
    forty = fid(normal(40, 2, 1), normal(41, 2, 2))
    assert math.isfinite(forty.high)
    assert forty.low >= 0
    for sizes in ((39, 90), (90, 39)):
        assert math.isnan(fid(normal(sizes[0], 2, 1), normal(sizes[1], 2, 2)).high)
    assert math.isnan(fid(normal(90, 2, 1), normal(90, 2, 2), groups=9).high)


def test_the_interval_of_the_inception_score() -> None:
    logits = normal(40, 5, 3, scale=2)
    whole = inception_score(logits)
    parts = left_out(inception_score, logits, groups=10)
    expected = jackknife_interval(inception_score(logits, groups=0).value, parts, 40, 1)
    assert (whole.low, whole.high) == pytest.approx((expected.low, expected.high))
    assert (whole.count, whole.low >= 1) == (40, True)
    for few in (0, 1):
        none = inception_score(logits[:few])
        assert math.isnan(none.value)
        assert math.isnan(none.low)
        assert math.isnan(none.high)
        assert none.count == few
    assert inception_score(logits[:2]).value >= 1


def test_features_may_carry_a_graph_or_half_precision() -> None:
    real, fake = normal(12, 3, 1), normal(12, 3, 2)
    expected = fid(real, fake).value
    assert fid(real.requires_grad_(), fake.requires_grad_()).value == pytest.approx(expected)
    half = fid(real.detach().half(), fake.detach().half()).value
    assert half == pytest.approx(expected, rel=1e-2)
    # KID's sums of products are taken in double precision too.
    big, other = normal(200, 3, 1).half() + 100, normal(200, 3, 2).half() + 100
    assert kid(big, other) == kid(big.double(), other.double())


def test_a_class_that_is_never_seen_has_no_part_in_the_score() -> None:
    sure = torch.eye(4)[:2].repeat(25, 1) * 1e5
    assert inception_score(sure).value == pytest.approx(2)


def test_blocks_are_of_a_thousand() -> None:
    """As published; a thousand and one images are two blocks."""
    assert BLOCK == 1000
    real, fake = normal(1001, 2, 1), normal(1001, 2, 2)
    halves = [kid(r, f, groups=0).value for r, f in zip(real.chunk(2), fake.chunk(2), strict=True)]
    assert kid(real, fake, groups=0).value == pytest.approx(sum(halves) / 2)
    assert kid(real[:1000], fake[:1000], groups=0).value != pytest.approx(
        sum(
            kid(r, f, groups=0).value
            for r, f in zip(real[:1000].chunk(2), fake[:1000].chunk(2), strict=True)
        )
        / 2,
        rel=1e-9,
    )
