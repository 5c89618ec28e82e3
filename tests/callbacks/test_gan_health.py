"""What is measured, and what a run does when the monitors find trouble."""

from __future__ import annotations

import dataclasses
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
from stargan.health import monitors as health
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


SMALL = [
    *("train", "experiment=folder", "method=stargan_modern", "data.image_size=32"),
    *("data.batch_size=4", "method.n_critic=1", "method.warmup_steps=0", "schedule=constant"),
    *("method.generator.channels=8", "method.generator.width=16", "method.generator.blocks=1"),
    *("method.discriminator.channels=8", "method.discriminator.width=16", "log.tensorboard=false"),
    *("trainer.accelerator=cpu", "trainer.precision=32-true", "log.every_n_steps=1"),
    *("log.samples_every_n_steps=1000", "log.sample_rows=2", "health.grace=0", "health.patience=4"),
]


def plant(monkeypatch: pytest.MonkeyPatch, run: Path, bad: set[int], at_once: bool = True) -> None:
    """The only monitor: it finds these steps bad until the run has gone back."""

    def judge(history: health.History) -> health.Opinion:
        gone_back = any(line["event"] == "rollback" for line in read_log(run / "health.jsonl"))
        return health.Opinion(history.rows[-1]["step"] in bad and not gone_back, "planted")

    planted = dataclasses.replace(
        health.BY_NAME["label_ignored"], judge=judge, explained_by=(), at_once=at_once
    )
    monkeypatch.setattr(health, "MONITORS", (planted,))


def healthy_step(run: Path) -> int:
    return int(checkpoints.load(run / "checkpoints" / "healthy.ckpt")["stargan"]["step"])


def test_a_checkpoint_of_a_bad_time_never_becomes_healthy(
    class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    plant(monkeypatch, run, {8, 9, 10}, at_once=False)
    more = [f"data.root={class_folder}", "health.action=rollback", "checkpoint.every_n_steps=9"]
    # Saved at 9, among bad rows; rows are clear again before the next save.
    cli.run([*SMALL, *more, f"run_dir={run}", "trainer.max_steps=17"])
    assert found(run) == [], "too short for a trouble"
    assert healthy_step(run) == 0, "the beginning"
    cli.run(["train", f"resume={run}", "trainer.max_steps=20"])
    assert healthy_step(run) == 18


def test_a_second_attempt_draws_other_numbers(
    class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, again = tmp_path / "once", tmp_path / "again"
    more = [f"data.root={class_folder}", "checkpoint.every_n_steps=2", "trainer.max_steps=8"]
    # The rates stay, so that only the numbers differ.
    back = ["health.action=rollback", "health.rate_factor=1.0"]
    plant(monkeypatch, again, {6})
    cli.run([*SMALL, *more, f"run_dir={once}"])
    cli.run([*SMALL, *more, *back, f"run_dir={again}"])
    assert found(again) == ["trouble", "rollback"]
    (line,) = (x for x in read_log(again / "health.jsonl") if x["event"] == "rollback")
    assert (line["step"], line["to_step"]) == (6, 4)
    first, second = (read_rows(run / "metrics.csv") for run in (once, again))
    assert [row["step"] for row in second] == list(range(1, 9))
    for one, two in zip(first, second, strict=True):
        assert one["lr/D"] == two["lr/D"]
        assert (one["D/adv"] == two["D/adv"]) == (one["step"] <= 4), one["step"]
    state = checkpoints.load(again / "checkpoints" / "last.ckpt")["stargan"]
    assert (state["rollbacks"], state["lr_scale"]) == (1, 1.0)


@pytest.mark.parametrize(
    ("keep", "bad", "expected"), [(5, {5, 6}, 4), (5, {1}, 6), (0, {1, 2, 3}, 6)]
)
def test_a_resume_that_may_go_back_has_a_healthy_checkpoint(
    keep: int,
    bad: set[int],
    expected: int,
    class_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    plant(monkeypatch, run, bad)
    more = [f"data.root={class_folder}", "checkpoint.every_n_steps=2", f"checkpoint.keep={keep}"]
    cli.run([*SMALL, *more, f"run_dir={run}", "trainer.max_steps=6"])
    assert not (run / "checkpoints" / "healthy.ckpt").exists()
    cli.run(
        [
            *("train", f"resume={run}", "trainer.max_steps=7", "health.action=rollback"),
            "checkpoint.every_n_steps=100",
        ]
    )
    assert healthy_step(run) == expected


def test_without_a_healthy_checkpoint_a_run_stops(
    class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    plant(monkeypatch, run, set(range(1, 100)))
    cli.run([*SMALL, f"data.root={class_folder}", f"run_dir={run}", "trainer.max_steps=4"])
    with pytest.raises(SystemExit) as stop:
        cli.run(["train", f"resume={run}", "trainer.max_steps=20", "health.action=rollback"])
    assert stop.value.code == 3
    assert "without a healthy checkpoint" in (run / "report.md").read_text(encoding="utf-8")
    assert checkpoints.load(run / "checkpoints" / "last.ckpt")["stargan"]["step"] == 5
    assert not (run / "checkpoints" / "healthy.ckpt").exists()


def test_an_unknown_action_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose of warn, stop, rollback"):
        cli.run([*TROUBLED, f"run_dir={tmp_path / 'run'}", "health.action=panic"])


def test_health_of_what_is_no_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run folder"):
        cli.run(["health", f"run={tmp_path}"])
    (tmp_path / "config.yaml").write_text("method: {}\n")
    with pytest.raises(UserError, match=r"no rows in metrics\.csv"):
        cli.run(["health", f"run={tmp_path}"])
