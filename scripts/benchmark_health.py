"""What the monitors cost: time spent in them, of the training time of the same run.

python scripts/benchmark_health.py experiment=demo method.warmup_steps=0 trainer.max_steps=200
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from stargan import cli
from stargan.callbacks.gan_health import GanHealth

spent = {"steps": 0.0, "first": 0.0, "last": 0.0}


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; its time is added up."""

    def call(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        spent["first"] = spent["first"] or began
        result = function(*arguments, **named)
        spent["last"] = time.perf_counter()
        spent["steps"] += spent["last"] - began
        return result

    return call


def main() -> None:
    """Train with a clock around the monitors, print the share."""
    for name in ("on_train_batch_end", "read"):
        setattr(GanHealth, name, timed(getattr(GanHealth, name)))
    with tempfile.TemporaryDirectory() as folder:
        words = [f"run_dir={folder}/run", "log.tensorboard=false", "trainer.accelerator=cpu"]
        cli.run(["train", *words, *sys.argv[1:]])
    whole = spent["last"] - spent["first"]
    share = spent["steps"] / whole
    print(f"monitors: {spent['steps']:.2f} s of {whole:.1f} s of training, {share:.2%}")


if __name__ == "__main__":
    main()
