"""Loggers of a run beside metrics.csv: Lightning's, with pictures, the configuration and words.

``conf/logger/NAME.yaml`` lists them by name, each with its ``_target_`` and settings. metrics.csv
is not one of them: a run that goes on cuts it to the step that it goes on from, which none can.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from lightning_fabric.utilities.rank_zero import rank_zero_only
from PIL import Image
from pytorch_lightning.loggers import (
    CometLogger,
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)

from stargan import building
from stargan.errors import Plain, UserError, first_sentence
from stargan.writing import write_whole

log = logging.getLogger(__name__)

IDS = "loggers.json"
"""In the run folder: under which id each logger knows the run."""
_ID = re.compile(r"[\w-]{1,64}")


@dataclass(frozen=True)
class About:
    """What a logger is told of its run.

    Attributes:
        folder: the run folder.
        title: of the run.
        group: the sweep that it is a job of; None: of none.
        tags: words of the person's.
        notes: a sentence of the person's, or empty.
        kept: the id under which the logger knows the run already; None: it is new.
        step: that the run goes on from; 0: it is new.
    """

    folder: Path
    title: str
    group: str | None = None
    tags: tuple[str, ...] = ()
    notes: str = ""
    kept: str | None = None
    step: int = field(default=0)


class RunLogger:
    """What the loggers of this module have beside Lightning's.

    Attributes:
        package: that must be installed.
        about: the run.
    """

    package = ""
    about: About

    @property
    def kept(self) -> str | None:
        """The id by which another process finds this run again; None: it needs none."""
        return None

    def describe(self, config: Plain) -> None:
        """Log the configuration and the words of a run that begins."""
        self.log_hyperparams(config)  # type: ignore[attr-defined]

    def picture(self, name: str, path: Path, step: int) -> None:
        """Log an image file."""

    def close(self, status: str) -> None:
        """The run has ended: ``success``, ``failed``."""
        self.finalize(status)  # type: ignore[attr-defined]


class CSV(RunLogger, CSVLogger):
    """Lightning's CSV files, each part of a run that went on in one of its own."""

    def __init__(self, about: About, name: str = "csv") -> None:
        super().__init__(about.folder, name=name, flush_logs_every_n_steps=1)
        self.about = about


class TensorBoard(RunLogger, TensorBoardLogger):
    """TensorBoard's files, in tensorboard/."""

    package = "tensorboard"

    def __init__(self, about: About) -> None:
        # Steps after the one that the run goes on from are made again.
        more: Any = {"purge_step": about.step + 1} if about.step else {}
        super().__init__(
            about.folder, name="", version="tensorboard", default_hp_metric=False, **more
        )
        self.about = about

    def describe(self, config: Plain) -> None:
        """Also the configuration as text, which the table of settings cuts short."""
        super().describe(config)
        words = {"tags": ", ".join(self.about.tags), "notes": self.about.notes}
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        words["configuration"] = "\n".join(f"    {line}" for line in text.splitlines())
        for name, text in words.items():
            if text:
                self.experiment.add_text(name, text, self.about.step)

    def picture(self, name: str, path: Path, step: int) -> None:
        """See ``RunLogger``."""
        self.experiment.add_image(name, pixels(path), step, dataformats="HWC")


class WandB(RunLogger, WandbLogger):
    """Weights & Biases.

    Args:
        project, group, entity: where the run belongs; the group of a sweep's jobs is their sweep.
        offline: write to wandb/ in the run folder, to be sent by ``wandb sync``.
    """

    package = "wandb"

    def __init__(
        self,
        about: About,
        project: str = "stargan",
        group: str | None = None,
        entity: str | None = None,
        offline: bool = False,
    ) -> None:
        import wandb

        self.about = about
        # Lightning's own switch would stay on for the other runs of this process.
        mode: Any = {"mode": "offline"} if offline else {}
        super().__init__(
            name=about.title,
            save_dir=about.folder,
            id=about.kept or secrets.token_hex(4),
            project=project,
            group=group or about.group,
            entity=entity,
            tags=list(about.tags) or None,
            notes=about.notes or None,
            settings=wandb.Settings(console="off"),
            **mode,
        )

    @property
    def kept(self) -> str | None:
        """See ``RunLogger``."""
        return self._id

    def picture(self, name: str, path: Path, step: int) -> None:
        """See ``RunLogger``."""
        self.log_image(name, [str(path)], step=step)

    def close(self, status: str) -> None:
        """Also let the next run of this process be another one."""
        self.experiment.finish(exit_code=0 if status == "success" else 1)


class MLflow(RunLogger, MLFlowLogger):
    """MLflow.

    Args:
        experiment_name: where the run belongs.
        tracking_uri: a server, or a folder or database; None: MLflow's own choice, which is that of
            the environment's MLFLOW_TRACKING_URI where there is one.
    """

    package = "mlflow"

    def __init__(
        self, about: About, experiment_name: str = "stargan", tracking_uri: str | None = None
    ) -> None:
        import mlflow

        self.about = about
        words = {"tags": ", ".join(about.tags), "mlflow.note.content": about.notes}
        words["sweep"] = about.group or ""
        super().__init__(
            experiment_name=experiment_name,
            run_name=about.title,
            tracking_uri=tracking_uri or mlflow.get_tracking_uri(),
            tags={key: text for key, text in words.items() if text},
            run_id=about.kept,
        )

    @property
    def kept(self) -> str | None:
        """See ``RunLogger``."""
        return self.run_id

    def describe(self, config: Plain) -> None:
        """Nothing for a run that goes on: what MLflow calls a parameter never changes."""
        if self.about.kept is None:
            super().describe(config)
        else:
            self.experiment.update_run(self.run_id, status="RUNNING")

    def picture(self, name: str, path: Path, step: int) -> None:
        """See ``RunLogger``."""
        self.experiment.log_image(self.run_id, pixels(path), key=name, step=step)

    def close(self, status: str) -> None:
        """See ``RunLogger``."""
        self.experiment.set_terminated(self.run_id, "FINISHED" if status == "success" else "KILLED")


class Comet(RunLogger, CometLogger):
    """Comet.

    Args:
        project, workspace: where the run belongs.
        offline: write to comet/ in the run folder, to be sent by ``comet upload``.
    """

    package = "comet_ml"

    def __init__(
        self,
        about: About,
        project: str = "stargan",
        workspace: str | None = None,
        offline: bool = False,
    ) -> None:
        self.about, self.offline = about, offline
        super().__init__(
            workspace=workspace,
            project=project,
            experiment_key=about.kept,
            offline_directory=str(about.folder / "comet"),
            name=about.title,
            tags=list(about.tags),
        )

    def _create_experiment(self) -> None:
        # Lightning takes ``online=False`` for "log nothing at all".
        if self.offline:
            self._online = False
        super()._create_experiment()

    @property
    def kept(self) -> str | None:
        """See ``RunLogger``."""
        return self._experiment_key

    def describe(self, config: Plain) -> None:
        """See ``RunLogger``."""
        super().describe(config)
        if self.about.notes:
            self.experiment.log_other("notes", self.about.notes)

    def picture(self, name: str, path: Path, step: int) -> None:
        """See ``RunLogger``."""
        self.experiment.log_image(str(path), name=name, step=step)

    def close(self, status: str) -> None:
        """See ``RunLogger``."""
        self.experiment.end()


LOGGER = building.Kind("logger", "stargan.training", Logger)


def build_loggers(config: Plain, folder: Path, step: int) -> list[Logger]:
    """The loggers of a configuration in its order; null leaves one out.

    Args:
        config: of the run.
        folder: the run folder.
        step: that the run goes on from.

    Raises:
        UserError: a target that is no logger, wrong settings, a package that is not installed, a
            service that does not answer.
    """
    built: list[Logger] = []
    ids = read_ids(folder)
    first = not rank_zero_only.rank  # type: ignore[attr-defined]
    for name, plain in config["logger"].items():
        if plain is None:
            continue
        maker = building.maker(plain, LOGGER, where=f"logger.{name}")
        ours = isinstance(maker.make, type) and issubclass(maker.make, RunLogger)
        if ours and maker.make.package and find_spec(maker.make.package) is None:  # type: ignore
            raise UserError(
                f"logger={name} needs the package {maker.make.package}: "  # type: ignore
                f"pip install 'stargan[{name}]'."
            )
        about = About(
            folder=folder,
            title=f"{config['name']}/{folder.name}",
            # Hydra's own notes are in the folders of a sweep's jobs alone.
            group=folder.parent.name if (folder / ".hydra").is_dir() else None,
            tags=tuple(config.get("tags") or ()),
            notes=config.get("notes") or "",
            kept=ids.get(name),
            step=step,
        )
        try:
            made: Logger = maker(about=about) if ours else maker()
            if first:
                _ = made.experiment  # type: ignore[attr-defined]
            if first and isinstance(made, RunLogger):
                made.describe({k: v for k, v in config.items() if k not in ("typed", "resume")})
        except UserError:
            close(built, "failed")
            raise
        except Exception as error:  # Whatever a service and its client may raise.
            close(built, "failed")
            reason = first_sentence(error)
            raise UserError(f"logger={name} cannot be opened: {reason}.") from error
        if isinstance(made, RunLogger) and made.kept:
            ids[name] = made.kept
        built.append(made)
    if ids and first:
        write_whole(folder / IDS, json.dumps(ids) + "\n")
    return built


def read_ids(folder: Path) -> dict[str, str]:
    """The ids of a run's loggers; a file's word, so only what can be an id."""
    try:
        found = json.loads((folder / IDS).read_text("utf-8"))
        return {k: v for k, v in dict(found).items() if _ID.fullmatch(str(v))}
    except (OSError, ValueError, TypeError):
        return {}


def show(loggers: Iterable[Logger], name: str, path: Path, step: int) -> None:
    """Log an image file with every logger that takes some.

    A logger that fails costs a picture and a warning, not the run.
    """
    for logger in loggers:
        if isinstance(logger, RunLogger):
            try:
                logger.picture(name, path, step)
            except Exception as error:  # Whatever a service and its client may raise.
                reason = first_sentence(error)
                log.warning("%s did not take %s: %s", type(logger).__name__, path.name, reason)


def close(
    loggers: Iterable[Logger],
    status: str,
    figures: Mapping[str, float] | None = None,
    step: int = 0,
) -> None:
    """The end of a run.

    Args:
        loggers: of the run.
        status: ``success`` or ``failed``.
        figures: the final ones that are in no row of the log.
        step: the last one.
    """
    for logger in loggers:
        try:
            if figures:
                logger.log_metrics(dict(figures), step=step)
            if isinstance(logger, RunLogger):
                logger.close(status)
            else:
                logger.finalize(status)
        except Exception as error:  # Whatever a service and its client may raise.
            log.warning("%s: %s", type(logger).__name__, first_sentence(error))


def pixels(path: Path) -> Any:
    """An image file as ``(H, W, 3)`` bytes."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
