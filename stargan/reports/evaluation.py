"""report.json, report.md and report.html of an evaluation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch.nn.functional import pad

from stargan.errors import Plain
from stargan.evaluation.figures import (
    FEW,
    FEWEST,
    FIGURES,
    WHOLE_SETS,
    Readings,
    Row,
    SetFigures,
)
from stargan.evaluation.masks import MaskCheck
from stargan.metrics.bootstrap import Estimate
from stargan.reports.masks import mask_section
from stargan.reports.page import Page, Picture
from stargan.writing import write_whole

ARRIVES = ("error", "kept")
LOOKS = ("fid", "kid", "ndb", "jsd", "diversity")
KEEPS = ("identity", "change", "outside", "inside", "truth")
CYCLE = ("l1", "psnr", "ssim")
COMPARED = ("error", "kept", "fid", "kid", "is", "identity", "outside", "l1")
MORE_IS_BETTER = ("kept", "diversity", "psnr", "ssim")
WEAK_JUDGE = 0.1
"""A judge that errs on more real images than this is said to be weak."""


@dataclass(frozen=True)
class Pictures:
    """One table of pictures.

    Attributes:
        heading: above it.
        columns, rows, names: see ``Page.grid``.
        words: below it.
    """

    heading: str
    columns: list[str]
    rows: list[list[Picture | None]]
    names: list[str]
    words: str


@dataclass
class SourceResult:
    """What was found of one model on one data set.

    Attributes:
        name: of the data set.
        counts: of test and of training images.
        size: height and width at which the model works.
        judge, features, distance: what measured.
        sets: the figures.
        notes: what the reader should know.
        pictures: tables of pictures.
        failures: why the figures are of no use, whatever they are.
    """

    name: str
    counts: tuple[int, int]
    size: tuple[int, int]
    judge: str
    features: str
    distance: str
    sets: list[SetFigures]
    notes: list[str]
    pictures: list[Pictures] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def to_plain(self) -> Plain:
        """For report.json."""
        return {
            "data": self.name,
            "test_images": self.counts[0],
            "training_images": self.counts[1],
            "image_size": list(self.size),
            "judge": self.judge,
            "features": self.features,
            "identity": self.distance,
            "notes": [*self.failures, *self.notes],
            "sets": [s.to_plain() for s in self.sets],
        }


@dataclass
class ModelResult:
    """What was found of one model.

    Attributes:
        name: short, unlike the others'.
        weights: the beginning of its file's digest; no path, as reports are passed on.
        training: where it comes from.
        datasets: one per data set.
        terms: rows of its run's metrics.csv; empty where there is none.
        masks: checks of the mask vector.
    """

    name: str
    weights: str
    training: Plain
    datasets: list[SourceResult]
    terms: list[dict[str, float]] = field(default_factory=list)
    masks: list[MaskCheck] = field(default_factory=list)

    def to_plain(self) -> Plain:
        """For report.json."""
        return {
            "model": self.name,
            "weights": self.weights,
            "training": self.training,
            "data": [s.to_plain() for s in self.datasets],
            "masks": [check.to_plain() for check in self.masks],
        }


def write_evaluation(
    folder: Path, results: Sequence[ModelResult], facts: Mapping[str, str]
) -> None:
    """Write report.json, report.md and report.html.

    Args:
        folder: where to.
        results: one per model.
        facts: name to words, at the top of the page.
    """
    plain = {"facts": dict(facts), "models": [r.to_plain() for r in results]}
    write_whole(folder / "report.json", json.dumps(plain, indent=1, allow_nan=False) + "\n")
    page = evaluation_page(results, facts)
    page.save_markdown(folder / "report.md")
    page.save(folder / "report.html")


def evaluation_page(results: Sequence[ModelResult], facts: Mapping[str, str]) -> Page:
    """The report as a page: what is wrong first, then the verdicts, then all figures."""
    names = ", ".join(r.name for r in results)
    page = Page(f"Evaluation of {names}")
    found = [
        (title_of(results, result, dataset), dataset)
        for result in results
        for dataset in result.datasets
    ]
    for title, dataset in found:
        for words in warnings(dataset):
            page.warning(words if len(found) == 1 else f"**{title}.** {words}")
    for title, dataset in found:
        words = verdict(dataset.sets[0])
        page.text(words if len(found) == 1 else f"**{title}.** {words}")
    page.items(facts)
    if len(results) > 1:
        page.heading("Side by side")
        for i, dataset in enumerate(results[0].datasets):
            for k, figures in enumerate(dataset.sets):
                _compare(page, results, i, k, f"{dataset.name}, from {figures.title}")
    for result in results:
        for dataset in result.datasets:
            _source(page, dataset, title_of(results, result, dataset))
        for check in result.masks:
            mask_section(page, check, result.name)
        if result.terms:
            page.heading("Training" if len(results) == 1 else f"Training of {result.name}")
            page.text("The terms that the run logged, by discriminator step.")
            _terms(page, result.terms)
    return page


def title_of(results: Sequence[ModelResult], result: ModelResult, dataset: SourceResult) -> str:
    """What a model's part on one data set is headed by."""
    return dataset.name if len(results) == 1 else f"{result.name}: {dataset.name}"


def verdict(figures: SetFigures) -> str:
    """The figures of all translations in one or two sentences."""
    found = figures.overall.figures
    read, real = found["error"].rest, found.get("real_error")
    words = (
        f"From {figures.title}, {read.count:,} translations: the judge reads the wanted label on "
        f"**{read.value:.1%}** {read.interval('.1%')}".rstrip()
    )
    if real is not None:
        words += f" (of real images {1 - real.value:.1%}, labels weighted as the translations)"
    if "kept" in found:
        words += f" and all other labels as before on **{found['kept'].value:.1%}**"
    if "outside" in found and found["outside"].count:
        words += (
            f"; pixels that the label does not concern change by {found['outside'].value:.4f} "
            "of the range on average"
        )
    if "fid" in found and "real_fid" in found:
        words += f". FID {found['fid'].value:.2f}, of real images {found['real_fid'].value:.2f}"
    return words + "."


def warnings(dataset: SourceResult) -> list[str]:
    """What is wrong with the model or with its figures, in words, the worst first."""
    said = list(dataset.failures)
    figures = dataset.sets[0]
    if figures.overall.figures["change"].value < 0.002:
        said.append("The translations are almost the input: the label has next to no effect.")
    elif fails(figures):
        said.append("On most translations the wanted label is not read: the model does not work.")
    diversity = figures.overall.figures.get("diversity")
    usual = figures.overall.figures.get("real_diversity")
    if diversity and usual and diversity.value < 0.1 * usual.value:
        said.append("Translations of different images look alike: the model ignores its input.")
    real = figures.overall.figures.get("real_error")
    if real is not None and real.value > WEAK_JUDGE:
        said.append(
            f"The judge is weak: it errs on {real.value:.1%} of real images (labels weighted as "
            "the translations), so errors of translations of that size say nothing about the model."
        )
    for names, (balanced, chance) in figures.guessed.items():
        said.append(
            f"The judge reads {', '.join(names)} off real images no better than by chance "
            f"(balanced accuracy {balanced:.1%}, chance {chance:.1%}): what it says of "
            f"translations to {'it' if len(names) == 1 else 'them'} says nothing about the model."
        )
    said += dataset.notes
    few = [r.name for r in figures.rows if r.figures["error"].count < FEW]
    if few:
        said.append(
            f"Fewer than {FEW} images were translated to {', '.join(few)}: their figures are "
            "uncertain, FID above all."
        )
    small = [
        row.name for row in figures.rows
        if "fid" in row.figures and row.figures["fid"].count < FEW and row.name not in few
    ]  # fmt: skip
    if small:
        said.append(
            f"FID, KID and bins of {', '.join(small)} are of fewer than {FEW} images each, as "
            "so few test or training images have the label: they are uncertain."
        )
    return said


def fails(figures: SetFigures) -> bool:
    """Whether most translations are read wrong that a judge who can read their label reads."""
    guessed = {name for names in figures.guessed for name in names}
    rows = [r.figures for r in figures.rows if r.name.removeprefix("not ") not in guessed]
    counts = [f["error"].count for f in rows]
    if not sum(counts):
        return False
    errors = [
        sum(n * f[key].value for n, f in zip(counts, rows, strict=True) if f[key].count)
        / sum(counts)
        for key in ("error", "real_error")
    ]
    return errors[0] > 0.5 and errors[0] - errors[1] > 0.4


def figure_tables(page: Page, figures: SetFigures, dataset: SourceResult) -> None:
    """The tables of one set of figures."""
    rows = [figures.overall, *figures.rows]
    judge = f"Judge: {dataset.judge}."
    features = f"Features: {dataset.features}; comparable only with figures of the same features, "
    features += (
        "image size and number of images. FID, KID and bins are of *images each*: so many "
        "translations, as many real test images beside them, both against as many training images "
        f"that have the label; KID of fewer than {FEWEST} is no figure. At most 100 bins, one for "
        "ten images."
    )
    means = "Row all: real images of each label as often as translations are asked for it."
    _table(page, "Does the label arrive?", rows, ARRIVES, f"{judge} {means}")
    means = "Row all: means over the labels."
    _table(page, "Do the pictures look like real ones?", rows, LOOKS, f"{features} {means}")
    _table(page, "Is the rest left alone?", rows, KEEPS, f"Identity: {dataset.distance}.")
    _table(page, "There and back", rows, CYCLE, "")
    if figures.together:
        few = (*ARRIVES, *KEEPS)
        words = "Asked for at once; not part of the row all. *error*: any of them is not as wanted."
        _table(page, "Several at once", figures.together, few, words)
    score = figures.overall.figures.get("is")
    if score is not None:
        real = figures.overall.figures["real_is"]
        page.text(
            f"Inception Score of all translations together: **{score.value:.2f}** "
            f"{score.interval('.2f')} of {score.count:,} images; of the real test images "
            f"{real.value:.2f} {real.interval('.2f')} of {real.count:,}. Classes and certainty: "
            f"{dataset.features}."
        )


def _source(page: Page, dataset: SourceResult, title: str) -> None:
    height, width = dataset.size
    page.heading(title)
    page.text(
        f"{dataset.counts[0]:,} test images, {dataset.counts[1]:,} training images to compare "
        f"with, {height} x {width} pixels. In brackets below each figure its 95 % interval: "
        "bootstrap over images, for FID, KID, diversity and Inception Score a jackknife. *real*: "
        "the same figure of real test images. The worst rows of a table stand first, below the row "
        "all."
    )
    last = [p for p in dataset.pictures if p.heading.startswith("Best")]
    for pictures in dataset.pictures:
        if pictures not in last:
            _pictures(page, pictures)
    for figures in dataset.sets:
        if len(dataset.sets) > 1:
            page.heading(f"{title}, from {figures.title}")
            if figures is not dataset.sets[0]:
                page.text(verdict(figures))
        figure_tables(page, figures, dataset)
        if figures.confusions:
            page.heading("What the judge reads", 3)
        for readings in figures.confusions:
            _confusion(page, readings, dataset.judge)
    for pictures in last:
        _pictures(page, pictures)


def _pictures(page: Page, pictures: Pictures) -> None:
    page.heading(pictures.heading, 3)
    page.grid(pictures.rows, pictures.columns, pictures.names, pictures.words)


def _table(page: Page, title: str, rows: Sequence[Row], keys: Sequence[str], words: str) -> None:
    """The figures of these keys that any row has, each real one beside its own.

    The row all stands first, then the worst by the first figure.
    """
    present = [k for k in keys if any(k in row.figures for row in rows)]
    if not present:
        return
    rows = sorted(rows, key=lambda row: (row.name != "all", _badness(row, present[0])))
    page.heading(title, 3)
    columns = ["label"]
    cells: list[list[str]] = [[row.name] for row in rows]
    for key in present:
        figure = FIGURES[key]
        columns.append(figure.head)
        for line, row in zip(cells, rows, strict=True):
            line.append(_shown(row.figures.get(key), figure.style))
        if figure.real and any(figure.real in row.figures for row in rows):
            columns.append(f"{figure.head}, real")
            for line, row in zip(cells, rows, strict=True):
                line.append(_shown(row.figures.get(figure.real), figure.style))
    whole = next((k for k in present if k in WHOLE_SETS), None)
    if whole is not None:
        columns.append("images each")
        for line, row in zip(cells, rows, strict=True):
            count = row.figures[whole].count if whole in row.figures else 0
            line.append(f"{count:,}" if count and row.name != "all" else "-")
    columns.append("translations")
    for line, row in zip(cells, rows, strict=True):
        line.append(f"{row.figures['error'].count:,}")
    beside = "real_error" if "error" in present else "real_diversity"
    if present[0] in (*ARRIVES, *LOOKS):
        columns.append("real images")
        for line, row in zip(cells, rows, strict=True):
            line.append(f"{row.figures[beside].count:,}" if beside in row.figures else "-")
    meanings = "; ".join(f"*{FIGURES[k].head}*: {FIGURES[k].words}" for k in present)
    page.table(columns, cells, f"{meanings[0]}{meanings[1:]}. {words}".strip())


def _badness(row: Row, key: str) -> float:
    """Sorts the worst first, what was not measured last."""
    found = row.figures.get(key)
    if found is None or math.isnan(found.value):
        return math.inf
    return found.value if key in MORE_IS_BETTER else -found.value


def _shown(value: Estimate | None, style: str) -> str:
    if value is None or math.isnan(value.value):
        return "too few images" if value is not None and 0 < value.count < FEW else "-"
    return value.shown(style, "\n")


def _confusion(page: Page, readings: Readings, judge: str) -> None:
    pair = readings.translations, readings.real
    names = max((c.names for c in pair), key=len)  # one of them may lack the answer "none"
    columns = ["wanted, read as", *names, "translations", *(f"real: {n}" for n in names), "real"]
    tables = [pad(c.counts, (0, len(names) - len(c.names)) * 2).tolist() for c in pair]
    rows = [
        [name, *_shares(counts), f"{sum(counts):,}", *_shares(real), f"{sum(real):,}"]
        for name, counts, real in zip(names, *tables, strict=True)
        if sum(counts) + sum(real)
    ]
    words = "Rows: what was wanted; on the right of real images, what they are."
    page.table(columns, rows, f"{words} Judge: {judge}.")


def _shares(counts: Sequence[int]) -> list[str]:
    total = sum(counts)
    return [f"{c / total:.1%}" if total else "-" for c in counts]


def _compare(
    page: Page, results: Sequence[ModelResult], dataset: int, part: int, title: str
) -> None:
    """One row per model, means over the labels; several seeds get their mean and spread."""
    found = [r.datasets[dataset].sets[part].overall.figures for r in results]
    present = [k for k in COMPARED if all(k in f for f in found)]
    names = [r.name for r in results]
    rows = [
        [name, *(_shown(f[k], FIGURES[k].style) for k in present), f"{f['error'].count:,}"]
        for name, f in zip(names, found, strict=True)
    ]
    spread = []
    for key in present:
        values = [f[key].value for f in found]
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
        style = FIGURES[key].style
        spread.append(f"{mean:{style}}\n± {deviation:{style}}")
    rows.append(["mean ± deviation", *spread, ""])
    first = results[0].datasets[dataset]
    page.table(
        [title, *(FIGURES[k].head for k in present), "translations"],
        rows,
        f"All labels together. Judge: {first.judge}. Features: {first.features}. "
        f"Identity: {first.distance}. Last row: mean over the models and their standard deviation.",
    )
    steps = [r.training.get("steps") for r in results]
    if all(isinstance(s, int) for s in steps) and len(set(steps)) > 2:
        order = sorted(range(len(steps)), key=lambda i: int(steps[i] or 0))
        for key in ("error", "fid"):
            if key in present:
                points = [(float(steps[i] or 0), found[i][key].value) for i in order]
                page.plot({FIGURES[key].head: points}, f"{FIGURES[key].head} by step")


def _terms(page: Page, rows: Sequence[Mapping[str, float]]) -> None:
    """Plots of a run's terms: those of D and of G together by kind, the others alone."""
    names = [
        n for n in dict.fromkeys(k for row in rows for k in row) if n not in ("step", "seconds")
    ]
    groups: dict[str, list[str]] = {}
    for name in names:
        letter, slash, kind = name.partition("/")
        groups.setdefault(kind if slash and letter in ("D", "G") else letter, []).append(name)
    for kind, members in groups.items():
        curves = {n: [(row["step"], row.get(n, math.nan)) for row in rows] for n in members[:6]}
        page.plot(curves, kind)
