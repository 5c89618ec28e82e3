"""The report at the end of a run names its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stargan.callbacks.embedded import EmbeddedJudge
from stargan.evaluation.figures import Row
from stargan.metrics.bootstrap import Estimate
from stargan.training.run import write_report


def test_report_names_its_figures(tmp_path: Path) -> None:
    values = {"error": 0.25, "kept": 0.5, "outside": 0.01, "inside": 0.2, "real_error": 0.01}
    row = Row("Male", {k: Estimate(v, v, v, 24) for k, v in values.items()})
    path = tmp_path / "report.md"
    facts = {"name": "demo", "steps": "3 of D"}
    run: Any = None
    judge = EmbeddedJudge(run)
    judge.scores = {"faces": [row]}
    sections: list[list[str]] = [["![samples](samples/a.png)"], [], judge.report()]
    write_report(path, facts, {"D/adv": 1.5}, sections)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# demo\n")
    assert "| Male | 75.0% | 50.0% | 0.0100 | 0.2000 | 24 | 99.0% |" in text
    assert "![samples](samples/a.png)" in text
    assert "| D/adv | 1.5 |" in text
    assert judge.figures()["faces/Male/error"] == 0.25
