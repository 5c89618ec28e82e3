"""FID, KID and Inception Score on the features of any network, which every result names.

Figures of two feature networks, of two image sizes or of two numbers of images say nothing about
each other: a result carries the name and the counts, and whoever prints it prints them too.

torchmetrics' classes give the same values (a test pins them) but neither intervals nor moments
that can be merged; its KID kernel is used here.

Sources: FID: Heusel et al., 2017, equation (6). KID: Binkowski et al., 2018, section 4. Inception
Score: Salimans et al., 2016, section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics.image.kid import poly_mmd

from stargan import imaging
from stargan.errors import UserError
from stargan.metrics.bootstrap import GROUPS, Estimate, deal, jackknife_interval

FEWEST_GROUPS = 10
"""A jackknife over fewer groups has an interval that bounds nothing (KID: -9560 to 9705)."""
BLOCK = 1000
"""KID is the mean over disjoint blocks of at most so many images, as published."""


@dataclass(frozen=True)
class FeatureNetwork:
    """A network by whose features images are compared.

    Attributes:
        name: how every table calls it: ``Inception v3 (FID weights)`` or ``judge runs/...``.
        read: ``(B, 3, H, W)`` in [-1, 1] of any size to features ``(B, F)`` and class logits
            ``(B, K)``, None where it has no classes and so gives no Inception Score.
    """

    name: str
    read: Callable[[Tensor], tuple[Tensor, Tensor | None]]


class Moments:
    """Running count, mean and covariance of features, in double precision.

    Args:
        size: number of features.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.sum = torch.zeros(size, dtype=torch.float64)
        self.products = torch.zeros(size, size, dtype=torch.float64)

    @staticmethod
    def of(features: Tensor) -> Moments:
        """Those of features ``(N, F)``."""
        moments = Moments(features.shape[1])
        moments.update(features)
        return moments

    def update(self, features: Tensor) -> None:
        """Add ``(B, F)``; any device, kept on the CPU."""
        rows = features.detach().double().cpu()
        self.count += len(rows)
        self.sum += rows.sum(0)
        self.products += rows.T @ rows

    def without(self, other: Moments) -> Moments:
        """What is left when a part is taken away."""
        rest = Moments(len(self.sum))
        rest.count = self.count - other.count
        rest.sum = self.sum - other.sum
        rest.products = self.products - other.products
        return rest

    @property
    def mean(self) -> Tensor:
        """``(F,)``."""
        return self.sum / self.count

    @property
    def covariance(self) -> Tensor:
        """``(F, F)``, divided by ``count - 1``."""
        mean = self.mean
        return (self.products - self.count * torch.outer(mean, mean)) / (self.count - 1)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Fréchet distance of two Gaussians, squared as FID has it.

    ``|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))``. The trace of the root is taken from the
    symmetric ``C_a^(1/2) C_b C_a^(1/2)``, which has the same eigenvalues: it is real and not
    negative even when there are fewer images than features.

    Raises:
        UserError: fewer than two images on a side, which have no covariance.
    """
    if min(a.count, b.count) < 2:
        raise UserError(f"FID needs at least 2 images on either side, not {a.count} and {b.count}.")
    cov_a, cov_b = a.covariance, b.covariance
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    distance = (a.mean - b.mean).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return float(distance.clamp_min(0))


def fid(real: Tensor, fake: Tensor, groups: int = GROUPS) -> Estimate:
    """FID of two sets of features, with a jackknife interval over both sets.

    The fewer the images, the larger FID is, also between equal distributions: compare figures of
    equal numbers of images only, or with that of real against real images of the same number.

    Args:
        real: ``(N, F)``; fake: ``(M, F)``.
        groups: of the jackknife; 0: no interval.

    Returns:
        ``count`` is the smaller of N and M. NaN below two images.
    """
    count = min(len(real), len(fake))
    if count < 2:
        return Estimate(float("nan"), float("nan"), float("nan"), count)
    dealt = _dealt(real, fake, groups)
    if count < real.shape[1]:
        left_out = [_fid_of_few(_rest(real, r), _rest(fake, f)) for r, f in dealt]
        return jackknife_interval(_fid_of_few(real, fake), left_out, count, least=0)
    whole = Moments.of(real), Moments.of(fake)
    left_out = [
        frechet_distance(
            whole[0].without(Moments.of(real[r])), whole[1].without(Moments.of(fake[f]))
        )
        for r, f in dealt
    ]
    return jackknife_interval(frechet_distance(*whole), left_out, count, least=0)


def kid(real: Tensor, fake: Tensor, groups: int = GROUPS) -> Estimate:
    """KID, the squared MMD with the kernel ``(x.y / F + 1)^3``, unbiased at any number of images.

    Around 0 for equal distributions, and so at times below. Where there are more than ``BLOCK``
    images it is the mean over disjoint blocks.

    Args:
        real: ``(N, F)``; fake: ``(M, F)``.
        groups: of the jackknife; 0: no interval.

    Returns:
        ``count`` is the smaller of N and M. NaN below two images.
    """
    count = min(len(real), len(fake))
    if count < 2:
        return Estimate(float("nan"), float("nan"), float("nan"), count)
    real, fake = real.double().cpu(), fake.double().cpu()
    left_out = [_mmd(_rest(real, r), _rest(fake, f)) for r, f in _dealt(real, fake, groups)]
    return jackknife_interval(_mmd(real, fake), left_out, count)


def inception_score(logits: Tensor, groups: int = GROUPS) -> Estimate:
    """``exp(E KL(p(y|x) || p(y)))`` of class logits ``(N, K)``, of all images as one set.

    1 when all images look alike to the network or it is never sure, K when it is sure of every
    image and the classes come equally often.
    """
    if len(logits) < 2:
        return Estimate(float("nan"), float("nan"), float("nan"), len(logits))
    logits = logits.double().cpu()
    parts = [_score(_rest(logits, rows)) for rows, _ in _dealt(logits, logits, groups)]
    return jackknife_interval(_score(logits), parts, len(logits), least=1)


def split_inception_score(logits: Tensor, splits: int = 10) -> tuple[float, float]:
    """The Inception Score as published: mean and deviation over the scores of ten parts.

    Salimans et al., 2016, with 5,000 images in each. The fewer images in a part, the lower it is.

    Args:
        logits: ``(N, K)``, in any order that has nothing to do with what they show.

    Returns:
        NaN for fewer than two images in a part; the deviation is that of the parts (``ddof=0``).
    """
    if len(logits) < 2 * splits:
        return float("nan"), float("nan")
    parts = torch.tensor([_score(part) for part in logits.double().cpu().tensor_split(splits)])
    return float(parts.mean()), float(parts.std(correction=0))


def inception(path: str | Path, device: str | torch.device = "cpu") -> FeatureNetwork:
    """The Inception network of the published FID, from a weight file that the user has.

    Args:
        path: ``pt_inception-2015-12-05-6726825d.pth`` of the project pytorch-fid, which
            torch-fidelity and torchmetrics use too. Nothing is downloaded here.
        device: where it computes.

    Raises:
        UserError: torch-fidelity, which has the network, is not installed; no such file, or
            another one.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(
            f"inception={path} does not exist: give pt_inception-2015-12-05-6726825d.pth, or leave "
            "inception= out to use the judge's features."
        )
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise UserError(
            "inception= needs the network of torch-fidelity: pip install 'stargan[metrics]'."
        ) from error
    try:
        # It would unpickle whatever the file holds: let it see tensors only.
        torch.load(path, weights_only=True)
        network: nn.Module = FeatureExtractorInceptionV3(
            "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
        )
    except Exception as error:  # Almost anything may come of a wrong file.
        raise UserError(f"inception={path} is not the Inception weight file.") from error
    network = network.eval().to(device)

    @torch.inference_mode()
    def read(image: Tensor) -> tuple[Tensor, Tensor]:
        pixels = imaging.to_uint8(image.to(device))
        features, logits = network(pixels)
        return features.float(), logits.float()

    return FeatureNetwork("Inception v3 (FID weights)", read)


def _dealt(real: Tensor, fake: Tensor, groups: int) -> list[tuple[Tensor, Tensor]]:
    """The rows of both sets in as many groups of at least four; none below ``FEWEST_GROUPS``."""
    number = min(groups, len(real) // 4, len(fake) // 4)
    if number < FEWEST_GROUPS:
        return []
    return list(zip(deal(len(real), number), deal(len(fake), number), strict=True))


def _rest(rows: Tensor, out: Tensor) -> Tensor:
    keep = torch.ones(len(rows), dtype=torch.bool)
    keep[out] = False
    return rows[keep]


def _fid_of_few(real: Tensor, fake: Tensor) -> float:
    """FID of fewer images than features, without their large covariances.

    With centred rows X and Y, ``tr((X'X Y'Y)^(1/2))`` is the sum of the singular values of XY'.
    """
    a, b = real.double().cpu(), fake.double().cpu()
    shift = (a.mean(0) - b.mean(0)).square().sum()
    a = (a - a.mean(0)) / (len(a) - 1) ** 0.5
    b = (b - b.mean(0)) / (len(b) - 1) ** 0.5
    cross = torch.linalg.svdvals(a @ b.T).sum()
    return float((shift + a.square().sum() + b.square().sum() - 2 * cross).clamp_min(0))


def _mmd(real: Tensor, fake: Tensor) -> float:
    count = min(len(real), len(fake))
    blocks = -(-count // BLOCK)
    pairs = zip(real[:count].chunk(blocks), fake[:count].chunk(blocks), strict=True)
    values = [float(poly_mmd(r, f, degree=3, gamma=None, coef=1.0)) for r, f in pairs]
    return sum(values) / len(values)


def _score(logits: Tensor) -> float:
    logs = logits.log_softmax(1)
    marginal = logs.exp().mean(0).clamp_min(1e-300).log()
    return float((logs.exp() * (logs - marginal)).sum(1).mean().exp())
