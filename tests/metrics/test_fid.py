"""FID, KID and Inception Score against closed forms, torchmetrics and common sense."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from stargan.errors import UserError
from stargan.metrics.fid import Moments, fid, frechet_distance, inception, inception_score, kid


def normal(count: int, size: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=draws) * scale + shift


class AsTheyAre(nn.Module):
    """A feature network for torchmetrics that takes the features themselves for images."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size

    def forward(self, features: Tensor) -> Tensor:
        return features


def exact_moments(mean: Tensor, covariance: Tensor, count: int = 1000) -> Moments:
    moments = Moments(len(mean))
    moments.count = count
    moments.sum = count * mean.double()
    moments.products = covariance.double() * (count - 1) + count * torch.outer(mean, mean).double()
    return moments


def test_two_gaussians_in_closed_form() -> None:
    # Commuting covariances: tr(A + B - 2 (AB)^(1/2)) = sum (sqrt a_i - sqrt b_i)^2.
    mean = torch.tensor([1.0, -2.0, 0.5])
    a, b = torch.tensor([4.0, 1.0, 0.25]), torch.tensor([1.0, 9.0, 0.25])
    turn, _ = torch.linalg.qr(normal(3, 3, 0))
    one = exact_moments(mean, turn @ a.diag() @ turn.T)
    two = exact_moments(-mean, turn @ b.diag() @ turn.T)
    expected = 4 * (1 + 4 + 0.25) + (2 - 1) ** 2 + (1 - 3) ** 2
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-6)


def test_samples_of_two_gaussians_come_near_the_closed_form() -> None:
    real, fake = normal(20000, 4, 1), normal(20000, 4, 2, scale=2.0, shift=1.0)
    found = fid(real, fake)
    assert found.value == pytest.approx(4 * 1 + 4 * 1, rel=0.05)
    assert found.low < 8 < found.high
    assert found.count == 20000


@pytest.mark.parametrize("count", [5, 40, 400])
def test_the_same_set_twice_is_at_distance_zero(count: int) -> None:
    """Also with fewer images than features, where the covariance is singular."""
    features = normal(count, 64, 3)
    assert fid(features, features).value == pytest.approx(0, abs=1e-4)


def test_few_images_have_the_same_fid_the_short_way() -> None:
    real, fake = normal(30, 50, 4), normal(45, 50, 5, scale=1.3, shift=0.4)
    long = frechet_distance(Moments.of(real), Moments.of(fake))
    assert fid(real, fake).value == pytest.approx(long, rel=1e-6)


def test_values_are_those_of_torchmetrics() -> None:
    real, fake = normal(80, 6, 4), normal(80, 6, 5, scale=1.3, shift=0.4)
    theirs = FrechetInceptionDistance(feature=AsTheyAre(6))
    kernel = KernelInceptionDistance(feature=AsTheyAre(6), subsets=1, subset_size=80)
    for metric in (theirs, kernel):
        metric.update(real, real=True)
        metric.update(fake, real=False)
    assert fid(real, fake).value == pytest.approx(float(theirs.compute()), rel=1e-5)
    assert kid(real, fake).value == pytest.approx(float(kernel.compute()[0]), rel=1e-4)
    score = InceptionScore(feature=AsTheyAre(6), splits=1)
    score.update(fake)
    assert inception_score(fake).value == pytest.approx(float(score.compute()[0]), rel=1e-5)


def test_moments_stream_and_part() -> None:
    features = normal(50, 5, 6)
    streamed = Moments(5)
    for part in features.split(7):
        streamed.update(part)
    rest = streamed.without(Moments.of(features[:20]))
    torch.testing.assert_close(streamed.covariance, features.double().T.cov())
    torch.testing.assert_close(rest.mean, features[20:].double().mean(0))
    torch.testing.assert_close(rest.covariance, features[20:].double().T.cov())


def test_small_sets_have_no_figure_and_no_interval() -> None:
    for figure in (fid, kid):
        one = figure(normal(1, 4, 7), normal(9, 4, 8))
        assert math.isnan(one.value)
        assert one.count == 1
        few = figure(normal(3, 4, 7), normal(9, 4, 8))
        assert math.isfinite(few.value)
        assert math.isnan(few.low)
    with pytest.raises(UserError, match="at least 2 images"):
        frechet_distance(Moments(4), Moments(4))
    two, one = (Moments.of(normal(n, 4, 7)) for n in (2, 1))
    assert math.isfinite(frechet_distance(two, two))
    for pair, words in (((two, one), "not 2 and 1"), ((one, two), "not 1 and 2")):
        with pytest.raises(UserError, match=words):
            frechet_distance(*pair)


def test_kid_of_equal_distributions_is_around_zero_where_fid_is_not() -> None:
    pairs = [(normal(60, 16, 2 * i), normal(60, 16, 2 * i + 1)) for i in range(10, 20)]
    values = [kid(*pair, groups=0).value for pair in pairs]
    assert min(values) < 0 < max(values)
    assert min(fid(*pair, groups=0).value for pair in pairs) > 1


def test_kid_takes_blocks_of_large_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stargan.metrics.fid.BLOCK", 100)
    real, fake = normal(250, 8, 9), normal(300, 8, 10, shift=0.5)
    assert kid(real, fake).value == pytest.approx(
        sum(kid(real[i : i + 84], fake[i : i + 84], groups=0).value for i in (0, 84)) / 3
        + kid(real[168:], fake[168:250], groups=0).value / 3,
        rel=1e-6,
    )


def test_inception_score_of_known_classes() -> None:
    sure = torch.eye(4).repeat(25, 1) * 1000
    assert inception_score(sure).value == pytest.approx(4)
    assert inception_score(sure[:1].repeat(100, 1)).value == pytest.approx(1)
    assert inception_score(torch.zeros(100, 4)).value == pytest.approx(1)


def test_a_wrong_inception_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        inception(tmp_path / "none.pth")
    wrong = tmp_path / "wrong.pth"
    torch.save({"a": torch.zeros(2)}, wrong)
    with pytest.raises(UserError, match="not the Inception weight file"):
        inception(wrong)
