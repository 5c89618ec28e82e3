"""Is the game between D and G going well? Measures of scores, losses and gradients.

Pure functions, and two small running states (``Rise``, ``Persistence``). Nothing here knows a
trainer.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

ADAM_EPS = 1e-8
"""Adam divides by the root of the mean square gradient plus this: below it steps fade out."""


def ranking_accuracy(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """Share of pairs (real, fake) that D ranks right, ties half: 0.5 guessing, 1 saturated.

    The area under the curve of D as a classifier. It needs no threshold, so it means the same for
    every adversarial loss, a Wasserstein critic's included. Every score is one opinion: a map of
    patch scores counts by its mean.

    Args:
        real_score, fake_score: ``(B, ...)``; higher is more real.

    Returns:
        A scalar in [0, 1] on their device; NaN where scores are not finite.
    """
    real, fake = (s.detach().float().reshape(len(s), -1).mean(1) for s in (real_score, fake_score))
    ahead = real[:, None] - fake[None, :]
    # The sign of NaN is 0: what is not finite has to be carried on.
    return 0.5 + 0.5 * (ahead.sign() + 0 * ahead).mean()


def gradient_rms(parameters: Iterable[Tensor]) -> Tensor | None:
    """Root mean square of all gradients, one number on their device; None without gradients."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return None
    norms = torch.stack([n.float() for n in torch._foreach_norm(gradients)])
    return norms.square().sum().div(sum(g.numel() for g in gradients)).sqrt()


def vanished(rms: float) -> bool:
    """Whether gradients are so small that Adam's step fades out.

    Adam's step does not depend on the scale of the gradients until their root mean square comes
    down to its epsilon: at ten times that a tenth of the step is gone.
    """
    return rms < 10 * ADAM_EPS


def exploded(rms: float, usual: float, factor: float = 100.0) -> bool:
    """Whether gradients are ``factor`` times what was usual in this run."""
    return rms > factor * usual > 0


class Rise:
    """How far a loss stands above its best: mean of the last ``window`` over the lowest such mean.

    Args:
        window: values, at least one.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self._last: deque[float] = deque(maxlen=window)
        self._count = 0
        self._mean = self._best = math.inf

    def add(self, value: float) -> None:
        """One value more; what is not finite does not count."""
        if not math.isfinite(value):
            return
        self._last.append(value)
        self._count += 1
        if len(self._last) == self.window:
            self._mean = sum(self._last) / self.window
            self._best = min(self._best, self._mean)

    @property
    def value(self) -> float:
        """1: it is at its best. 3: three times its best, and it stays there on average.

        NaN for fewer values than two windows, or where the best is not positive.
        """
        if self._count < 2 * self.window or self._best <= 0:
            return math.nan
        return self._mean / self._best


def oscillation(values: Sequence[float]) -> tuple[float, int]:
    """How periodic a signal is, and its period in values.

    The trend (a straight line) is taken off; then the highest autocorrelation after the first
    zero crossing. A steady wave gives nearly 1, white noise of ``n`` values about ``2 / sqrt(n)``,
    a signal that only drifts 0.

    Returns:
        Strength in [0, 1], period (0 when there is none). At least four periods must fit.
    """
    x = torch.tensor([v for v in values if math.isfinite(v)], dtype=torch.float64)
    n = len(x)
    if n < 16:
        return 0.0, 0
    time = torch.linspace(-1, 1, n, dtype=torch.float64)
    x = x - x.mean()
    x = x - time * (x @ time) / (time @ time)
    power = float(x @ x)
    if power <= 1e-12 * n:
        return 0.0, 0
    # Unbiased: a lag has fewer products the longer it is.
    longest = n // 4
    lagged = torch.cat([x, x.new_zeros(longest)]).unfold(0, n, 1)
    unbiased = n / (n - torch.arange(longest + 1, dtype=torch.float64)) / power
    correlation = ((lagged @ x) * unbiased).tolist()
    crossing = next((lag for lag, c in enumerate(correlation) if c < 0), None)
    if crossing is None or crossing >= longest:
        return 0.0, 0
    strength, period = max((c, lag) for lag, c in enumerate(correlation) if lag > crossing)
    return (min(strength, 1.0), period) if strength > 0 else (0.0, 0)


class Persistence:
    """Turns a row of opinions (bad or fine) into the beginning and the end of a trouble.

    Trouble begins when nine tenths of the opinions of the last ``patience`` steps are bad, and is
    over when nine tenths are fine, so that neither one lucky nor one unlucky reading counts.

    Args:
        patience: steps that trouble, and recovery, must last.
        fewest: opinions that are needed at least.
    """

    SHARE = 0.9

    def __init__(self, patience: int, fewest: int = 5) -> None:
        self.patience = patience
        self.fewest = fewest
        self.opinions: deque[tuple[int, bool]] = deque()
        self.bad = 0
        """How many of them are bad."""
        self.since: int | None = None
        """The step at which the trouble that lasts began; None when all is well."""

    def update(self, step: int, bad: bool) -> str | None:
        """One opinion more. Returns "began", "ended" or None."""
        self.opinions.append((step, bad))
        self.bad += bad
        while len(self.opinions) > self.fewest and self.opinions[1][0] <= step - self.patience:
            self.bad -= self.opinions.popleft()[1]
        if len(self.opinions) < self.fewest or step - self.opinions[0][0] < self.patience:
            return None
        share = self.bad / len(self.opinions)
        if self.since is None and share >= self.SHARE:
            self.since = next(s for s, b in self.opinions if b)
            return "began"
        if self.since is not None and share <= 1 - self.SHARE:
            self.since = None
            return "ended"
        return None
