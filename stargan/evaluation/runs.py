"""Trains the runs of a comparison that are missing; opens what they have made."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from stargan import configs
from stargan.building import Packages, from_file
from stargan.errors import UserError
from stargan.evaluation.suite import Entrant, Training, composed
from stargan.export import Model, open_model
from stargan.training import checkpoints
from stargan.training.metrics_log import read_rows
from stargan.training.run import run_training


def state(run: Training) -> str:
    """``missing``, ``begun`` (it can go on), or ``finished``."""
    if not (run.folder / "checkpoints" / "last.ckpt").is_file():
        return "missing"
    saved = checkpoints.load(checkpoints.newest(run.folder))
    minutes = configs.load_yaml(run.folder / "config.yaml")["trainer"]["max_minutes"]
    limit = float("inf") if minutes is None else 60 * minutes
    now = saved["stargan"]
    over = now["step"] >= now["max_steps"] or now["seconds"] > limit
    return "finished" if over else "begun"


def train(run: Training, trust: Packages = ()) -> None:
    """Train a run to its end, from the beginning or from where it was interrupted.

    In this process: a kill ends both, so that no run goes on unseen. Ctrl-C saves and stops.

    Raises:
        UserError: what ``stargan train`` refuses.
        SystemExit: something stopped the run before its end, with the code of that.
    """
    if state(run) == "begun":
        words = [f"resume={run.folder}"]
        words += [f"trust=[{','.join(trust)}]"] if trust else []
        config = configs.of_training(words)
    else:
        # Begun and killed before it saved anything.
        shutil.rmtree(run.folder / "checkpoints", ignore_errors=True)
        config = composed(run)
    made = run_training(config)
    if made.exit_code:
        raise SystemExit(made.exit_code)


def open_entrant(entrant: Entrant, device: str, trust: Packages = ()) -> Model:
    """The model of a method, of a set all models as one.

    Raises:
        UserError: a run that is missing or cannot be opened.
    """
    there = [run for run in entrant.runs if state(run) != "missing"]
    if len(there) < len(entrant.runs):
        lost = next(run for run in entrant.runs if run not in there)
        which = f", {len(there)} of its {len(entrant.runs)} models are" if there else ""
        raise UserError(
            f"{entrant.title} with seed {entrant.seed} is not all there{which}: {lost.folder} is "
            "missing; train=true trains it."
        )
    folder = entrant.runs[0].folder
    # A folder of run folders is opened as one model.
    return open_model(folder if entrant.set_of == "one" else folder.parent, device, trust=trust)


@dataclass(frozen=True)
class Effort:
    """What a method has cost.

    Attributes:
        parameters: of all networks that one model trains.
        models: how many.
        seconds: of training, of all models together.
        steps: of all models together.
    """

    parameters: int
    models: int
    seconds: float
    steps: int


def effort(entrant: Entrant, trust: Packages = ()) -> Effort:
    """What training has cost; of a set's models all are alike."""
    seconds, steps, parameters = 0.0, 0, 0
    for run in entrant.runs:
        saved = checkpoints.load(checkpoints.newest(run.folder))
        seconds += float(saved["stargan"]["seconds"])
        steps += int(saved["stargan"]["step"])
        if not parameters:
            method = checkpoints.build_method(saved["hyper_parameters"], from_file(trust))
            networks = {name for group in method.groups().values() for name in group.networks}
            parameters = sum(
                p.numel() for name in networks for p in getattr(method, name).parameters()
            )
    return Effort(parameters, len(entrant.runs), seconds, steps)


def curve(entrant: Entrant, column: str = "eval/error") -> list[tuple[float, float]]:
    """Judged error over minutes of training, as the runs logged it.

    Of a set the minutes of all models are added up, and the error is the mean of all of them when
    each has had the same share of its time; a model that has not been judged yet counts with its
    first value.
    """
    logs = []
    for run in entrant.runs:
        path = Path(run.folder) / "metrics.csv"
        rows = read_rows(path) if path.is_file() else []
        points = [(row["seconds"] / 60, row[column]) for row in rows if column in row]
        if not points:
            return []
        logs.append(points)
    count = min(len(points) for points in logs)
    return [
        (sum(p[i][0] for p in logs), sum(p[i][1] for p in logs) / len(logs)) for i in range(count)
    ]
