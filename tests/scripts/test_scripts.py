"""Every script runs, at tiny sizes, and prints its table."""

from __future__ import annotations

import json
import math
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stargan.errors import UserError
from stargan.health.monitors import BY_NAME
from tests.tiny import settings, write_export

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run(name: str, *words: object, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a script as from a shell; what it defines."""
    patch.setattr(sys, "argv", [str(SCRIPTS / name), *map(str, words)])
    return runpy.run_path(str(SCRIPTS / name), run_name="__main__")


def test_every_script_has_a_test() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    for script in SCRIPTS.glob("*.py"):
        tested = f'run("{script.name}"' in here or (
            Path(__file__).with_name(f"test_{script.stem}.py").is_file()
        )
        assert tested, script.name


@pytest.mark.slow
def test_benchmark_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "bench.json"
    sizes = ("--size", 64, "--batch", 2, "--cycles", 2, "--channels", 8)
    run("benchmark_step.py", *sizes, "--json", file, patch=monkeypatch)
    shown = capsys.readouterr().out
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert figures["settings"] == {"device": "cpu", "size": 64, "batch": 2, "cycles": 2}
    assert {"system", "instructions", "threads"} <= set(figures["machine"])
    assert {"stargan", "python", "torch"} == set(figures["versions"])
    assert figures["largest_difference"] < 1e-3, "both ways compute the same"
    rows = figures["rows"]
    assert [r["unit"].split()[0] for r in rows] == ["seconds"] * 6 + ["peak"]
    for row in rows:
        assert row["what"] in shown
        assert f"{row['ratio']:.2f}" in shown
    # The peak can be hidden by that of the process that runs the tests.
    for row in rows[:6]:
        assert all(math.isfinite(row[key]) and row[key] > 0 for key in ("ours", "plain", "ratio"))
        assert row["lowest"] <= row["ratio"] <= row["highest"]


@pytest.mark.slow
def test_benchmark_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_export(tmp_path / "generator.safetensors", settings())
    run("benchmark_export.py", model, patch=monkeypatch)
    lines = [x.strip("| ") for x in capsys.readouterr().out.splitlines() if x.startswith("|")]
    rows = {cells[0]: cells[1:] for cells in (line.split(" | ") for line in lines[2:])}
    assert len(rows) == 10
    for name, (largest, mean, size, milliseconds, faster) in rows.items():
        bound = 1.0 if "int8" in name else 0.1 if "bf16" in name or "fp16" in name else 1e-4
        assert 0 <= float(mean) <= float(largest) < bound, name
        assert float(size) > 0
        assert float(milliseconds) > 0
        assert float(faster) > 0
    assert float(rows["PyTorch, eager"][0]) == 0


TINY = [
    *("data.attributes.count.train=24", "data.attributes.count.test=12", "data.batch_size=4"),
    *("method.generator.blocks=1", "trainer.precision=32-true", "trainer.max_minutes=null"),
    *("log.samples_every_n_steps=1000", "log.every_n_steps=5"),
]


def test_benchmark_health(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ("method.warmup_steps=0", "trainer.max_steps=10")
    run("benchmark_health.py", "experiment=demo", *TINY, *short, patch=monkeypatch)
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("monitors: "))
    spent, whole, share = (float(line.split()[i].rstrip("%")) for i in (1, 4, -1))
    assert 0 < spent < whole
    assert 100 * spent / whole == pytest.approx(share, rel=0.2)


@pytest.mark.slow
def test_failure_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"root={tmp_path}", "seeds=1", "only=label_ignored", "trainer.accelerator=cpu"]
    words += [*TINY, "trainer.max_steps=12", "method.warmup_steps=2", "health.grace=1"]
    defined = run("failure_table.py", *words, "health.patience=1", patch=monkeypatch)
    assert {monitor for monitor, _ in defined["FAILURES"].values()} <= set(BY_NAME)
    shown = capsys.readouterr().out
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert rows[2].startswith("| label_ignored | label_ignored | ")
    assert all(cell.strip() in ("0/1", "1/1") for cell in rows[2].strip("|").split("|")[2:])
    assert (tmp_path / "label_ignored_twin" / "seed_1" / "report.md").is_file()
    made = (tmp_path / "label_ignored" / "seed_1" / "report.md").stat().st_mtime_ns
    run("failure_table.py", *words, "health.patience=1", patch=monkeypatch)
    assert capsys.readouterr().out.splitlines() == rows, "nothing is trained twice"
    assert (tmp_path / "label_ignored" / "seed_1" / "report.md").stat().st_mtime_ns == made
    with pytest.raises(SystemExit, match="unknown: nonsense"):
        run("failure_table.py", "only=nonsense", patch=monkeypatch)


@pytest.mark.slow
def test_compare_cams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ("--faces", 20, "--test", 60, "--size", 64, "--steps", 2)
    run("compare_cams.py", tmp_path, *sizes, "resnet18", patch=monkeypatch)
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.endswith(table)
    rows = [line for line in table.splitlines() if line.startswith("| resnet18 |")]
    assert len(rows) == 4, "one of classification, three of localisation"
    assert "2 x 2" in rows[0]
    assert (tmp_path / "maps.png").is_file()
    with pytest.raises(SystemExit):
        run("compare_cams.py", tmp_path, "nonsense", patch=monkeypatch)


@pytest.mark.slow
def test_train_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    small = [
        *("trainer.max_steps=4", "method.warmup_steps=1", "data.attributes.count.train=8"),
        *("data.attributes.count.test=8", "data.attributes.count.val=0"),
        *("data.image_size=16", "data.batch_size=2"),
    ]
    run("train_shipped.py", "--output", tmp_path / "out", *small, patch=monkeypatch)
    assert "wrote" in capsys.readouterr().out
    again = tmp_path / "again"
    again.mkdir()
    words = ("--output", again, "--run", tmp_path / "runs" / "shipped")
    run("train_shipped.py", *words, patch=monkeypatch)
    first, second = (folder / "demo.safetensors" for folder in (tmp_path / "out", again))
    assert first.read_bytes() == second.read_bytes()
    assert len(list((again / "inputs").glob("face_*.png"))) == 8


@pytest.mark.slow
def test_readme_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("needs Chromium: make browser")
    pytest.importorskip("gradio")
    model = write_export(tmp_path / "tiny.safetensors", settings())
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("<h1>A report</h1>", encoding="utf-8")
    output = tmp_path / "images"
    words = (model, tmp_path / "report", "--output", output)
    run("readme_pictures.py", *words, patch=monkeypatch)
    names = {"demo_before_after.jpg", "page.jpg", "report.jpg"}
    assert {p.name for p in output.iterdir()} == names
    for name in names:
        width, height = Image.open(output / name).size
        assert width > 600
        assert height > 200
    with pytest.raises(UserError, match=r"report.html' does not exist"):
        run("readme_pictures.py", model, tmp_path, patch=monkeypatch)
