"""How sure a figure is: bootstrap intervals of means, group jackknife of anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from stargan.errors import Plain

GROUPS = 20
"""Into how many groups the images are dealt for the jackknife."""
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    Attributes:
        value: the figure; NaN when there are no images.
        low, high: ends of the interval; NaN where too few images allow none.
        count: number of images (or translations) behind it.
    """

    value: float
    low: float
    high: float
    count: int

    def to_plain(self) -> Plain:
        """As JSON takes it: NaN, which JSON does not know, becomes None."""
        return {k: None if v != v else v for k, v in asdict(self).items()}

    @property
    def rest(self) -> Estimate:
        """What a share leaves of the whole: of 4 % [3, 6] it is 96 % [94, 97]."""
        return Estimate(1 - self.value, 1 - self.high, 1 - self.low, self.count)

    def interval(self, style: str) -> str:
        """The interval in brackets, ``[94.1, 96.0]``; nothing where there is none.

        Args:
            style: format of a number; of ``.1%`` the sign is left to the value in front.
        """
        if self.low != self.low:
            return ""
        low, high = (f"{end:{style}}".removesuffix("%") for end in (self.low, self.high))
        return f"[{low}, {high}]"

    def shown(self, style: str, between: str = " ") -> str:
        """The figure with its interval, ``95.2% [94.1, 96.0]``.

        Args:
            style: format of a number.
            between: figure and interval; a line break makes two lines of a table's cell.
        """
        return f"{self.value:{style}}{between}{self.interval(style)}".rstrip()


def mean_interval(
    values: Tensor | Sequence[float],
    cluster: Tensor | Sequence[int] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Estimate:
    """The mean and its percentile bootstrap interval (Efron and Tibshirani, 1993, chapter 13).

    Where every value is the same 0 or the same 1 each resample is the sample itself and the
    bootstrap says nothing; the exact interval of a share (Clopper and Pearson, 1934) is given
    then, so that 0 errors of 20 are not taken for certainty. The same with clusters, of which
    each then counts once.

    Args:
        values: ``(N,)``; NaN values (an image to which the figure does not apply) are left out.
        cluster: ``(N,)``, values of the same number are drawn together (translations of one
            photo); None: every value alone.
        draws: number of resamples.
        seed: of the resamples, so that the same values give the same interval.
    """
    data = torch.as_tensor(values, dtype=torch.float64).flatten().cpu()
    whole = torch.arange(len(data)) if cluster is None else torch.as_tensor(cluster).cpu()
    use = ~data.isnan()
    data, whole = data[use], whole[use]
    count = len(data)
    if not count:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(data.mean())
    _, place = torch.unique(whole, return_inverse=True)
    size = int(place.max()) + 1
    if size < 2:
        return Estimate(value, float("nan"), float("nan"), count)
    if value in (0.0, 1.0) and bool((data == value).all()):
        edge = (0.5 - LEVEL / 2) ** (1 / size)
        low, high = (0.0, 1 - edge) if value == 0 else (edge, 1.0)
        return Estimate(value, low, high, count)
    sums = torch.zeros(size, dtype=torch.float64).index_add_(0, place, data).numpy()
    counts = np.bincount(place.numpy(), minlength=size)
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    for start in range(0, draws, 100):  # a hundred rows at a time: 20,000 images fit easily
        weight = rng.multinomial(size, np.full(size, 1 / size), min(100, draws - start))
        means[start : start + 100] = (weight @ sums) / (weight @ counts)
    low, high = np.quantile(means, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]).tolist()
    return Estimate(value, low, high, count)


def jackknife_interval(
    value: float, left_out: Sequence[float], count: int, least: float = -float("inf")
) -> Estimate:
    """A figure of a whole set with a delete-one-group jackknife interval.

    For FID and KID: a bootstrap would draw images twice, which makes both larger than they are.

    Args:
        value: the figure of all images.
        left_out: the same figure without the first group, the second, ...
        count: number of images.
        least: the smallest value that the figure can have; an interval begins there at the lowest.
    """
    groups = len(left_out)
    if groups < 2:
        return Estimate(value, float("nan"), float("nan"), count)
    parts = np.asarray(left_out, dtype=np.float64)
    error = float(np.sqrt((groups - 1) / groups * ((parts - parts.mean()) ** 2).sum()))
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, groups - 1)) * error
    return Estimate(value, max(least, value - reach), value + reach, count)


def deal(count: int, groups: int) -> list[Tensor]:
    """Rows 0 to ``count - 1`` dealt into so many groups, like cards."""
    return [torch.arange(i, count, groups) for i in range(groups)]
