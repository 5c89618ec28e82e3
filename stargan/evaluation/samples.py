"""How good images from noise are, by a classifier: FID in its features, shares of the classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from stargan.errors import UserError
from stargan.evaluation.figures import one_number
from stargan.judges.judge import Judge
from stargan.metrics.bootstrap import Estimate
from stargan.metrics.diversity import Binned, compare_bins, whole_pixels
from stargan.metrics.fid import fid, inception_score, split_inception_score
from stargan.writing import markdown_row

SURE = 0.9


@dataclass(frozen=True)
class SampleScores:
    """The figures of a set of samples.

    Attributes:
        fid: of the samples against real test images.
        floor: the same of real training images instead of the samples: what a perfect model would
            reach with so many images.
        shares: class to its share of the real test images and of the samples, as the judge reads
            them, in [0, 1].
        sure: share of the real test images and of the samples that the judge holds for one class
            with a probability of at least ``SURE``: a plain measure of being readable.
        counts: how many samples, real test images and real training images.
        inception: the Inception Score, in the judge's classes, of real test images and samples.
        split: the same as published: mean and deviation over ten parts; NaN below twenty images.
        bins: NDB/K, divergence in bits and number of bins of real test images and of samples, in
            the bins of real training images; None for too few images.
    """

    fid: Estimate
    floor: Estimate
    shares: dict[str, tuple[float, float]]
    sure: tuple[float, float]
    counts: tuple[int, int, int]
    inception: tuple[Estimate, Estimate]
    split: tuple[tuple[float, float], tuple[float, float]]
    bins: tuple[Binned, Binned] | None


def score_samples(judge: Judge, fake: Tensor, test: Tensor, train: Tensor) -> SampleScores:
    """Compare samples with real images.

    FID grows as the number of images falls, so the samples are compared in the number of the
    training images given here: take as many of both.

    Args:
        judge: a classifier with one space of exclusive classes.
        fake: ``(N, C, H, W)`` in [-1, 1], C 1 or 3.
        test: real images that neither the model nor the judge has seen.
        train: real images, for the floor.

    Raises:
        UserError: a judge of something else than exclusive classes.
    """
    space = judge.labels.spaces[0]
    if len(judge.labels.spaces) != 1 or not space.categorical:
        raise UserError(
            "the judge must read one set of exclusive classes: train it on class folders or digits."
        )
    read = {
        name: look(judge, image.split(256))
        for name, image in (("fake", fake), ("test", test), ("train", train))
    }
    features = {name: found[0] for name, found in read.items()}
    likely = {name: found[1].softmax(1) for name, found in read.items()}
    number = min(len(fake), len(train))
    shares = {}
    for i, name in enumerate(space.names):
        real, made = ((likely[s].argmax(1) == i).float().mean().item() for s in ("test", "fake"))
        shares[name] = (real, made)
    real, made = ((likely[s].amax(1) >= SURE).float().mean().item() for s in ("test", "fake"))
    alike = one_number(read["test"][1], read["fake"][1])
    first, *binned = one_number(
        *(whole_pixels(_like(image, fake)) for image in (train, test, fake))
    )
    bins = compare_bins(first, *binned)
    return SampleScores(
        fid=fid(features["test"], features["fake"][:number]),
        floor=fid(features["test"], features["train"][:number]),
        shares=shares,
        sure=(real, made),
        counts=(len(fake), len(test), len(train)),
        inception=(inception_score(alike[0]), inception_score(alike[1])),
        split=(split_inception_score(alike[0]), split_inception_score(alike[1])),
        bins=(bins[0], bins[1]) if bins else None,
    )


def _like(image: Tensor, other: Tensor) -> Tensor:
    """Images in the size and the channels of others."""
    if image.shape[1] != other.shape[1]:
        image = image.mean(1, keepdim=True).expand(-1, other.shape[1], -1, -1)
    if image.shape[-2:] != other.shape[-2:]:
        size = tuple(other.shape[-2:])
        image = torch.nn.functional.interpolate(image, size, mode="bilinear", antialias=True)
    return image


def look(judge: Judge, parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Features ``(N, F)`` and logits ``(N, L)`` of images ``(B, 1 or 3, H, W)``, part by part."""
    features, logits = [], []
    for part in parts:
        colour = part.expand(-1, 3, -1, -1)
        features.append(judge.features(colour).cpu())
        logits.append(judge.logits(colour).float().cpu())
    return torch.cat(features), torch.cat(logits)


def score_lines(scores: SampleScores, model: str, judge: str) -> list[str]:
    """The figures as Markdown."""
    samples, test, _ = scores.counts
    found = f"**{scores.fid.value:.2f}** {scores.fid.interval('.2f')}".rstrip()
    lines = [
        f"# Samples of {model}",
        "",
        f"- samples: {samples:,}; real test images: {test:,}; judge: {judge}",
        f"- FID in the judge's features, {scores.fid.count:,} images: {found}; real "
        f"training images instead of samples: {scores.floor.value:.2f}. In brackets the 95 % "
        "interval. Comparable only with the same judge and numbers.",
        f"- held for one class with a probability of at least {SURE}: {scores.sure[1]:.1%} of the "
        f"samples, {scores.sure[0]:.1%} of the real images",
        *_variety(scores),
        "",
        "| class | real | samples |",
        "|---|---|---|",
    ]
    shares = scores.shares.items()
    return lines + [markdown_row((n, f"{a:.1%}", f"{b:.1%}")) for n, (a, b) in shares]


def _variety(scores: SampleScores) -> list[str]:
    """Inception Score, and bins where there are enough images."""
    real, made = scores.inception
    parts = [f"{mean:.2f} ± {deviation:.2f}" for mean, deviation in scores.split if mean == mean]
    split = (
        f"; over ten parts, as published: {parts[1]}, real {parts[0]}" if len(parts) == 2 else ""
    )
    lines = [
        f"- Inception Score in the judge's classes, {made.count:,} images each: "
        f"**{made.value:.2f}**, real {real.value:.2f}{split}"
    ]
    if scores.bins is None:
        return [*lines, "- NDB and JSD: too few images for bins (50 of each are needed)"]
    beside, own = scores.bins
    count = min(scores.counts)
    return [
        *lines,
        f"- {own.bins} bins of whole training images, {count:,} images each: NDB/K "
        f"**{own.ndb:.2f}**, real {beside.ndb:.2f}; Jensen-Shannon divergence {own.jsd:.3f} bits, "
        f"real {beside.jsd:.3f}",
    ]
