"""Folders in the layout of the Hugging Face hub, and the hub itself.

A folder is ``config.json`` (the description), ``model.safetensors`` (which opens by itself) and
``README.md`` (the model card). huggingface_hub is loaded only when the network is wanted.
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

from stargan.errors import Plain, UserError
from stargan.writing import write_whole

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
_FILES = (".ckpt", ".safetensors", ".onnx", ".pt2")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_name(path: str | Path) -> bool:
    """Whether this reads as ``owner/name`` on the hub and as nothing on this disk.

    ``runs/face`` is a mistyped run where there is a folder ``runs``, and no name on the hub.
    """
    text = path.as_posix() if isinstance(path, Path) else path
    return (
        bool(_NAME.fullmatch(text)) and not Path(text).exists() and not Path(text).parent.is_dir()
    )


def fetch(name: str, revision: str | None = None) -> Path:
    """The weights of a model on the hub, downloaded, or from the cache of earlier downloads.

    Args:
        name: ``owner/name``.
        revision: a branch, tag or commit; None: the main branch.

    Raises:
        UserError: huggingface_hub is missing, no network, no such model or revision, no access, or
            a model of another library.
    """
    hub = need()
    try:
        config = json.loads(
            Path(hub.hf_hub_download(name, CONFIG, revision=revision)).read_text(encoding="utf-8")
        )
        if not isinstance(config, dict) or not {"format", "labels", "image"} <= set(config):
            raise UserError(f"'{name}' on the hub is a model of another library.")
        return Path(hub.hf_hub_download(name, WEIGHTS, revision=revision))
    except (OSError, ValueError) as error:
        raise UserError(_why(hub, error, name, revision)) from error


def push(name: str, folder: Path, private: bool | None, token: str | None, message: str) -> str:
    """Upload a folder; the model is created if it does not exist.

    Returns:
        Its address.

    Raises:
        UserError: huggingface_hub is missing, no network, no or a wrong token, a bad name.
    """
    hub = need()
    api = hub.HfApi(token=token)
    try:
        made = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=str(folder), commit_message=message)
        return str(made)
    except (OSError, ValueError) as error:
        raise UserError(_why(hub, error, name, None)) from error


def save_config(folder: Path, description: Plain) -> None:
    """Write ``config.json``."""
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / CONFIG, text.encode())


def need() -> Any:
    """The package huggingface_hub.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise UserError(
            "models on the hub need the package huggingface_hub: pip install 'stargan[hub]'; "
            "a run folder or file on this disk needs a path that exists."
        ) from error


def _why(hub: Any, error: Exception, name: str, revision: str | None) -> str:
    """One sentence on what went wrong at the hub."""
    errors = hub.errors
    where = f"'{name}'" + (f" at revision '{revision}'" if revision else "")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.HFValidationError):
        return f"'{name}' is no name of a model on the hub: write owner/name."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"'{name}' on the hub has no revision '{revision}'."
    if isinstance(error, errors.GatedRepoError):
        return (
            f"'{name}' on the hub asks for consent: accept its terms there, then log in "
            "(hf auth login)."
        )
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            f"{where} is neither a path on this disk nor in the cache of earlier downloads, and "
            "the hub cannot be reached: check the spelling, or the network."
        )
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"{where} cannot be reached: HF_HUB_OFFLINE forbids the network."
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403):
        return (
            f"{where} is neither a path on this disk nor a model on the hub that you may use: "
            "check the spelling; for private models and uploads log in (hf auth login)."
        )
    if isinstance(error, errors.EntryNotFoundError):
        return (
            f"'{name}' on the hub is a model of another library: it has no {CONFIG} or {WEIGHTS}."
        )
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return f"the hub cannot be used for {where} ({first}): check the network."
