"""The best of a run: what was measured otherwise is not compared."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from stargan.callbacks.evaluate import Evaluate
from stargan.evaluation.held_out import TestSet
from stargan.evaluation.measure import Shards, translate_set
from stargan.training.metrics_log import MetricsLog
from tests.evaluation.test_translate_set import Planted, data, tools_of  # noqa: F401


def made(folder: Path, choose: str, judge: str = "a", resumed: bool = True) -> Evaluate:
    measured = {"judge": judge, "images": "x"}
    terms = MetricsLog(folder / "metrics.csv", 10)
    return Evaluate([], folder, terms, [], 10, 8, choose, measured, resumed)


def test_another_measure_starts_anew_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of 0.2 would stay the best for ever beside FIDs."""
    first = made(tmp_path, "error", resumed=False)
    best = {"step": 10, "value": 0.2, "measured": first.measured, "last": 10}
    (tmp_path / "best.json").write_text(json.dumps(best))
    with caplog.at_level(logging.WARNING):
        assert made(tmp_path, "error").best == best
        assert caplog.text == ""
        assert made(tmp_path, "fid").best == {}
        assert "chosen by error, from now on by fid" in caplog.text
        caplog.clear()
        assert made(tmp_path, "error", judge="b").best == {}
        assert "another judge" in caplog.text
        caplog.clear()
        (tmp_path / "best.json").write_text(json.dumps({"step": 10, "value": 0.2}))
        assert made(tmp_path, "error").best == {}
        assert "unknown measure" in caplog.text


def test_real_images_are_measured_once(data, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    faces = data.test["attributes"].images
    planted = Planted(faces, "same")
    test = TestSet(data, "attributes", planted.labels)
    tools = tools_of(test)
    looked: list[int] = []
    read = tools.features.read
    object.__setattr__(
        tools.features, "read", lambda image: (looked.append(len(image)), read(image))[1]
    )
    counts = []
    for _ in range(2):
        # As in a run and in its resume, which finds the folder.
        kept = Shards(tmp_path / "parts", {"v": 1})
        for _ in range(2):
            looked.clear()
            translate_set(planted, test, tools, 10, None, kept, cycle=False)
            counts.append(sum(looked))
    real = len(test.rows) + len(test.reference_rows)
    assert counts[0] == counts[1] + real
    assert counts[1] == counts[2] == counts[3]
