"""What is measured, and what a run does when the monitors find trouble."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stargan import cli
from stargan.callbacks.gan_health import cut_log, read_log, translation_effects
from stargan.errors import UserError
from stargan.labels import JointLabelSpace
from stargan.training import checkpoints
from stargan.training.metrics_log import read_rows
from tests.rig import JOINT, SINGLE, make_batch, make_stargan


@pytest.mark.parametrize("labels", [SINGLE, JOINT], ids=["single", "joint"])
def test_effects_of_label_and_input(
    labels: JointLabelSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = make_stargan(labels)
    batch = make_batch(labels)
    assert translation_effects(method, batch)["label_effect"] > 0.01

    def deaf(image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        return image

    monkeypatch.setattr(method, "translate", deaf)
    effects = translation_effects(method, batch)
    assert effects["label_effect"] == 0
    assert effects["input_effect"] == pytest.approx(1)
    assert effects["colour_drift"] == effects["background_drift"] == 0

    def blind(image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        shown = torch.zeros_like(image)
        shown[:, 0] = target.sum(1)[:, None, None]
        return shown

    monkeypatch.setattr(method, "translate", blind)
    assert translation_effects(method, batch)["input_effect"] < 1

    def drifts(image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        moved = image.clone()
        moved[:, 2] += 0.3
        return moved

    monkeypatch.setattr(method, "translate", drifts)
    effects = translation_effects(method, batch)
    assert effects["colour_drift"] == pytest.approx(0.3, abs=1e-5)
    assert effects["background_drift"] == pytest.approx(0.1, abs=1e-5)
    assert effects["label_effect"] == 0


def test_the_log_is_cut_by_a_resume_but_keeps_earlier_attempts(tmp_path: Path) -> None:
    path = tmp_path / "health.jsonl"
    lines = [{"step": 90, "attempt": 0}, {"step": 40, "attempt": 1}, {"step": 80, "attempt": 1}]
    path.write_text("".join(json.dumps(x) + "\n" for x in lines) + '{"step": 9', encoding="utf-8")
    assert read_log(path) == lines, "a torn line is dropped"
    cut_log(path, 50, 1)
    assert read_log(path) == lines[:2]


# A run in trouble from its first judged row on: the label cannot have an effect in so few steps.
TROUBLED = [
    *("train", "experiment=failure/label_ignored", "data.attributes.count.train=40"),
    *("data.attributes.count.test=20", "data.batch_size=4", "trainer.accelerator=cpu"),
    *("trainer.precision=32-true", "method.warmup_steps=2", "method.generator.blocks=1"),
    *("trainer.max_steps=120", "checkpoint.every_n_steps=10", "log.every_n_steps=5"),
    *("health.grace=20", "health.patience=20", "method.generator_lr=3.0e-3"),
    *("method.lambda_sparse=1.0e4", "log.samples_every_n_steps=1000", "checkpoint.keep=1"),
]


def found(run: Path) -> list[str]:
    return [x["event"] for x in read_log(run / "health.jsonl")]


@pytest.mark.slow
def test_warn_goes_on_and_stop_ends_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warned, stopped = tmp_path / "warned", tmp_path / "stopped"
    cli.run([*TROUBLED, f"run_dir={warned}"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "the label has no effect" in shown
    assert "What usually helps" in shown
    assert checkpoints.load(warned / "checkpoints" / "last.ckpt")["stargan"]["step"] == 120
    assert "the label has no effect" in (warned / "report.md").read_text()
    cli.run(["health", f"run={warned}"])
    assert "What usually helps" in (warned / "health.html").read_text()
    with pytest.raises(SystemExit) as stop:
        cli.run([*TROUBLED, f"run_dir={stopped}", "health.action=stop"])
    assert stop.value.code == 3
    step = checkpoints.load(stopped / "checkpoints" / "last.ckpt")["stargan"]["step"]
    assert step == read_log(stopped / "health.jsonl")[0]["step"] < 120
    assert (stopped / "generator.safetensors").is_file(), "nothing that was made is lost"


@pytest.mark.slow
def test_rollback_lowers_the_rates_and_gives_up_after_some(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["health.action=rollback", "health.max_rollbacks=2", "health.rate_factor=0.1"]
    with pytest.raises(SystemExit) as stop:
        cli.run([*TROUBLED, f"run_dir={run}", *words])
    assert stop.value.code == 3
    back = [x for x in read_log(run / "health.jsonl") if x["event"] == "rollback"]
    assert [x["lr_scale"] for x in back] == pytest.approx([0.1, 0.01])
    assert [x["attempt"] for x in back] == [0, 1]
    assert found(run).count("trouble") == 3
    state: dict[str, Any] = checkpoints.load(run / "checkpoints" / "last.ckpt")["stargan"]
    assert state["rollbacks"] == 2
    assert state["lr_scale"] == pytest.approx(0.01)
    rows = read_rows(run / "metrics.csv")
    assert [r["step"] for r in rows] == sorted({r["step"] for r in rows}), "no step twice"
    assert rows[-1]["lr/G"] == pytest.approx(3e-3 * 0.01, rel=0.2)
    assert all(math.isfinite(v) for v in rows[-1].values())
    # A resume goes on with the lowered rates.
    cli.run(["train", f"resume={run}", "health.action=warn"])
    rows = read_rows(run / "metrics.csv")
    assert rows[-1]["step"] == 120
    steady = [r["lr/G"] for r in rows if 45 < r["step"] < 80]
    assert steady
    assert all(rate == pytest.approx(3e-5) for rate in steady)


def test_an_unknown_action_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose of warn, stop, rollback"):
        cli.run([*TROUBLED, f"run_dir={tmp_path / 'run'}", "health.action=panic"])


def test_health_of_what_is_no_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run folder"):
        cli.run(["health", f"run={tmp_path}"])
    (tmp_path / "config.yaml").write_text("method: {}\n")
    with pytest.raises(UserError, match=r"no rows in metrics\.csv"):
        cli.run(["health", f"run={tmp_path}"])
