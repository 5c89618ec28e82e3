"""Callbacks that a configuration chooses, and what they know of the run.

``conf/callbacks/NAME.yaml`` lists them by name, each with its ``_target_`` and settings. A callback
decides by itself whether it has anything to do for the method at hand, so one list serves all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from rich.console import Console

from stargan import building
from stargan.data.datamodule import DataModule
from stargan.errors import Plain, UserError
from stargan.methods.base import Method
from stargan.training.engine import Engine

if TYPE_CHECKING:
    from stargan.training.metrics_log import MetricsLog
    from stargan.training.saving import StopCleanly


@dataclass(frozen=True)
class Run:
    """A training run, as callbacks see it.

    Attributes:
        folder: the run folder.
        config: the whole resolved configuration.
        data: set up.
        engine: trains the method; before training.
        terms: the log of terms; what a callback puts into ``engine.terms`` in
            ``on_train_batch_end`` is logged.
        stop: ends the run after the step in hand when it is asked to.
        console: for words to the user.
        resumed: whether the run goes on from a checkpoint.
    """

    folder: Path
    config: Plain
    data: DataModule
    engine: Engine
    terms: MetricsLog
    stop: StopCleanly
    console: Console
    resumed: bool = False

    @property
    def method(self) -> Method:
        """What is trained."""
        return self.engine.method


class RunCallback(pl.Callback):
    """A callback that ``conf/callbacks`` may name."""

    @classmethod
    def of(cls, run: Run, settings: Plain) -> RunCallback | None:
        """The callback of a run, or None when it has nothing to do there.

        Args:
            run: the run.
            settings: from the yaml, without ``_target_``.
        """
        raise NotImplementedError

    @property
    def again(self) -> bool:
        """Whether training, which has stopped, is to go on at once from last.ckpt."""
        return False

    def finish(self, exported: Path, cut_short: bool) -> None:
        """Called once at the end of the run, in the first process, before the report.

        Args:
            exported: the exported file.
            cut_short: whether the run was interrupted: nobody waits for long work then.
        """

    def figures(self) -> dict[str, float]:
        """Final figures by name, for sweeps and for callers from Python."""
        return {}

    def report(self) -> list[str]:
        """Lines of Markdown for report.md at the end of the run; paths relative to its folder."""
        return []

    def summary(self) -> dict[str, str]:
        """What to print at the end of the run, name to words."""
        return {}


CALLBACK = building.Kind("callback", "stargan.callbacks", RunCallback)


def build_callbacks(described: Mapping[str, Plain | None], run: Run) -> list[RunCallback]:
    """The callbacks of a configuration in its order; null leaves one out.

    Raises:
        UserError: a target that is no callback, wrong settings.
    """
    built = []
    for name, plain in described.items():
        if plain is None:
            continue
        settings = dict(plain)
        callback: Any = building.resolve(
            settings.pop("_target_", None), CALLBACK, where=f"callbacks.{name}"
        )
        try:
            made = callback.of(run, settings)
        except (AttributeError, KeyError) as error:
            raise UserError(f"callbacks.{name} cannot be built: {error}.") from error
        if made is not None:
            built.append(made)
    return built
