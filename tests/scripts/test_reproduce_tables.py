"""The protocol of several seeds, from nothing to the table, and again without training anew."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from stargan.errors import UserError

SCRIPT = Path(__file__).parents[2] / "scripts" / "reproduce_tables.py"


@pytest.mark.slow
def test_judge_seeds_and_table(class_folder: Path, tmp_path: Path) -> None:
    main = runpy.run_path(str(SCRIPT))["main"]
    folder = tmp_path / "table"
    words = [
        *(str(folder), "--experiment", "folder", "--seeds", "2", f"data.root={class_folder}"),
        *("debug=smoke", "data.image_size=32", "data.batch_size=4", "trainer.accelerator=cpu"),
        *("log.tensorboard=false", "--judge", "network=small_classifier"),
        *("--translator", "method.generator.channels=8"),
        *("--translator", "method.generator.blocks=1"),
        *("--translator", "method.discriminator.channels=8"),
    ]
    main(words)
    runs = [folder / name for name in ("judge", "seed_1", "seed_2")]
    made = [run / "checkpoints" / "last.ckpt" for run in runs]
    times = [path.stat().st_mtime_ns for path in made]
    one, two = ((run / "generator.safetensors").read_bytes() for run in runs[1:])
    assert one != two
    report = json.loads((folder / "evaluation" / "report.json").read_text(encoding="utf-8"))
    assert [model["model"] for model in report["models"]] == ["seed_1", "seed_2"]
    page = (folder / "evaluation" / "report.md").read_text(encoding="utf-8")
    assert "mean ± deviation" in page

    main(words)
    assert [path.stat().st_mtime_ns for path in made] == times, "nothing is trained twice"


def test_what_is_wrong_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    main = runpy.run_path(str(SCRIPT))["main"]
    for words, says in (
        (["--experiment", "nothing", "data.root=x"], "unknown experiment 'nothing_classifier'"),
        (["data.root=x", "--translator", "method.lambda_clss=2"], "lambda_clss"),
    ):
        with pytest.raises(UserError, match=says):
            main([str(tmp_path / "table"), *words])
    with pytest.raises(SystemExit):
        main([str(tmp_path / "table"), "--seeds", "0"])
    assert not (tmp_path / "table").exists()
