"""A run whose processes write down what they did, and that can be made to stop, wait or fail.

``python -m tests.tasks.driver train ...`` takes the words of ``stargan``. What else it does is in
the environment, as Lightning starts the other processes as copies of the command:

- ``DRIVER_OUT``: every process leaves ``rank0.pt`` and so on in this folder.
- ``DRIVER_STOP``: stop after this step, as Ctrl-C does.
- ``DRIVER_TROUBLE``: the monitors find trouble at this step, once.
- ``DRIVER_CLOCK``: a step takes a second on the first process, more on the others.
- ``DRIVER_TIMEOUT``, ``DRIVER_SLEEP``: while the first process evaluates, which takes it so many
  seconds, others give it up after so many in any wait but the patient one.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from stargan import cli
from stargan.callbacks import accuracy
from stargan.callbacks.accuracy import TestAccuracy
from stargan.callbacks.evaluate import Evaluate
from stargan.health.monitors import Finding, Health
from stargan.training import saving
from stargan.training.engine import Engine


def stop_after(step: int) -> None:
    """As a signal in that step would."""
    saving.HEARTBEAT = 1
    on_train_batch_end: Any = saving.StopCleanly.on_train_batch_end

    def ask_and_go_on(self: Any, trainer: Any, module: Engine, *rest: Any) -> None:
        if module.step == step:
            self.ask("the driver")
        on_train_batch_end(self, trainer, module, *rest)

    saving.StopCleanly.on_train_batch_end = ask_and_go_on  # type: ignore[method-assign]


def write_down(folder: Path) -> None:
    """State, learning rates and clock of each step, and what crosses between the processes."""
    sent: list[int] = []
    rates: list[dict[str, float]] = []
    messages: list[list[int]] = []
    all_reduce, training_step = dist.all_reduce, Engine.training_step

    def count(tensor: torch.Tensor, *arguments: Any, **settings: Any) -> Any:
        sent.append(tensor.numel() * tensor.element_size())
        return all_reduce(tensor, *arguments, **settings)

    def step(self: Engine, *arguments: Any) -> None:
        sent.clear()
        training_step(self, *arguments)
        messages.append(list(sent))
        rates.append(self.learning_rates())

    def write(self: Engine) -> None:
        found = {
            "state_dict": {k: v.clone() for k, v in self.state_dict().items()},
            "state": self.state(),
            "rates": rates,
            "messages": messages,
            "rank": self.global_rank,
            "world_size": self.trainer.world_size,
        }
        torch.save(found, folder / f"rank{self.global_rank}.pt")

    dist.all_reduce = count
    Engine.training_step = step  # type: ignore[method-assign]
    Engine.on_train_end = write  # type: ignore[method-assign]


def have_trouble(step: int, back: Path) -> None:
    """In the eyes of the first process: it alone sees the samples. Once: then ``back`` is there."""
    read = Health.read

    def find(self: Health, row: Any) -> Any:
        found = read(self, row)
        now = int(row["step"])
        if now >= step and not back.is_file():
            back.touch()
            found.append(Finding(now, "label_ignored", "trouble", now, "the driver's"))
            self.troubles["label_ignored"] = found[-1]
        return found

    Health.read = find  # type: ignore[method-assign]


def take_time(timeout: float, sleep: float) -> None:
    """Waits of the default kind end early while the first process takes its time."""
    set_timeout: Any = getattr(dist, "set_timeout", None) or dist.distributed_c10d._set_pg_timeout

    def impatient(evaluate: Any) -> Any:
        def wait(self: Any, trainer: Any, module: Engine) -> None:
            set_timeout(timedelta(seconds=timeout))
            evaluate(self, trainer, module)
            set_timeout(timedelta(minutes=30))

        return wait

    def slow(measure: Any) -> Any:
        def wait(*arguments: Any) -> Any:
            time.sleep(sleep)
            return measure(*arguments)

        return wait

    Evaluate.evaluate = impatient(Evaluate.evaluate)  # type: ignore[method-assign]
    Evaluate.measure = slow(Evaluate.measure)  # type: ignore[method-assign]
    TestAccuracy.measure = impatient(TestAccuracy.measure)  # type: ignore[method-assign]
    accuracy.read_split = slow(accuracy.read_split)


def set_clock() -> None:
    """A second a step on the first process, one and a half on the second: no load matters."""
    training_step = Engine.training_step

    def step(self: Engine, *arguments: Any) -> None:
        training_step(self, *arguments)
        self.seconds = self.step * (1 + 0.5 * self.global_rank)

    Engine.training_step = step  # type: ignore[method-assign]


def main() -> None:
    given = os.environ.get
    if given("DRIVER_STOP"):
        stop_after(int(os.environ["DRIVER_STOP"]))
    if given("DRIVER_OUT"):
        write_down(Path(os.environ["DRIVER_OUT"]))
    if given("DRIVER_TROUBLE"):
        have_trouble(int(os.environ["DRIVER_TROUBLE"]), Path(os.environ["DRIVER_OUT"]) / "back")
    if given("DRIVER_CLOCK"):
        set_clock()
    if given("DRIVER_TIMEOUT"):
        take_time(float(os.environ["DRIVER_TIMEOUT"]), float(os.environ["DRIVER_SLEEP"]))
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
