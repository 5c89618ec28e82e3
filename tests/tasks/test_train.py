"""``stargan train`` end to end on tiny data: run folder, resume, stop, several devices."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from stargan import Translator, cli, configs
from stargan.errors import UserError
from stargan.export import open_model
from stargan.training import checkpoints
from stargan.training.metrics_log import read_terms

TINY = [
    "data.image_size=32",
    "data.batch_size=4",
    "method.generator.channels=8",
    "method.generator.blocks=1",
    "method.discriminator.channels=8",
    "trainer.accelerator=cpu",
    "schedule=constant",
    "n_critic=2",
    "log.every_n_steps=2",
    "log.samples_every_n_steps=4",
    "log.sample_rows=2",
    "log.tensorboard=false",
]


def arguments(root: Path, run_dir: Path, *more: str) -> list[str]:
    words = ["train", "experiment=folder", f"data.root={root}", f"run_dir={run_dir}"]
    return [*words, *TINY, *more]


def weights(run_dir: Path) -> dict[str, Any]:
    return checkpoints.load(run_dir / "checkpoints" / "last.ckpt")


def same(one: Path, two: Path) -> bool:
    a, b = weights(one), weights(two)
    moments = zip(a["optimizer_states"], b["optimizer_states"], strict=True)
    for x, y in moments:
        for key, state in x["state"].items():
            if not torch.equal(state["exp_avg"], y["state"][key]["exp_avg"]):
                return False
    pairs = a["state_dict"].items()
    return (
        all(torch.equal(v, b["state_dict"][k]) for k, v in pairs)
        and a["stargan"]["step"] == (b["stargan"]["step"])
    )


def command(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "stargan", *words]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def test_a_run_folder_has_all_that_it_should(
    class_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    cli.run(
        arguments(
            class_folder,
            run,
            "trainer.max_steps=5",
            "checkpoint.every_n_steps=2",
            "checkpoint.keep=1",
            "log.tensorboard=true",
        )
    )
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"last.ckpt", "step_00000005.ckpt"}
    assert [p.name for p in sorted((run / "samples").iterdir())] == [
        "step_00000004.png",
        "step_00000005.png",
    ]
    assert any((run / "tensorboard").iterdir())
    rows = read_terms(run / "metrics.csv")
    assert [row["step"] for row in rows] == [2, 4, 5]
    terms = {"D/adv", "D/gp", "D/cls", "G/adv", "G/cls", "G/rec", "label_effect"}
    assert terms <= set(rows[0])
    config = configs.load_yaml(run / "config.yaml")
    assert config["data"]["root"] == str(class_folder)
    report = (run / "report.md").read_text()
    assert "samples/step_00000005.png" in report
    shown = capsys.readouterr().out
    assert "blue" in shown, "class -> index -> count is printed"
    assert "8" in shown

    translator = Translator.from_pretrained(run)
    assert translator.labels == ("blue", "green", "red")
    assert translator.image_size == (32, 32)


def test_checkpoint_is_plain_data_and_opens_by_itself(class_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    cli.run(arguments(class_folder, run, "trainer.max_steps=3"))
    last = run / "checkpoints" / "last.ckpt"
    loaded = torch.load(last, weights_only=True)
    assert any(k.startswith("generator.") for k in loaded["state_dict"])
    assert loaded["stargan"]["step"] == 3
    method = checkpoints.build_method(loaded["hyper_parameters"]).eval()
    method.load_state_dict(loaded["state_dict"])
    batch = torch.rand(2, 3, 32, 32) * 2 - 1
    label, dataset = torch.eye(3)[:2], torch.zeros(2, dtype=torch.long)
    given = (batch, label.roll(1, 0), label, dataset)
    expected = method.translate(*given)
    for path in (last, run / "generator.safetensors"):
        torch.testing.assert_close(open_model(path)(*given), expected)


def test_resume_goes_on_exactly(class_folder: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    cli.run(arguments(class_folder, whole, "trainer.max_steps=9"))
    # Stops in the middle of an epoch and between two turns of G.
    cli.run(arguments(class_folder, parts, "trainer.max_steps=5"))
    assert not same(whole, parts)
    cli.run(["train", f"resume={parts}", "trainer.max_steps=9"])
    assert same(whole, parts)
    steps = [row["step"] for row in read_terms(parts / "metrics.csv")]
    assert steps == sorted(set(steps))
    with pytest.raises(UserError, match="has 9 of 9 steps"):
        cli.run(["train", f"resume={parts}"])
    with pytest.raises(UserError, match="cannot change"):
        cli.run(["train", f"resume={parts}", "experiment=demo"])


def test_two_runs_with_one_seed_are_equal(class_folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        cli.run(arguments(class_folder, tmp_path / name, "trainer.max_steps=3", f"seed={seed}"))
    assert same(tmp_path / "a", tmp_path / "b")
    assert not same(tmp_path / "a", tmp_path / "c")


def test_joint_training_is_the_same_code(
    class_folder: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = [
        "train",
        "experiment=joint",
        f"data.celeba.root={celeba_folder}",
        f"data.rafd.root={class_folder}",
        "labels=[Blond_Hair,Male]",
        "data.celeba.crop=40",
        "data.celeba.partition=official",
        f"run_dir={run}",
        "trainer.max_steps=4",
    ]
    cli.run([*words, *TINY])
    model = open_model(run)
    assert model.labels.names == ("Blond_Hair", "Male", "blue", "green", "red")
    assert model.labels.condition_size == 7
    assert {p.name for p in (run / "samples").iterdir()} == {
        "step_00000004_celeba.png",
        "step_00000004_rafd.png",
    }


def test_smoke_sees_a_generator_that_does_not_move(class_folder: Path, tmp_path: Path) -> None:
    cli.run(arguments(class_folder, tmp_path / "fine", "debug=smoke", "n_critic=1"))
    with pytest.raises(UserError, match="have not moved"):
        cli.run(arguments(class_folder, tmp_path / "still", "debug=smoke", "n_critic=100"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["data.image_size=127"], "124 or 128"),
        (["data.batch_size=0"], "data.batch_size=0"),
        (["data.batch_size=1"], "batch"),
        (["trainer.max_steps=0"], "trainer.max_steps=0"),
        (["lambda_rec=-1"], "lambda_rec=-1"),
        (["labels=[blue,purple]"], "purple"),
        (["trainer.precision=8-bit"], "precision"),
        (["data.root=no/such/folder"], "no/such/folder"),
    ],
)
def test_bad_input_is_one_sentence(
    class_folder: Path, tmp_path: Path, more: list[str], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        cli.run([*arguments(class_folder, tmp_path / "run"), *more])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_an_unreadable_image_ends_the_run_or_is_skipped(
    class_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(class_folder, root)
    for i in range(6):
        (root / "train" / "red" / f"{i}.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"red/\d\.png"):
        cli.run(arguments(root, tmp_path / "ends", "trainer.max_steps=8"))
    cli.run(arguments(root, tmp_path / "goes_on", "trainer.max_steps=8", "data.on_error=skip"))
    assert "6 unreadable images were skipped" in (tmp_path / "goes_on" / "report.md").read_text()


def test_the_time_limit_ends_a_run(class_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    cli.run(arguments(class_folder, run, "trainer.max_steps=100000", "trainer.max_minutes=0.03"))
    saved = weights(run)["stargan"]
    assert 1 < saved["step"] < 100000
    assert saved["seconds"] > 1.8
    assert "stopped by the time limit of 0.03 minutes" in (run / "report.md").read_text()


def test_a_run_is_never_overwritten(class_folder: Path, tmp_path: Path) -> None:
    cli.run(arguments(class_folder, tmp_path / "run", "trainer.max_steps=2"))
    with pytest.raises(UserError, match="holds a run already"):
        cli.run(arguments(class_folder, tmp_path / "run", "trainer.max_steps=2"))


def test_resume_of_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: x\n")
    with pytest.raises(UserError, match="never saved"):
        cli.run(["train", f"resume={tmp_path}"])
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"no checkpoint at all")
    with pytest.raises(UserError, match="no checkpoint"):
        cli.run(["train", f"resume={tmp_path}"])


def wait_for(condition: Any, process: subprocess.Popen[str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the run takes too long"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_goes_on_exactly(
    class_folder: Path, tmp_path: Path, how: signal.Signals
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    steps = ["trainer.max_steps=100000", "checkpoint.every_n_steps=3", "checkpoint.keep=0"]
    process = subprocess.Popen(
        command(arguments(class_folder, run, *steps)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    last = run / "checkpoints" / "last.ckpt"
    wait_for(lambda: last.exists() and weights(run)["stargan"]["step"] >= 6, process)
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    if how == signal.SIGKILL:
        assert process.returncode == -9
    else:
        assert process.returncode == 128 + how
        assert f"resume={run}" in out.replace("\n", "")
        assert (run / "generator.safetensors").exists()
        assert read_terms(run / "metrics.csv")[-1]["step"] == weights(run)["stargan"]["step"]
    assert "Traceback" not in err
    goal = weights(run)["stargan"]["step"] + 4
    words = command(["train", f"resume={run}", f"trainer.max_steps={goal}"])
    subprocess.run(words, check=True, env=ENVIRONMENT, timeout=300, capture_output=True)
    words = command(arguments(class_folder, whole, f"trainer.max_steps={goal}"))
    subprocess.run(words, check=True, env=ENVIRONMENT, timeout=300, capture_output=True)
    assert same(run, whole)


@pytest.mark.slow
def test_two_processes_end_with_equal_weights(class_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = arguments(class_folder, run, "trainer.max_steps=5", "trainer.devices=2")
    done = subprocess.run(
        command(words), env=ENVIRONMENT, timeout=300, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "2 processes, largest difference between their weights: 0" in shown
    assert weights(run)["stargan"]["step"] == 5
    assert shown.count("run folder:") == 1, "one process speaks"
    alone = tmp_path / "alone"
    cli.run(arguments(class_folder, alone, "trainer.max_steps=5"))
    assert not same(run, alone), "the second process sees other images"


ICGAN = (
    *("method=icgan", "method.generator.channels=8", "method.discriminator.channels=8"),
    *("method.encoder.channels=4", "method.label_encoder.channels=4", "data.image_size=32"),
    *("data.batch_size=4", "trainer.accelerator=cpu", "log.every_n_steps=2"),
    *("log.samples_every_n_steps=4", "log.sample_rows=2", "log.tensorboard=false"),
    # Of 20 steps ten of the GAN, one of the statistics, nine of the encoders.
    *("method.cgan_share=0.5", "trainer.max_steps=20"),
)


@pytest.mark.slow
def test_two_processes_agree_through_all_phases(class_folder: Path, tmp_path: Path) -> None:
    """Weights and running statistics, also after steps that only pass forward."""
    run = tmp_path / "run"
    words = ["train", "experiment=folder", f"data.root={class_folder}", f"run_dir={run}", *ICGAN]
    done = subprocess.run(
        command([*words, "trainer.devices=2"]),
        **{"env": ENVIRONMENT, "timeout": 300, "capture_output": True, "text": True},
    )
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "2 processes, largest difference between their weights: 0" in shown
    assert weights(run)["stargan"]["counts"] == {"G": 10, "D": 10, "Ez": 9, "Ey": 9}


def test_a_run_of_phases_is_shown_once_it_translates(class_folder: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    words = ["train", "experiment=folder", f"data.root={class_folder}", *ICGAN]
    cli.run([*words, f"run_dir={whole}"])
    grids = sorted(p.name for p in (whole / "samples").iterdir())
    assert grids == ["step_00000012.png", "step_00000016.png", "step_00000020.png"]
    rows = read_terms(whole / "metrics.csv")
    assert {"D/adv", "G/adv", "Ez/mse", "Ey/mse", "label_effect", "grad/Ez"} <= set(rows[0])
    effects = [row["step"] for row in rows if row["label_effect"] == row["label_effect"]]
    assert effects == [12, 14, 16, 18, 20], "no word on translations before there are any"
    report = (whole / "report.md").read_text()
    assert "9 of Ez" in report
    assert "| Ey/mse |" in report


def test_regions_are_not_needed_and_not_told(class_folder: Path, tmp_path: Path) -> None:
    """Boxes that do not exist stop no training, and their place is in no exported file."""
    run = tmp_path / "run"
    boxes = f"data.folder.regions={tmp_path / 'secret' / 'boxes.csv'}"
    cli.run(arguments(class_folder, run, boxes, "trainer.max_steps=2"))
    folder = open_model(run / "generator.safetensors").training["data"]["folder"]
    assert folder["regions"] is None
    assert b"secret" not in (run / "generator.safetensors").read_bytes()
    # A run of before there were regions goes on.
    config = configs.load_yaml(run / "config.yaml")
    del config["data"]["folder"]["regions"]
    (run / "config.yaml").write_text(configs.to_yaml(config), encoding="utf-8")
    cli.run(["train", f"resume={run}", "trainer.max_steps=4"])
    assert weights(run)["state_dict"]
