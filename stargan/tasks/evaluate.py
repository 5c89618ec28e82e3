"""``stargan evaluate``: translates the test set to every label and writes a report."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from stargan import __version__
from stargan.building import Packages
from stargan.data.datamodule import DataModule
from stargan.errors import Plain, UserError
from stargan.evaluation import identity
from stargan.evaluation.figures import figures
from stargan.evaluation.held_out import TestSet
from stargan.evaluation.masks import MaskCheck, check_masks, mask_generator
from stargan.evaluation.measure import Instruments, judge_instruments
from stargan.evaluation.origin import evaluation_data, own_judge
from stargan.evaluation.subject import left_out, measure_model
from stargan.export import Model, find_device, open_model, untrained
from stargan.judges.judge import Judge, open_judge
from stargan.metrics import fid, lpips
from stargan.progress import phase, plain_console
from stargan.reports.evaluation import (
    ModelResult,
    SourceResult,
    verdict,
    warnings,
    write_evaluation,
)
from stargan.reports.what_changed import pictures
from stargan.runs import newest_run, run_folder, short_names
from stargan.training.metrics_log import read_terms


@dataclass(frozen=True)
class Subject:
    """A model under test.

    Attributes:
        name: short, unlike the others'.
        path: as given.
        model: opened.
    """

    name: str
    path: Path
    model: Model


def main(config: Plain) -> list[ModelResult]:
    """Evaluate as configured.

    Args:
        config: what ``cli.load("evaluate", ...)`` gives: ``model``, ``output``, ``data`` and the
            other keys of ``conf/evaluate.yaml``.

    Raises:
        UserError: anything that cannot be opened, data or a judge whose labels do not match.
    """
    check(config)
    console = plain_console(stderr=True)
    device = find_device(config["device"])
    trust = config.get("trust") or ()
    subjects = open_subjects(config["model"], device, trust)
    if isinstance(config["together"], list):
        for name in (n for words in config["together"] for n in str(words).split("+")):
            subjects[0].model.labels.locate(name.strip())
    if config["masks"]:
        for subject in subjects:
            mask_generator(subject.model)
    output = Path(config["output"]).expanduser()
    if output.exists() and not output.is_dir():
        raise UserError(f"output={output} is a file: give a folder.")
    distance = lpips.lpips(config["lpips"], device) if config["lpips"] else None
    inception = fid.inception(config["inception"], device) if config["inception"] else None
    given = (
        (open_judge(config["judge"], device, trust), short_names([config["judge"]])[0])
        if config["judge"]
        else None
    )

    results = []
    modules: dict[tuple[int, int], DataModule] = {}
    judges: dict[str, tuple[Judge, str]] = {}
    try:
        for subject in subjects:
            model = subject.model
            if model.size not in modules:
                modules[model.size] = evaluation_data(config["data"], model)
            data = modules[model.size]
            if config["masks"] and len(data.test) < 2:
                raise UserError(
                    f"masks=true needs faces of another data set than '{next(iter(data.test))}': "
                    "leave data= out, or take joint data."
                )
            datasets = []
            seen: list[tuple[TestSet, Instruments]] = []
            for name in data.test:
                test = TestSet(
                    data, name, model.labels, config["count"], together=config["together"]
                )
                if name not in judges:
                    judges[name] = given or own_judge(
                        data, name, config["data"][name], device, console
                    )
                judge, judge_name = judges[name]
                tools = judge_instruments(judge, test.space, judge_name)
                seen.append((test, tools))
                if inception is not None:
                    tools = replace(
                        tools, features=inception, distance_name=f"features of {inception.name}"
                    )
                if distance is not None:
                    tools = replace(tools, distance=distance, distance_name=lpips.NAME)
                dataset = evaluate_source(subject, test, tools, output, config, console)
                datasets.append(dataset)
                say(dataset, console)
            terms = run_terms(subject.path)
            masks = wrong_masks(model, seen, config["cases"], console) if config["masks"] else []
            results.append(
                ModelResult(
                    subject.name, weights(subject.path), model.training, datasets, terms, masks
                )
            )
    except KeyboardInterrupt:
        console.print(f"what is measured is kept in {output}: the same command goes on.")
        raise
    write_evaluation(output, results, facts(config, results))
    for name in ("report.html", "report.md", "report.json"):
        print(f"wrote {output / name}")
    return results


def check(config: Plain) -> None:
    """Refuse what can be seen to be wrong before anything is opened."""
    for key in ("batch_size", "cases"):
        if not isinstance(config[key], int) or isinstance(config[key], bool) or config[key] < 1:
            raise UserError(f"{key}={config[key]} must be a whole number of at least 1.")
    count = config["count"]
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 2):
        raise UserError(f"count={count} must be a whole number of at least 2, or null for all.")
    for key in ("cycle", "masks"):
        if not isinstance(config[key], bool):
            raise UserError(f"{key}={config[key]} is neither true nor false.")
    together = config["together"]
    if not isinstance(together, bool | list):
        raise UserError(f"together={together} is neither true, false nor a list: [Male+Young].")


def open_subjects(paths: Any, device: torch.device, trust: Packages = ()) -> list[Subject]:
    """The models, all with the same labels.

    Raises:
        UserError: one cannot be opened, none or one twice is named, labels differ.
    """
    listed = [Path(str(p)).expanduser() for p in (paths if isinstance(paths, list) else [paths])]
    listed = [newest_run(path) or path for path in listed]
    if not listed:
        raise UserError("model=[] names no model: give one or several.")
    twice = [p for i, p in enumerate(listed) if p.resolve() in [q.resolve() for q in listed[:i]]]
    if twice:
        raise UserError(f"model={twice[0]} is given twice: name every model once.")
    subjects = []
    for path, name in zip(listed, short_names(listed), strict=True):
        subjects.append(Subject(name, path, open_model(path, device, trust=trust)))
    first = subjects[0]
    for other in subjects[1:]:
        if other.model.labels != first.model.labels:
            raise UserError(
                f"{first.path} and {other.path} have different labels: models in one table must "
                "share theirs."
            )
    return subjects


def weights(path: Path) -> str:
    """The beginning of a model's digest, by which its figures are known to be of its file."""
    return " ".join(digest[:12] for digest in identity.of_model(path))


def run_terms(path: Path) -> list[dict[str, float]]:
    """The rows of metrics.csv of a model's run; none where there is no such file."""
    run = run_folder(path)
    csv = run / "metrics.csv" if run else None
    return read_terms(csv) if csv is not None and csv.is_file() else []


def evaluate_source(
    subject: Subject,
    test: TestSet,
    tools: Instruments,
    output: Path,
    config: Plain,
    console: Console,
) -> SourceResult:
    """Everything about one model on one data set."""
    model = subject.model
    files = {k: identity.of_file(config[k]) for k in ("inception", "lpips") if config[k]}
    records = measure_model(
        *(subject.name, model, test, tools, output, config["data"][test.name], console),
        batch_size=config["batch_size"],
        cycle=config["cycle"],
        path=subject.path,
        files=files,
    )
    named = f"{subject.name}: {test.name}"
    with phase(f"figures and intervals, {named}", console):
        found = figures(records, test, relative=tools.distance is None)
    with phase(f"pictures, {named}", console):
        shown = pictures(model, test, tools, records, config["cases"])
    distance = tools.distance_name
    if tools.distance is None:
        distance = (
            f"distance in {distance}, 1 is that between two test images; these features follow "
            "the label too"
        )
    notes = [test.seen_by(subject.path, "the model")]
    notes += [test.seen_by(config["judge"], "the judge")] if config["judge"] else []
    notes += [test.relabelled_since(subject.path, "the model")]
    notes += [test.relabelled_since(config["judge"], "the judge")] if config["judge"] else []
    notes = [words for words in notes if words] + test.notes
    unread = len(test) - len(records.real["row"])
    if unread:
        notes.append(f"{unread:,} test images cannot be read and were left out.")
    cannot = left_out(test, records)
    notes += [cannot] if cannot else []
    failures = []
    if names := untrained(model.training):
        failures = [f"This model was never trained: no step of {', '.join(names)} was made."]
    height, width = model.size
    tall, wide = tools.judge.size
    if tall > height or wide > width:
        notes.append(
            f"The judge was trained on {tall} x {wide} pixels and sees those of the model, "
            f"{height} x {width}, enlarged: it errs more on them. Train one at the model's size, "
            f"data.image_size={height if height == width else [height, width]}."
        )
    if "inside" in records.fake:
        lacking = records.fake["inside"].isnan() & records.fake["outside"].isnan()
        if lacking.any():
            notes.append(
                f"{int(lacking.sum()):,} of {len(lacking):,} translations are of images whose "
                "region is not given: change outside and inside leave them out."
            )
    return SourceResult(
        name=test.name,
        counts=(len(records.real["row"]), len(records.reference["label"])),
        size=model.size,
        judge=tools.judge_name,
        features=tools.features.name,
        distance=distance,
        sets=found,
        notes=notes,
        pictures=shown,
        failures=failures,
    )


def wrong_masks(
    model: Model, seen: list[tuple[TestSet, Instruments]], cases: int, console: Console
) -> list[MaskCheck]:
    """The check of the mask vector: the labels of each data set on the faces of each other one."""
    pairs = [(faces, asked) for faces in seen for asked in seen if faces is not asked]
    found = [check_masks(model, *pair, cases) for pair in pairs]
    for check in found:
        shares = [sum(row.read[i].value for row in check.rows) / len(check.rows) for i in range(2)]
        console.print(
            f"{check.labels} on {check.count} faces of {check.faces}: read on {shares[0]:.1%} "
            f"with the right mask, on {shares[1]:.1%} with the wrong one.",
            markup=False,
            soft_wrap=True,
        )
    return found


def say(dataset: SourceResult, console: Console) -> None:
    """The verdict and what is wrong, on the terminal."""
    for figures_of in dataset.sets:
        console.print(verdict(figures_of).replace("**", ""), markup=False, soft_wrap=True)
    for words in warnings(dataset):
        console.print(f"note: {words}", markup=False, soft_wrap=True)


def facts(config: Plain, results: list[ModelResult]) -> dict[str, str]:
    """What stands at the top of the report."""
    found = {}
    for result in results:
        training = result.training
        words = [] if len(results) > 1 else [result.name]
        method = str(training.get("method", "")).rpartition(".")[2]
        words += [method] if method else []
        words += [f"{k} {training[k]}" for k in ("experiment", "steps") if k in training]
        words += [f"weights {result.weights}"]
        found["model" if len(results) == 1 else result.name] = ", ".join(words)
    found["data"] = "; ".join(f"{s.name}, {s.counts[0]:,} test images" for s in results[0].datasets)
    found["judge"] = "; ".join(dict.fromkeys(s.judge for s in results[0].datasets))
    found["features"] = "; ".join(dict.fromkeys(s.features for s in results[0].datasets))
    found["made"] = f"stargan {__version__}, {time.strftime('%Y-%m-%d')}"
    return found
