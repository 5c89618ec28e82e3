"""A training run: composes data and method, trains, exports, writes a report."""

from __future__ import annotations

import itertools
import logging
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import TensorBoardLogger
from rich.console import Console
from rich.logging import RichHandler

from stargan import __version__, building, configs
from stargan.data import DATASET
from stargan.data.datamodule import DataModule
from stargan.errors import Plain, UserError
from stargan.methods.base import Method, Sampling
from stargan.progress import duration, plain_console
from stargan.training import checkpoints
from stargan.training.callback import Run, RunCallback, build_callbacks
from stargan.training.distributed import OneReduction, cluster, place
from stargan.training.engine import Engine
from stargan.training.metrics_log import MetricsLog, read_rows
from stargan.training.progress import ProgressBar
from stargan.training.resuming import (
    LOCK,
    check_data,
    check_schedule,
    finished,
    lock,
    restore,
)
from stargan.training.saving import Checkpoints, RanksAgree, StopCleanly
from stargan.writing import markdown_row, write_whole

log = logging.getLogger(__name__)

# Ranks are started as copies of the command; they must all write to the first one's folder.
RUN_DIR_VARIABLE = "STARGAN_RUN_DIR"


def train(overrides: Sequence[str]) -> dict[str, float]:
    """Train from Python as ``stargan train`` does.

    Args:
        overrides: what one types after ``stargan train``, such as ``["experiment=demo"]``.

    Returns:
        The final figures by name: ``step``, ``seconds``, the last row of the metrics log, and what
        callbacks found (``judge/Male/error``); empty in other processes than the first.

    Raises:
        UserError: what the command would refuse.
    """
    return run_training(configs.of_training(overrides))[1]


def run_training(config: Plain) -> tuple[Run, dict[str, float]]:
    """Train as configured.

    Args:
        config: what ``configs.compose("train", ...)`` gives.

    Returns:
        The run, and its final figures by name; of other processes than the first none.

    Raises:
        UserError: bad data, an impossible size, a run folder that is in use.
    """
    console = plain_console()
    quieten(console)
    resume = None
    with ExitStack() as held:
        if config["resume"]:
            last = checkpoints.newest(Path(config["resume"]))
            if not rank_zero_only.rank:  # type: ignore[attr-defined]
                held.callback(lock(Path(config["resume"])).release)
            resume = checkpoints.load(last)
        check(config)
        trainer = build_trainer(config)
        data = build_data(config)
        data.setup("fit")
        data.processes = trainer.world_size
        while True:
            run, chosen = fit(trainer, config, data, console, resume, held)
            if not any(callback.again for callback in chosen):
                break
            # As any resume, from the checkpoint that the callback has put there.
            config = {**config, "resume": str(run.folder)}
            resume = checkpoints.load(checkpoints.newest(run.folder))
            trainer = build_trainer(config)
        figures = finish(run, chosen) if trainer.is_global_zero else {}
    return run, figures


def fit(
    trainer: pl.Trainer,
    config: Plain,
    data: DataModule,
    console: Console,
    resume: Plain | None,
    held: ExitStack,
) -> tuple[Run, list[RunCallback]]:
    """Train from the beginning or from a checkpoint, to the end or until something stops it.

    A run that has made all its steps, but was killed before its export or report, makes no more.

    Args:
        held: what is to be let go at the end of the run, such as the lock on its folder.

    Returns:
        The run and the callbacks that its configuration chose.
    """
    max_steps = run_length(config, data)
    identity = data.identity()
    if resume:
        check_data(resume, identity)
    method = build_method(config, data)
    start = resume["stargan"]["step"] if resume else 0
    used_up = resume is not None and nothing_left(config, resume, max_steps, method)
    max_minutes = config["trainer"]["max_minutes"]
    engine = Engine(
        method,
        max_steps=max_steps,
        schedule=config["schedule"],
        seed=int(config["seed"]),
        max_seconds=None if max_minutes is None else 60.0 * float(max_minutes),
        compile=bool(config["trainer"]["compile"]),
    )
    engine.data = identity
    if resume:
        check_schedule(resume, engine, "schedule" in config.get("typed", ()))
        restore(resume, engine)
    data.feed, data.start_step, data.max_steps = method.feed(), start, max(start, max_steps)
    data.attempt = resume["stargan"].get("rollbacks", 0) if resume else 0
    data.check_feed()

    folder = make_run_dir(config, trainer, held)
    terms = MetricsLog(folder / "metrics.csv", int(config["log"]["every_n_steps"]))
    stop = StopCleanly(max_minutes)
    run = Run(folder, config, data, engine, terms, stop, console, resumed=resume is not None)
    chosen = build_callbacks(config["callbacks"], run)
    if used_up:
        rows = read_rows(terms.path) if terms.path.is_file() else []
        terms.latest = {k: v for k, v in (rows or [{}])[-1].items() if k not in ("step", "seconds")}
        return run, chosen
    equip(trainer, run, chosen, resume)

    first = engine.parameters_of(next(iter(engine.groups)))
    before = [p.detach().clone() for p in first]
    try:
        trainer.fit(engine, datamodule=data)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"out of memory on {engine.device}: lower data.batch_size or data.image_size, "
            "or set trainer.precision=bf16-mixed."
        ) from error
    after = [p.detach().cpu() for p in first]
    if config["must_move"] and all(map(torch.equal, before, after)):
        raise UserError("the weights have not moved: trainer.max_steps is below n_critic.")
    return run, chosen


class Begin(pl.Callback):
    """Writes config.yaml and says what is about to happen, once a checkpoint has been loaded: a
    start that fails changes nothing."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            run = self.run
            settings = {k: v for k, v in run.config.items() if k != "typed"}
            settings |= {"resume": None, "run_dir": str(run.folder)}
            write_whole(run.folder / "config.yaml", configs.to_yaml(configs.absolute(settings)))
            introduce(run, run.engine.step, run.engine.max_steps)


def nothing_left(config: Plain, resume: Plain, max_steps: int, method: Method) -> bool:
    """Whether a run to be resumed has made its steps, or used its time, and has only to be
    finished.

    Raises:
        UserError: it is finished; says what to raise.
    """
    step, seconds = resume["stargan"]["step"], resume["stargan"]["seconds"]
    minutes = config["trainer"]["max_minutes"]
    late = minutes is not None and seconds >= 60 * float(minutes)
    if step < max_steps and not late:
        return False
    if not finished(Path(config["resume"]), method.product, step):
        return True
    if step >= max_steps:
        length = "max_steps" if config["trainer"]["max_epochs"] is None else "max_epochs"
        raise UserError(
            f"the run has {step} of {max_steps} steps: add trainer.{length}=N to go further."
        )
    raise UserError(
        f"the run has used {seconds / 60:.3g} of its {minutes:g} minutes, at step {step} of "
        f"{max_steps}: add trainer.max_minutes=N, or null for no limit, to go further."
    )


def check(config: Plain) -> None:
    """Refuse what can be seen to be wrong before anything is loaded."""
    trainer = config["trainer"]
    positive = {
        "trainer.max_steps": trainer["max_steps"],
        "data.batch_size": config["data"]["batch_size"],
        "checkpoint.every_n_steps": config["checkpoint"]["every_n_steps"],
        "log.every_n_steps": config["log"]["every_n_steps"],
        "log.samples_every_n_steps": config["log"]["samples_every_n_steps"],
        "log.test_every_n_steps": config["log"]["test_every_n_steps"],
        "log.sample_rows": config["log"]["sample_rows"],
        "method.n_critic": config["method"].get("n_critic", 1),
    }
    positive |= {f"method.{k}": v for k, v in config["method"].items() if k.endswith("_every")}
    if trainer["max_epochs"] is not None:
        positive["trainer.max_epochs"] = trainer["max_epochs"]
        if trainer["max_steps"] != config["method"]["max_steps"]:
            raise UserError(
                f"trainer.max_epochs={trainer['max_epochs']} and trainer.max_steps="
                f"{trainer['max_steps']} both say how long the run is: set one of them to null."
            )
    if config["checkpoint"]["every_n_epochs"] is not None:
        positive["checkpoint.every_n_epochs"] = config["checkpoint"]["every_n_epochs"]
    for key, value in positive.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{key}={value} must be a whole number of at least 1.")
    for key, value in config["method"].items():
        if key.startswith("lambda_") and (not isinstance(value, int | float) or value < 0):
            raise UserError(f"method.{key}={value} must be a number of at least 0.")
    labels = config["labels"]
    if labels is not None and not (isinstance(labels, list) and labels):
        raise UserError(f"labels={labels} must be a list of label names: labels=[Male,Young].")
    wrong = next((name for name in labels or () if not isinstance(name, str)), None)
    if wrong is not None:
        raise UserError(f"labels: {wrong} is read as a value by YAML: put the name into quotes.")


def build_data(config: Plain) -> DataModule:
    """The data module of a configuration; its datasets are built when it is set up."""
    settings = dict(config["data"])
    datasets, crop = {}, {}
    for name in settings.pop("use"):
        arguments = dict(settings.pop(name))
        crop[name] = arguments.pop("crop")
        datasets[name] = building.maker(arguments, DATASET, where=f"data.{name}")
    for shared in ("root", "download"):  # what the datasets point at
        settings.pop(shared, None)
    # Data sets that ``use`` leaves out.
    settings = {
        k: v for k, v in settings.items() if not (isinstance(v, Mapping) and "_target_" in v)
    }
    return DataModule(datasets=datasets, crop=crop, seed=int(config["seed"]), **settings)


def run_length(config: Plain, data: DataModule) -> int:
    """The steps of the whole run: ``trainer.max_steps``, or ``trainer.max_epochs`` in steps."""
    epochs = config["trainer"]["max_epochs"]
    if epochs is None:
        return int(config["trainer"]["max_steps"])
    return int(epochs) * data.steps_per_epoch


def build_method(config: Plain, data: DataModule) -> Method:
    """The method of a configuration, its sizes taken from the data."""
    of_the_run = ("schedule", "precision", "max_steps", "batch_size", "settings")
    settings = {k: v for k, v in config["method"].items() if k not in of_the_run}
    if config["resume"]:
        # What it started from may be gone: the checkpoint has all that it learned.
        settings.pop("weights", None)
    method = checkpoints.build_method(
        {
            **settings,
            "labels": data.labels.to_plain(),
            "image": {
                "size": list(data.image_size),
                "crop": dict(data.crops),
                "channels": data.channels,
            },
            "seed": int(config["seed"]),
            "trust": config.get("trust") or (),
            "training": {
                "experiment": config["name"],
                "version": __version__,
                "date": time.strftime("%Y-%m-%d"),
                # Not where the images lie: that is nobody's business who is given the file.
                "data": without_roots(config["data"]),
            },
        }
    )
    alone = next((s for s in data.labels.spaces if s.categorical and s.size == 1), None)
    if alone is not None and not isinstance(method, Sampling):
        raise UserError(
            f"'{alone.name}' has one class, '{alone.names[0]}', so there is nothing to tell it "
            "from and nothing to change it to: take two classes at least."
        )
    unknown = data.unknown()
    if unknown and not method.takes_unknown:
        name, count = next(iter(unknown.items()))
        raise UserError(
            f"{count:,} labels of the training images of '{name}' are not known, and "
            f"{type(method).__name__} cannot leave them out of its losses: choose other labels, or "
            "leave these images out."
        )
    if data.channels not in method.channels:
        can = " or ".join(map(str, method.channels))
        raise UserError(
            f"data.channels={data.channels}: {type(method).__name__} takes images of {can} "
            f"channels, add data.channels={method.channels[-1]}."
        )
    return method


def without_roots(data: Plain) -> Plain:
    """Data settings with every path of the user's left open."""
    found = {k: without_roots(v) if isinstance(v, dict) else v for k, v in data.items()}
    return found | {k: None for k in ("root", "regions") if k in found}


def make_run_dir(config: Plain, trainer: pl.Trainer, held: ExitStack) -> Path:
    """The run folder, new or that of the run being resumed; the first process decides."""
    strategy = trainer.strategy
    if isinstance(strategy, OneReduction) and cluster() is not None:
        # torchrun or SLURM: all processes are here already. Lightning's own launcher starts the
        # others later, as copies of this command: they read the variable.
        strategy.setup_environment()
        made: Path | UserError | None = None
        if trainer.is_global_zero:
            try:
                made = new_run_dir(config, held)
            except UserError as error:
                made = error
        made = strategy.broadcast(made)
        if isinstance(made, UserError):
            raise made
        assert made is not None
        return made
    return new_run_dir(config, held)


def new_run_dir(config: Plain, held: ExitStack) -> Path:
    """See ``make_run_dir``."""
    if config["resume"]:
        return Path(config["resume"])
    inherited = os.environ.get(RUN_DIR_VARIABLE)
    if inherited and "LOCAL_RANK" in os.environ:
        return Path(inherited)
    path = Path(config["run_dir"]) if config["run_dir"] else None
    try:
        if path is None:
            path = dated_folder(Path("runs") / config["name"])
        else:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the run folder {path or Path('runs') / config['name']} cannot be made: "
            f"{error.strerror}."
        ) from error
    held.callback(remove_if_empty, path)
    held.callback(lock(path).release)
    # After the lock: of two runs that are given one folder the second finds the first one's.
    if (path / "checkpoints").exists():
        raise UserError(
            f"{path} holds a run already: resume={path} goes on, another run_dir starts anew."
        )
    os.environ[RUN_DIR_VARIABLE] = str(path.resolve())
    # Not for the next run of this process, from Python.
    held.callback(os.environ.pop, RUN_DIR_VARIABLE, None)
    return path


def dated_folder(base: Path) -> Path:
    """A new folder named by the time, of this run alone."""
    base.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    for number in itertools.count(1):
        path = base / (stamp if number == 1 else f"{stamp}_{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise AssertionError("unreachable")


def remove_if_empty(folder: Path) -> None:
    """What a start that failed leaves nothing in."""
    with suppress(OSError):
        if all(path.name == LOCK for path in folder.iterdir()):
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()


def build_trainer(config: Plain) -> pl.Trainer:
    """Lightning's Trainer, without callbacks and loggers: they need to know the processes.

    Lightning counts the steps of all optimizers, so it is not told of ``max_steps``: one epoch
    whose loader is exactly as long as the run.

    Raises:
        UserError: settings that Lightning refuses, or that cannot be resumed exactly.
    """
    settings = place(config["trainer"])
    for key in ("max_minutes", "max_steps", "max_epochs", "compile"):
        del settings[key]
    if settings["precision"] == "auto":
        settings["precision"] = "bf16-mixed" if has_bfloat16(settings["accelerator"]) else "32-true"
    if settings["precision"] not in ("32-true", "bf16-mixed", "64-true"):
        raise UserError(
            f"trainer.precision={settings['precision']} is not taken: gradient penalties overflow "
            "in 16 bits and its loss scale would not survive a resume; choose 32-true or "
            "bf16-mixed."
        )
    try:
        return pl.Trainer(
            **settings,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(
            f"the trainer refuses its settings: {configs.first_sentence(error)}."
        ) from error


def equip(trainer: pl.Trainer, run: Run, chosen: list[RunCallback], resume: Plain | None) -> None:
    """Give the trainer the chosen callbacks and those that every run has, and the loggers."""
    config, engine = run.config, run.engine
    logs, saves = config["log"], config["checkpoint"]
    epochs = saves["every_n_epochs"]
    kept = None if epochs is None else int(epochs) * run.data.steps_per_epoch
    folder, minutes = run.folder / "checkpoints", config["trainer"]["max_minutes"]
    callbacks: list[pl.Callback] = [
        *([checkpoints.Resume(resume)] if resume else []),
        Begin(run),
        # What a callback measures at a step goes into that step's row: the log comes after them.
        *chosen,
        run.terms,
        ProgressBar(engine.max_steps, minutes, run.terms, run.console),
        Checkpoints(folder, int(saves["every_n_steps"]), int(saves["keep"]), kept),
        run.stop,
        RanksAgree(),
    ]
    trainer.callbacks.extend(callbacks)  # type: ignore[attr-defined]
    if logs["tensorboard"]:
        trainer.loggers = [TensorBoardLogger(run.folder, name="", version="tensorboard")]


def has_bfloat16(accelerator: str) -> bool:
    """Whether the device that will be used computes in bfloat16 (and does not imitate it)."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator in ("auto", "cpu") and not torch.backends.mps.is_available():
        return any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
    return False


def introduce(run: Run, start: int, max_steps: int) -> None:
    """Say what is about to happen: data, label -> index -> count, sizes, where it goes."""
    method, console = run.method, run.console
    engine = run.engine
    sizes = {name: sum(p.numel() for p in engine.parameters_of(name)) for name in engine.groups}
    console.print(
        f"{run.config['name']}  {type(method).__name__}, "
        f"{' + '.join(f'{letter} {n / 1e6:.1f}M' for letter, n in sizes.items())} parameters"
    )
    for line in run.data.describe():
        console.print(line, markup=False, soft_wrap=True)
    since = f" from step {start}" if start else ""
    turns = [
        f"{phase.name}: "
        + ", ".join(
            f"{u.group}" + (f" every {u.every}" if u.every > 1 else "") for u in phase.updates
        )
        for phase in engine.phases
    ]
    minutes = run.config["trainer"]["max_minutes"]
    # So many steps that only the time ends the run say nothing.
    length = f"{float(minutes):g} minutes, " if minutes else ""
    most = f"at most {max_steps:,} steps" if minutes else f"{max_steps:,} steps"
    console.print(f"{length}{most}{since} ({'; then '.join(turns)})")
    console.print(f"run folder: {run.folder}\n", markup=False, soft_wrap=True)


def finish(run: Run, chosen: list[RunCallback]) -> dict[str, float]:
    """Export what was trained, judge it where the truth is known, write the report.

    Returns:
        The final figures by name.
    """
    config, data, method, console = run.config, run.data, run.method, run.console
    stop = run.stop
    engine = run.engine
    path = checkpoints.export(method, run.folder, engine.facts())
    cut_short = stop.exit_code != 0
    for callback in chosen:
        callback.finish(path, cut_short)
    networks = ", ".join(
        str(value["_target_"])
        for value in config["method"].values()
        if isinstance(value, dict) and "_target_" in value
    )
    facts = {
        "name": config["name"],
        "method": f"{type(method).__name__}, {networks}",
        "labels": ", ".join(method.labels.names),
        "image size": " x ".join(str(n) for n in data.image_size),
        "steps": f"{engine.progress()} in {duration(engine.seconds)}"
        + (f", stopped by {stop.reason}" if stop.reason else ""),
    }
    if len(engine.phases) > 1:
        facts["phases"] = ", ".join(f"{name} {n:,} steps" for name, n in engine.steps_in.items())
    never = engine.untrained()
    if never:
        facts["untrained"] = (
            f"no step of {', '.join(never)} was made: {path.name} would only give noise; go on "
            "with resume= and more trainer.max_minutes= or trainer.max_steps="
        )
    skipped = sum(data.skipped.values())
    if skipped:
        facts["data"] = f"{skipped} unreadable images were skipped"
    report = run.folder / "report.md"
    sections = [callback.report() for callback in chosen]
    write_report(report, facts, run.terms.latest, sections)
    console.print()
    said: dict[str, str] = {k: facts[k] for k in ("steps", "phases", "untrained") if k in facts}
    for callback in chosen:
        said |= callback.summary()
    said |= {path.stem: str(path), "report": str(report)}
    for name, words in said.items():
        console.print(f"{name:<10} {words}", markup=False, soft_wrap=True)
    if cut_short:
        console.print(
            f"go on with: stargan train resume={run.folder}", markup=False, soft_wrap=True
        )
    found = {"step": float(engine.step), "seconds": engine.seconds, **run.terms.latest}
    for callback in chosen:
        found |= callback.figures()
    return found


def write_report(
    path: Path, facts: Mapping[str, str], terms: Mapping[str, float], sections: list[list[str]]
) -> None:
    """Write report.md: what was trained, how it went, what it can do.

    Args:
        path: in the run folder.
        facts: what was trained, name to words.
        terms: the last values of the loss terms.
        sections: of the callbacks: lines of Markdown, paths relative to the run folder.
    """
    lines = [f"# {facts['name']}", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items() if name != "name"]
    if terms:
        lines += ["", "## Terms at the end", "", "| term | value |", "|---|---|"]
        lines += [markdown_row((name, f"{value:.4g}")) for name, value in terms.items()]
    for section in sections:
        lines += ["", *section] if section else []
    write_whole(path, "\n".join(lines) + "\n")


def quieten(console: Console) -> None:
    """Our own words through rich; of Lightning only what concerns the user."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_time=False, show_path=False)],
        force=True,
    )
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # About loaders, loggers and versions of Lightning itself: not the user's business.
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="lightning_fabric")
