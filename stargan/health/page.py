"""The page of ``stargan health``: what every monitor says, and the curves with marks."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from stargan.errors import Plain
from stargan.health.monitors import BY_NAME, MONITORS, Health, Row
from stargan.losses.adversarial import ADVERSARIAL
from stargan.progress import duration
from stargan.reports.page import Page
from stargan.writing import write_whole

SETTINGS = "health.json"
"""In the run folder: how the run is judged."""
NOT_JUDGED = "not judged"
"""The verdict of a monitor that has read too little."""
# Title, curves, and whether the axis is logarithmic.
PLOTS = (
    ("Adversarial terms", ("D/adv", "G/adv"), False),
    ("Pairs of real and fake that D ranks right", ("D/rank",), False),
    ("D's mean scores", ("D/real", "D/fake"), False),
    ("Other terms of D", ("D/cls", "D/gp", "D/r1"), True),
    ("Other terms of G", ("G/cls", "G/rec"), True),
    ("Encoders: distance from noise and labels", ("Ez/mse", "Ey/mse"), True),
    ("Gradients, root mean square", ("grad/G", "grad/D", "grad/Ez", "grad/Ey"), True),
    ("Samples against the data", ("samples/spread", "samples/bins", "samples/jsd"), False),
    ("Bins that differ, near twins", ("samples/ndb", "samples/duplicates"), False),
    ("Distance of samples to the data", ("samples/off",), False),
    ("What the label changes", ("label_effect",), True),
    ("What the input changes", ("input_effect",), False),
    ("Balanced accuracy on images kept aside", ("val/balanced", "test/balanced"), False),
    ("Drift under the own label", ("colour_drift", "background_drift"), False),
)
WORDS = {
    "D/rank": "0.5: D guesses, 1: it is always right",
    "samples/spread": "mean distance between G's images over that of the data; 1: as varied",
    "samples/bins": "kinds of images (k-means) in use over those of the data; 1: as many",
    "samples/jsd": "Jensen-Shannon divergence of the shares of the kinds, in bits",
    "samples/ndb": "share of the kinds whose frequency differs at the 5 % level (NDB / K)",
    "samples/off": "mean distance of a sample to the nearest real image, over that between real "
    "images; 1: samples look as real as the data",
    "samples/duplicates": "share of images that have a near twin; about 0.01 in the data",
    "grad/G": "root mean square of G's gradients; below 1e-7 Adam's steps fade out",
    "label_effect": "mean |G(x, c1) - G(x, c2)| on [-1, 1]; below 0.004 nobody sees it",
    "input_effect": "differences between outputs over differences between inputs",
    "colour_drift": "largest change of a mean channel value of G(x, its own label)",
    "background_drift": "mean absolute change of the margin of G(x, its own label)",
}


def make_page(
    name: str,
    health: Health,
    rows: Sequence[Row],
    story: Sequence[Plain],
    sample: Path | None,
    refresh: int | None = None,
) -> Page:
    """The page of a run: what is wrong first, everywhere.

    Args:
        name: of the run.
        health: the monitors, with all rows of its log read.
        rows: of the log; none of a run that has just begun.
        story: lines of health.jsonl in order, or the findings of ``health`` in the same form.
        sample: a picture of the last samples.
        refresh: seconds after which the page of a run that goes on is read again.
    """
    words = "nothing is logged yet"
    if rows:
        spent = f", {duration(rows[-1]['seconds'])} of training" if "seconds" in rows[-1] else ""
        count = f"{len(rows):,} row{'s' if len(rows) > 1 else ''}"
        words = f"{count} of the log, to step {rows[-1]['step']:,}{spent}"
    if refresh is not None:
        words = (
            f"The run goes on, as of {time.strftime('%H:%M:%S')}: {words}. This page is written "
            f"again while it does, and read again every {refresh} seconds."
        )
    page = Page(f"Health of {name}", words, refresh)
    if not rows:
        return page
    if health.troubles:
        for trouble in health.troubles.values():
            monitor = BY_NAME[trouble.monitor]
            page.warning(
                f"**{capital(monitor.title)}**, since step {trouble.since:,}: {trouble.evidence}. "
                f"What usually helps: {monitor.cures}."
            )
    elif not health.judged:
        page.text("The run is too young to be judged: the first steps of G are always rough.")
    else:
        over = "There was trouble; it is over." if story else "No trouble was found."
        page.text(f"**All is well.** {over}")
    if refresh is not None:
        _sample(page, sample)  # What one looks at while a run trains.
    page.heading("Verdicts")
    found = verdicts(health, rows, story)
    judged = [list(line) for line in found if line[1] != NOT_JUDGED]
    if judged:
        page.table(["monitor", "verdict", "last row"], judged)
    if young := [name for name, verdict, _ in found if verdict == NOT_JUDGED]:
        page.text(f"Not judged yet: {', '.join(young)}.")
    if story:
        page.heading("What happened")
        page.table(["step", "what", "figures"], [list(line) for line in events(story)])
    page.heading("Curves")
    marks = [(float(x["step"]), mark_word(x)) for x in story if x["event"] != "rollback"]
    explained: dict[str, str] = {}
    troubled = {c for name in health.troubles for c in BY_NAME[name].curves}
    for title, names, log in sorted(PLOTS, key=lambda plot: troubled.isdisjoint(plot[1])):
        curves = {n: [(float(r["step"]), float(r[n])) for r in rows if n in r] for n in names}
        curves = {n: points for n, points in curves.items() if points}
        if curves:
            page.plot(curves, title=title, marks=marks, log=log)
            explained |= {n: WORDS[n] for n in curves if n in WORDS}
    if explained:
        page.heading("Words")
        page.items(explained)
    if refresh is None:
        _sample(page, sample)
    return page


def _sample(page: Page, sample: Path | None) -> None:
    """The last samples, if there are any and they are not just being written."""
    if sample is None:
        return
    with suppress(OSError), Image.open(sample) as image:
        shown = image.convert("RGB")
        page.heading("Last samples")
        page.picture(shown, sample.name)


def verdicts(
    health: Health, log: Sequence[Row], story: Sequence[Plain]
) -> list[tuple[str, str, str]]:
    """Of each monitor that has something to read: name, verdict, figures of the last row.

    Those in trouble first, then those that were; those with nothing to say last.
    """
    columns = {c for row in log for c in row}
    rows: list[tuple[int, tuple[str, str, str]]] = []
    for monitor in MONITORS:
        if not columns.intersection(monitor.curves):
            continue
        past = [line for line in story if line.get("monitor") == monitor.name]
        opinion, trouble = health.opinions.get(monitor.name), health.troubles.get(monitor.name)
        if trouble is not None:
            rank, verdict = 0, f"**trouble since {trouble.since:,}**"
        elif past:
            rank, verdict = 1, f"fine since {past[-1]['step']:,}"
        elif opinion is not None:
            rank, verdict = 2, "fine"
        else:
            rank, verdict = 3, NOT_JUDGED
        evidence = opinion.evidence if opinion else trouble.evidence if trouble else ""
        rows.append((rank, (monitor.name.replace("_", " "), verdict, breakable(evidence))))
    return [line for _, line in sorted(rows, key=lambda row: row[0])]


def events(story: Sequence[Plain]) -> list[tuple[str, str, str]]:
    """The story as a table: step, what, figures."""
    rows = []
    for line in story:
        if line["event"] == "rollback":
            words = f"rates times {line['lr_scale']:g}"
            rows.append((f"{line['step']:,}", f"back to step {line['to_step']:,}", words))
        else:
            over = "over: " if line["event"] == "recovered" else ""
            title = over + str(line["monitor"]).replace("_", " ")
            rows.append((f"{line['step']:,}", title, breakable(line["evidence"])))
    return rows


def mark_word(line: Mapping[str, object]) -> str:
    """A word at a mark in the plots."""
    name = str(line["monitor"]).replace("_", " ")
    return f"{name} over" if line["event"] == "recovered" else name


def breakable(text: str) -> str:
    """Figures of a cell: the part after the first semicolon or comma as a second, smaller line."""
    for sign in ("; ", ", "):
        head, found, rest = text.partition(sign)
        if found:
            return f"{head}\n{rest}"
    return text


def capital(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def last_sample(folder: Path) -> Path | None:
    """The picture of a run's samples with the highest step, or else epoch, in its name."""
    for pattern in ("samples/step_*.png", "image_at_epoch_*.png"):
        numbers = {p: re.search(r"_(\d+)", p.name) for p in sorted(folder.glob(pattern))}
        known = {p: int(number[1]) for p, number in numbers.items() if number}
        if known:
            return max(known, key=known.__getitem__)
    return None


def note_settings(folder: Path, health: Health) -> None:
    """Keep how a run is judged, so that it is judged the same afterwards."""
    write_whole(folder / SETTINGS, json.dumps(health.settings))


def replay(folder: Path, config: Plain, rows: Sequence[Row]) -> tuple[Health, list[Plain]]:
    """The monitors with all rows read, and what they found.

    Args:
        folder: of the run.
        config: of the run; asked where the run had no monitors.
        rows: of its metrics.csv.
    """
    if (folder / SETTINGS).is_file():
        health = Health.of(json.loads((folder / SETTINGS).read_text(encoding="utf-8")))
    else:
        method, told = config["method"], config.get("health", {})
        loss = ADVERSARIAL.get(str(method.get("adversarial")))
        patience = {k: int(told[k]) for k in ("grace", "patience") if k in told}
        health = Health(loss.scale if loss else None, int(method.get("n_critic", 1)), **patience)
    found = [f.to_plain() | {"attempt": 0} for row in rows for f in health.read(row)]
    return health, found
