"""The progress bar: steps per second, time left, main terms; a loud word on long CPU runs."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from stargan.progress import duration
from stargan.training.engine import Engine
from stargan.training.metrics_log import MetricsLog

LONG = 2 * 3600.0
SHOWN = ("D/adv", "D/gp", "D/cls", "G/adv", "G/cls", "G/rec", "D/real", "D/fake")
ROOM = 6
STEPS = 20
"""The speed is that of so many steps at least."""


class ProgressBar(pl.Callback):
    """A rich bar on a terminal, a line now and then elsewhere.

    Args:
        max_steps: discriminator steps of the whole run.
        max_minutes: the time limit, or None.
        terms: where the latest values of the terms are.
        console: where to write.
    """

    def __init__(
        self, max_steps: int, max_minutes: float | None, terms: MetricsLog, console: Console
    ) -> None:
        self.max_steps = max_steps
        self.max_minutes = max_minutes
        self.terms = terms
        self.console = console
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.warned = False
        self.groups: set[str] = set()
        self.first_step = 0
        self.began = self.spoke = 0.0
        self.marks: deque[tuple[float, int]] = deque()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        self.first_step = module.step
        self.began = self.spoke = time.monotonic()
        self.marks = deque([(self.began, module.step)])
        if not trainer.is_global_zero or not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("{task.fields[phase]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[step]}"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("[dim]{task.fields[terms]}"),
            console=self.console,
            refresh_per_second=4,
        )
        words: dict[str, Any] = {"phase": "training", "speed": "", "terms": ""}
        self.task = self.bar.add_task("", total=1, step=self.count(module), **words)
        self.bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(module, Engine)
        if not trainer.is_global_zero:
            return
        now = time.monotonic()
        done = module.step - self.first_step
        # Terms of an earlier phase say nothing of now.
        self.groups = {update.group for update in module.phase.updates}
        # Of the last half minute: phases of a run differ in speed. But of STEPS at least: after
        # a pause, as a test of the whole split, one step would seem to take minutes.
        self.marks.append((now, module.step))
        while len(self.marks) > STEPS and now - self.marks[0][0] > 30:
            self.marks.popleft()
        since, first = self.marks[0]
        rate = (module.step - first) / max(now - since, 1e-9)
        left = self.seconds_left(module, rate)
        if done >= 20 and not self.warned:
            self.warned = True
            if module.device.type == "cpu" and left > LONG:
                self.warn(rate, left)
        terms = self.describe()
        speed = f"{rate:.2f} steps/s, {duration(left)} left"
        if self.bar is not None:
            self.bar.update(
                self.task,
                completed=self.done(module),
                step=self.count(module),
                phase=phase_of(module) or "training",
                speed=speed,
                terms=terms,
            )
        elif now - self.spoke > 15:
            self.spoke = now
            phase = f" ({phase_of(module)})" if phase_of(module) else ""
            line = f"step {self.count(module)}{phase}  {speed}  {terms}"
            self.console.print(line, soft_wrap=True)

    def count(self, module: Engine) -> str:
        """The step; of how many says nothing where the time may end the run."""
        return str(module.step) if self.max_minutes else f"{module.step}/{self.max_steps}"

    def done(self, module: Engine) -> float:
        """The share of the run, of its steps or of its minutes, whichever is more."""
        minutes = module.seconds / 60 / self.max_minutes if self.max_minutes else 0.0
        return max(module.step / max(self.max_steps, 1), minutes)

    def seconds_left(self, module: Engine, rate: float) -> float:
        """Until the steps or the minutes are used up, whichever comes first."""
        left = (self.max_steps - module.step) / max(rate, 1e-9)
        if self.max_minutes is not None:
            left = min(left, 60 * self.max_minutes - module.seconds)
        return max(left, 0.0)

    def describe(self) -> str:
        """The main terms of the groups that step, as of the last row of the log that has them, as
        many as there is room for."""
        terms = self.terms.latest
        latest = {n: v for n, v in terms.items() if n.partition("/")[0] in self.groups}
        names = [n for n in SHOWN if n in latest] or list(latest)
        shown = [f"{name} {latest[name]:.3g}" for name in names]
        return "  ".join(shown[:ROOM])

    def warn(self, rate: float, left: float) -> None:
        """Say loudly that this will take long."""
        self.console.print(
            Panel(
                f"This run is on a CPU at {rate:.2f} steps/s: about {duration(left)} to go.\n"
                "A GPU is some hundred times faster. Smaller: data.image_size=64, "
                "trainer.max_steps=, trainer.max_minutes=, method=stargan_modern.",
                title="a long run",
                style="bold yellow",
                expand=False,
            )
        )

    def teardown(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def phase_of(module: Engine) -> str:
    """The phase of the last step, where a method has several."""
    return module.phase.name if len(module.phases) > 1 else ""
