"""Does G make the variety of the data? Bins, distances, duplicates.

Everything works on rows of numbers ``(N, F)``: pixels of thumbnails (``thumbnails``) while
training, features of a named network in an evaluation. FID and the
Inception Score are in ``metrics.fid``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def thumbnails(image: Tensor, side: int = 8) -> Tensor:
    """Images ``(B, C, H, W)`` as rows of averaged pixels ``(B, C * side * side)``, float32."""
    return F.adaptive_avg_pool2d(image.detach().float(), side).flatten(1)


def k_means(points: Tensor, bins: int, seed: int = 0, rounds: int = 30) -> Tensor:
    """Centres ``(bins, F)`` of points ``(N, F)``: k-means++ start, then Lloyd's rounds.

    Deterministic by the seed. There are fewer centres when there are fewer different points.
    """
    draws = torch.Generator().manual_seed(seed)
    first = int(torch.randint(len(points), (), generator=draws))
    centres = points[first : first + 1]
    for _ in range(bins - 1):
        weight = torch.cdist(points, centres).min(1).values.square().cpu().double()
        if float(weight.sum()) <= 0:
            break  # No point left that is not a centre.
        centres = torch.cat([centres, points[torch.multinomial(weight, 1, generator=draws)]])
    for _ in range(rounds):
        nearest = torch.cdist(points, centres).argmin(1)
        counts = torch.bincount(nearest, minlength=len(centres)).clamp(min=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        empty = torch.bincount(nearest, minlength=len(centres)) == 0
        moved = torch.where(empty[:, None], centres, sums / counts[:, None])
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def bin_counts(points: Tensor, centres: Tensor) -> Tensor:
    """How many points fall to each centre, ``(K,)`` int64 on the CPU."""
    nearest = torch.cdist(points, centres).argmin(1)
    return torch.bincount(nearest, minlength=len(centres)).cpu()


def different_bins(real: Tensor, fake: Tensor, level: float = 0.05) -> int:
    """NDB: bins whose share differs between real and fake samples.

    Two-proportion z-test with the pooled share, two-sided. Richardson and Weiss, On GANs and GMMs,
    NeurIPS 2018, section 3.

    Args:
        real, fake: ``(K,)`` counts.
        level: of significance; by chance alone this share of bins differs.
    """
    n, m = float(real.sum()), float(fake.sum())
    p, q = real.double() / n, fake.double() / m
    pooled = (real + fake).double() / (n + m)
    error = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
    z = torch.where(error > 0, (p - q).abs() / error.clamp(min=1e-300), torch.zeros_like(p))
    critical = math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - level, dtype=torch.float64)))
    return int((z > critical).sum())


def jensen_shannon(real: Tensor, fake: Tensor) -> float:
    """Jensen-Shannon divergence of two rows of counts ``(K,)``, in bits: 0 equal, 1 disjoint."""
    p, q = real.double() / real.sum(), fake.double() / fake.sum()
    middle = (p + q) / 2

    def relative(a: Tensor) -> Tensor:
        return torch.where(a > 0, a * (a / middle.clamp(min=1e-300)).clamp(min=1e-300).log2(), 0.0)

    return float((relative(p) + relative(q)).sum() / 2)


def used_bins(counts: Tensor) -> float:
    """How many bins are in use: 2 to the entropy of the shares. ``K`` if even, 1 for one bin."""
    p = counts.double() / counts.sum()
    return float(2 ** -(torch.where(p > 0, p * p.clamp(min=1e-300).log2(), 0.0).sum()))


def spread(points: Tensor) -> float:
    """Mean distance between two different points of ``(N, F)``."""
    return float(torch.pdist(points).mean()) if len(points) > 1 else 0.0


def nearest_distances(points: Tensor) -> Tensor:
    """Each point's distance to its nearest other one, ``(N,)``."""
    # Exact: by products of matrices equal points would be a rounding error apart.
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    distances.fill_diagonal_(math.inf)
    return distances.min(1).values


def duplicates(points: Tensor, distance: float) -> float:
    """Share of points ``(N, F)`` that have another one nearer than a distance."""
    if len(points) < 2:
        return 0.0
    return float((nearest_distances(points) < distance).float().mean())


def birthday_support(points: Tensor, distance: float) -> float:
    """How many different images the generator seems to have, by the birthday paradox.

    Arora, Risteski and Zhang, Do GANs learn the distribution?, ICLR 2018: when samples of size
    ``s`` hold a duplicate with probability one half, the support is about ``s ** 2``. Here the
    number of close pairs among all pairs estimates the chance that two samples coincide, and its
    inverse is the support of an even distribution with that chance.

    Returns:
        The number; infinity when no pair is close.
    """
    close = int((torch.pdist(points) < distance).sum())
    pairs = len(points) * (len(points) - 1) / 2
    return pairs / close if close else math.inf


@dataclass(frozen=True)
class Reference:
    """What real samples look like: their bins, their distances.

    Attributes:
        centres: ``(K, F)`` of the bins.
        counts: ``(K,)`` real samples per bin.
        spread: mean distance between two of them.
        close: distance that only one in a hundred real samples has to its nearest other one, in
            sets of the size that ``read`` will be given.
    """

    centres: Tensor
    counts: Tensor
    spread: float
    close: float

    @staticmethod
    def of(real: Tensor, bins: int = 20, size: int = 256, seed: int = 0) -> Reference:
        """From real samples ``(N, F)``; ``read`` will be given about ``size`` fakes."""
        centres = k_means(real, bins, seed)
        chosen = real[:size]
        close = float(nearest_distances(chosen).quantile(0.01))
        return Reference(centres, bin_counts(real, centres), spread(chosen), close)

    def read(self, fake: Tensor) -> dict[str, float]:
        """How fakes ``(N, F)`` compare.

        Returns:
            ``ndb``: share of bins that differ (NDB / K). ``jsd``: bits. ``bins``: bins in use,
            over those of the real samples. ``spread``: mean distance over that of the real
            samples. ``duplicates``: share that has a near twin, about 0.01 in real samples.
        """
        counts = bin_counts(fake, self.centres)
        return {
            "ndb": different_bins(self.counts, counts) / len(self.centres),
            "jsd": jensen_shannon(self.counts, counts),
            "bins": used_bins(counts) / used_bins(self.counts),
            "spread": spread(fake) / self.spread if self.spread else math.nan,
            "duplicates": duplicates(fake, self.close),
        }
