"""``callbacks=evaluate``: logs figures, keeps the best checkpoint, which opens by itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from stargan import cli
from stargan.callbacks.evaluate import Evaluate
from stargan.errors import UserError
from stargan.export import open_model
from stargan.training.metrics_log import MetricsLog, read_terms


@pytest.mark.slow
def test_a_run_logs_its_evaluations_and_keeps_the_best(tmp_path: Path) -> None:
    run = tmp_path / "run"
    cli.run(
        [
            *("train", "experiment=demo", "method=stargan", "n_critic=1", f"run_dir={run}"),
            *("method.generator.channels=8", "method.generator.blocks=1"),
            *("method.discriminator.channels=8", "log.tensorboard=false"),
            *("data.attributes.count.train=128", "data.attributes.count.test=24"),
            *("trainer.max_steps=6", "trainer.accelerator=cpu", "log.every_n_steps=2"),
            *("callbacks=evaluate", "callbacks.evaluate.every_n_steps=4"),
            "callbacks.evaluate.count=16",
        ]
    )
    rows = read_terms(run / "metrics.csv")
    logged = [row["step"] for row in rows if row.get("eval/error", float("nan")) >= 0]
    assert logged[0] == 4
    best = open_model(run / "checkpoints" / "best.ckpt")
    assert best.training["steps"] in (4, 6)
    assert "## Best checkpoint" in (run / "report.md").read_text(encoding="utf-8")

    output = tmp_path / "evaluation"
    cli.run(["evaluate", f"model={run / 'checkpoints' / 'best.ckpt'}", f"output={output}"])
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "Worst cases" in page
    assert "judge looks after" in page
    assert (output / "report.json").is_file()


def test_real_images_need_a_judge(class_folder: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,left,top,width,height\ntest/red/0,9,9,20,20\n")
    with pytest.raises(UserError, match="needs a judge"):
        cli.run(
            [
                *("train", "experiment=folder", f"data.root={class_folder}"),
                *(f"run_dir={tmp_path / 'run'}", "callbacks=evaluate", "debug=smoke"),
                *(f"data.folder.regions={boxes}", "data.image_size=32"),
                *("method.generator.channels=8", "data.batch_size=4"),
            ]
        )


def test_by_minutes_of_training(tmp_path: Path) -> None:
    """Once for each period that has passed, and not again on a resume."""

    def callback(every: int, minutes: float | None = None) -> Evaluate:
        terms = MetricsLog(tmp_path / "metrics.csv", 1)
        return Evaluate([], tmp_path, terms, [], every, 8, "error", {}, every_n_minutes=minutes)

    made = callback(1, 0.5)
    module = SimpleNamespace(clock=0.0, step=1)
    due = []
    for clock in (0.0, 29.0, 31.0, 45.0, 100.0, 119.0, 121.0):
        module.clock = clock
        due.append(made.is_due(module))
    assert due == [False, False, True, False, True, False, True]
    resumed = callback(1, 0.5)
    resumed.periods = resumed.periods_of(module)
    assert not resumed.is_due(module)
    # By steps, whatever the clock says.
    by_steps = callback(3)
    found = []
    for step in range(1, 7):
        module.step = step
        found.append(by_steps.is_due(module))
    assert found == [False, False, True, False, False, True]
