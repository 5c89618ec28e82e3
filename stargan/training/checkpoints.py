"""Opens checkpoints: plain data, loaded weights-only; rebuilds any method from the file alone."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from stargan.contracts import Plain, UserError
from stargan.export import save_export
from stargan.methods.base import Method
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
    if not (run_dir / "config.yaml").is_file():
        raise UserError(f"{run_dir} is no run folder: it has no config.yaml.")
    last = run_dir / "checkpoints" / "last.ckpt"
    if not last.is_file():
        raise UserError(f"{run_dir} has no checkpoints/last.ckpt: the run never saved, start anew.")
    return last


def build_method(hyper_parameters: Plain) -> Method:
    """A method from its plain hyperparameters.

    Raises:
        UserError: the class is not one of ours.
    """
    # Of the run, not of the method; checkpoints of before have them here.
    others = ("export", "schedule", "max_steps")
    arguments = {k: v for k, v in hyper_parameters.items() if k not in others}
    target = str(arguments.pop("_target_", ""))
    module, _, name = target.rpartition(".")
    if not module.startswith("stargan.methods."):
        raise UserError(f"method '{target}' is not part of stargan.methods.")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"method '{target}' does not exist in this version.") from error
    # Of the parents too: a subclass hands on what it does not name.
    known = {key for base in cls.__mro__ for key in inspect.signature(base.__init__).parameters}
    unknown = sorted(set(arguments) - known)
    if unknown:
        raise UserError(f"{name} takes no setting '{unknown[0]}': leave out what sets it.")
    method = cls(**arguments)
    assert isinstance(method, Method)
    return method


class Resume(pl.Callback):
    """Puts a checkpoint's weights, optimizer moments and state back before training starts.

    By hand and not by Lightning's loop state: the engine's state is all that our loop depends on,
    and a finished run can be continued with more steps.
    """

    def __init__(self, checkpoint: dict[str, Any]) -> None:
        self.checkpoint = checkpoint

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Engine)
        module.load_state_dict(self.checkpoint["state_dict"])
        module.restore(self.checkpoint["stargan"])
        saved = self.checkpoint["optimizer_states"]
        for optimizer, state in zip(trainer.optimizers, saved, strict=True):
            optimizer.load_state_dict(state)
        self.checkpoint = {}


def export(method: Method, run_dir: Path, facts: Plain | None = None) -> Path:
    """What a method made as a file that opens itself, see ``stargan.export``.

    Args:
        facts: what training has done, for the file's description.
    """
    path = run_dir / method.product
    save_export(path, method.exported(), method.description(facts))
    return path
