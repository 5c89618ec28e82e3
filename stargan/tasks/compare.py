"""``stargan compare``: trains what is missing, judges all alike, writes the paper's tables."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from stargan import __version__, configs
from stargan.building import Packages
from stargan.data.datamodule import DataModule
from stargan.errors import Plain, UserError
from stargan.evaluation import runs, votes
from stargan.evaluation.figures import figures
from stargan.evaluation.held_out import TestSet
from stargan.evaluation.masks import PICTURED, check_masks
from stargan.evaluation.measure import Instruments, Records, judge_instruments, rounded
from stargan.evaluation.origin import evaluation_data, own_judge
from stargan.evaluation.subject import left_out, measure_model
from stargan.evaluation.suite import Comparison, Entrant, Training, claim, composed, plan
from stargan.export import Model, find_device
from stargan.judges.judge import Judge, open_judge
from stargan.labels import LabelSpace
from stargan.metrics.bootstrap import mean_interval
from stargan.progress import phase, plain_console
from stargan.reports.comparison import Beside, DataResult, Found, Gallery, Judged, write_comparison
from stargan.reports.what_changed import try_all
from stargan.runs import short_names
from stargan.training.run import build_data

EVALUATION = "evaluation"
LAUNCHED = "launched"
"""What Hydra's launchers write of their jobs."""


@dataclass
class Room:
    """What a data set's comparison works with.

    Attributes:
        settings: the data settings of its runs.
        name: of the data set in them.
        modules: data of one image size each, made on demand.
        judge: reads its labels; None: not needed yet.
    """

    settings: Plain
    name: str
    space: LabelSpace
    modules: dict[tuple[int, int], DataModule] = field(default_factory=dict)
    judge: tuple[Judge, str] | None = None

    def module(self, model: Model | Judge) -> DataModule:
        """The data in the sizes and labels of a model."""
        if model.size not in self.modules:
            self.modules[model.size] = evaluation_data(self.settings, model)
        return self.modules[model.size]

    def test(self, model: Model, count: int | None, together: bool = True) -> TestSet:
        """The test images in the labels of a model."""
        return TestSet(self.module(model), self.name, model.labels, count, together=together)


def main(config: Plain) -> Found | None:
    """Compare as configured.

    Args:
        config: what ``cli.load("compare", ...)`` gives.

    Returns:
        What was found; None where only the plan was asked for.

    Raises:
        UserError: anything in it that cannot be.
    """
    check(config)
    console = plain_console(stderr=True)
    output = Path(config["output"]).expanduser()
    trust = tuple(config["trust"] or ())
    rooms = open_rooms(config)
    comparison = plan(config, {name: room.space for name, room in rooms.items()})
    rooms = {name: room for name, room in rooms.items() if name in comparison.data}
    device = str(find_device(config["device"]))
    if config["judge"]:
        judge = open_judge(config["judge"], device, trust)
        for room in rooms.values():
            judge.match(room.space, f"the judge {config['judge']}", "the data set")
            room.judge = (judge, short_names([config["judge"]])[0])
    for training in comparison.trainings:
        composed(training)  # What is wrong with a later run is said before the first.
    if config["plan"]:
        show_plan(comparison)
        return None
    if config["study"]:
        check_study(str(config["study"]), comparison)
    claim(comparison, output)
    try:
        if config["train"]:
            way = [f"hydra/launcher={config['launcher']}"] if config["launcher"] else []
            way += config["of_launcher"] if way else []
            train_missing(comparison, trust, console, way, output)
        found = evaluate(comparison, rooms, config, device, trust, console)
    except (KeyboardInterrupt, SystemExit):
        console.print(f"what is done is kept in {output}: the same command goes on.", markup=False)
        raise
    write_comparison(output, found)
    for name in ("report.html", "report.md", "report.json"):
        print(f"wrote {output / name}")
    return found


def check_study(path: str, comparison: Comparison) -> None:
    """Refuse the tally of a study of other methods.

    Raises:
        UserError: it has no method of this comparison.
    """
    asked = {method for of in votes.read_tally(path).shares.values() for method in of}
    if not asked & set(comparison.titles):
        raise UserError(
            f"study={path} is of other methods ({', '.join(sorted(asked))}) than this comparison "
            f"({', '.join(comparison.titles)})."
        )


def check(config: Plain) -> None:
    """Refuse what can be seen to be wrong before anything is opened."""
    if config["suite"] is None:
        raise UserError("which suite? Add suite=demo, or another of stargan compare --help.")
    for key in ("seeds", "cases", "batch_size"):
        if not isinstance(config[key], int) or isinstance(config[key], bool) or config[key] < 1:
            raise UserError(f"{key}={config[key]} must be a whole number of at least 1.")
    for key, least in (("count", 2), ("steps", 1), ("curve", 0)):
        value = config[key]
        if value is None and key != "curve":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"{key}={value} must be a whole number of at least {least}.")
    minutes = config["minutes"]
    if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, int | float)):
        raise UserError(f"minutes={minutes} must be a number.")
    if minutes is not None and minutes <= 0:
        raise UserError(f"minutes={minutes} must be above 0.")
    for key in ("train", "plan"):
        if not isinstance(config[key], bool):
            raise UserError(f"{key}={config[key]} is neither true nor false.")
    if config["of_launcher"] and not config["launcher"]:
        raise UserError(f"{config['of_launcher'][0]} needs launcher=NAME, such as submitit_slurm.")
    if config["study"]:
        votes.read_tally(config["study"])


def open_rooms(config: Plain) -> dict[str, Room]:
    """The data sets of the suite, with their labels.

    Raises:
        UserError: data that are missing, or a suite whose data set is not one.
    """
    suite, found = config["suite"], {}
    for name, words in suite["data"].items():
        given = [*words, *suite["words"], *config["runs"]]
        data = composed(Training(Path("plan"), tuple(given)))["data"]
        if len(data["use"]) != 1:
            raise UserError(
                f"'{name}' of the suite '{suite['name']}' is {len(data['use'])} data sets: choose "
                "one by data.use=[NAME]."
            )
        module = build_data({"data": data, "seed": 0})
        module.setup()
        found[name] = Room(data, data["use"][0], module.labels.spaces[0])
    return found


def show_plan(comparison: Comparison) -> None:
    """The commands of the runs that are not finished."""
    for run in comparison.trainings:
        now = runs.state(run)
        if now != "finished":
            print(run.command if now == "missing" else f"stargan train resume={run.folder}")


def train_missing(
    comparison: Comparison,
    trust: Packages,
    console: Console,
    way: Sequence[str] = (),
    output: Path = Path(),
) -> None:
    """Train what is missing, one run after the other, or at once by one of Hydra's launchers."""
    todo = [run for run in comparison.trainings if runs.state(run) != "finished"]
    if way and todo:
        console.rule(f"training {len(todo)} runs by {way[0]}", align="left")
        launch(todo, trust, way, output / LAUNCHED)
        return
    for i, run in enumerate(todo):
        console.rule(f"training, run {i + 1} of {len(todo)}: {run.folder}", align="left")
        runs.train(run, trust)


def launch(todo: list[Training], trust: Packages, way: Sequence[str], folder: Path) -> None:
    """Train runs by a launcher of Hydra's: a sweep over their folders.

    Args:
        todo: the runs.
        way: ``hydra/launcher=NAME`` and settings of it.
        folder: for what Hydra writes of its jobs.

    Raises:
        UserError: no such launcher, or not all runs came to their end.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    by_folder = {str(run.folder.absolute()): run for run in todo}
    places = ",".join(map(configs.quoted, by_folder))
    words = [*way, f"hydra.sweep.dir={configs.quoted(str(folder))}"]
    with configs.session("train") as app:
        prepared = configs.prepared(app, "train", ["experiment=demo", *words], sweep=True)
        try:
            app.multirun(
                "train",
                partial(launched, by_folder, trust),
                [*prepared, f"run_dir={places}", "hydra.mode=MULTIRUN"],
            )
        except (HydraException, OmegaConfBaseException) as error:
            raise configs.refusal(error, words) from error
        except RuntimeError as error:
            if not configs.is_launchers(error):
                raise
            raise UserError(
                f"not all runs came to their end ({configs.first_sentence(error)}): the same "
                "command goes on."
            ) from error


def launched(by_folder: Mapping[str, Training], trust: Packages, config: Any) -> None:
    """One run, in whatever process a launcher has started for it.

    Args:
        by_folder: all runs.
        config: composed by Hydra for this job; its run folder says which run is meant.
    """
    run = by_folder[str(config.run_dir)]
    if runs.state(run) == "finished":
        return
    try:
        runs.train(run, trust)
    except SystemExit as error:
        raise UserError(f"{run.folder} was stopped: the same command goes on.") from error


def evaluate(
    comparison: Comparison,
    rooms: dict[str, Room],
    config: Plain,
    device: str,
    trust: Packages,
    console: Console,
) -> Found:
    """Judge every entrant on its data sets."""
    output = Path(config["output"]).expanduser() / EVALUATION
    for room in rooms.values():
        if room.judge is None and comparison.judge is not None:
            path = comparison.judge.folder
            room.judge = (open_judge(path, device, trust), f"the suite's classifier, {path.name}")
            room.judge[0].match(room.space, f"the judge {path}", "the data set")
    results = []
    for name, room in rooms.items():
        entrants = comparison.of(name)
        if not entrants:
            continue
        judged, records = [], dict[str, list[Records]]()
        gallery: Gallery | None = None
        for entrant in entrants:
            model = runs.open_entrant(entrant, device, trust)
            test = room.test(model, config["count"])
            tools = instruments(room, test, device, console, model)
            one = measure_model(
                *(entrant.name, model, test, tools, output / name, room.settings[room.name]),
                console=console,
                batch_size=config["batch_size"],
                cycle=False,
                truth=False,
            )
            records.setdefault(entrant.method, []).append(one)
            lacking = left_out(test, one)
            with phase(f"figures and intervals, {entrant.name}: {name}", console):
                measured = figures(one, test)
            judged.append(
                Judged(
                    entrant,
                    measured,
                    runs.effort(entrant, trust),
                    [] if len(entrant.data) > 1 or is_joint(entrant) else runs.curve(entrant),
                    lacking or "",
                )
            )
            if entrant.seed == 1:
                gallery = gallery or Gallery.of(test, one, config["cases"])
                with phase(f"pictures, {entrant.name}: {name}", console):
                    gallery.add(entrant.title, pictures(model, test, gallery.rows))
        assert gallery is not None
        assert room.judge is not None
        several = {m: r for m, r in records.items() if len(records) > 1}
        results.append(
            DataResult(
                name,
                room.judge[1],
                judged,
                votes.judge_votes(several, test) if several else {},
                gallery,
                list(test.notes),
                len(test),
            )
        )
    beside = None
    if comparison.side_by_side:
        with phase("one data set or both; the wrong mask", console):
            beside = side_by_side(comparison, rooms, config, device, trust, console)
    study = votes.read_tally(config["study"]) if config["study"] else None
    return Found(facts(comparison, config), results, beside, study, output.parent)


def is_joint(entrant: Entrant) -> bool:
    """Whether it was trained on several data sets: what it logs is of all of them."""
    return entrant.runs[0].folder.parent.parent.name == "joint"


def instruments(
    room: Room, test: TestSet, device: str, console: Console, model: Model
) -> Instruments:
    """The judge of a data set, trained if it is that of the embedded faces and is not there yet."""
    if room.judge is None:
        settings = room.settings[room.name]
        place = torch.device(device)
        room.judge = own_judge(room.module(model), room.name, settings, place, console)
    judge, name = room.judge
    return judge_instruments(judge, test.space, name)


def pictures(model: Model, test: TestSet, rows: list[int]) -> list[list[Tensor | None]]:
    """Test images under each wish of a gallery: for each image one picture per column."""
    image = test.images(rows)
    places = torch.tensor([test.rows.tolist().index(row) for row in rows])
    label = test.labels[places]
    dataset = torch.full((len(rows),), test.index)
    own = model.labels.expand(label, test.index)
    columns = []
    for _, target in Gallery.targets(test, label, torch.tensor(rows)):
        asked = model.labels.expand(target, test.index)
        columns.append(try_all(model, image, own, asked, dataset))
    return [list(row) for row in zip(*columns, strict=True)]


def side_by_side(
    comparison: Comparison,
    rooms: dict[str, Room],
    config: Plain,
    device: str,
    trust: Packages,
    console: Console,
) -> Beside:
    """A model of one data set and a joint one on the faces of another; the check of the masks."""
    told = comparison.side_by_side or {}
    # A method has an entrant on each data set: meant are those that know the labels.
    knowing = comparison.of(told["labels"])
    first = {e.method: e for e in knowing if e.seed == 1}
    single, joint = (runs.open_entrant(first[told[k]], device, trust) for k in ("single", "joint"))
    faces, labels = rooms[told["faces"]], rooms[told["labels"]]
    seen = faces.test(joint, PICTURED)
    asked = labels.test(joint, PICTURED)
    tools = instruments(labels, asked, device, console, joint)
    other = instruments(faces, seen, device, console, joint)
    image = seen.images(seen.rows.tolist())
    columns = [n for i, n in enumerate(asked.space.names) if i != asked.neutral]
    made: dict[str, list[Tensor]] = {}
    rows: list[list[str]] = []
    for entrant, model in ((first[told["single"]], single), (first[told["joint"]], joint)):
        test = labels.test(model, PICTURED)
        translated = []
        for name in columns:
            target = test.space.encode([name]).expand(len(image), -1)
            own = torch.zeros_like(target)
            own[:, test.neutral if test.neutral is not None else 0] = 1
            dataset = torch.full((len(image),), test.index)
            before, after = (model.labels.expand(t, test.index) for t in (own, target))
            translated.append(rounded(model(image, before, after, dataset).float().cpu()))
        made[entrant.title] = translated
        right = []
        for name, picture in zip(columns, translated, strict=True):
            read = asked.space.read(tools.read(picture)["logits"])
            right.append(mean_interval(1 - read[:, asked.space.index(name)].double()))
        rows.append([entrant.title, *(f"{e.value:.1%}" for e in right)])
    number = config["cases"]
    return Beside(
        faces=told["faces"],
        labels=told["labels"],
        columns=columns,
        image=image[:number],
        made={title: [p[:number] for p in of] for title, of in made.items()},
        errors=rows,
        count=len(image),
        joint=first[told["joint"]].title,
        check=check_masks(joint, (seen, other), (asked, tools), number),
    )


def facts(comparison: Comparison, config: Plain) -> dict[str, str]:
    """What stands at the top of the report."""
    seeds = config["seeds"]
    length = "as long as the experiments say"
    if comparison.minutes is not None:
        length = f"{comparison.minutes:g} minutes of training per method, data set and seed"
        length += ", shared by the models of a set"
    elif comparison.steps is not None:
        length = f"{comparison.steps:,} steps of every model"
    return {
        "suite": comparison.suite,
        "budget": length,
        "seeds": str(seeds),
        "threads": f"{torch.get_num_threads()}, {config['device']}",
        "made": f"stargan {__version__}, {time.strftime('%Y-%m-%d')}",
    }
