"""Finds conf/, composes it with Hydra, and hands on plain containers.

Hydra's compose API instead of its main decorator: no output folders of its own, no change of the
working folder, and an unknown key can be answered with the nearest known one.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stargan import building
from stargan.errors import Plain, UserError
from stargan.hints import did_you_mean, nearest, nearest_key
from stargan.runs import CONFIG, run_folder

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
        "like",
    ),
    *("compare", "study", "votes"),
    *("lpips", "images", "regions", "examples", "generator", "discriminator", "features"),
)
# Values of these are free text too (names, label edits): never parsed as Hydra's grammar, where a
# comma means a sweep.
TEXT_KEYS = (
    *("to", "class", "name", "known", "host", "root_path", "trust"),
    *("method.target", "title"),
)
# Values of these are lists of label names, and lists of such lists: text as it is typed, or 1_1
# would be 11 and true no name.
NAME_KEYS = ("labels", "columns")
GROUP_KEYS = ("groups",)
# What may be another when a run is resumed: how long and on what it trains, where the data lie,
# what is written, watched and measured. All else makes it another run.
RESUMABLE = (
    *("trainer.max_steps", "trainer.max_epochs", "trainer.max_minutes"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    *("trainer.compile", "trainer.profiler", "trainer.detect_anomaly"),
    *("data.num_workers", "data.cache", "data.on_error", "data.root", "data.download"),
    *("data.*.root", "data.*.regions", "data.*.download"),
    *("checkpoint.*", "log.*", "health.*", "callbacks.*", "name", "trust"),
)
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


def file_name(task: str) -> str:
    """What the yaml and the module of a task are called: ``study build`` is ``study_build``."""
    return re.sub("[ -]", "_", task)


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


@dataclass(frozen=True)
class Key:
    """What ``conf/`` says of a key.

    Attributes:
        words: the comment above it; empty where there is none.
        default: as the file has it; empty where none is given or another key decides.
    """

    words: str
    default: str


def keys_of(path: Path) -> dict[str, Key]:
    """The dotted keys of a file of ``conf/``, each with the comment just above it.

    Read line by line: a YAML parser drops comments. What ``{...}`` holds belongs to its key.
    """
    found: dict[str, Key] = {}
    above: list[str] = []
    outer: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("#"):
            above.append(text.lstrip("# "))
            continue
        key, sign, value = text.partition(":")
        if sign and not text.startswith("-"):
            indent = len(line) - len(line.lstrip())
            outer = [(i, k) for i, k in outer if i < indent] + [(indent, key)]
            plain = value.strip()
            shown = "" if plain in ("", "null", "???") or "${" in plain else plain
            words = " ".join(w for w in above if not w.startswith("@package"))
            found[".".join(k for _, k in outer)] = Key(words, shown)
        above = []
    return found


@lru_cache(maxsize=1)
def documented() -> dict[str, Key]:
    """All keys that a training run can have, with the words of the first file that has some.

    The default is empty where the files disagree.
    """
    found: dict[str, Key] = {}
    folder = config_dir()
    for group in ("", "trainer", "data", "method", "network", "callbacks"):
        files = [folder / "train.yaml"] if not group else sorted((folder / group).glob("*.yaml"))
        place = {"": "", "network": "method.classifier."}.get(group, f"{group}.")
        for path in files:
            for name, key in keys_of(path).items():
                old = found.get(place + name, key)
                default = key.default if key.default == old.default else ""
                found[place + name] = Key(old.words or key.words, default)
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
        task: as it is typed, such as ``train`` or ``study build``.
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
            groups = [t for t in written if (config_dir() / t.partition("=")[0]).is_dir()]
            name = file_name(task)
            base = hydra_compose(config_name=name, overrides=[*groups, *searched])
            keys = set(leaves(OmegaConf.to_container(base, resolve=False)))
            renamed = [rename(text, keys) for text in written]
            for text in renamed:
                if text not in groups:
                    check_key(text.partition("=")[0], keys, task)
            as_typed = [t for t in renamed if takes_text(*t.split("=", 1)) and t not in groups]
            rest = [text for text in renamed if text not in as_typed]
            config = hydra_compose(config_name=name, overrides=[*rest, *searched])
            for text in as_typed:
                key, _, value = text.partition("=")
                node, last = parent(config, key)
                node[last] = literal(typed_text(key, value, task))
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(f"{first_sentence(error)} (in: {' '.join(written)})") from error
    raw = OmegaConf.to_container(config, resolve=False)
    check_setting(raw)
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


def of_training(overrides: Sequence[str], mandatory: bool = True) -> Plain:
    """The configuration of a training command: composed, or that of the run to be resumed.

    Args:
        overrides, mandatory: see ``compose``.

    Raises:
        UserError: an unknown key or choice, no experiment, a run folder that is none.
    """
    resumed = [o for o in overrides if o.startswith("resume=") and o != "resume=null"]
    if resumed:
        given = Path(resumed[-1].partition("=")[2]).expanduser()
        run_dir = run_folder(given) or given
        rest = [o for o in overrides if not o.startswith("resume=")]
        # What the run folder says is a file's word, whatever it says of trust; the rest is typed.
        trust = building.from_file(trusted(rest)).packages
        rest = [o for o in rest if not o.startswith("trust=")]
        saved = load_yaml(run_dir / CONFIG)
        config = merge(saved, rest, RESUMABLE)
        known = building.from_file((*trust, *building.own_targets(typed(rest))))
        building.admit(config, known, f"'{run_dir / CONFIG}'")
        more = {"resume": str(run_dir), "run_dir": str(run_dir), "trust": list(trust)}
        more["typed"] = [o.partition("=")[0] for o in rest]
        return {**config, **more}
    if mandatory and not any(o.startswith("experiment=") for o in overrides):
        names = ", ".join(options("experiment"))
        raise UserError(f"which experiment? Add experiment=NAME, one of {names}.")
    return compose("train", overrides, mandatory)


def trusted(overrides: list[str]) -> str:
    """The packages that a person trusts, as typed; the last word counts."""
    typed = [o.partition("=")[2] for o in overrides if o.startswith("trust=")]
    return typed[-1] if typed and typed[-1] != "null" else ""


def merge(saved: Plain, overrides: Sequence[str], may_change: Sequence[str] = ()) -> Plain:
    """A saved configuration with some values changed, for ``resume=``.

    What is saved stays as it is: a file's ``${...}`` is not resolved, or it would read the
    environment of whoever opens it. What is typed may say ``${oc.env:NAME}``. Folders of data sets
    that were ``data.root`` go where it goes.

    Args:
        saved: from a run folder.
        overrides: as typed.
        may_change: patterns of keys; others may only be given the value that they have. None: any.

    Raises:
        UserError: a group choice (another data set is another run), an unknown key, a value that
            cannot change; says both.
    """
    keys = set(leaves(saved))
    merged = copy.deepcopy(saved)
    for text in overrides:
        key, _, value = text.partition("=")
        if (config_dir() / key).is_dir() and key not in keys:
            raise UserError(f"'{text}' cannot change when a run is resumed: start a new run.")
        key = rename(text, keys).partition("=")[0]
        if key == "schedule" and may_change and key in keys:
            may_change = (*may_change, *_with_a_new_length(overrides))
        check_key(key, keys, "train")
        *path, last = key.split(".")
        node, there = merged, saved
        for name in path:
            node, there = node[name], there[name]
        wanted = typed_text(key, value) if takes_text(key, value) else typed_value(text, value)
        free = not may_change or any(fnmatchcase(key, pattern) for pattern in may_change)
        if not free and not same_value(key, wanted, there[last]):
            raise UserError(
                f"{key} was {shown(there[last])} and cannot be {shown(wanted)} when a run is "
                "resumed: start a new run for that. What may change: length, time, devices, "
                "workers, where the data lie, checkpoints, logs, health and callbacks."
            )
        node[last] = wanted
    before, data = saved.get("data"), merged.get("data")
    if (
        isinstance(before, dict)
        and isinstance(data, dict)
        and data.get("root") != before.get("root")
    ):
        for name in data.get("use", ()):
            # Its root was data.root, which Hydra has long resolved.
            if data[name].get("root") == before.get("root"):
                data[name]["root"] = data["root"]
    return merged


def _with_a_new_length(overrides: Sequence[str]) -> tuple[str, ...]:
    """Whoever lets a run go on for longer than it was planned may say how its rates fall then."""
    lengths = ("trainer.max_steps=", "trainer.max_epochs=", "trainer.max_minutes=")
    return ("schedule",) if any(text.startswith(lengths) for text in overrides) else ()


def same_value(key: str, one: Any, two: Any) -> bool:
    """Whether two values of a key mean the same."""
    if key.rpartition(".")[2] in PATH_KEYS and isinstance(one, str) and isinstance(two, str):
        return Path(one).expanduser().resolve() == Path(two).expanduser().resolve()
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    return bool(one == two)


def shown(value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    words = {None: "null", True: "true", False: "false"}
    return words.get(value, str(value)) if value is None or isinstance(value, bool) else str(value)


def absolute(config: Plain) -> Plain:
    """A configuration whose paths mean the same wherever it is read.

    Files and folders that exist, and those of data; a name on the hub stays one.
    """
    found: Plain = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found[key] = absolute(value)
        elif isinstance(value, str) and key in PATH_KEYS:
            path = Path(value).expanduser()
            here = path.exists() or key in ("root", "regions", "run_dir")
            found[key] = str(path.absolute()) if here and "${" not in value else value
        else:
            found[key] = value
    return found


def typed(overrides: Sequence[str]) -> list[Plain]:
    """What is typed, each as ``{last word of the key: value}``."""
    found = []
    for text in overrides:
        key, _, value = text.partition("=")
        last = key.rpartition(".")[2]
        found.append(
            {last: typed_text(key, value) if takes_text(key, value) else typed_value(text, value)}
        )
    return found


def typed_names(value: str, key: str = "labels") -> list[str]:
    """Names as they are typed: ``[Male,Young]``, or without brackets.

    Text, not Hydra's grammar and not YAML's: ``[1_1,true,O'Brien,100% (real)]`` are four names. A
    name may stand in quotes; those are not part of it.

    Raises:
        UserError: no name, or an empty one.
    """
    inner = value.strip()
    if inner[:1] == "[" and inner[-1:] == "]":
        inner = inner[1:-1]
    names = [part.strip() for part in inner.split(",")]
    names = [n[1:-1] if len(n) > 1 and n[0] == n[-1] and n[0] in "\"'" else n for n in names]
    if not all(names):
        raise UserError(f"{key}={value} has an empty name: write it like {key}=[Male,Young].")
    return names


def typed_groups(value: str) -> list[list[str]]:
    """Groups of names as they are typed: ``[[Child,Senior],[Bald,Bangs]]``.

    Raises:
        UserError: see ``typed_names``.
    """
    inner = value.strip()
    if inner in ("", "[]"):
        return []
    if inner[:2] == "[[" and inner[-2:] == "]]":
        inner = inner[1:-1]
    return [typed_names(part) for part in re.split(r"(?<=\])\s*,\s*(?=\[)", inner)]


def typed_text(key: str, value: str, task: str = "train") -> Any:
    """A value that is text as it is typed: free text, a path, names, groups of names."""
    last = key.rpartition(".")[2]
    if key == "class" or (last in NAME_KEYS and task in ("translate", "import-official")):
        # Edits (Male=1), or a word of their own (all, celeba5); names where there are brackets.
        return typed_names(value) if value.strip()[:1] == "[" else value
    if last in NAME_KEYS:
        return typed_names(value, last)
    if last in GROUP_KEYS:
        return typed_groups(value)
    return str(Path(value).expanduser()) if last in PATH_KEYS else value


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
        parsed = OverridesParser.create().parse_override(f"value={value}")
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


def literal(value: Any) -> Any:
    """Names as OmegaConf keeps them apart from its ``${...}``; other text may say that."""
    if isinstance(value, list):
        return [literal(part) if isinstance(part, list) else _escaped(part) for part in value]
    return value


def _escaped(name: str) -> str:
    return name.replace("${", "\\${")


def takes_text(key: str, value: str) -> bool:
    """Whether a value is taken as it is typed and not by Hydra's grammar."""
    last = key.rpartition(".")[2]
    if value in ("null", "???"):
        return False
    if last in (*NAME_KEYS, *GROUP_KEYS) or key in ("to", "class", "known"):
        return True
    # method.features is a file, those of an encoder are a number.
    text = key in TEXT_KEYS or (last in PATH_KEYS and (last != "features" or key.count(".") < 2))
    # A list of paths or packages, or a text in quotes, is Hydra's.
    return text and value[:1] not in ("'", '"', "[")


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
    near = nearest(value, known)
    hint = did_you_mean(near and f"{group}={near}", "")
    raise UserError(f"unknown {group} '{value}'.{hint} Known: {', '.join(known)}.")


def check_setting(config: Any) -> None:
    """Refuse a setting of the method that its table of settings has not."""
    method = config.get("method") if isinstance(config, Mapping) else None
    known = method.get("settings") if isinstance(method, Mapping) else None
    if isinstance(method, Mapping) and known and method["setting"] not in known:
        near = nearest(str(method["setting"]), known)
        raise UserError(
            f"method.setting={method['setting']} is unknown."
            f"{did_you_mean(near and f'method.setting={near}', '')} Known: {', '.join(known)}."
        )


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
    near = nearest_key(key, keys)
    hint = did_you_mean(near and f"{near}=", "")
    raise UserError(f"unknown key '{key}'.{hint} All keys: stargan {task} --cfg job.")


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


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 1e-4 for a text; people mean a number."""


class _Dumper(yaml.SafeDumper):
    """Puts texts that read as such a number into quotes."""


_NUMBER = re.compile(r"[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$")
for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789"))


def to_yaml(config: Plain) -> str:
    """Plain data as YAML, keys in order."""
    return yaml.dump(
        config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )


def load_yaml(path: Path) -> Plain:
    """A saved configuration. Raises ``UserError`` when the file is missing or malformed."""
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: it is no run folder.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {first_sentence(error)}.") from error
    if not isinstance(loaded, dict) or count(loaded, MOST_VALUES) > MOST_VALUES:
        raise UserError(f"{path} holds no configuration.")
    return loaded
