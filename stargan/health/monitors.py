"""The monitors: what is wrong with a run, told from the rows of its log alone.

So the same code watches a run while it trains, reads a finished one (``stargan health``), and takes
up its state on a resume: by reading the rows that are there. A row costs the same whether it is the
tenth or the ten thousandth.

A monitor has an opinion on every row, bad or fine, from ``grace`` generator steps on; a trouble is
announced when it has lasted ``patience`` generator steps, and so is its end. Where one trouble
explains another, the other has no opinion: a discriminator that wins leaves G's images alike, but
that is not mode collapse, which is said of images that fool it.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stargan.losses.adversarial import Scale
from stargan.metrics.convergence import Persistence, Rise, exploded, oscillation, vanished

Row = Mapping[str, float]

# Terms and gradients: what a group of networks is called begins with a capital letter.
TERM = re.compile(r"(grad/)?[A-Z]\w*")
GRAD = "grad/"
# D's accuracy counts as saturated when it ranks so many pairs of real and fake right.
SATURATED = 0.98
# A D that is worse than one that always says "half" has lost its hold, from this many times on.
TOO_HIGH = 2.0
# No D that has learned in measured steps gives G's images one chance in 8 to the power of this.
OVERSHOT = 50.0
# A critic's distance, which has no scale of its own, has grown when it is so many times its usual.
GROWN = 3.0
# Bits of Jensen-Shannon divergence from which samples are another thing than the data.
FAR = 0.4
# From so many bins that hold another share of the samples, and so many bits of divergence, kinds of
# images are missing. Fewer will do where samples look as real as the data: so near to them.
MISSING, MISSING_BITS = 0.6, 0.25
MISSING_ALIVE, MISSING_BITS_ALIVE = 0.4, 0.08
ALIVE = 1.3
# A balanced accuracy that is not so far above that of chance is that of guessing.
NO_BETTER = 0.02
# Rows that a usual value or an oscillation is taken from.
WINDOW = 64
# Below this mean difference on the [-1, 1] scale a person sees no difference between two images:
# half a grey level of 255.
NO_EFFECT = 0.004


@dataclass(frozen=True)
class Finding:
    """The beginning or the end of a trouble.

    Attributes:
        step: when it was noticed.
        monitor: its name.
        event: ``trouble`` or ``recovered``.
        since: the step of the first bad row.
        evidence: figures, in words.
    """

    step: int
    monitor: str
    event: str
    since: int
    evidence: str

    def to_plain(self) -> dict[str, Any]:
        """As a line of health.jsonl."""
        return dict(vars(self))


class RunningMedian:
    """The median of all values so far, at the cost of a step down a heap for each."""

    def __init__(self) -> None:
        self._low: list[float] = []  # The lower half, negated: its largest comes first.
        self._high: list[float] = []

    def __len__(self) -> int:
        return len(self._low) + len(self._high)

    def add(self, value: float) -> None:
        """One value more."""
        heapq.heappush(self._high, -heapq.heappushpop(self._low, -value))
        if len(self._high) > len(self._low):
            heapq.heappush(self._low, -heapq.heappop(self._high))

    @property
    def value(self) -> float:
        """The median; NaN of none."""
        if not self._low:
            return math.nan
        if len(self._low) > len(self._high):
            return -self._low[0]
        return (-self._low[0] + self._high[0]) / 2


class History:
    """What is known of a run at its last row; another row costs the same however many there are.

    Args:
        scale: of the adversarial loss; None for a critic.
    """

    # Names whose usual value is asked for, beside gradients, and the one whose rise is.
    USUAL = ("D/adv",)
    RISING = "G/adv"
    # Rows after which a value is no longer the latest one.
    RECENT = 20

    def __init__(self, scale: Scale | None) -> None:
        self.scale = scale
        self.rows: deque[Row] = deque(maxlen=WINDOW)
        """The last ``WINDOW`` rows."""
        self.count = 0
        """Of all rows."""
        self.judged: int | None = None
        """Index of the first row after the grace."""
        self._latest: dict[str, tuple[int, float]] = {}
        self._usual = {name: RunningMedian() for name in self.USUAL}
        self._rising = Rise(5)

    def add(self, row: Row, judged: bool) -> None:
        """One row more.

        Args:
            row: of the log; what was not logged is not in it.
            judged: whether the grace is over.
        """
        if judged and self.judged is None:
            self.judged = self.count
        self.rows.append(row)
        self._latest |= {name: (self.count, value) for name, value in row.items()}
        self.count += 1
        for name in row:
            if name.startswith(GRAD):
                self._usual.setdefault(name, RunningMedian())
        if judged:
            for name, median in self._usual.items():
                if math.isfinite(row.get(name, math.nan)):
                    median.add(row[name])
            if self.RISING in row:
                self._rising.add(row[self.RISING])

    def now(self, name: str) -> float:
        """The latest value, of this row or of the last one that had it; NaN if there is none."""
        index, value = self._latest.get(name, (-math.inf, math.nan))
        return value if index >= self.count - self.RECENT else math.nan

    def values(self, name: str, count: int = WINDOW) -> list[float]:
        """Of the last ``count`` rows (at most ``WINDOW``) after the grace, the oldest first."""
        after = self.count - (self.judged or 0)
        rows = itertools.islice(reversed(self.rows), min(count, after))
        return [row[name] for row in rows if name in row][::-1]

    def usual(self, name: str) -> float:
        """The median over all rows after the grace; NaN below ten of them."""
        median = self._usual[name]
        return median.value if len(median) >= 10 else math.nan

    @property
    def gradients(self) -> list[str]:
        """The names of the gradients' sizes, one for each group of networks seen so far."""
        return sorted(name for name in self._usual if name.startswith(GRAD))

    @property
    def rise(self) -> float:
        """How far ``RISING`` stands above its best of all rows after the grace."""
        return self._rising.value


@dataclass(frozen=True)
class Opinion:
    """Whether a row is bad, and the figures that say so."""

    bad: bool
    evidence: str


@dataclass(frozen=True)
class Monitor:
    """One thing that can go wrong.

    Attributes:
        name: its word in logs and tables.
        title: what is wrong, in plain words.
        cures: what usually helps.
        curves: the columns of the log in which it is seen.
        judge: its opinion; None when the log does not have what it needs.
        explained_by: troubles of which this one would only be a consequence; they come earlier in
            ``MONITORS``.
        at_once: whether a single row is enough.
    """

    name: str
    title: str
    cures: str
    curves: tuple[str, ...]
    judge: Callable[[History], Opinion | None]
    explained_by: tuple[str, ...] = ()
    at_once: bool = False


def diverged(history: History) -> Opinion | None:
    """A term or gradient that is NaN or infinite."""
    row = history.rows[-1]
    bad = [n for n, v in row.items() if TERM.match(n) and not math.isfinite(v)]
    return Opinion(bool(bad), f"{' and '.join(bad)} not finite" if bad else "all terms finite")


def discriminator_wins(history: History) -> Opinion | None:
    """D's loss near zero, its accuracy saturated, G's loss at the level of the beaten."""
    d, g, rank = (history.now(n) for n in ("D/adv", "G/adv", "D/rank"))
    if math.isnan(d) or math.isnan(g):
        return None
    saturated = math.isnan(rank) or rank > SATURATED
    ranks = "" if math.isnan(rank) else f", it ranks {rank:.1%} of the pairs right"
    if history.scale is not None:
        share = d / history.scale.guessing
        bad = d < history.scale.sure and g > history.scale.beaten and saturated
        grown = history.rise
        higher = f" ({grown:.1f} times its best)" if grown >= 1.05 else ""
        words = f"D's loss {d:.3g} ({share:.0%} of guessing){ranks}; G's loss {g:.3g}{higher}"
        return Opinion(bad, words)
    usual = history.usual("D/adv")
    bad = saturated and -d > GROWN * abs(usual)
    return Opinion(bad, f"the critic's distance {-d:.3g}, usually {-usual:.3g}{ranks}")


def losses_explode(history: History) -> Opinion | None:
    """Over ten rows D's mean loss is above that of guessing, or G's beyond any chance."""
    values = history.values("D/adv", 10)
    if history.scale is None or not values:
        return None
    lost = history.values("G/adv", 10)
    mean, beaten = sum(values) / len(values), sum(lost) / len(lost) if lost else 0.0
    times = mean / history.scale.guessing
    words = f"D's loss {mean:.3g} on average, {times:.1f} times that of guessing; G's {beaten:.3g}"
    return Opinion(times > TOO_HIGH or beaten > OVERSHOT * history.scale.beaten, words)


def discriminator_blind(history: History) -> Opinion | None:
    """D does hardly better than guessing, while its bins say that the fakes are far off."""
    d, rank, jsd = (history.now(n) for n in ("D/adv", "D/rank", "samples/jsd"))
    if math.isnan(rank) or math.isnan(jsd) or math.isnan(d):
        return None
    # Fakes ranked above the real images are another thing: a D that is fooled.
    guesses = abs(rank - 0.5) < 0.15
    if history.scale is not None:
        guesses = guesses and abs(d / history.scale.guessing - 1) < 0.05
    words = f"D ranks {rank:.1%} of the pairs right (guessing: 50%)"
    return Opinion(guesses and jsd > FAR, f"{words}, although the bins diverge by {jsd:.2f} bits")


def gradients_explode(history: History) -> Opinion | None:
    """Gradients a hundred times what is usual in this run."""
    opinions = []
    for name in history.gradients:
        rms, usual = history.now(name), history.usual(name)
        if not math.isnan(rms) and not math.isnan(usual):
            words = f"{name.removeprefix(GRAD)}'s gradients {rms:.2g}, usually {usual:.2g}"
            opinions.append(Opinion(exploded(rms, usual), words))
    return worst(opinions)


def gradients_vanish(history: History) -> Opinion | None:
    """Gradients so small that Adam's steps fade out."""
    opinions = []
    for name in history.gradients:
        rms = history.now(name)
        if not math.isnan(rms):
            words = f"root mean square of {name.removeprefix(GRAD)}'s gradients {rms:.2g}"
            opinions.append(Opinion(vanished(rms), words))
    return worst(opinions)


def oscillates(history: History) -> Opinion | None:
    """A strong wave in D's loss."""
    values = history.values("D/adv")
    if len(values) < WINDOW or not all(map(math.isfinite, values)):
        return None
    strength, period = oscillation(values)
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    level = history.scale.guessing if history.scale is not None else abs(mean)
    steps = history.rows[-1]["step"] - history.rows[-2]["step"]
    words = (
        f"D's loss swings by {deviation:.2g} around {mean:.2g}, "
        f"every {period * steps:g} steps (strength {strength:.2f})"
    )
    return Opinion(strength > 0.6 and deviation > 0.25 * level, words)


def mode_collapse(history: History) -> Opinion | None:
    """Images that are alike, or of a few kinds only, although they fool D.

    Bins that differ say that kinds are missing, or that images are poor. So the bound is lower for
    images that are as near to real ones as these are to each other: then they are not poor.
    """
    names = ("spread", "bins", "jsd", "ndb", "duplicates")
    read = {n: history.now(f"samples/{n}") for n in names}
    if any(map(math.isnan, read.values())):
        return None
    alike = read["spread"] < 0.5
    few = read["bins"] < 1 / 3 and read["jsd"] > FAR
    twins = read["duplicates"] > 0.5
    ndb, jsd, off = (mean(history.values(f"samples/{n}", 10)) for n in ("ndb", "jsd", "off"))
    few |= ndb >= MISSING and jsd >= MISSING_BITS
    few |= off < ALIVE and ndb >= MISSING_ALIVE and jsd >= MISSING_BITS_ALIVE
    words = (
        f"distances between samples {read['spread']:.2f} of those of the data, bins in use "
        f"{read['bins']:.0%}, {ndb:.0%} of the bins differ, divergence {jsd:.2f}, "
        f"near twins {read['duplicates']:.0%}"
    )
    if math.isfinite(off):
        words += f", distance to real images {off:.2f} of that between these"
    return Opinion(alike or few or twins, words)


def label_ignored(history: History) -> Opinion | None:
    """Two labels give the same picture."""
    effect = history.now("label_effect")
    if math.isnan(effect):
        return None
    words = f"two labels change the same image by {effect:.4f} on average (scale [-1, 1])"
    return Opinion(effect < NO_EFFECT, words)


def input_ignored(history: History) -> Opinion | None:
    """Two images give the same picture."""
    effect = history.now("input_effect")
    if math.isnan(effect):
        return None
    return Opinion(
        effect < 0.1, f"outputs of different images differ by {effect:.0%} of what these do"
    )


def colour_drift(history: History) -> Opinion | None:
    """Images come back under their own labels with another mean colour."""
    drift = history.now("colour_drift")
    if math.isnan(drift):
        return None
    words = f"under their own labels images come back {drift:.2f} off in colour (scale [-1, 1])"
    return Opinion(drift > 0.15, words)


def background_drift(history: History) -> Opinion | None:
    """Images come back under their own labels with another margin."""
    drift = history.now("background_drift")
    if math.isnan(drift):
        return None
    words = f"under their own labels the margin of images changes by {drift:.2f} (scale [-1, 1])"
    return Opinion(drift > 0.25, words)


def mean(values: Sequence[float]) -> float:
    """NaN of none."""
    return sum(values) / len(values) if values else math.nan


def classifier_guesses(history: History) -> Opinion | None:
    """A classifier that reads images kept aside no better than by chance."""
    for split in ("val", "test"):
        value, chance = (history.now(f"{split}/{name}") for name in ("balanced", "chance"))
        if not math.isnan(value) and not math.isnan(chance):
            words = f"balanced accuracy {value:.1%} on the {split} split, by chance {chance:.1%}"
            return Opinion(value < chance + NO_BETTER, words)
    return None


def worst(opinions: Sequence[Opinion]) -> Opinion | None:
    """The bad ones in one, else the first; None of none."""
    bad = [o.evidence for o in opinions if o.bad]
    if bad:
        return Opinion(True, "; ".join(bad))
    return opinions[0] if opinions else None


MONITORS = (
    Monitor(
        "diverged",
        "the run has diverged",
        "take an earlier checkpoint and a lower learning rate; full precision "
        "(trainer.precision=32-true); see where it began with debug=anomaly",
        ("D/adv", "G/adv"),
        diverged,
        at_once=True,
    ),
    Monitor(
        "losses_explode",
        "losses explode: the networks overshoot each other",
        "a learning rate ten times lower, beta1 of 0.5, larger batches; least squares or hinge "
        "instead of cross entropy bound what one step can do",
        ("D/adv", "G/adv"),
        losses_explode,
        ("diverged",),
    ),
    Monitor(
        "discriminator_wins",
        "the discriminator wins: convergence failure",
        "more capacity for G or less for D, a lower discriminator_lr, R1 or dropout in D, smaller "
        "n_critic; if it comes after a good time, go back to a checkpoint from before",
        ("D/adv", "G/adv", "D/rank"),
        discriminator_wins,
        ("diverged", "losses_explode"),
    ),
    Monitor(
        "discriminator_blind",
        "the discriminator cannot tell real from fake, although they are far apart",
        "more capacity or larger kernels for D, a higher discriminator_lr, less dropout; a D that "
        "sees too little teaches G nothing",
        ("D/rank", "samples/jsd"),
        discriminator_blind,
        ("diverged", "losses_explode"),
    ),
    Monitor(
        "gradients_explode",
        "gradients explode",
        "a lower learning rate, a smaller weight of the penalty, normalised layers, full precision",
        ("grad/G", "grad/D"),
        gradients_explode,
        ("diverged", "losses_explode"),
    ),
    Monitor(
        "gradients_vanish",
        "gradients vanish",
        "a non-saturating loss, LeakyReLU instead of ReLU, fewer layers, a D that is less sure",
        ("grad/G", "grad/D"),
        gradients_vanish,
        ("diverged", "discriminator_wins", "losses_explode"),
    ),
    Monitor(
        "oscillates",
        "D and G chase each other",
        "a lower learning rate, beta1 of 0.5 or 0, R1, an average of G (ema_decay=0.999)",
        ("D/adv", "G/adv"),
        oscillates,
        ("diverged", "discriminator_wins", "losses_explode"),
    ),
    Monitor(
        "mode_collapse",
        "mode collapse: few different images, and they fool the discriminator",
        "a lower generator_lr or a higher discriminator_lr, more n_critic, larger batches, R1; "
        "more noise dimensions",
        ("samples/spread", "samples/bins", "samples/jsd"),
        mode_collapse,
        ("diverged", "discriminator_wins", "losses_explode", "discriminator_blind"),
    ),
    Monitor(
        "input_ignored",
        "the input has no effect: the same picture for all",
        "a higher lambda_rec; a lower learning rate",
        ("input_effect",),
        input_ignored,
        ("diverged",),
    ),
    Monitor(
        "label_ignored",
        "the label has no effect",
        "class folders not named train and test, zero padding where the condition enters, a lower "
        "lambda_rec or other penalty on the change, a higher lambda_cls, more steps",
        ("label_effect",),
        label_ignored,
        ("diverged", "input_ignored"),
    ),
    Monitor(
        "colour_drift",
        "colours drift",
        "a higher lambda_rec, a penalty on the colour of the change (method=stargan_modern has "
        "lambda_colour), a lower learning rate",
        ("colour_drift",),
        colour_drift,
        ("diverged", "input_ignored"),
    ),
    Monitor(
        "background_drift",
        "backgrounds drift",
        "a higher lambda_rec, a generator with a mask (method=stargan_modern), a tighter crop",
        ("background_drift",),
        background_drift,
        ("diverged", "input_ignored", "colour_drift"),
    ),
    Monitor(
        "classifier_guesses",
        "the classifier reads images kept aside no better than by chance",
        "labels that belong to the images (look at some), other images in the training split, a "
        "lower learning rate, more steps; start from pretrained weights",
        ("val/balanced", "test/balanced"),
        classifier_guesses,
        ("diverged",),
    ),
)
BY_NAME = {monitor.name: monitor for monitor in MONITORS}


class Health:
    """All monitors over a run.

    Args:
        scale: of the adversarial loss; None for a critic and for methods without a game.
        n_critic: discriminator steps per generator step.
        grace: generator steps before anything is said.
        patience: generator steps that a trouble, and a recovery, must last.
    """

    def __init__(
        self, scale: Scale | None, n_critic: int = 1, grace: int = 1000, patience: int = 300
    ) -> None:
        self.settings = {
            "scale": None if scale is None else list(scale),
            "n_critic": n_critic,
            "grace": grace,
            "patience": patience,
        }
        """What ``of`` makes the same monitors of, plain data."""
        self.grace = grace * n_critic
        self.patience = patience * n_critic
        self.history = History(scale)
        self.first: int | None = None
        self.watches = {
            m.name: Persistence(0, 1) if m.at_once else Persistence(self.patience) for m in MONITORS
        }
        self.troubles: dict[str, Finding] = {}
        """Those that last, by monitor."""
        self.opinions: dict[str, Opinion] = {}
        """Of the last row."""
        self._well: list[list[int]] = []  # First and last step of every run of clear rows.
        self._was_clear = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Health:
        """The monitors of a run from its ``settings``."""
        scale = settings["scale"]
        return cls(**{**settings, "scale": None if scale is None else Scale(*scale)})

    def read(self, row: Row) -> list[Finding]:
        """One row more: what begins and what ends with it."""
        step = int(row["step"])
        if self.first is None and ("G/adv" in row or "D/adv" not in row):
            # A warm-up of D alone does not count; a method without D has none.
            self.first = step if "G/adv" in row or not any(n[:2] == "D/" for n in row) else None
        on_time = self.first is not None and step - self.first >= self.grace
        self.history.add(row, on_time)
        found = []
        self.opinions = {}
        for monitor in MONITORS:
            if not on_time and not monitor.at_once:
                continue
            explained = any(
                n in self.troubles or (n in self.opinions and self.opinions[n].bad)
                for n in monitor.explained_by
            )
            opinion = None if explained else monitor.judge(self.history)
            if opinion is None:
                continue
            self.opinions[monitor.name] = opinion
            watch = self.watches[monitor.name]
            since = watch.since
            event = watch.update(step, opinion.bad)
            if event == "began":
                assert watch.since is not None
                finding = Finding(step, monitor.name, "trouble", watch.since, opinion.evidence)
                self.troubles[monitor.name] = finding
                found.append(finding)
            elif event == "ended":
                assert since is not None
                del self.troubles[monitor.name]
                found.append(Finding(step, monitor.name, "recovered", since, opinion.evidence))
        if self.clear and self._was_clear:
            self._well[-1][1] = step
        elif self.clear:
            self._well.append([step, step])
        self._was_clear = self.clear
        return found

    def was_well(self, step: int) -> bool:
        """Whether all was well at a step: a checkpoint of it is one to go back to.

        The rows just before and just after it must have been clear: a row that is clear again says
        nothing of a checkpoint that was written while the trouble lasted. A step after the last row
        is not known yet.
        """
        at = bisect.bisect_right(self._well, step, key=lambda stretch: stretch[0]) - 1
        return at >= 0 and step <= self._well[at][1]

    def newest_well(self, steps: Iterable[int]) -> int | None:
        """The latest of these steps, as of the checkpoints of a run, at which all was well."""
        return max(filter(self.was_well, steps), default=None)

    @property
    def clear(self) -> bool:
        """Whether there are opinions, no trouble lasts, and none of the recent ones is bad."""
        return self.judged and not self.suspect

    @property
    def suspect(self) -> bool:
        """Whether a trouble lasts or one of the recent opinions is bad."""
        return bool(self.troubles) or any(watch.bad for watch in self.watches.values())

    @property
    def judged(self) -> bool:
        """Whether the grace is over."""
        return self.history.judged is not None
