"""The page of ``stargan health``: curves with marks, and what every monitor says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from stargan.contracts import Plain
from stargan.evaluation.health import BY_NAME, MONITORS, Health, Row, sentence
from stargan.evaluation.page import Page

# Title, curves, and whether the axis is logarithmic.
PLOTS = (
    ("Adversarial terms", ("D/adv", "G/adv"), False),
    ("Pairs of real and fake that D ranks right", ("D/rank",), False),
    ("D's scores", ("D/real", "D/fake"), False),
    ("Other terms of D", ("D/cls", "D/gp", "D/r1"), True),
    ("Other terms of G", ("G/cls", "G/rec"), True),
    ("Gradients, root mean square", ("grad/G", "grad/D", "grad/C"), True),
    ("Samples against the data", ("samples/spread", "samples/bins", "samples/jsd"), False),
    ("Bins that differ, near twins", ("samples/ndb", "samples/duplicates"), False),
    ("What the label changes", ("label_effect",), True),
    ("What the input changes", ("input_effect",), False),
    ("Drift under the own label", ("colour_drift", "background_drift"), False),
)
WORDS = {
    "samples/spread": "mean distance between G's images over that of the data: 1 is as varied",
    "samples/bins": "kinds of images in use over those of the data, by k-means",
    "samples/jsd": "Jensen-Shannon divergence of the shares of the kinds, bits: 0 equal, 1 disjoint",
    "samples/ndb": "share of the kinds whose frequency differs at the 5 % level (NDB / K)",
    "samples/duplicates": "share of images with a near twin; 0.01 in the data",
    "D/rank": "0.5: D guesses, 1: it is always right",
    "label_effect": "mean |G(x, c1) - G(x, c2)| on [-1, 1]; below 0.004 nobody sees it",
    "input_effect": "differences between outputs over those between inputs",
}


def verdicts(health: Health, story: Sequence[Plain]) -> list[tuple[str, str, str]]:
    """Each monitor's title, its verdict, and the figures of the last row."""
    rows = []
    for monitor in MONITORS:
        past = [line for line in story if line.get("monitor") == monitor.name]
        opinion = health.opinions.get(monitor.name)
        trouble = health.troubles.get(monitor.name)
        if trouble is not None:
            verdict = f"**trouble since step {trouble.since:,}**"
        elif past:
            verdict = (
                f"over since step {past[-1]['step']:,}" if recovered(past) else "was in trouble"
            )
        elif opinion is not None:
            verdict = "fine"
        elif monitor.name in seen(health.rows):
            verdict = "not judged"
        else:
            continue
        evidence = opinion.evidence if opinion is not None else trouble.evidence if trouble else ""
        rows.append((monitor.title, verdict, evidence))
    return rows


def recovered(past: Sequence[Plain]) -> bool:
    """Whether the last word on a monitor is a good one."""
    return bool(past[-1]["event"] == "recovered")


def seen(rows: Sequence[Row]) -> set[str]:
    """Monitors whose curves the log has."""
    columns = {c for row in rows for c in row}
    return {m.name for m in MONITORS if columns.intersection(m.curves)}
