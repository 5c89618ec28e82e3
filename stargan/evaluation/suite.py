"""A comparison of methods, planned: which runs there are, where they lie, how long each may be.

A suite (``conf/suite/``) names data sets and methods. A method is one model, or a set of models of
one purpose each: one for every target label (DIAT) or for every pair (CycleGAN). A set is trained
as so many runs and compared as one subject; it shares its method's minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from stargan import configs
from stargan.errors import Plain, UserError
from stargan.evaluation.held_out import NEUTRAL
from stargan.hints import did_you_mean, nearest
from stargan.labels import LabelSpace
from stargan.writing import write_whole

MODELS = ("one", "targets", "pairs")
ENDLESS = 100_000_000
"""Steps of a run that minutes end."""
JOINT = "joint"
"""The folder of runs on several data sets."""
STAMP = "comparison.json"
CURVE_IMAGES = 64
ELSEWHERE = ("trainer.accelerator", "trainer.devices", "data.num_workers", "root", "regions")
"""Settings of a run that may change between two calls: where it runs and where the data lie."""


@dataclass(frozen=True)
class Training:
    """One run of ``stargan train``.

    Attributes:
        folder: its run folder.
        words: what one would type, without ``run_dir``.
        purpose: what it is for, of a set; empty of the only model.
    """

    folder: Path
    words: tuple[str, ...]
    purpose: str = ""

    @property
    def command(self) -> str:
        """As it is typed."""
        quoted = (f'"{w}"' if any(c in w for c in "[]' ") else w for w in self.words)
        return f"stargan train {' '.join(quoted)} run_dir={self.folder}"


@dataclass(frozen=True)
class Entrant:
    """A method with one seed: a model, or a set of models that is compared as one.

    Attributes:
        method: its name in the suite.
        title: in tables.
        paper: the name under which the paper prints its figures; None: it has none.
        seed: of its runs.
        data: the data sets on which it is compared.
        runs: one, or the models of a set.
        set_of: ``one``, ``targets`` or ``pairs``.
    """

    method: str
    title: str
    paper: str | None
    seed: int
    data: tuple[str, ...]
    runs: tuple[Training, ...]
    set_of: str = "one"

    @property
    def name(self) -> str:
        """Unlike that of any other on the same data set; a folder's name."""
        return f"{self.method}_seed{self.seed}"


@dataclass(frozen=True)
class Comparison:
    """What is to be done.

    Attributes:
        suite: its name.
        data: data set to the settings of runs on it.
        entrants: methods and seeds.
        judge: the run of the classifier; None: embedded faces have one, or it is given.
        side_by_side: see ``conf/suite/demo.yaml``.
    """

    suite: str
    data: dict[str, tuple[str, ...]]
    entrants: list[Entrant]
    judge: Training | None
    side_by_side: Plain | None = None
    minutes: float | None = None
    steps: int | None = None
    titles: dict[str, str] = field(default_factory=dict)

    @property
    def trainings(self) -> list[Training]:
        """All runs, the judge's first."""
        found = [self.judge] if self.judge else []
        found += [run for entrant in self.entrants for run in entrant.runs]
        return list({run.folder: run for run in found}.values())

    def of(self, data: str) -> list[Entrant]:
        """The entrants that are compared on a data set."""
        return [e for e in self.entrants if data in e.data]


def plan(config: Plain, spaces: Mapping[str, LabelSpace]) -> Comparison:
    """The runs of a comparison.

    Args:
        config: of ``conf/compare.yaml``.
        spaces: the labels of each data set of the suite.

    Raises:
        UserError: a method that the suite does not have or that makes no sense.
    """
    suite, output = config["suite"], Path(config["output"]).expanduser()
    methods = chosen_methods(config)
    given = [str(w) for w in config["runs"]]
    judge = None
    if suite["judge"] and not config["judge"]:
        settings = merged([*suite["judge"], *given], drop=("method.",))
        judge = Training(output / "runs" / "judge", settings)
    looks_at = str(judge.folder) if judge else config["judge"] and str(config["judge"])
    entrants = []
    for name, method in methods.items():
        for words, folder, data in bases(name, method, suite):
            for seed in range(1, config["seeds"] + 1):
                purposes = purposes_of(method["models"], spaces[data[0]])
                # A joint model has the minutes of all data sets that it is trained on.
                models = 1 / len(suite["data"]) if method.get("joint") else len(purposes)
                runs = []
                for purpose, filled in purposes.items():
                    own = [word.format(**filled) for word in method.get("each", ())]
                    parts = (output, "runs", folder, name, f"seed_{seed}", purpose)
                    runs.append(
                        Training(
                            Path(*(str(p) for p in parts if str(p))),
                            merged(
                                [
                                    *(*words, *suite["words"], *method["words"]),
                                    *(*(w for d in data for w in method["data"][d]), *own),
                                    *budget(config, models),
                                    *watched(config, models, looks_at),
                                    *(*given, f"seed={seed}"),
                                ]
                            ),
                            purpose,
                        )
                    )
                entrants.append(
                    Entrant(
                        *(name, method["title"], method.get("paper"), seed, data, tuple(runs)),
                        method["models"],
                    )
                )
    beside = suite.get("side_by_side")
    if beside and not {beside["single"], beside["joint"]} <= set(methods):
        beside = None
    for role in ("single", "joint") if beside else ():
        name, labels = beside[role], beside["labels"]
        if labels not in methods[name]["data"]:
            raise UserError(
                f"side_by_side puts {labels} on other faces by '{name}', which the suite does not "
                f"train on {labels}: add it to the method's data."
            )
    return Comparison(
        suite=suite["name"],
        data={d: merged([*w, *suite["words"], *given]) for d, w in used(suite, methods).items()},
        entrants=entrants,
        judge=judge,
        side_by_side=beside,
        minutes=None if config["steps"] is not None else config["minutes"],
        steps=config["steps"],
        titles={n: m["title"] for n, m in methods.items()},
    )


def chosen_methods(config: Plain) -> dict[str, Plain]:
    """The methods of a comparison, those of the suite or some of them.

    Raises:
        UserError: an unknown one, or a number or budget that makes no sense.
    """
    suite = config["suite"]
    known = suite["methods"]
    wanted = config["methods"] if config["methods"] is not None else list(known)
    if not isinstance(wanted, list) or not wanted:
        raise UserError(f"methods={wanted} names no method: methods=[{','.join(known)}].")
    for name in wanted:
        if name not in known:
            hint = did_you_mean(nearest(str(name), known))
            raise UserError(
                f"the suite '{suite['name']}' has no method '{name}'.{hint} It has "
                f"{', '.join(known)}."
            )
        if known[name]["models"] not in MODELS:
            raise UserError(
                f"models: {known[name]['models']} of the method '{name}' is unknown: choose "
                f"{', '.join(MODELS)}."
            )
        lost = [d for d in known[name]["data"] if d not in suite["data"]]
        if lost or not known[name]["data"]:
            raise UserError(
                f"the method '{name}' names the data set '{', '.join(lost)}', the suite has "
                f"{', '.join(suite['data'])}."
            )
    return {name: known[name] for name in dict.fromkeys(wanted)}


def used(suite: Plain, methods: Mapping[str, Plain]) -> dict[str, list[str]]:
    """The data sets that the chosen methods are compared on, and that pictures are made of."""
    names = {d for method in methods.values() for d in method["data"]}
    beside = suite.get("side_by_side")
    if beside and {beside["single"], beside["joint"]} <= set(methods):
        names |= {beside["faces"], beside["labels"]}
    return {d: list(words) for d, words in suite["data"].items() if d in names}


def bases(name: str, method: Plain, suite: Plain) -> list[tuple[list[str], str, tuple[str, ...]]]:
    """Settings, folder and data sets of each training of a method: one per data set, or one."""
    if method.get("joint"):
        return [([], JOINT, tuple(method["data"]))]
    return [(list(suite["data"][d]), d, (d,)) for d in method["data"]]


def purposes_of(models: str, space: LabelSpace) -> dict[str, dict[str, str]]:
    """The models of a set: a short name, and what fills the words that every model has of its own.

    ``targets``: ``{target}`` and ``{inputs}``; ``pairs``: ``{pair}``. Where there is a neutral
    class everything starts from it, as in the paper (section 5.4).
    """
    if models == "one":
        return {"": {}}
    neutral = next((n for n in space.names if space.categorical and n.lower() == NEUTRAL), None)
    found: dict[str, dict[str, str]] = {}
    for group in dict.fromkeys(space.group_of(name) for name in space.names):
        if models == "targets":
            values = ("", "=0") if len(group) == 1 else ("",)
            for label in group:
                for value in values:
                    if label != neutral:
                        title = f"not_{label}" if value else label
                        filled = {"target": f"{label}{value}", "inputs": neutral or "null"}
                        found[title] = filled
        elif len(group) == 1:
            found[group[0]] = {"pair": f"[{group[0]}]"}
        else:
            with_it = [(neutral, n) for n in group if n != neutral]
            for a, b in with_it if neutral in group else combinations(group, 2):
                found[f"{a}-{b}"] = {"pair": f"[{a},{b}]"}
    return found


def budget(config: Plain, models: float) -> list[str]:
    """How long a run may be: so many steps, its share of the minutes, or as its experiment says."""
    if config["steps"] is not None:
        return [f"trainer.max_steps={config['steps']}", "trainer.max_minutes=null"]
    if config["minutes"] is not None:
        share = config["minutes"] / models
        return [f"trainer.max_minutes={share:.4g}", f"trainer.max_steps={ENDLESS}"]
    return []


def watched(config: Plain, models: float, judge: str | None) -> list[str]:
    """Settings by which a run judges itself now and then, for the curves."""
    if not config["curve"]:
        return []
    words = ["callbacks=evaluate", f"callbacks.evaluate.count={CURVE_IMAGES}"]
    if judge:
        words.append(f"callbacks.evaluate.judge={judge}")
    if config["steps"] is not None:
        every_n = max(1, config["steps"] // config["curve"])
        return [*words, f"callbacks.evaluate.every_n_steps={every_n}"]
    if config["minutes"] is not None:
        every = config["minutes"] / models / config["curve"]
        return [*words, f"callbacks.evaluate.every_n_minutes={every:.4g}"]
    return [*words, "callbacks.evaluate.every_n_steps=10000"]


def merged(words: Sequence[str], drop: Sequence[str] = ()) -> tuple[str, ...]:
    """Settings, of each key the last; without those whose key begins so."""
    last = {word.partition("=")[0]: word for word in words}
    return tuple(w for key, w in last.items() if not any(key.startswith(d) for d in drop))


def claim(comparison: Comparison, output: Path) -> None:
    """Make the folder this comparison's, or refuse one of another suite or with other runs.

    Raises:
        UserError: it is another's, or a run in it was made with other settings.
    """
    path = output / STAMP
    if output.exists() and not output.is_dir():
        raise UserError(f"output={output} is a file: give a folder.")
    made: Plain = {"suite": comparison.suite, "runs": {}}
    if path.is_file():
        try:
            made = json.loads(path.read_text("utf-8"))
            other, runs = made["suite"], dict(made["runs"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"'{path}' is damaged: give another output folder.") from error
        if other != comparison.suite:
            raise UserError(
                f"output={output} holds a comparison of the suite '{other}', not "
                f"'{comparison.suite}': give another folder."
            )
        for run in comparison.trainings:
            key = run.folder.relative_to(output).as_posix()
            before, now = runs.get(key), _fixed(run.words)
            if before is not None and before != now and run.folder.exists():
                changed = sorted(set(before) ^ set(now))
                raise UserError(
                    f"{run.folder} was trained with other settings ({'; '.join(changed)}): give "
                    "another output folder, or delete that run."
                )
    elif (output / "runs").exists():
        raise UserError(f"output={output} has a folder runs/ of something else: give another.")
    own = {r.folder.relative_to(output).as_posix(): _fixed(r.words) for r in comparison.trainings}
    write_whole(path, json.dumps({**made, "runs": made["runs"] | own}, indent=1) + "\n")


def _fixed(words: Sequence[str]) -> list[str]:
    """The settings that decide what a run learns."""
    kept = []
    for word in words:
        key = word.partition("=")[0]
        if key not in ELSEWHERE and key.rpartition(".")[2] not in ELSEWHERE:
            kept.append(word)
    return kept


def composed(training: Training) -> Plain:
    """The configuration of a run. Raises ``UserError`` for settings that are wrong."""
    return configs.of_training([*training.words, f"run_dir={training.folder}"])
