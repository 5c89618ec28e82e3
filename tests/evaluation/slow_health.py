"""The monitors as they were first written: every row looks at the whole log again.

A reference that is easy to read; ``stargan.health.monitors`` must give the same verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from stargan.health.monitors import MONITORS, WINDOW, Finding, Opinion, Row
from stargan.losses.adversarial import Scale


class SlowHistory:
    """What the monitors read, taken from the whole log each time."""

    def __init__(self, rows: Sequence[Row], scale: Scale | None, judged: int) -> None:
        self.rows, self.scale, self.judged = rows, scale, judged

    def now(self, name: str) -> float:
        return next((row[name] for row in reversed(self.rows[-20:]) if name in row), math.nan)

    def values(self, name: str, count: int = WINDOW) -> list[float]:
        first = max(self.judged, len(self.rows) - count)
        return [row[name] for row in self.rows[first:] if name in row]

    def usual(self, name: str) -> float:
        values = self.values(name, len(self.rows))
        finite = [v for v in values if math.isfinite(v)]
        return median(finite) if len(finite) >= 10 else math.nan

    @property
    def rise(self) -> float:
        finite = [v for v in self.values("G/adv", len(self.rows)) if math.isfinite(v)]
        if len(finite) < 10:
            return math.nan
        means = [sum(finite[i : i + 5]) / 5 for i in range(len(finite) - 4)]
        return means[-1] / min(means) if min(means) > 0 else math.nan


class SlowPersistence:
    """Counts the opinions of the window anew each time."""

    def __init__(self, patience: int, fewest: int = 5) -> None:
        self.patience, self.fewest = patience, fewest
        self.opinions: list[tuple[int, bool]] = []
        self.since: int | None = None

    def update(self, step: int, bad: bool) -> str | None:
        self.opinions.append((step, bad))
        while len(self.opinions) > self.fewest and self.opinions[1][0] <= step - self.patience:
            del self.opinions[0]
        if len(self.opinions) < self.fewest or step - self.opinions[0][0] < self.patience:
            return None
        share = sum(b for _, b in self.opinions) / len(self.opinions)
        if self.since is None and share >= 0.9:
            self.since = next(s for s, b in self.opinions if b)
            return "began"
        if self.since is not None and share <= 1 - 0.9:
            self.since = None
            return "ended"
        return None


class SlowHealth:
    """All monitors over a run."""

    def __init__(self, scale: Scale | None, n_critic: int, grace: int, patience: int) -> None:
        self.scale, self.grace, self.patience = scale, grace * n_critic, patience * n_critic
        self.rows: list[Row] = []
        self.first: int | None = None
        self.judged: int | None = None
        self.watches = {
            m.name: SlowPersistence(0, 1) if m.at_once else SlowPersistence(self.patience)
            for m in MONITORS
        }
        self.troubles: dict[str, Finding] = {}
        self.opinions: dict[str, Opinion] = {}

    def read(self, row: Row) -> list[Finding]:
        self.rows.append(row)
        step = int(row["step"])
        if self.first is None and ("G/adv" in row or "D/adv" not in row):
            self.first = step if "G/adv" in row or not any(n[:2] == "D/" for n in row) else None
        on_time = self.first is not None and step - self.first >= self.grace
        if on_time and self.judged is None:
            self.judged = len(self.rows) - 1
        history = SlowHistory(self.rows, self.scale, self.judged or 0)
        found = []
        self.opinions = {}
        for monitor in MONITORS:
            if not on_time and not monitor.at_once:
                continue
            if any(
                n in self.troubles or (n in self.opinions and self.opinions[n].bad)
                for n in monitor.explained_by
            ):
                continue
            opinion = monitor.judge(history)  # type: ignore[arg-type]
            if opinion is None:
                continue
            self.opinions[monitor.name] = opinion
            watch = self.watches[monitor.name]
            since = watch.since
            event = watch.update(step, opinion.bad)
            if event == "began":
                assert watch.since is not None
                one = Finding(step, monitor.name, "trouble", watch.since, opinion.evidence)
                self.troubles[monitor.name] = one
                found.append(one)
            elif event == "ended":
                assert since is not None
                del self.troubles[monitor.name]
                found.append(Finding(step, monitor.name, "recovered", since, opinion.evidence))
        return found

    @property
    def clear(self) -> bool:
        recent = [bad for watch in self.watches.values() for _, bad in watch.opinions]
        return self.judged is not None and not any(recent) and not self.troubles
