"""Does an exported file do what the model does that it was made of? And how fast?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor

from stargan.export.model import Model
from stargan.metrics.bootstrap import Estimate, mean_interval


@dataclass(frozen=True)
class Parity:
    """Two models on the same images and targets.

    Attributes:
        images: number of photos.
        translations: number of pictures compared.
        largest: largest difference of a value, on [-1, 1].
        mean: mean absolute difference, on [-1, 1].
        same_labels: share of labels, read off the photos, that are the same in both; None where
            one of the two reads none.
        before, after: milliseconds for one image, one at a time, the median of several.
        faster: how many times as fast the file is as the model, with its 95 % interval; None where
            both are the same networks in PyTorch, which no file makes faster.
    """

    images: int
    translations: int
    largest: float
    mean: float
    same_labels: float | None
    before: float
    after: float
    faster: Estimate | None = None

    def sentences(self) -> list[str]:
        """The figures in words."""
        said = [
            f"{self.translations} translations of {self.images} photos: largest difference "
            f"{self.largest:.2g}, mean {self.mean:.2g}, on a range of 2.",
        ]
        if self.faster is not None:
            found = self.faster
            differs = not found.low <= 1 <= found.high
            speed = f"{found.value:.2f} times as fast" if differs else "no measurable difference"
            words = (
                f"{speed} {found.interval('.2f')} (95 % interval of the ratio, {found.count} "
                "repeats in turn)"
            )
            said.append(
                f"One image at a time on this machine: {self.after:.1f} ms, PyTorch "
                f"{self.before:.1f} ms: {words}."
            )
        if self.same_labels is not None:
            said.insert(1, f"Labels read off the photos that are the same: {self.same_labels:.1%}.")
        return said


def compare(before: Model, after: Model, photos: Tensor, batch_size: int = 8) -> Parity:
    """Translate photos with two models.

    Every change of the rule's examples is asked for at least once, every photo is used at least
    once, and batches have different sizes, the first one image.

    Args:
        before: the model as trained.
        after: the file made of it.
        photos: ``(N, 3, H, W)`` in [-1, 1].
        batch_size: of all batches but the first.
    """
    own, target, dataset = targets(before, photos)
    rows = torch.arange(len(target)) % len(photos)
    largest, total, count = 0.0, 0.0, 0
    ends = [0, 1, *range(1 + batch_size, len(target), batch_size), len(target)]
    for start, end in pairwise(ends):
        part = slice(start, end)
        batch = photos[rows[part]], own[part], target[part], dataset[part]
        if end > start:
            difference = (before(*batch).cpu() - after(*batch).cpu()).abs()
            # max() of a NaN is a NaN, but Python's comparison would lose it.
            worst = difference.max().item()
            largest = worst if worst != worst else max(largest, worst)
            total += difference.sum().item()
            count += difference.numel()
            if worst != worst:
                break
    one = photos[:1], own[:1], target[:1], dataset[:1]
    times = in_turn(lambda: before(*one), lambda: after(*one))
    return Parity(
        images=len(photos),
        translations=len(target),
        largest=largest,
        mean=total / count,
        same_labels=_same_labels(before, after, photos),
        before=median(times[0]),
        after=median(times[1]),
        faster=None if after.parts is not None else speed(*times),
    )


def targets(model: Model, photos: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Own labels ``(M, L)``, targets ``(M, L)`` and data sets ``(M,)``: photo ``i`` gets row ``i``.

    The examples of the model's rule, again and again where there are more photos.
    """
    found = model.rule.examples()
    rows = torch.arange(max(len(found[0]), len(photos))) % len(found[0])
    own, target, dataset = (tensor[rows] for tensor in found)
    return own, target, dataset


def _same_labels(before: Model, after: Model, photos: Tensor) -> float | None:
    if before.reader is None or after.reader is None:
        return None
    same = []
    for image in photos.split(8):
        one, other = before.read(image).float().cpu(), after.read(image).float().cpu()
        for space, part in zip(before.labels.spaces, before.labels.slices, strict=True):
            same.append(space.read(one[:, part]) == space.read(other[:, part]))
    return torch.cat([s.flatten() for s in same]).float().mean().item()


def in_turn(
    one: Callable[[], object], other: Callable[[], object], repeats: int = 20
) -> tuple[list[float], list[float]]:
    """Milliseconds of two calls, again and again in turn, so that other load meets both alike."""
    calls = (one, other)
    for call in calls:
        call()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, kept in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            kept.append(1000 * (time.perf_counter() - start))
    return times


def speed(before: Sequence[float], after: Sequence[float]) -> Estimate:
    """How many times as fast the second is: the geometric mean over the pairs, and its interval."""
    ratios = [math.log(a / b) for a, b in zip(before, after, strict=True)]
    found = mean_interval(ratios)
    value, low, high = (math.exp(x) for x in (found.value, found.low, found.high))
    return Estimate(value, low, high, found.count)
