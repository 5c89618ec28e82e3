"""The notebook's cells, in their order, as somebody would run them."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from stargan.callbacks import embedded
from stargan.judges.judge import open_judge
from tests.docs.home import SMALL, stand_in, write_faces_judge
from tests.docs.printed import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
COUNTS = [f"{key}={value}" for key, value in SMALL.items() if key.startswith("data.attributes.")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stand_in(tmp_path, monkeypatch)
    judge = write_faces_judge(tmp_path / "judge.safetensors")
    monkeypatch.setattr(embedded, "judge_of_faces", lambda *_: open_judge(judge))
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    names: dict[str, object] = {"__name__": "__main__"}
    ran = 0
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        assert not cell["outputs"], f"cell {number} has outputs: clear them before a commit"
        if "SHORT = [" in source:
            source = source.replace("SHORT = [", f"SHORT = [*{COUNTS!r}, ") + "\n"
            source = source.replace("max_steps=60", "max_steps=3").replace("steps=20", "steps=0")
        exec(compile(ast.parse(source), f"{path.name}, cell {number}", "exec"), names)
        ran += 1
    assert ran > 5
    assert (tmp_path / "runs" / "first_steps" / "generator.safetensors").is_file()
