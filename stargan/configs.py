"""Finds conf/, composes it with Hydra, and hands on plain containers.

Hydra's compose API instead of its main decorator: no output folders of its own, no change of the
working folder, and an unknown key can be answered with the nearest known one.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stargan.contracts import Plain, UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

# Values of these keys, at any depth, are paths: ~ is the home folder.
PATH_KEYS = (
    *(
        "root",
        "input",
        "output",
        "model",
        "judge",
        "run",
        "run_dir",
        "resume",
        "weights",
        "inception",
    ),
    *("lpips", "images", "regions", "examples", "generator", "discriminator"),
)
# Values of these are free text too (names, label edits): never parsed as Hydra's grammar, where a
# comma means a sweep.
TEXT_KEYS = ("to", "class", "name", "known", "host", "root_path", "trust")
# Keys of the method that the paper names; they may be written without 'method.'.
METHOD_KEYS = (
    "lambda_cls",
    "lambda_rec",
    "lambda_gp",
    "lambda_r1",
    "n_critic",
    "ema_decay",
    "adversarial",
)
MOST_VALUES = 100_000
"""Of a configuration in a file; ours have some hundreds."""


def config_dir() -> Path:
    """conf/ beside the package in a checkout, stargan/conf in an installed wheel."""
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise UserError(f"the configuration folder is missing beside {package}: reinstall stargan.")


def options(group: str, own: Path | None = None) -> dict[str, str]:
    """The choices of a config group, each with the first comment of its file.

    Args:
        group: such as ``experiment``.
        own: a folder of the person's own, laid out as conf/.
    """
    found: dict[str, str] = {}
    for folder in filter(None, (config_dir(), own)):
        for path in sorted((folder / group).glob("**/*.yaml")):
            text = path.read_text(encoding="utf-8")
            lines = [line for line in text.splitlines() if line[:1] == "#"]
            words = [line.lstrip("# ") for line in lines if "@package" not in line]
            name = path.relative_to(folder / group).with_suffix("").as_posix()
            if name != "base":  # what the others build on, no choice by itself
                found.setdefault(name, words[0] if words else "")
    return found


def own_folder(overrides: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The folder that ``conf=`` names, and the other overrides.

    Raises:
        UserError: no such folder, or nothing in it that could be chosen.
    """
    typed = [text.partition("=")[2] for text in overrides if text.startswith("conf=")]
    rest = [text for text in overrides if not text.startswith("conf=")]
    if not typed or typed[-1] in ("", "null"):
        return None, rest
    own = Path(typed[-1]).expanduser().resolve()
    groups = [path.name for path in config_dir().iterdir() if path.is_dir()]
    if not any((own / group).is_dir() for group in groups):
        raise UserError(
            f"conf={typed[-1]} is no folder of configuration: give one that has a folder "
            f"{', '.join(sorted(groups)[:-1])} or {max(groups)} with yaml files in it."
        )
    return own, rest


def searchpath(own: Path) -> str:
    """The override by which Hydra looks into a folder too."""
    escaped = own.as_posix().replace("'", "\\'")
    return f"hydra.searchpath=['file://{escaped}']"


def compose(task: str, overrides: Sequence[str], mandatory: bool = True) -> Plain:
    """The resolved configuration of a task as plain data.

    Args:
        task: name of a root yaml, such as ``train``.
        overrides: as typed, ``key=value`` or ``group=choice``; ``conf=DIR`` adds choices of the
            person's own, from a folder laid out as conf/.
        mandatory: refuse a configuration in which a mandatory value (``???``) is missing.

    Raises:
        UserError: malformed override, unknown key or choice (with the nearest known one), missing
            mandatory value.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    own, overrides = own_folder(overrides)
    searched = [] if own is None else [searchpath(own)]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        written: list[str] = []
        base: DictConfig | None = None
        for text in overrides:
            key, sign, value = text.partition("=")
            if not sign or not key:
                raise UserError(f"'{text}' is not an override: write key=value.")
            if key.startswith("+") or key.startswith("~"):
                raise UserError(f"'{text}': keys cannot be added or removed, only set.")
            if (config_dir() / key).is_dir():
                check_choice(key, value, own)
            written.append(text)
        try:
            quoted = [quote(text) for text in written]
            groups = [t for t in quoted if (config_dir() / t.partition("=")[0]).is_dir()]
            base = hydra_compose(config_name=task, overrides=[*groups, *searched])
            keys = set(leaves(OmegaConf.to_container(base, resolve=False)))
            quoted = [rename(text, keys) for text in quoted]
            for text in quoted:
                if text not in groups:
                    check_key(text.partition("=")[0], keys, task)
            config = hydra_compose(config_name=task, overrides=[*quoted, *searched])
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(f"{first_sentence(error)} (in: {' '.join(written)})") from error
    raw = OmegaConf.to_container(config, resolve=False)
    missing = [key for key in leaves(raw) if OmegaConf.is_missing(*parent(config, key))]
    if missing and mandatory:
        # Shortest first: data.root before the data.celeba.root that points at it.
        keys_missing = sorted(missing, key=lambda k: (k.count("."), k))
        wanted = " ".join(f"{k}=..." for k in keys_missing)
        raise UserError(f"{', '.join(keys_missing)} must be given: add {wanted} to the command.")
    try:
        plain = OmegaConf.to_container(config, resolve=not missing)
    except OmegaConfBaseException as error:
        raise UserError(first_sentence(error)) from error
    assert isinstance(plain, dict)
    return {str(k): v for k, v in plain.items()}


def merge(saved: Plain, overrides: Sequence[str], groups: Sequence[str]) -> Plain:
    """A saved configuration with some values changed, for ``resume=``.

    What is saved stays as it is: a file's ``${...}`` is not resolved, or it would read the
    environment of whoever opens it. What is typed may say ``${oc.env:NAME}``.

    Raises:
        UserError: a group choice (another data set is another run), an unknown key.
    """
    keys = set(leaves(saved))
    merged = copy.deepcopy(saved)
    for text in overrides:
        key, _, value = text.partition("=")
        if key in groups:
            raise UserError(f"'{text}' cannot change when a run is resumed: start a new run.")
        key = rename(text, keys).partition("=")[0]
        check_key(key, keys, "train")
        *path, last = key.split(".")
        node = merged
        for name in path:
            node = node[name]
        node[last] = value if is_text(key) and value != "null" else typed_value(text, value)
    return merged


def typed(overrides: Sequence[str]) -> list[Plain]:
    """What is typed, each as ``{last word of the key: value}``."""
    found = []
    for text in overrides:
        key, _, value = text.partition("=")
        last = key.rpartition(".")[2]
        found.append({last: value if is_text(key) else typed_value(text, value)})
    return found


def typed_value(text: str, value: str) -> Any:
    """A typed value as plain data.

    Raises:
        UserError: malformed.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        # Hydra's grammar, as when a run is started: YAML's would take 1e-4 for a text.
        parsed = OverridesParser.create().parse_override(quote(f"value={value}"))
        plain = OmegaConf.to_container(OmegaConf.create({"value": parsed.value()}), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"'{text}': {first_sentence(error)}") from error
    assert isinstance(plain, dict)
    return plain["value"]


def parent(config: DictConfig, key: str) -> tuple[Any, str]:
    """The node that holds a dotted key, and the key's last word."""
    from omegaconf import OmegaConf

    path, _, last = key.rpartition(".")
    return (OmegaConf.select(config, path) if path else config), last


def quote(text: str) -> str:
    """Free text in quotes, so that Hydra reads it as one string."""
    key, _, value = text.partition("=")
    if not is_text(key) or value in ("null", "???") or value[:1] in ("'", '"', "["):
        return text
    if key.rpartition(".")[2] in PATH_KEYS:
        value = str(Path(value).expanduser())
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


def is_text(key: str) -> bool:
    """Whether a key's value is taken as it is typed."""
    return key in TEXT_KEYS or key.rpartition(".")[2] in PATH_KEYS


def rename(text: str, keys: set[str]) -> str:
    """``lambda_cls=2`` as ``method.lambda_cls=2``."""
    key, sign, value = text.partition("=")
    if key in METHOD_KEYS and key not in keys and f"method.{key}" in keys:
        return f"method.{key}{sign}{value}"
    return text


def check_choice(group: str, value: str, own: Path | None = None) -> None:
    """Refuse an unknown choice of a config group, with the nearest known one."""
    known = options(group, own)
    if value in known or value == "null":
        return
    near = difflib.get_close_matches(value, known, n=1)
    hint = f" Did you mean {group}={near[0]}?" if near else ""
    raise UserError(f"unknown {group} '{value}'.{hint} Known: {', '.join(known)}.")


def check_key(key: str, keys: set[str], task: str) -> None:
    """Refuse an unknown key, with the nearest known one."""
    if key in keys:
        return
    if key in ("trainer.gradient_clip_val", "trainer.accumulate_grad_batches"):
        raise UserError(
            f"{key} has no meaning for alternating optimizers: change the batch size or the "
            "learning rates instead."
        )
    if any(k.startswith(key + ".") for k in keys):
        inner = sorted(k for k in keys if k.startswith(key + "."))
        raise UserError(f"'{key}' is a section, set one of its keys: {', '.join(inner[:12])}.")
    last = {k.rpartition(".")[2]: k for k in sorted(keys)}
    close = difflib.get_close_matches(key.rpartition(".")[2], last, n=1, cutoff=0.6)
    near = difflib.get_close_matches(key, sorted(keys), n=1, cutoff=0.0)
    raise UserError(
        f"unknown key '{key}'. Did you mean {last[close[0]] if close else near[0]}=? "
        f"All keys: stargan {task} --cfg job."
    )


def leaves(node: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all values of nested mappings; an empty mapping and a list are values."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from leaves(value, f"{prefix}{key}.")
    else:
        yield prefix.rstrip(".")


def first_sentence(error: Exception) -> str:
    """The first line of a library's message, without its trail."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def count(node: Any, most: int) -> int:
    """Values in nested plain data, at most a little more than ``most``: a few lines of YAML with
    references can stand for more than any memory holds."""
    total, waiting = 0, [node]
    while waiting and total <= most:
        total += 1
        node = waiting.pop()
        if isinstance(node, Mapping):
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return total


def to_yaml(config: Plain) -> str:
    """Plain data as YAML, keys in order."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=False)


def load_yaml(path: Path) -> Plain:
    """A saved configuration. Raises ``UserError`` when the file is missing or malformed."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: it is no run folder.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {first_sentence(error)}.") from error
    if not isinstance(loaded, dict) or count(loaded, MOST_VALUES) > MOST_VALUES:
        raise UserError(f"{path} holds no configuration.")
    return loaded
