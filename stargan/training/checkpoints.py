"""Opens checkpoints: plain data, loaded weights-only; rebuilds any method from the file alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from stargan import building
from stargan.building import TYPED, Trust
from stargan.errors import Plain, UserError
from stargan.export import save_export
from stargan.methods.base import Method
from stargan.runs import CONFIG, LAST
from stargan.training.engine import Engine


def load(path: Path) -> dict[str, Any]:
    """A checkpoint's dictionary.

    Raises:
        UserError: the file is missing, no checkpoint of this program, or cut short.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: give a checkpoint or a run folder.")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # torch.load raises almost anything on damaged files.
        raise UserError(
            f"{path} is no checkpoint that can be opened: it is damaged or of another kind."
        ) from e
    if not isinstance(loaded, dict) or "stargan" not in loaded or "state_dict" not in loaded:
        raise UserError(f"{path} is a torch file, but no checkpoint of this program.")
    return loaded


def newest(run_dir: Path) -> Path:
    """The checkpoint with which a run goes on.

    Raises:
        UserError: the folder is no run folder, or the run has not saved yet.
    """
    if not (run_dir / CONFIG).is_file():
        raise UserError(f"{run_dir} is no run folder: it has no config.yaml.")
    last = run_dir / LAST
    if not last.is_file():
        raise UserError(f"{run_dir} has no checkpoints/last.ckpt: the run never saved, start anew.")
    return last


METHOD = building.Kind("method", "stargan.methods", Method)


def build_method(hyper_parameters: Plain, trust: Trust = TYPED) -> Method:
    """A method from its plain hyperparameters.

    Args:
        hyper_parameters: ``_target_`` and the arguments.
        trust: whose word they are; of a checkpoint ``building.from_file(...)``.

    Raises:
        UserError: no such method, one that a file may not name, wrong settings.
    """
    # Of the run, not of the method; checkpoints of before have them here.
    others = ("export", "tensors", "schedule", "max_steps")
    described = {k: v for k, v in hyper_parameters.items() if k not in others}
    if not trust.typed:
        building.admit(described, trust, "the checkpoint")
    method: Method = building.build(described, METHOD, trust)
    return method


class Resume(pl.Callback):
    """Puts the moments of a checkpoint's optimizers back before training starts.

    By hand and not by Lightning's loop state: the engine's state is all that our loop depends on,
    and a finished run can be continued with more steps. Weights and counts are back already, see
    ``resuming.restore``.
    """

    def __init__(self, checkpoint: dict[str, Any]) -> None:
        self.checkpoint = checkpoint

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        module.restore_process(self.checkpoint.get("processes", []))
        saved = self.checkpoint["optimizer_states"]
        try:
            for optimizer, state in zip(trainer.optimizers, saved, strict=True):
                optimizer.load_state_dict(state)
        except ValueError as error:
            raise UserError(
                "the optimizers of the checkpoint are not those of the method that config.yaml of "
                "the run folder describes: put config.yaml back as it was."
            ) from error
        self.checkpoint = {}


def export(method: Method, run_dir: Path, facts: Plain | None = None) -> Path:
    """What a method made as a file that opens itself, see ``stargan.export``.

    Args:
        facts: what training has done, for the file's description.
    """
    path = run_dir / method.product
    save_export(path, method.exported(), method.description(facts))
    return path
