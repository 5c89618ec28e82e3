"""Planted samples: even, collapsed, partly collapsed, copied."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from stargan import imaging
from stargan.data.drawn.digits import SyntheticDigits
from stargan.health.monitors import Health
from stargan.metrics.diversity import (
    Reference,
    bin_counts,
    birthday_support,
    compare_bins,
    different_bins,
    duplicates,
    jensen_shannon,
    k_means,
    nearest_distances,
    spread,
    thumbnails,
    used_bins,
    whole_pixels,
)


def clusters(count: int, modes: int = 10, width: float = 0.3, seed: int = 0) -> Tensor:
    """Points around ``modes`` of ten fixed corners of a space of 16 dimensions."""
    corners = 3 * torch.randn(10, 16, generator=torch.Generator().manual_seed(99))
    draws = torch.Generator().manual_seed(seed)
    which = torch.randint(modes, (count,), generator=draws)
    return corners[which] + width * torch.randn(count, 16, generator=draws)


def test_k_means_finds_planted_clusters_and_is_deterministic() -> None:
    points = clusters(500)
    centres = k_means(points, 10)
    assert torch.equal(centres, k_means(points, 10))
    counts = bin_counts(points, centres)
    assert int((counts > 20).sum()) == 10, "each cluster is a bin"
    assert int(counts.sum()) == 500


def test_k_means_is_lloyd_s_fixed_point_and_differs_by_its_seed() -> None:
    """Every centre is the mean of the points that are nearest to it."""
    points = torch.randn(400, 3, generator=torch.Generator().manual_seed(5))
    centres = k_means(points, 7, rounds=1000)
    nearest = torch.cdist(points, centres).argmin(1)
    for i, centre in enumerate(centres):
        torch.testing.assert_close(points[nearest == i].mean(0), centre)
    assert not torch.equal(k_means(points, 7, seed=1), k_means(points, 7, seed=2))
    assert torch.equal(k_means(points, 7), k_means(points, 7, seed=0, rounds=30))


def test_k_means_begins_apart_and_moves_by_rounds() -> None:
    points = torch.tensor([[0.0], [1.0], [100.0], [101.0]])
    for seed in range(8):
        # The second centre is drawn by squared distance: from the other pair, as good as always.
        assert k_means(points, 2, seed, rounds=1).flatten().sort().values.tolist() == [0.5, 100.5]


def test_k_means_with_fewer_points_than_bins() -> None:
    points = torch.tensor([[0.0], [0.0], [5.0]])
    assert len(k_means(points, 7)) == 2


def test_different_bins_by_hand() -> None:
    """Shares 0.5 and 0.6 of 100 and 100: z = 0.1 / sqrt(0.55 * 0.45 * 0.02) = 1.42, not at 5 %."""
    assert different_bins(torch.tensor([50, 50]), torch.tensor([60, 40])) == 0
    # Of 1,000 and 1,000: z = 4.5 in both.
    assert different_bins(torch.tensor([500, 500]), torch.tensor([600, 400])) == 2
    assert different_bins(torch.tensor([5, 0]), torch.tensor([7, 0])) == 0
    # Of unequal numbers: 0.5 of 400 against 0.6 of 100, z = 0.1 / sqrt(0.52 * 0.48 / 80) = 1.79.
    one, other = torch.tensor([200, 200]), torch.tensor([60, 40])
    for real, fake in ((one, other), (other, one)):
        assert different_bins(real, fake) == 0
        assert different_bins(real, fake, level=0.08) == 2
    # And of 0.6 against 0.7 of 50 and 500: z = 0.1 / sqrt(0.691 * 0.309 * 0.022) = 1.46.
    one, other = torch.tensor([30, 20]), torch.tensor([350, 150])
    assert different_bins(one, other) == 0
    assert different_bins(one, other, level=0.145) == 2
    assert different_bins(one, other, level=0.142) == 0
    # A rare bin, whose pooled share is far from one half: z = 2.12.
    rare = torch.tensor([2, 998]), torch.tensor([9, 991])
    assert different_bins(*rare) == 2
    assert different_bins(*rare, level=0.033) == 0


def test_by_chance_one_bin_in_twenty_differs() -> None:
    draws = torch.Generator().manual_seed(0)
    found = 0
    for _ in range(200):
        real, fake = (
            torch.bincount(torch.randint(20, (1000,), generator=draws), minlength=20)
            for _ in range(2)
        )
        found += different_bins(real, fake)
    assert found / (200 * 20) == pytest.approx(0.05, abs=0.015)


def test_jensen_shannon_ends_and_middle() -> None:
    even = torch.tensor([10, 10])
    assert jensen_shannon(even, even * 7) == pytest.approx(0)
    assert jensen_shannon(torch.tensor([5, 0]), torch.tensor([0, 9])) == pytest.approx(1)
    # H(3/4, 1/4) - (H(1/2, 1/2) + H(1, 0)) / 2 = 0.8113 - 0.5
    assert jensen_shannon(even, torch.tensor([4, 0])) == pytest.approx(0.3113, abs=1e-4)


def test_used_bins() -> None:
    assert used_bins(torch.tensor([5, 5, 5, 5])) == pytest.approx(4)
    assert used_bins(torch.tensor([5, 0, 0, 0])) == pytest.approx(1)
    # 2 to the entropy of 3/4, 1/4
    assert used_bins(torch.tensor([30, 10, 0])) == pytest.approx(2**0.8113, rel=1e-4)


def test_duplicates_and_the_birthday_estimate() -> None:
    draws = torch.Generator().manual_seed(0)
    support = torch.randn(300, 8, generator=draws)
    points = support[torch.randint(300, (200,), generator=draws)]
    assert birthday_support(points, 1e-4) == pytest.approx(300, rel=0.3)
    different = torch.randn(200, 8, generator=draws)
    assert birthday_support(different, 1e-4) == math.inf
    assert duplicates(different, 1e-4) == 0
    assert duplicates(torch.cat([different, different[:50]]), 1e-4) == pytest.approx(100 / 250)
    # Four points, three pairs of six closer than 2: exactly 2 is not closer.
    line = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    assert birthday_support(line, 2.0) == pytest.approx(6 / 3)
    assert duplicates(torch.tensor([[0.0], [1.0], [3.0]]), 2.0) == pytest.approx(2 / 3)
    assert duplicates(torch.tensor([[0.0], [1.0]]), 2.0) == 1
    assert duplicates(torch.zeros(1, 2), 2.0) == 0


def test_spread_is_the_mean_distance() -> None:
    assert spread(torch.tensor([[0.0], [1.0], [3.0]])) == pytest.approx(2)
    assert spread(torch.zeros(1, 3)) == 0


def test_thumbnails_are_averages() -> None:
    image = torch.zeros(2, 3, 32, 24)
    image[:, 0, :16] = 1
    small = thumbnails(image.to(torch.bfloat16), 8)
    assert small.shape == (2, 192)
    assert small.dtype == torch.float32
    assert float(small.sum()) == pytest.approx(2 * 32)


def test_a_reference_tells_collapse_from_health() -> None:
    reference = Reference.of(clusters(1000), bins=20)
    fine = reference.read(clusters(256, seed=1))
    assert fine["ndb"] <= 0.25
    assert fine["jsd"] < 0.05
    assert fine["spread"] == pytest.approx(1, abs=0.1)
    assert fine["bins"] == pytest.approx(1, abs=0.2)
    assert fine["duplicates"] < 0.05

    one = reference.read(clusters(256, modes=1, width=0.05, seed=2))
    assert one["ndb"] > 0.8
    assert one["jsd"] > 0.7
    assert one["spread"] < 0.1
    assert one["bins"] < 0.15
    assert one["duplicates"] > 0.9

    three = reference.read(clusters(256, modes=3, seed=3))
    assert three["bins"] < 0.5
    assert three["off"] < 1.3
    assert three["spread"] < 0.9
    assert three["jsd"] > 0.3


def test_a_reference_is_made_as_its_words_say() -> None:
    real = clusters(400)
    made = Reference.of(real, bins=20, size=256, seed=0)
    again = Reference.of(real)
    assert torch.equal(made.centres, again.centres), "twenty bins, seed 0"
    assert (made.spread, made.close) == (again.spread, again.close), "of 256 samples"
    assert not torch.equal(Reference.of(real, seed=1).centres, made.centres)
    assert int(made.counts.sum()) == 400
    assert made.spread == spread(real[:256])
    one_in_a_hundred = nearest_distances(real[:256]).quantile(0.01)
    assert made.close == float(one_in_a_hundred)
    fake = clusters(100, modes=4, seed=7)
    counts = bin_counts(fake, made.centres)
    assert made.read(fake) == {
        "ndb": different_bins(made.counts, counts) / 20,
        "jsd": pytest.approx(jensen_shannon(made.counts, counts)),
        "bins": used_bins(counts) / used_bins(made.counts),
        "spread": spread(fake) / made.spread,
        "duplicates": duplicates(fake, made.close),
        "off": made.read(fake)["off"],  # has a test of its own
    }


def test_nearest_distances_are_exact_for_twins() -> None:
    points = torch.randn(300, 64, generator=torch.Generator().manual_seed(0)) + 100
    points[7] = points[200]
    found = nearest_distances(points)
    assert found[7] == found[200] == 0
    assert int((found == 0).sum()) == 2


def test_thumbnails_carry_no_graph_and_have_eight_a_side() -> None:
    image = torch.rand(2, 1, 16, 16, requires_grad=True)
    small = thumbnails(image)
    assert small.shape == (2, 64)
    assert not small.requires_grad


def test_identical_real_samples_make_no_number_up() -> None:
    reference = Reference.of(torch.ones(50, 4))
    read = reference.read(torch.zeros(50, 4))
    assert math.isnan(read["spread"])
    assert read["duplicates"] == 0


def test_bins_of_whole_images_tell_few_kinds_from_all() -> None:
    train, same = clusters(1000), clusters(300, seed=1)
    few = clusters(300, modes=4, seed=2)
    one, two = compare_bins(train[:300], same, few)
    assert one.bins == two.bins == 30
    assert one.ndb < 0.2 < 0.6 < two.ndb
    assert one.jsd < 0.1 < 0.3 < two.jsd
    (many,) = compare_bins(train, same[:1].expand(1000, -1))
    assert many.bins == 100, "as published"
    assert compare_bins(train, same[:49]) == [], "not five bins of ten images"


def test_whole_pixels_are_the_images_up_to_a_size() -> None:
    small = torch.linspace(-1, 1, 2 * 3 * 6).reshape(2, 1, 3, 6)
    assert torch.equal(whole_pixels(small), imaging.to_uint8(small).flatten(1))
    assert whole_pixels(torch.zeros(1, 3, 128, 64)).shape == (1, 3 * 32 * 32)


@pytest.mark.parametrize(
    ("digits", "few"), [("01234", True), ("56789", True), ("38", True), ("8", True),
                        ("012345678", False), ("0123456789", False)],
)  # fmt: skip
def test_drawn_digits_of_few_classes_are_few_kinds(digits: str, few: bool) -> None:
    """As the monitor sees them: real images, so they look alive."""
    reference, pool, classes = drawn()
    wanted = torch.isin(classes, torch.tensor([int(d) for d in digits]))
    health = Health(None, 1, 0, 50)
    found = []
    rows = torch.nonzero(wanted).squeeze(1)
    draws = torch.Generator().manual_seed(0)
    for step in range(10, 310, 10):
        chosen = rows[torch.randint(len(rows), (512,), generator=draws)]
        # Each by a hand of its own: the same drawing twice would be a twin.
        points = pool[chosen] + 0.05 * torch.randn(512, pool.shape[1], generator=draws)
        read = {f"samples/{k}": v for k, v in reference.read(points).items()}
        found += health.read({"step": step, "G/adv": 0.0, **read})
    assert [f.monitor for f in found] == (["mode_collapse"] if few else [])


@cache
def drawn() -> tuple[Reference, Tensor, Tensor]:
    """The bins of drawn digits, and thumbnails and classes of others."""
    digits = SyntheticDigits("train", count=1600)
    images = [imaging.to_tensor(digits.load(i))[:1] for i in range(len(digits))]
    points, classes = thumbnails(torch.stack(images)), digits.labels.argmax(1)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(1))
    points, classes = points[order], classes[order]
    return Reference.of(points[:1000], size=512), points[1000:], classes[1000:]
