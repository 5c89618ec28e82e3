"""Finds conf/, composes it with Hydra, and hands on plain containers.

Hydra's compose API instead of its main decorator, which reads ``sys.argv`` and ends the process:
here an unknown key is answered with the nearest known one, and names are text as they are typed.
What Hydra's command does beyond composing (``-m``, ``--cfg``, completion) is asked of the same
application, see ``session``.
"""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from stargan import building
from stargan.errors import Plain, UserError
from stargan.errors import first_sentence as first_sentence
from stargan.hints import did_you_mean, nearest, nearest_key
from stargan.runs import CONFIG, DATED, run_folder

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
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
    *("to", "class", "name", "known", "host", "root_path", "trust", "notes", "optimize"),
    *("method.target", "title"),
)
# Values of these are lists of label names, and lists of such lists: text as it is typed, or 1_1
# would be 11 and true no name.
NAME_KEYS = ("labels", "tags", "columns")
GROUP_KEYS = ("groups",)
# What may be another when a run is resumed: how long and on what it trains, where the data lie,
# what is written, watched and measured. All else makes it another run.
RESUMABLE = (
    *("trainer.max_steps", "trainer.max_epochs", "trainer.max_minutes"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    *("trainer.compile", "trainer.profiler", "trainer.detect_anomaly"),
    *("data.num_workers", "data.cache", "data.on_error", "data.root", "data.download"),
    *("data.*.root", "data.*.regions", "data.*.download"),
    *("checkpoint.*", "log.*", "health.*", "callbacks.*", "logger.*", "name", "trust"),
    *("tags", "notes", "optimize", "direction"),
)
# Groups of which another choice may be taken when a run is resumed; of the trainer's only what is
# in RESUMABLE.
RESUMABLE_GROUPS = ("trainer", "logger", "callbacks")
# Where Hydra's plugins come from that are no part of Hydra.
PLUGINS = {
    **{"joblib": "sweep", "optuna": "sweep"},
    **{"submitit_slurm": "slurm", "submitit_local": "slurm"},
}
# What settings were called in earlier versions, or are by habit.
MOVED = {
    **{"log.tensorboard=false": "logger=none", "log.tensorboard=true": "logger=tensorboard"},
    # Hydra itself has no null for a group.
    **{"logger=null": "logger=none", "callbacks=null": "callbacks=none"},
}
# Keys of runs that runs of earlier versions did not have.
WITHOUT = ("tags", "notes", "optimize", "direction")
# Settings of a logger that the config.yaml of a run folder may decide: none of them says where
# anything is sent or written.
LOGGER_KEYS = ("_target_", "project", "experiment_name", "group", "job_type", "offline")
AUTO = "auto"
"""Of ``resume=``: go on with the run in ``run_dir=`` where there is one, else begin it."""
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
    for group in ("", "trainer", "data", "method", "network", "callbacks", "logger"):
        files = [folder / "train.yaml"] if not group else sorted((folder / group).glob("*.yaml"))
        place = {"": "", "network": "method.classifier."}.get(group, f"{group}.")
        for path in files:
            for name, key in keys_of(path).items():
                old = found.get(place + name, key)
                default = key.default if key.default == old.default else ""
                found[place + name] = Key(old.words or key.words, default)
    # What experiments alone have (length); other keys in them are settings.
    sections = {name.partition(".")[0] for name in found}
    for path in sorted((folder / "experiment").glob("*.yaml")):
        for name, key in keys_of(path).items():
            if name.partition(".")[0] not in sections:
                found.setdefault(name, key)
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


@contextmanager
def session(task: str) -> Iterator[Any]:
    """Hydra's application on conf/, as ``@hydra.main`` makes it, but errors are raised.

    Yields:
        ``GlobalHydra.instance().hydra``: ``multirun``, ``show_cfg`` and ``shell_completion``.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3", job_name=task):
        yield GlobalHydra.instance().hydra


class Typed(NamedTuple):
    """An override as it is typed.

    Attributes:
        sign: ``+``, ``++``, ``~`` or nothing.
        key: of a value or a group.
        value: None where there is no ``=``, as in ``~key``.
    """

    sign: str
    key: str
    value: str | None

    @property
    def text(self) -> str:
        """As it was typed."""
        return f"{self.sign}{self.key}" + ("" if self.value is None else f"={self.value}")

    @property
    def of_hydra(self) -> bool:
        """Whether it is a setting of Hydra's own."""
        return self.key.startswith(("hydra.", "hydra/"))


def split_override(text: str) -> Typed:
    """The parts of an override.

    Raises:
        UserError: it is none.
    """
    sign = next((sign for sign in ("++", "+", "~") if text.startswith(sign)), "")
    key, equals, value = text.removeprefix(sign).partition("=")
    if not key or not (equals or sign == "~"):
        raise UserError(f"'{text}' is not an override: write key=value.")
    return Typed(sign, key, value if equals else None)


class Choices:
    """The choices of Hydra's config groups, those of the person's own folders included.

    Args:
        loader: Hydra's.
        task: name of a root yaml.
        search: the override that names further folders, or none.
        own: the folder that ``conf=`` names.
    """

    def __init__(
        self, loader: ConfigLoader, task: str, search: Sequence[str], own: Path | None
    ) -> None:
        self.loader = loader
        self.task = task
        self.search = list(search)
        self.folders = [config_dir(), *([own] if own else [])]

    def is_group(self, key: str) -> bool:
        """Whether a key is a group; Hydra is asked last, as it reads all files anew to answer."""
        group = key.partition("@")[0]
        known = any((folder / group).is_dir() for folder in self.folders)
        return known or ("." not in group and bool(self.search) and bool(self.of(group)))

    def of(self, group: str) -> list[str]:
        """The names of a group's files; none: it is no group."""
        from hydra.core.object_type import ObjectType

        place = (self.task, self.search)
        found = list(self.loader.get_group_options(group, ObjectType.CONFIG, *place))
        for inner in self.loader.get_group_options(group, ObjectType.GROUP, *place):
            found += [f"{inner}/{name}" for name in self.of(f"{group}/{inner}")]
        return found

    def check(self, key: str, value: str) -> None:
        """Refuse an unknown choice of a group, with the nearest known one."""
        group = key.partition("@")[0]
        there = [f for f in self.folders if (f / group / f"{value}.yaml").is_file()]
        if len(there) > 1:
            raise UserError(
                f"{group}={value} could be yours or that of the package: give "
                f"{there[-1] / group / value}.yaml another name."
            )
        if there or value == "null":
            return
        known = self.of(group)
        if value in known:
            return
        if group.startswith("hydra/") and value in PLUGINS:
            raise UserError(
                f"{group}={value} is a plugin of Hydra that is not installed: "
                f"pip install 'stargan[{PLUGINS[value]}]'."
            )
        names = [name for name in known if name != "base"]  # what the others build on
        near = nearest(value, names)
        hint = did_you_mean(near and f"{group}={near}", "")
        raise UserError(f"unknown {group} '{value}'.{hint} Known: {', '.join(names)}.")


def prepared(app: Any, task: str, overrides: Sequence[str], sweep: bool = False) -> list[str]:
    """What is typed, checked, as Hydra's grammar has it.

    Args:
        app: see ``session``.
        task: name of a root yaml.
        overrides: as typed, ``key=value`` or ``group=choice``, with ``+``, ``++`` or ``~`` to add
            and remove; ``conf=DIR`` adds choices of the person's own, from a folder laid out as
            conf/.
        sweep: commas separate values, of which each makes a job.

    Raises:
        UserError: malformed override, unknown key or choice (with the nearest known one).
    """
    from hydra import compose as hydra_compose
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    own, overrides = own_folder(overrides)
    typed = [split_override(MOVED.get(text, text)) for text in overrides]
    search = searchpath(own, typed)
    typed = _one_run_dir([t for t in typed if t.key != "hydra.searchpath"], task)
    choices = Choices(app.config_loader, task, search, own)
    # A dictionary is merged into what the group's choice says.
    groups = {t for t in typed if (t.of_hydra and "/" in t.key) or choices.is_group(t.key)}
    groups = {t for t in groups if t.value is None or t.value[:1] != "{"}
    parser = OverridesParser.create(config_loader=app.config_loader)
    try:
        base = list(search)
        for t in typed:
            if t in groups or t.of_hydra:
                parsed = parser.parse_override(t.text)
                swept = parsed.is_sweep_override() and parsed.is_discrete_sweep()
                if swept and not sweep:
                    raise _several(t.text)
                values = list(parsed.sweep_string_iterator()) if swept else [str(t.value)]
                if t in groups and t.value is not None and t.value[:1] != "[":
                    for value in values:
                        choices.check(t.key, value)
                base.append(f"{t.sign}{t.key}={values[0]}" if swept else t.text)
        found = OmegaConf.to_container(hydra_compose(file_name(task), base), resolve=False)
        keys = set(leaves(found))
        words = list(search)
        for t in typed:
            if t in groups or t.of_hydra:
                words.append(t.text)
                continue
            t = t._replace(key=rename(t.key, keys))
            if not t.sign:
                check_key(t.key, keys, task, t.value)
            words.append(_as_hydra_has_it(t, task, sweep))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        # Hydra says some things of groups as a ValueError.
        raise refusal(error, overrides) from error
    return words


def searchpath(own: Path | None, typed: Sequence[Typed]) -> list[str]:
    """The override by which Hydra looks into further folders; none: nowhere else."""
    folders = [] if own is None else [quoted(f"file://{own.as_posix()}")]
    for t in typed:
        if t.key == "hydra.searchpath" and t.value:
            inner = t.value.strip().removeprefix("[").removesuffix("]")
            folders += [inner] if inner else []
    return [f"hydra.searchpath=[{','.join(folders)}]"] if folders else []


def _one_run_dir(typed: Sequence[Typed], task: str) -> list[Typed]:
    """``run_dir`` and Hydra's ``hydra.run.dir`` say the same, whichever is typed."""
    names = ("run_dir", "hydra.run.dir")
    said = {t.key: t.value for t in typed if t.key in names and t.value not in (None, "null")}
    if task != "train" or not said:
        return list(typed)
    if len(set(said.values())) > 1:
        raise UserError("run_dir and hydra.run.dir name two folders: give one of them.")
    value = next(iter(said.values()))
    assert value is not None
    plain = value.strip("'\"")
    rest = [t for t in typed if t.key not in names]
    return [*rest, Typed("", "run_dir", plain), Typed("", "hydra.run.dir", quoted(plain))]


def _as_hydra_has_it(t: Typed, task: str, sweep: bool) -> str:
    """An override as Hydra's grammar has it: text in quotes, each of several values by itself."""
    if t.value is None or not takes_text(t.key, t.value):
        return t.text
    if sweep and re.fullmatch(r"\w+\(.*\)", t.value):
        return t.text  # choice(...) and its like are Hydra's
    values = split_values(t.value) if sweep else [t.value]
    parts = [
        quoted(literal(typed_text(t.key, value, task))) if takes_text(t.key, value) else value
        for value in values
    ]
    return f"{t.sign}{t.key}={','.join(parts)}"


def quoted(value: Any) -> str:
    """Plain text, or lists of it, as a value of Hydra's grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    if isinstance(value, list):
        return f"[{','.join(map(quoted, value))}]"
    return QuotedString(str(value), Quote.single).with_quotes()


def first_job(app: Any, words: Sequence[str]) -> list[str]:
    """What the first job of a sweep is given; what a sweeper chooses by itself is left out."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create(config_loader=app.config_loader)
    found = []
    for word in words:
        parsed = parser.parse_override(word)
        if not parsed.is_sweep_override():
            found.append(word)
        elif parsed.is_discrete_sweep():
            value = next(iter(parsed.sweep_string_iterator()))
            found.append(f"{parsed.get_key_element()}={value}")
    return found


def split_values(text: str) -> list[str]:
    """The values of a sweep: parted by the commas outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[({":
            depth += 1
        elif letter in "])}":
            depth -= 1
        elif letter == "," and not depth:
            parts.append("")
            continue
        parts[-1] += letter
    return [part.strip() for part in parts]


def refusal(error: Exception, overrides: Sequence[str]) -> UserError:
    """Hydra's message in one sentence, with what was typed."""
    first = first_sentence(error)
    several = re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(.*)'", first)
    if several:
        return _several(several[1])
    return UserError(f"{first} (in: {' '.join(overrides)})")


def is_launchers(error: Exception) -> bool:
    """Whether one of Hydra's launchers says that a job did not come to its end."""
    return type(error).__module__.partition(".")[0] in ("submitit", "joblib")


def _several(text: str) -> UserError:
    return UserError(
        f"{text} has several values: stargan train -m runs each of them, [a,b] is a list, and "
        "quotes make a text of it."
    )


def compose(task: str, overrides: Sequence[str], mandatory: bool = True) -> Plain:
    """The resolved configuration of a task as plain data.

    Args:
        task: as it is typed, such as ``train`` or ``study build``.
        overrides: see ``prepared``.
        mandatory: refuse a configuration in which a mandatory value (``???``) is missing.

    Raises:
        UserError: malformed override, unknown key or choice (with the nearest known one), missing
            mandatory value.
    """
    from hydra import compose as hydra_compose
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    with session(task) as app:
        words = prepared(app, task, overrides)
        try:
            config = hydra_compose(file_name(task), words, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise refusal(error, overrides) from error
        return plain(config, mandatory)


def show(
    task: str, overrides: Sequence[str], part: str, package: str | None, resolve: bool
) -> None:
    """Print a composed configuration as Hydra's ``--cfg`` does.

    Args:
        task, overrides: see ``compose``.
        part: ``job``, ``hydra`` or ``all``.
        package: a section of it; None: all.
        resolve: with the values that ``${...}`` stand for.

    Raises:
        UserError: see ``compose``; an unknown package.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    said = io.StringIO()
    with session(task) as app:
        words = prepared(app, task, overrides)
        try:
            with redirect_stderr(said):
                app.show_cfg(file_name(task), words, part, package, resolve)
        except (HydraException, OmegaConfBaseException) as error:
            raise refusal(error, overrides) from error
        except SystemExit:
            raise UserError(f"{said.getvalue().strip()}.") from None


def complete(task: str, words: Sequence[str]) -> None:
    """Hydra's shell completion for a task.

    Raises:
        UserError: a shell that Hydra does not know.
    """
    with session(task) as app:
        try:
            app.shell_completion(file_name(task), list(words))
        except ValueError as error:
            raise UserError(" ".join(str(error).split()) + ".") from error


def plain(config: DictConfig, mandatory: bool = True) -> Plain:
    """A composed configuration as resolved plain data, without Hydra's own part.

    Raises:
        UserError: a mandatory value is missing, an unknown setting of the method.
    """
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import OmegaConfBaseException

    folder = OmegaConf.select(config, "hydra.run.dir") if "hydra" in config else None
    with open_dict(config):
        config.pop("hydra", None)
    raw = OmegaConf.to_container(config, resolve=False)
    if isinstance(raw, dict):
        check_settings({str(k): v for k, v in raw.items()})
    missing = [key for key in leaves(raw) if OmegaConf.is_missing(*parent(config, key))]
    if missing and mandatory:
        # Shortest first: data.root before the data.celeba.root that points at it.
        keys_missing = sorted(missing, key=lambda k: (k.count("."), k))
        wanted = " ".join(f"{k}=..." for k in keys_missing)
        raise UserError(f"{', '.join(keys_missing)} must be given: add {wanted} to the command.")
    try:
        found = OmegaConf.to_container(config, resolve=not missing)
    except OmegaConfBaseException as error:
        raise UserError(first_sentence(error)) from error
    assert isinstance(found, dict)
    settled = with_loggers({str(k): v for k, v in found.items()})
    if folder and not settled.get("run_dir") and not DATED.fullmatch(Path(folder).name):
        settled["run_dir"] = folder  # as a file of the person's own says
    return settled


def with_loggers(config: Plain) -> Plain:
    """A configuration of training in which a group that was left out is empty, and what an earlier
    version called ``log.tensorboard`` is the logger."""
    if "log" not in config:
        return config
    loggers = config.get("logger") or {}
    parts = list(loggers.values()) if isinstance(loggers, Mapping) else []
    sections = (config["log"], loggers, *(part for part in parts if part is not None))
    if not all(isinstance(section, Mapping) for section in sections):
        raise UserError("log and logger must be sections, and so must each logger be.")
    log = dict(config["log"])
    old = log.pop("tensorboard", None)
    if old and "logger" not in config:
        loggers = {"tensorboard": {"_target_": "stargan.training.loggers.TensorBoard"}}
    return {
        **config,
        "log": log,
        "callbacks": config.get("callbacks") or {},
        "logger": {k: v for k, v in loggers.items() if old is not False or k != "tensorboard"},
    }


def of_training(overrides: Sequence[str], mandatory: bool = True) -> Plain:
    """The configuration of a training command: composed, or that of the run to be resumed.

    Args:
        overrides, mandatory: see ``compose``.

    Raises:
        UserError: an unknown key or choice, no experiment, a run folder that is none.
    """
    resumed = [o.partition("=")[2] for o in overrides if o.startswith("resume=")]
    if resumed and resumed[-1] not in ("null", AUTO):
        given = Path(resumed[-1]).expanduser()
        run_dir = run_folder(given) or given
        own, rest = own_folder([o for o in overrides if not o.startswith("resume=")])
        # What the run folder says is a file's word, whatever it says of trust; the rest is typed.
        trust = building.from_file(trusted(rest)).packages
        rest = [o for o in rest if not o.startswith("trust=")]
        saved = with_loggers(load_yaml(run_dir / CONFIG))
        rest, chosen = regrouped([MOVED.get(o, o) for o in rest], own)
        config = merge({**saved, **chosen}, rest, RESUMABLE)
        said = [*typed(rest), chosen]
        known = building.from_file((*trust, *building.own_targets(said)))
        building.admit(config, known, f"'{run_dir / CONFIG}'")
        check_places(saved, config, rest, chosen)
        more = {"resume": str(run_dir), "run_dir": str(run_dir), "trust": list(trust)}
        more["typed"] = [o.partition("=")[0] for o in rest]
        return {**config, **more}
    if mandatory and not any(split_override(o).key == "experiment" for o in overrides):
        names = ", ".join(options("experiment"))
        raise UserError(f"which experiment? Add experiment=NAME, one of {names}.")
    config = compose("train", overrides, mandatory)
    if config["resume"] == AUTO and not config["run_dir"]:
        raise UserError("resume=auto goes on with the run in run_dir=DIR: add that.")
    return config


def regrouped(overrides: Sequence[str], own: Path | None) -> tuple[list[str], Plain]:
    """The groups that are typed when a run is resumed.

    Returns:
        The other overrides, with those that a choice of trainer stands for; and the sections that
        were chosen anew.
    """
    more = [] if own is None else [f"conf={own}"]
    rest, chosen = [], {}
    for text in overrides:
        key = text.partition("=")[0]
        if key not in RESUMABLE_GROUPS:
            rest.append(text)
            continue
        section = compose("train", [*more, text], mandatory=False)[key]
        if key == "trainer":
            usual = compose("train", [], mandatory=False)[key]
            changed = {k: v for k, v in section.items() if usual.get(k) != v}
            rest += [f"trainer.{k}={shown(v)}" for k, v in changed.items()]
        else:
            chosen[key] = section
    return rest, chosen


def check_places(saved: Plain, config: Plain, typed_now: Sequence[str], chosen: Plain) -> None:
    """Refuse to send a resumed run to where only the run folder says: a logger's server or folder.

    Raises:
        UserError: such a setting, which has to be typed again.
    """
    if "logger" in chosen:
        return
    keys = {text.partition("=")[0] for text in typed_now}
    for name, settings in saved.get("logger", {}).items():
        if config["logger"].get(name) is None:
            continue
        for key, value in (settings or {}).items():
            where = f"logger.{name}.{key}"
            if value is not None and key not in LOGGER_KEYS and where not in keys:
                raise UserError(
                    f"the run folder says {where}={shown(value)}, and a file may not say where a "
                    f"run is sent: add {where}={shown(value)} to the command, or logger=none."
                )


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
        sign, key, given = split_override(text)
        if sign or ((config_dir() / key).is_dir() and key not in keys):
            raise UserError(f"'{text}' cannot change when a run is resumed: start a new run.")
        key, value = rename(key, keys), str(given)
        if key == "schedule" and may_change and key in keys:
            may_change = (*may_change, *_with_a_new_length(overrides))
        if key in WITHOUT and key not in keys:
            merged[key] = typed_text(key, value)  # a run of before did not know it
            continue
        check_key(key, keys, "train", value)
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


def difference(saved: Plain, now: Plain) -> tuple[str, str, str] | None:
    """The first setting that makes it another run, with both values; None: it is the same run."""
    one, two = (
        {key: node for key, node in flat(side).items() if key != "typed"}
        for side in (saved, yaml.load(to_yaml(now), Loader=_Loader))
    )
    for key in {**one, **two}:
        if any(fnmatchcase(key, pattern) for pattern in (*RESUMABLE, "typed.*")):
            continue
        old, new = one.get(key), two.get(key)
        if not same_value(key, old, new):
            return key, shown(old), shown(new)
    return None


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings by their dotted names, see ``leaves``."""
    if not (isinstance(node, Mapping) and node):
        return {prefix.rstrip("."): node}
    return {k: v for key, value in node.items() for k, v in flat(value, f"{prefix}{key}.").items()}


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
        _, key, value = split_override(text)
        value = str(value)
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
    names = [
        n[1:-1].replace(f"\\{n[0]}", n[0]) if len(n) > 1 and n[0] == n[-1] and n[0] in "\"'" else n
        for n in names
    ]
    if not all(names):
        example = "[baseline,paper]" if key == "tags" else "[Male,Young]"
        raise UserError(f"{key}={value} has an empty name: write it like {key}={example}.")
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
        none = last == "tags" and value.strip() == "[]"
        return [] if none else typed_names(value, last)
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


def rename(key: str, keys: set[str]) -> str:
    """``lambda_cls`` as ``method.lambda_cls``."""
    short = key in METHOD_KEYS and key not in keys and f"method.{key}" in keys
    return f"method.{key}" if short else key


def check_settings(config: Plain) -> None:
    """Refuse a setting of the method, or a length of the experiment, that its table has not."""
    for place, key, table in (
        (config.get("method"), "setting", "settings"),
        (config, "length", "lengths"),
    ):
        known = place.get(table) if isinstance(place, Mapping) else None
        if not isinstance(place, Mapping) or not known or place[key] in known:
            continue
        name = key if place is config else f"method.{key}"
        near = nearest(str(place[key]), known)
        hint = did_you_mean(near and f"{name}={near}", "")
        raise UserError(f"{name}={place[key]} is unknown.{hint} Known: {', '.join(known)}.")


def check_key(key: str, keys: set[str], task: str, value: str | None = None) -> None:
    """Refuse an unknown key, with the nearest known one."""
    if key in keys:
        return
    if key in ("trainer.gradient_clip_val", "trainer.accumulate_grad_batches"):
        raise UserError(
            f"{key} has no meaning for alternating optimizers: change the batch size or the "
            "learning rates instead."
        )
    if any(k.startswith(key + ".") for k in keys):
        # A callback or logger may be left out; what is in braces is merged into a section.
        left_out = value == "null" and key.count(".") == 1
        if (left_out and key.startswith(("callbacks.", "logger."))) or (value or "")[:1] == "{":
            return
        inner = sorted(k for k in keys if k.startswith(key + "."))
        raise UserError(f"'{key}' is a section, set one of its keys: {', '.join(inner[:12])}.")
    near = nearest_key(key, keys)
    hint = did_you_mean(near and f"{near}=", "")
    raise UserError(
        f"unknown key '{key}'.{hint} All keys: stargan {task.replace('_', '-')} --cfg job; "
        f"+{key}= adds one."
    )


def leaves(node: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all values of nested mappings; an empty mapping and a list are values."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from leaves(value, f"{prefix}{key}.")
    else:
        yield prefix.rstrip(".")


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
