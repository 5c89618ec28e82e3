"""A resume checks what it resumes, changes nothing when refused, and finishes what is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from stargan import cli, configs
from stargan.errors import UserError
from stargan.export import open_model
from stargan.runs import newest_run, run_folder
from stargan.training import checkpoints
from stargan.training.resuming import lock
from stargan.training.run import dated_folder
from tests.tasks.test_train import arguments, weights


@pytest.fixture(scope="module")
def trained(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps of a tiny run, in runs/NAME/TIME beside a copy of its data."""
    base = tmp_path_factory.mktemp("trained")
    shutil.copytree(class_folder, base / "data")
    run = base / "runs" / "tiny" / "2026-01-02_03-04-05"
    cli.run(arguments(base / "data", run, "trainer.max_steps=4", "checkpoint.keep=0"))
    return base


@pytest.fixture
def base(trained: Path, tmp_path: Path) -> Path:
    """A copy of its own for each test."""
    shutil.copytree(trained, tmp_path / "base")
    run = tmp_path / "base" / "runs" / "tiny" / "2026-01-02_03-04-05"
    config = configs.load_yaml(run / "config.yaml")
    data = config["data"]
    data["root"] = data["folder"]["root"] = str(tmp_path / "base" / "data")
    (run / "config.yaml").write_text(configs.to_yaml(config), encoding="utf-8")
    return tmp_path / "base"


def run_of(base: Path) -> Path:
    return base / "runs" / "tiny" / "2026-01-02_03-04-05"


def refused(base: Path, *words: str) -> str:
    """What a resume is refused with; nothing in the run folder has changed."""
    run = run_of(base)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(UserError) as caught:
        cli.run(["train", f"resume={run}", "trainer.max_steps=6", *words])
    after = {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != ".lock"}
    assert {p: b for p, b in before.items() if p.name != ".lock"} == after
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_other_labels(base: Path) -> None:
    for split in ("train", "test"):
        (base / "data" / split / "blue").rename(base / "data" / split / "violet")
    said = refused(base)
    assert "(blue, green, red)" in said
    assert "(green, red, violet)" in said


def test_other_images(base: Path) -> None:
    (base / "data" / "train" / "red" / "7.png").unlink()
    assert "there were 24, and now there are 23" in refused(base)


def test_other_names(base: Path) -> None:
    red = base / "data" / "train" / "red"
    (red / "7.png").rename(red / "8.png")
    assert "names or order" in refused(base)


def test_swapped_columns_of_an_attribute_file(celeba_folder: Path, tmp_path: Path) -> None:
    root, run = tmp_path / "celeba", tmp_path / "run"
    shutil.copytree(celeba_folder, root)
    words = arguments(root, run, "trainer.max_steps=2", "data.celeba.crop=null")
    words[1] = "experiment=celeba"
    cli.run(
        [*words, "method=stargan", "labels=[Blond_Hair,Male]", "data.celeba.partition=official"]
    )
    file = root / "list_attr_celeba.txt"
    text = file.read_text().replace("Blond_Hair Male", "Male Blond_Hair")
    file.write_text(text)
    with pytest.raises(UserError, match="6 had the label Blond_Hair, and now 9 have"):
        cli.run(["train", f"resume={run}", "trainer.max_steps=4"])


def test_image_settings_of_a_changed_file(base: Path) -> None:
    file = run_of(base) / "config.yaml"
    file.write_text(file.read_text().replace("flip: 0.5", "flip: 0.25"))
    assert "flip=0.5, and now it would be flip=0.25" in refused(base)


@pytest.mark.parametrize(
    ("text", "both"),
    [
        ("seed=5", ("1234", "5")),
        ("data.batch_size=8", ("4", "8")),
        ("lambda_cls=2", ("1.0", "2")),
        ("method.betas=[0.1,0.2]", ("[0.5,0.999]", "[0.1,0.2]")),
        ("labels=[red,green]", ("null", "[red,green]")),
        ("data.image_size=64", ("32", "64")),
        ("run_dir=elsewhere", ("2026-01-02", "elsewhere")),
        ("trainer.precision=bf16-mixed", ("32-true", "bf16-mixed")),
        ("method=stargan_modern", ("method=stargan_modern", "new run")),
    ],
)
def test_what_cannot_change(base: Path, text: str, both: tuple[str, str]) -> None:
    said = refused(base, text)
    assert all(words in said for words in both), said


def test_what_may_change(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another place of the data and of the working folder, and settings that are the same."""
    run = run_of(base)
    (base / "data").rename(base / "moved")
    monkeypatch.chdir(base)
    words = ["data.root=moved", "data.num_workers=0", "log.sample_rows=1", "generator_lr=1e-4"]
    words[3] = f"method.{words[3]}"
    cli.run(["train", "resume=runs/tiny", "trainer.max_steps=6", *words])
    config = configs.load_yaml(run / "config.yaml")
    assert config["data"]["root"] == config["data"]["folder"]["root"] == str(base / "moved")
    assert config["log"]["sample_rows"] == 1
    assert weights(run)["stargan"]["step"] == 6
    monkeypatch.chdir("/")
    cli.run(["train", f"resume={run / 'checkpoints' / 'last.ckpt'}", "trainer.max_steps=7"])
    assert weights(run)["stargan"]["step"] == 7


def test_another_length_does_not_make_the_rates_jump(class_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    cli.run(arguments(class_folder, run, "trainer.max_steps=4", "schedule=late"))
    with pytest.raises(UserError, match=r"at 0 of their beginning; for 40 steps .* jump to 1"):
        cli.run(["train", f"resume={run}", "trainer.max_steps=40"])
    cli.run(["train", f"resume={run}", "trainer.max_steps=5", "schedule=constant"])
    assert configs.load_yaml(run / "config.yaml")["schedule"] == "constant"
    with pytest.raises(UserError, match="schedule was constant and cannot be late"):
        cli.run(["train", f"resume={run}", "schedule=late"])


def test_used_up_steps_and_minutes_say_what_to_raise(base: Path) -> None:
    run = run_of(base)
    with pytest.raises(UserError, match=r"4 of 4 steps: add trainer\.max_steps=N"):
        cli.run(["train", f"resume={run}"])
    with pytest.raises(UserError, match=r"at step 4 of 9: add trainer\.max_minutes=N"):
        cli.run(["train", f"resume={run}", "trainer.max_steps=9", "trainer.max_minutes=0.00001"])


def test_a_run_killed_after_its_last_step_is_finished(base: Path) -> None:
    run = run_of(base)
    report = (run / "report.md").read_text()
    for name in ("generator.safetensors", "report.md"):
        (run / name).unlink()
    cli.run(["train", f"resume={run}"])
    assert open_model(run / "generator.safetensors").training["steps"] == 4
    assert "## Terms at the end" in (run / "report.md").read_text()
    assert "- steps: 2 of G, 4 of D" in report
    assert "- steps: 2 of G, 4 of D" in (run / "report.md").read_text()
    assert weights(run)["stargan"]["step"] == 4


def test_a_checkpoint_that_does_not_fit(base: Path) -> None:
    file = run_of(base) / "config.yaml"
    config = configs.load_yaml(file)
    config["method"]["generator"]["channels"] = 16
    file.write_text(configs.to_yaml(config), encoding="utf-8")
    assert "put config.yaml back" in refused(base)


def test_of_two_resumes_the_second_is_refused_while_the_first_lives(base: Path) -> None:
    run = run_of(base)
    words = (
        "import sys; from pathlib import Path; from stargan.training.resuming import lock; "
        "held = lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", words, str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "held"
    assert "another process trains" in refused(base)
    process.kill()
    process.wait()
    lock(run).release()


def test_two_runs_of_one_second_have_two_folders(tmp_path: Path) -> None:
    made = {dated_folder(tmp_path) for _ in range(4)}
    assert len(made) == 4


def test_a_refused_start_leaves_no_folder(class_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(UserError, match="needs a judge"):
        cli.run(arguments(class_folder, run, "trainer.max_steps=2", "callbacks=evaluate"))
    assert not run.exists()


def test_which_run_a_path_means(base: Path) -> None:
    run, runs = run_of(base), base / "runs" / "tiny"
    newer = runs / "2026-02-01_00-00-00"
    newer.mkdir()
    (newer / "config.yaml").write_text("name: x\n")
    # A run that never saved is no use where another one has.
    assert newest_run(runs) == run
    for path in (run, runs, run / "checkpoints", run / "checkpoints" / "last.ckpt"):
        assert run_folder(path) == run
    assert run_folder(base) is None
    assert run_folder(base / "data") is None
    (newer / "checkpoints").mkdir()
    shutil.copy(run / "checkpoints" / "last.ckpt", newer / "checkpoints")
    assert run_folder(runs) == newer
    assert open_model(runs).labels.names == ("blue", "green", "red")


def test_numbers_of_yaml(tmp_path: Path) -> None:
    """1e-4 is a number in a file too; texts that look like values stay texts."""
    file = tmp_path / "config.yaml"
    plain = {"names": ["1e-4", "1_1", "true", "2:30", "null"], "rate": 1e-5}
    file.write_text(configs.to_yaml(plain) + "typed: 1e-4\n", encoding="utf-8")
    assert configs.load_yaml(file) == {**plain, "typed": 1e-4}
    assert yaml.safe_load(configs.to_yaml(plain)) == plain


def test_a_checkpoint_of_before_is_compared_by_what_it_has(base: Path) -> None:
    last = run_of(base) / "checkpoints" / "last.ckpt"
    loaded = checkpoints.load(last)
    del loaded["stargan"]["data"], loaded["stargan"]["schedule"]
    torch.save(loaded, last)
    cli.run(["train", f"resume={run_of(base)}", "trainer.max_steps=5"])
    assert weights(run_of(base))["stargan"]["data"]["files"]["folder"]["train"]["count"] == 24
