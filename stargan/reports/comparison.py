"""report.json, report.md and report.html of a comparison of methods."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from stargan.errors import Plain
from stargan.evaluation.figures import FIGURES, SetFigures
from stargan.evaluation.held_out import TestSet, wanted
from stargan.evaluation.masks import MaskCheck
from stargan.evaluation.measure import Records
from stargan.evaluation.printed import ERROR, PARAMETERS, PREFERENCE, REAL_ERROR
from stargan.evaluation.runs import Effort
from stargan.evaluation.suite import Entrant
from stargan.evaluation.votes import RULE, Tally, Votes
from stargan.metrics.bootstrap import Estimate
from stargan.progress import duration
from stargan.reports.evaluation import WEAK_JUDGE, fails
from stargan.reports.masks import mask_section
from stargan.reports.page import Page, Picture
from stargan.writing import write_whole

PRINTED = "printed"
"""What stands beside a figure of the paper, whatever it is compared with."""
BRACKETS = "In brackets 95 % intervals; ± the standard deviation over the seeds."
FIGURE_KEYS = ("error", "kept", "fid", "identity", "outside")


@dataclass
class Gallery:
    """The same test images, translated by every method.

    Attributes:
        columns: what was asked for.
        rows: indices of the images in their split.
        image: ``(B, 3, H, W)``.
        names: of the images.
        made: of each method, for each image one picture per column; None: it has no network.
    """

    columns: list[str]
    rows: list[int]
    image: Tensor
    names: list[str]
    made: dict[str, list[list[Tensor | None]]] = field(default_factory=dict)

    @staticmethod
    def targets(test: TestSet, label: Tensor, row: Tensor) -> list[tuple[str, Tensor]]:
        """The columns and their target labels ``(B, L)``."""
        found = []
        for name, target in test.space.targets(label):
            if test.neutral is not None and name == test.space.names[test.neutral]:
                continue
            lone = len(test.space.group_of(name)) == 1
            found.append((f"{name} flipped" if lone else name, target))
        for combination in test.combinations:
            _, target = wanted(test.space, label, combination, row)
            found.append((test.wish_name(combination), target))
        return found

    @classmethod
    def of(cls, test: TestSet, records: Records, count: int) -> Gallery:
        """Of images drawn at random, neutral ones where there are such."""
        rows, label = records.real["row"], records.real["label"]
        if test.neutral is not None and (label[:, test.neutral] > 0.5).any():
            use = label[:, test.neutral] > 0.5
            rows, label = rows[use], label[use]
        draws = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(rows), generator=draws)[:count]
        listed = rows[chosen].tolist()
        columns = [name for name, _ in cls.targets(test, label[chosen], rows[chosen])]
        names = [test.space.describe(one) for one in label[chosen]]
        return cls(columns, listed, test.images(listed), names)

    def add(self, title: str, made: list[list[Tensor | None]]) -> None:
        """The pictures of a method."""
        self.made[title] = made


@dataclass
class Judged:
    """An entrant on one data set.

    Attributes:
        entrant: which.
        sets: its figures.
        effort: what it has cost.
        curve: judged error over minutes of training.
        note: what it cannot do, in words.
    """

    entrant: Entrant
    sets: list[SetFigures]
    effort: Effort
    curve: list[tuple[float, float]]
    note: str


@dataclass
class DataResult:
    """All entrants on one data set.

    Attributes:
        name: of the data set in the suite.
        judge: what it is called.
        judged: the entrants, seeds of a method one after the other.
        votes: the judge's, see ``evaluation.votes``; empty with one method.
        gallery: pictures.
        notes: what the reader should know.
        count: of test images.
    """

    name: str
    judge: str
    judged: list[Judged]
    votes: Votes
    gallery: Gallery
    notes: list[str]
    count: int

    @property
    def methods(self) -> dict[str, list[Judged]]:
        """The seeds of each method."""
        found: dict[str, list[Judged]] = {}
        for one in self.judged:
            found.setdefault(one.entrant.method, []).append(one)
        return found

    @property
    def classes(self) -> bool:
        """Whether its labels are classes of which one is neutral: the table of errors is of it."""
        return any(s.title == "neutral images" for j in self.judged for s in j.sets)


@dataclass
class Beside:
    """A model of one data set and a joint one on faces of the other; the check of the masks.

    Attributes:
        faces, labels: data sets.
        columns: the labels that were asked for.
        image, made: inputs, and of each model one batch per label.
        errors: a row per model: its title and the judge's error for each label.
        count: of images behind them.
        joint: title of the joint model.
        check: of the mask vector.
    """

    faces: str
    labels: str
    columns: list[str]
    image: Tensor
    made: dict[str, list[Tensor]]
    errors: list[list[str]]
    count: int
    joint: str
    check: MaskCheck


@dataclass
class Found:
    """Everything that was found.

    Attributes:
        facts: name to words.
        results: one per data set.
        beside: see there; None: the suite has no such pair.
        study: what people said; None: nobody was asked.
        output: the folder of the comparison, from which the report names folders.
    """

    facts: dict[str, str]
    results: list[DataResult]
    beside: Beside | None
    study: Tally | None
    output: Path

    def place(self, folder: Path) -> str:
        """A folder as the report names it, which may be passed on: from the comparison's own."""
        try:
            return folder.relative_to(self.output).as_posix()
        except ValueError:
            return folder.name


def write_comparison(folder: Path, found: Found) -> None:
    """Write report.json, report.md and report.html.

    Args:
        folder: where to.
        found: what was found.
    """
    write_whole(
        folder / "report.json", json.dumps(to_plain(found), indent=1, allow_nan=False) + "\n"
    )
    page = comparison_page(found)
    page.save_markdown(folder / "report.md")
    page.save(folder / "report.html")


def to_plain(found: Found) -> Plain:
    """For report.json."""
    return {
        "facts": found.facts,
        "data": [
            {
                "data": result.name,
                "judge": result.judge,
                "test_images": result.count,
                "votes_by": "judge",
                "votes": {
                    column: {name: e.to_plain() for name, e in of.items()}
                    for column, of in result.votes.items()
                },
                "methods": [
                    {
                        "method": one.entrant.method,
                        "title": one.entrant.title,
                        "seed": one.entrant.seed,
                        "runs": [found.place(run.folder) for run in one.entrant.runs],
                        "parameters": one.effort.parameters,
                        "models": one.effort.models,
                        "minutes": one.effort.seconds / 60,
                        "steps": one.effort.steps,
                        "curve": [list(point) for point in one.curve],
                        "note": one.note,
                        "sets": [s.to_plain() for s in one.sets],
                    }
                    for one in result.judged
                ],
            }
            for result in found.results
        ],
        "study": None if found.study is None else found.study.to_plain(),
        "masks": [] if found.beside is None else found.beside.check.to_plain()["rows"],
        "printed": {
            "error": ERROR, "real_error": REAL_ERROR, "parameters": PARAMETERS,
            "preference": PREFERENCE,
        },
    }  # fmt: skip


def comparison_page(found: Found) -> Page:
    """The report as a page: what is wrong first, then the paper's tables, pictures, all figures."""
    page = Page(f"Comparison: {found.facts['suite']}")
    for words in warnings(found):
        page.warning(words)
    for words in notes(found):
        page.text(words)
    page.items(found.facts)
    page.text(
        f"Columns called *{PRINTED}* are what the StarGAN paper prints (Choi et al., CVPR 2018), "
        "of its own data, networks and length of training; all else was measured here."
    )
    for result in found.results:
        if result.classes:
            _errors(page, result)
    for result in found.results:
        if result.votes and not result.classes:
            _preference(page, result, found.study)
    for result in found.results:
        _gallery(page, result)
        _curves(page, result)
    if found.beside is not None:
        _beside(page, found.beside)
        mask_section(page, found.beside.check, found.beside.joint)
    for result in found.results:
        if result.votes and result.classes:
            _preference(page, result, found.study)
        _labels(page, result)
    _costs(page, found)
    return page


def warnings(found: Found) -> list[str]:
    """What is wrong with a method or with what is said of all, the worst first."""
    failed: list[tuple[float, str]] = []
    weak = []
    for result in found.results:
        name = f"**{result.name}.** " if len(found.results) > 1 else ""
        for one in result.judged:
            if one.sets and fails(one.sets[0]):
                seed = (
                    f", seed {one.entrant.seed}" if len(result.methods) < len(result.judged) else ""
                )
                right = one.sets[0].overall.figures["error"].rest
                words = (
                    f"{name}**{one.entrant.title}**{seed} does not work: the judge reads what was "
                    f"wanted on only {right.shown('.1%')} of its translations."
                )
                failed.append((right.value, words))
        real = _overall(result.judged[:1], "real_error", "all images")[0]
        if real is not None and real.value > WEAK_JUDGE:
            weak.append(
                f"{name}The judge is weak: it errs on {real.shown('.1%')} of real images, so "
                "errors of translations of that size say nothing about a method."
            )
    return [*(words for _, words in sorted(failed)), *weak]


def notes(found: Found) -> list[str]:
    """What a reader should know of the figures."""
    said = []
    for result in found.results:
        name = f"**{result.name}.** " if len(found.results) > 1 else ""
        said += [name + note for note in result.notes]
        said += [f"{name}{one.entrant.title}: {one.note}" for one in result.judged if one.note]
    return list(dict.fromkeys(said))


def of_seeds(values: Sequence[Estimate | None], style: str) -> str:
    """One figure of several seeds: mean and standard deviation; of one its interval."""
    known = [v for v in values if v is not None and not math.isnan(v.value)]
    if not known:
        return "-"
    mean = sum(v.value for v in known) / len(known)
    if len(known) > 1:
        spread = math.sqrt(sum((v.value - mean) ** 2 for v in known) / (len(known) - 1))
        return f"{mean:{style}}\n± {spread:{style}} of {len(known)}"
    return known[0].shown(style, "\n")


def _mean(values: Sequence[Estimate | None]) -> float:
    """Of those that are known; what nobody could do is no worse than anything."""
    known = [v.value for v in values if v is not None and not math.isnan(v.value)]
    return sum(known) / len(known) if known else -math.inf


def _overall(seeds: Sequence[Judged], key: str, title: str) -> list[Estimate | None]:
    """A figure of all translations from certain images, of each seed."""
    found = []
    for one in seeds:
        chosen = next((s for s in one.sets if s.title == title), None)
        found.append(None if chosen is None else chosen.overall.figures.get(key))
    return found


def _errors(page: Page, result: DataResult) -> None:
    page.heading(f"Classification error: {result.name}")
    rows = []
    for seeds in result.methods.values():
        first = seeds[0]
        paper = first.entrant.paper or ""
        effort = first.effort
        rows.append(
            [
                first.entrant.title,
                of_seeds(_overall(seeds, "error", "neutral images"), ".2%"),
                f"{ERROR[paper]:.2%}" if paper in ERROR else "-",
                of_seeds(_overall(seeds, "error", "all images"), ".2%"),
                f"{effort.parameters / 1e6:.1f}M x {effort.models}",
                PARAMETERS.get(paper, "-"),
                f"{sum(s.effort.seconds for s in seeds) / 60 / len(seeds):.1f}",
            ]
        )
    real = _overall(result.judged[:1], "real_error", "all images")
    blanks = ["-"] * 4
    real_row = ["real images", of_seeds(real, ".2%"), f"{REAL_ERROR:.2%}", *blanks]
    page.table(
        [
            "method",
            "error",
            f"error, {PRINTED}",
            "error, from all images",
            "parameters x models",
            f"parameters, {PRINTED}",
            "minutes",
        ],
        [*rows, real_row],
        "Share of translations of neutral test images on which the judge does not read the wanted "
        "expression, the protocol of the paper's section 5.4; of real images the mean over the "
        "labels. Parameters: of all networks that one model trains. Minutes of training, of all "
        f"models of a set together. {BRACKETS} Judge: {result.judge}.",
    )


def _preference(page: Page, result: DataResult, study: Tally | None) -> None:
    page.heading(f"Preference: {result.name}")
    # A study may have asked about other data sets, or not about all.
    asked = {} if study is None else {c: study.shares[c] for c in result.votes if c in study.shares}
    people = bool(asked)
    table = asked or result.votes
    shown = [c for c in table if any(v.count for v in table[c].values())]
    titles = {m: seeds[0].entrant for m, seeds in result.methods.items()}
    head = ["method"]
    rows = [[entrant.title] for entrant in titles.values()]
    for column in shown:
        head.append(column)
        printed = any(column in PREFERENCE.get(e.paper or "", {}) for e in titles.values())
        if printed:
            head.append(f"{column}, {PRINTED}")
        for row, (method, entrant) in zip(rows, titles.items(), strict=True):
            row.append(of_seeds([table[column].get(method)], ".1%"))
            if printed:
                known = PREFERENCE.get(entrant.paper or "", {}).get(column)
                row.append("-" if known is None else f"{known:.1%}")
    who = (
        f"**Votes of people**, from the study `{study.path.name}`."
        if study is not None and people
        else f"**Votes of the judge, not of people**: {RULE}."
    )
    counts = ", ".join(f"{c}: {max(v.count for v in table[c].values()):,}" for c in shown)
    page.table(
        head,
        rows,
        f"Share of the votes for the best translation. {who} Votes: {counts}. The paper asked "
        "people about four methods; its figures for several labels at once are not repeated here. "
        f"Several labels: another hair colour and the others turned over, at once. {BRACKETS}",
    )


def _curves(page: Page, result: DataResult) -> None:
    curves = {
        seeds[0].entrant.title: seeds[0].curve for seeds in result.methods.values()
        if seeds[0].curve
    }  # fmt: skip
    if not curves:
        return
    page.heading(f"Judged error over time: {result.name}")
    page.text(
        "Share of translations on which the judge does not read what was wanted, on a few "
        "validation images while training went on (seed 1); of a set the mean of its models, over "
        "the sum of their minutes."
    )
    names = list(curves)
    for start in range(0, len(names), 6):
        part = {n: curves[n] for n in names[start : start + 6]}
        page.plot(part, "error", x="minutes of training", low=0.0)


def _gallery(page: Page, result: DataResult) -> None:
    gallery = result.gallery
    page.heading(f"The same inputs: {result.name}")
    columns = ["input", *gallery.columns]
    for i, name in enumerate(gallery.names):
        rows: list[list[Picture | None]] = [
            [gallery.image[i], *made[i]] for made in gallery.made.values()
        ]
        page.grid(rows, columns, list(gallery.made), f"Input: {name}.", tile=112)
    page.text("A blank: the method has no network for that change of that image.")


def _beside(page: Page, beside: Beside) -> None:
    page.heading(f"One data set or both: {beside.labels} on faces of {beside.faces}")
    page.text(
        f"The paper's figure 6: {beside.labels} are known of one data set only. A model trained on "
        f"it alone, and one trained on both with the mask vector, put them on faces of "
        f"{beside.faces}, whose images the first has never seen."
    )
    page.table(
        ["error of the judge", *beside.columns],
        beside.errors,
        f"Of {beside.count} test faces: share on which the judge of {beside.labels} does not read "
        "the wanted label. It has seen no faces of the other data set either.",
    )
    rows: list[list[Picture | None]] = []
    names = []
    for i, one in enumerate(beside.image):
        for title, made in beside.made.items():
            rows.append([one, *(batch[i] for batch in made)])
            names.append(title)
    page.grid(rows, ["input", *beside.columns], names, tile=112)


def _labels(page: Page, result: DataResult) -> None:
    """Error of each label, a row per label and a column per method; then the other figures."""
    page.heading(f"Label by label: {result.name}")
    methods = result.methods
    titles = [seeds[0].entrant.title for seeds in methods.values()]
    for title in dict.fromkeys(s.title for one in result.judged for s in one.sets):
        tables = []
        for seeds in methods.values():
            by_label: dict[str, list[Estimate | None]] = {}
            for one in seeds:
                chosen = next((s for s in one.sets if s.title == title), None)
                rows = [] if chosen is None else [*chosen.rows, *chosen.together, chosen.overall]
                for row in rows:
                    by_label.setdefault(row.name, []).append(row.figures["error"])
            tables.append(by_label)
        names = dict.fromkeys(n for table in tables for n in table if n != "all")
        worst = sorted(names, key=lambda n: -_mean([e for t in tables for e in t.get(n, [])]))
        page.table(
            [f"error, from {title}", *titles],
            [
                [n, *(of_seeds(table.get(n, []), ".1%") for table in tables)]
                for n in ["all", *worst]
            ],
            "Below the row all, which leaves out what was asked for at once, the worst first. "
            f"{BRACKETS} Judge: {result.judge}.",
        )
    present = [
        k for k in FIGURE_KEYS
        if any(k in s.overall.figures for one in result.judged for s in one.sets[:1])
    ]  # fmt: skip
    page.table(
        ["all labels", *(FIGURES[k].head for k in present)],
        [
            [
                seeds[0].entrant.title,
                *(of_seeds(_overall(seeds, k, "all images"), FIGURES[k].style) for k in present),
            ]
            for seeds in methods.values()
        ],
        "; ".join(f"*{FIGURES[k].head}*: {FIGURES[k].words}" for k in present) + ".",
    )


def _costs(page: Page, found: Found) -> None:
    page.heading("What was trained")
    rows = []
    for result in found.results:
        for one in result.judged:
            effort, entrant = one.effort, one.entrant
            where = entrant.runs[0].folder
            rows.append(
                [
                    f"{entrant.title}, {result.name}",
                    str(entrant.seed),
                    str(effort.models),
                    f"{effort.parameters:,}",
                    f"{effort.steps:,}",
                    duration(effort.seconds),
                    f"`{found.place(where if effort.models == 1 else where.parent)}`",
                ]
            )
    page.table(
        ["method", "seed", "models", "parameters of one", "steps of all", "time of all", "where"],
        rows,
    )
