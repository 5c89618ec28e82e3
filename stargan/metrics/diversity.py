"""Does G make the variety of the data? Bins, distances, duplicates.

Everything works on rows of numbers ``(N, F)``: pixels of thumbnails (``thumbnails``) while
training, of whole images (``whole_pixels``) in an evaluation. FID and the Inception Score are in
``metrics.fid``.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm
from torch import Tensor

from stargan import imaging

WHOLE = 32
"""Pixels of a side up to which images are binned as they are; larger ones are averaged to it."""
BINS = 100
"""As many bins as the authors of NDB take."""
STARTS = 3
IN_A_BIN = 10
"""Images that a bin must hold on average: with fewer images there are fewer bins."""


def thumbnails(image: Tensor, side: int = 8) -> Tensor:
    """Images ``(B, C, H, W)`` as rows of averaged pixels ``(B, C * side * side)``, float32."""
    return F.adaptive_avg_pool2d(image.detach().float(), side).flatten(1)


def whole_pixels(image: Tensor) -> Tensor:
    """Images ``(B, C, H, W)`` in [-1, 1] as rows of bytes ``(B, P)``, see ``WHOLE``."""
    size = min(image.shape[-2], WHOLE), min(image.shape[-1], WHOLE)
    small = F.adaptive_avg_pool2d(image.detach().float(), size)
    return imaging.to_uint8(small).flatten(1)


def k_means(points: Tensor, bins: int, seed: int = 0, rounds: int = 30) -> Tensor:
    """Centres ``(bins, F)`` of points ``(N, F)``: the best of ``STARTS`` starts of k-means++.

    Deterministic by the seed. There are fewer centres when there are fewer different points.
    """
    rows = points.detach().float().cpu()
    different = torch.unique(rows, dim=0)
    if len(different) <= bins:
        return different
    rng = np.random.default_rng(seed)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty bin keeps the centre that it had
        for _ in range(STARTS):
            made, _ = kmeans2(rows.numpy(), bins, iter=rounds, minit="++", seed=rng)
            found.append(torch.from_numpy(made).float())
    return min(found, key=lambda c: float(torch.cdist(rows, c).amin(1).square().sum()))


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
    return int((z > float(norm.ppf(1 - level / 2))).sum())


def jensen_shannon(real: Tensor, fake: Tensor) -> float:
    """Jensen-Shannon divergence of two rows of counts ``(K,)``, in bits: 0 equal, 1 disjoint."""
    return float(jensenshannon(real.double().numpy(), fake.double().numpy(), base=2)) ** 2


class Binned(NamedTuple):
    """How samples fill the bins of training images.

    Attributes:
        ndb: share of the bins that hold another share of the samples (NDB / K).
        jsd: Jensen-Shannon divergence of the shares, in bits.
        bins: how many there are.
    """

    ndb: float
    jsd: float
    bins: int


def compare_bins(train: Tensor, *samples: Tensor, most: int = BINS) -> list[Binned]:
    """NDB and JSD of sets of samples in the bins of training images, as published.

    Richardson and Weiss, On GANs and GMMs, NeurIPS 2018: k-means of the training images' pixels.
    The more samples, the smaller the differences that count: compare sets of equal numbers.

    Args:
        train: ``(N, P)``, see ``whole_pixels``.
        samples: ``(M, P)`` each.
        most: bins, fewer where there are not ``IN_A_BIN`` images for each.

    Returns:
        Of each set; none where there are too few images for five bins.
    """
    count = min(most, min(map(len, (train, *samples))) // IN_A_BIN)
    if count < 5:
        return []
    centres = k_means(train, count)
    counts = bin_counts(train.float(), centres)
    found = []
    for points in samples:
        held = bin_counts(points.float(), centres)
        share = different_bins(counts, held) / len(centres)
        found.append(Binned(share, jensen_shannon(counts, held), len(centres)))
    return found


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
        points: ``(N, F)`` real samples.
        near: mean distance of a real sample to the nearest other one.
        close: distance that only one in a hundred real samples has to its nearest other one, in
            sets of the size that ``read`` will be given.
    """

    centres: Tensor
    counts: Tensor
    points: Tensor
    spread: float
    near: float
    close: float

    @staticmethod
    def of(real: Tensor, bins: int = 20, size: int = 256, seed: int = 0) -> Reference:
        """From real samples ``(N, F)``; ``read`` will be given about ``size`` fakes."""
        centres = k_means(real, bins, seed)
        chosen = real[:size]
        close = float(nearest_distances(chosen).quantile(0.01))
        near = float(nearest_distances(real).mean())
        counts = bin_counts(real, centres)
        return Reference(centres, counts, real, spread(chosen), near, close)

    def read(self, fake: Tensor) -> dict[str, float]:
        """How fakes ``(N, F)`` compare.

        Returns:
            ``ndb``: share of bins that differ (NDB / K). ``jsd``: bits. ``bins``: bins in use,
            over those of the real samples. ``spread``: mean distance over that of the real
            samples. ``off``: mean distance to the nearest real sample over that between real
            samples; 1: they look as real. ``duplicates``: share that has a near twin, about 0.01
            in real samples.
        """
        counts = bin_counts(fake, self.centres)
        return {
            "ndb": different_bins(self.counts, counts) / len(self.centres),
            "jsd": jensen_shannon(self.counts, counts),
            "bins": used_bins(counts) / used_bins(self.counts),
            "spread": spread(fake) / self.spread if self.spread else math.nan,
            "off": float(torch.cdist(fake, self.points).amin(1).mean()) / self.near
            if self.near
            else math.nan,
            "duplicates": duplicates(fake, self.close),
        }
