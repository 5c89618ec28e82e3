"""Going on with a run: whether it is still the same one, and that nobody else goes on with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open

from stargan import configs
from stargan.errors import Plain, UserError
from stargan.labels import JointLabelSpace
from stargan.methods.base import Method
from stargan.runs import CONFIG, FIGURES, LAST
from stargan.training.engine import Engine
from stargan.training.schedules import lr_factor

log = logging.getLogger(__name__)

LOCK = ".lock"
NEW_RUN = "put it back as it was, or start a new run"


def lock(folder: Path) -> FileLock:
    """A lock on a run folder, held until it is released or the process ends, however it ends.

    Raises:
        UserError: another process trains this run.
    """
    held = FileLock(folder / LOCK)
    try:
        # Not 0: whoever asks whether the run is trained holds it for a moment.
        held.acquire(timeout=0.2)
    except Timeout:
        raise UserError(
            f"another process trains the run in {folder} now: wait for it to end, or stop it."
        ) from None
    except (OSError, NotImplementedError) as error:
        log.warning("%s cannot be locked (%s): start no second run in it.", folder, error)
    return held


def is_trained(folder: Path) -> bool:
    """Whether a process trains the run in a folder now."""
    if not (folder / LOCK).is_file():
        return False
    held = FileLock(folder / LOCK)
    try:
        held.acquire(timeout=0)
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False  # It cannot be known.
    held.release()
    return False


def begun(config: Plain) -> Plain:
    """The configuration with ``resume=auto`` settled: the run folder, or None for a new run.

    Raises:
        UserError: the folder holds a run of other settings.
    """
    folder = Path(config["run_dir"])
    there = (folder / LAST).is_file()
    if there:
        check_settings(config)
    return {**config, "resume": str(folder) if there else None}


def finished_figures(config: Plain) -> dict[str, float] | None:
    """The final figures of the run in ``run_dir`` where it has ended; None: it has steps to make.

    Raises:
        UserError: the folder holds a run of other settings.
    """
    folder = Path(config["run_dir"])
    if not (folder / FIGURES).is_file():
        return None
    saved = check_settings(config)
    length = ("max_steps", "max_epochs", "max_minutes")
    if any(saved["trainer"].get(key) != config["trainer"][key] for key in length):
        return None
    try:
        found = json.loads((folder / FIGURES).read_text("utf-8"))
        return {str(name): float(value) for name, value in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"'{folder / FIGURES}' is damaged: delete it.") from error


def check_settings(config: Plain) -> Plain:
    """Refuse to go on with a run of other settings than those that are typed.

    What is typed is used; the folder's config.yaml is only compared with it.

    Returns:
        The settings that the run folder says.

    Raises:
        UserError: a difference; one sentence with both sides.
    """
    folder = Path(config["run_dir"])
    saved = configs.with_loggers(configs.load_yaml(folder / CONFIG))
    here = configs.absolute({**config, "resume": None, "run_dir": saved.get("run_dir")})
    changed = configs.difference(saved, here)
    if changed is not None:
        key, old, new = changed
        raise UserError(
            f"{folder} holds a run in which {key} was {old}, and here it would be {new}: give "
            "another folder."
        )
    return saved


def check_data(checkpoint: Mapping[str, Any], now: Plain, seen: str = "") -> None:
    """Refuse to go on with other labels, images or image settings than the run began with.

    Args:
        checkpoint: of the run.
        now: ``DataModule.identity`` of the data that are there.
        seen: what ``seen_in_training`` says of them.

    Raises:
        UserError: a difference; one sentence with both sides.
    """
    settings = checkpoint["hyper_parameters"]
    labels = settings.get("labels")
    if labels is not None:
        old, new = JointLabelSpace.from_plain(labels), JointLabelSpace.from_plain(now["labels"])
        if old != new:
            raise UserError(
                f"the run was trained with the labels {_names(old)}, and the data have now "
                f"{_names(new)}, so that labels would change places: {NEW_RUN}."
            )
    before = checkpoint["stargan"].get("data") or {}
    image = before.get("image") or settings.get("image") or {}
    for key, value in image.items():
        if key in now["image"] and now["image"][key] != value:
            raise UserError(
                f"the run was trained with images of {key}={value}, and now it would be "
                f"{key}={now['image'][key]}: {NEW_RUN}."
            )
    for name, splits in before.get("files", {}).items():
        for split, was in splits.items():
            words = difference(was, now["files"].get(name, {}).get(split))
            if words:
                raise UserError(
                    f"the {split} images of '{name}' are not those that the run was trained "
                    f"with: {words}{f'; {seen}' if seen else ''}; {NEW_RUN}."
                )


def difference(old: Plain, new: Plain | None) -> str:
    """What is different in the images of a split, in words with both sides; empty: nothing."""
    if new is None:
        return f"there were {old['count']:,}, and now there are none"
    if old["count"] != new["count"]:
        return f"there were {old['count']:,}, and now there are {new['count']:,}"
    if old["names"] != new["names"]:
        return (
            f"their number is the same ({old['count']:,}) but their names or order are not "
            f"(fingerprint {old['names']}, and now {new['names']})"
        )
    if old["labels"] != new["labels"]:
        for label, count in old["set"].items():
            if new["set"].get(label) != count:
                return f"{count:,} had the label {label}, and now {new['set'].get(label, 0):,} have"
        return (
            f"their names are the same but their labels are not (fingerprint {old['labels']}, and "
            f"now {new['labels']})"
        )
    return ""


def _names(labels: JointLabelSpace) -> str:
    return "; ".join(f"{space.name} ({', '.join(space.names)})" for space in labels.spaces)


def check_schedule(checkpoint: Mapping[str, Any], engine: Engine, typed: bool) -> None:
    """Refuse a new length that would make the learning rates jump.

    Args:
        checkpoint: of the run.
        engine: of the resumed run, fresh.
        typed: whether the schedule was given with the new length: then a jump is meant.

    Raises:
        UserError: a jump.
    """
    state = checkpoint["stargan"]
    step, seconds = state["step"], state["seconds"]
    if typed or not step or "schedule" not in state:
        return

    def factor(name: str, steps: int, limit: float | None) -> float:
        used = min(1.0, seconds / limit) if limit else 0.0
        return lr_factor(name, step, max(steps, step), used, engine.method.round)

    before = factor(state["schedule"], state["max_steps"], state["max_seconds"])
    now = factor(engine.schedule, engine.max_steps, engine.max_seconds)
    if abs(before - now) < 1e-9:
        return
    time = state["max_seconds"], engine.max_seconds
    planned = f"{state['max_steps']:,} steps" + (
        f" and {time[0] / 60:g} minutes" if time[0] else ""
    )
    wanted = f"{engine.max_steps:,} steps" + (f" and {time[1] / 60:g} minutes" if time[1] else "")
    raise UserError(
        f"the run was planned for {planned}, and its schedule '{engine.schedule}' has the learning "
        f"rates at {before:.3g} of their beginning; for {wanted} they would jump to {now:.3g}: add "
        f"schedule={engine.schedule} (they fall anew over the whole length) or schedule=constant "
        "(they stay at their beginning), or keep the length."
    )


def finished(folder: Path, product: str, step: int) -> bool:
    """Whether a run has its export of this step and a report that is no older."""
    file, report = folder / product, folder / "report.md"
    if not file.is_file() or not report.is_file():
        return False
    try:
        with safe_open(file, framework="pt") as opened:
            about = json.loads((opened.metadata() or {}).get("stargan", "{}"))
    except (OSError, SafetensorError, ValueError):
        return False
    newest = report.stat().st_mtime_ns >= file.stat().st_mtime_ns
    return bool(about.get("training", {}).get("steps") == step and newest)


def restore(checkpoint: Mapping[str, Any], engine: Engine) -> Method:
    """Put weights and counts back into an engine.

    Raises:
        UserError: they do not fit the networks that config.yaml describes.
    """
    try:
        engine.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, KeyError) as error:
        raise UserError(
            "the checkpoint does not fit the networks that config.yaml of the run folder "
            f"describes ({str(error).splitlines()[0].rstrip(':.')}): put config.yaml back as it "
            "was."
        ) from error
    engine.restore(dict(checkpoint["stargan"]))
    return engine.method
