"""``stargan train -m``: jobs of Hydra's, a table of them, and going on after a kill."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stargan import cli, configs
from stargan.errors import UserError
from stargan.runs import FIGURES
from stargan.tasks import sweep

TINY = [
    *("data.image_size=32", "data.batch_size=4", "method.generator.channels=8"),
    *("method.generator.blocks=1", "method.discriminator.channels=8", "trainer=cpu"),
    *("schedule=constant", "n_critic=1", "log.every_n_steps=1", "logger=none"),
    *("callbacks=none", "data.num_workers=0", "trainer.max_steps=2", "checkpoint.keep=0"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i, name in enumerate(("a", "b", "c")):
        (folder / name).mkdir()
        for j in range(5):
            pixels = np.full((32, 32, 3), 40 * i + 5 * j, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{j}.png")
    return folder


def words(root: Path, *more: str) -> list[str]:
    return ["experiment=folder", f"data.root={root}", *TINY, *more]


def refused(*arguments: str) -> str:
    with pytest.raises(UserError) as caught:
        cli.run(list(arguments))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def swept(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Four jobs, and the command that made them."""
    folder = tmp_path_factory.mktemp("sweep") / "s"
    command = ["train", "-m", *words(root, "seed=1,2", "labels=[a,b],[a,c]")]
    command += [f"hydra.sweep.dir={folder}", "optimize=D/adv", "direction=maximize"]
    cli.run(command)
    return folder, command


def figures(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / FIGURES).read_text())
    return found


def test_each_job_is_a_run_folder(swept: tuple[Path, list[str]]) -> None:
    folder, _ = swept
    saved = [configs.load_yaml(folder / str(i) / "config.yaml") for i in range(4)]
    assert [(c["seed"], c["labels"]) for c in saved] == [
        *((1, ["a", "b"]), (1, ["a", "c"])),
        *((2, ["a", "b"]), (2, ["a", "c"])),
    ]
    assert all(Path(c["run_dir"]) == folder / str(i) for i, c in enumerate(saved))
    assert all(figures(folder / str(i))["step"] == 2 for i in range(4))


def test_the_table_has_the_best_first(swept: tuple[Path, list[str]]) -> None:
    folder, _ = swept
    text = (folder / "sweep.md").read_text()
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[0]][:4] == ["job", "seed", "labels", "D/adv"]
    values = [figures(folder / row[0].strip())["D/adv"] for row in rows[2:]]
    assert len(values) == 4
    assert values == sorted(values, reverse=True)
    assert {row[2].strip() for row in rows[2:]} == {"[a,b]", "[a,c]"}
    assert all(row[-1].strip() == "finished" for row in rows[2:])


def test_the_same_command_goes_on(
    swept: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Job 0 finished, job 1 killed after its first step, job 2 before it saved anything."""
    from stargan.training import run

    folder, command = swept
    whole = figures(folder / "1")
    times = {i: (folder / str(i) / FIGURES).stat().st_mtime_ns for i in (0, 3)}
    for i in (1, 2):
        (folder / str(i) / FIGURES).unlink()
    # As after a kill: one step less.
    half = folder.parent / "half"
    cli.run(["train", *words_of(folder / "1"), f"run_dir={half}", "trainer.max_steps=1"])
    last = "checkpoints/last.ckpt"
    (folder / "1" / last).write_bytes((half / last).read_bytes())
    (folder / "2" / last).unlink()
    resumed: list[Any] = []
    began = run.introduce
    monkeypatch.setattr(
        run, "introduce", lambda r, *a: (resumed.append((r.folder.name, r.resumed)), began(r, *a))
    )
    cli.run(command)
    assert resumed == [("1", True), ("2", False)]
    assert {i: (folder / str(i) / FIGURES).stat().st_mtime_ns for i in (0, 3)} == times
    again = figures(folder / "1")
    assert again["D/adv"] == pytest.approx(whole["D/adv"], rel=1e-4), "exactly where it stopped"


def words_of(job: Path) -> list[str]:
    """What Hydra noted that a job was given."""
    import yaml

    found: list[str] = yaml.safe_load((job / sweep.OVERRIDES).read_text())
    return [w for w in found if not w.startswith(("labels=", "trainer.max_steps="))] + [
        "labels=[a,c]"
    ]


def test_a_folder_with_other_jobs_is_refused(swept: tuple[Path, list[str]]) -> None:
    _, command = swept
    changed = [w.replace("seed=1,2", "seed=5,6") for w in command]
    assert "seed was 1, and here it would be 5" in refused(*changed)


def test_a_figure_that_the_runs_do_not_have(swept: tuple[Path, list[str]]) -> None:
    _, command = swept
    wrong = [w.replace("optimize=D/adv", "optimize=D/avd") for w in command]
    assert "optimize=D/avd: the runs have no such figure. Did you mean 'D/adv'?" in refused(*wrong)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["experiment=demo", "lambda_recc=1,2"], "Did you mean method.lambda_rec="),
        (["seed=1,2"], "which experiment"),
        (["experiment=demo,dmeo"], "Did you mean experiment=demo"),
        (["experiment=celeba", "seed=1,2"], "data.root must be given"),
        (["experiment=demo", "run_dir=x"], "hydra.sweep.dir=DIR"),
        (["experiment=demo", "hydra/launcher=joblb"], "unknown hydra/launcher 'joblb'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(more: list[str], message: str) -> None:
    assert message in refused("train", "-m", *more)


@pytest.mark.parametrize(
    ("choice", "extra"),
    [
        ("hydra/launcher=joblib", "sweep"),
        ("hydra/launcher=submitit_slurm", "slurm"),
        ("hydra/sweeper=optuna", "sweep"),
    ],
)
def test_a_plugin_that_is_missing(choice: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = configs.Choices.of

    def without(self: configs.Choices, group: str) -> list[str]:
        return [name for name in real(self, group) if name not in configs.PLUGINS]

    monkeypatch.setattr(configs.Choices, "of", without)
    message = refused("train", "-m", "experiment=demo", choice)
    assert message.endswith(f"not installed: pip install 'stargan[{extra}]'.")


def test_commas_between_brackets_and_quotes_part_nothing() -> None:
    assert configs.split_values("[a,b],[c]") == ["[a,b]", "[c]"]
    assert configs.split_values("'a,b',c") == ["'a,b'", "c"]
    assert configs.split_values("1") == ["1"]


def test_slurm_is_asked_for_what_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that sbatch gets, from programs that only keep it: there is no cluster here."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    kept = tmp_path / "sbatch.sh"
    for name, does in (("srun", "exit 1"), ("sbatch", f"cp $1 {kept}; echo no queue >&2; exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu"]
    launcher += ["hydra.launcher.gpus_per_node=2", "hydra.launcher.tasks_per_node=2"]
    launcher += ["hydra.launcher.timeout_min=600", "hydra.launcher.array_parallelism=3"]
    command = ["train", "-m", "experiment=demo", "seed=1,2", f"hydra.sweep.dir={tmp_path}/s"]
    assert "no queue" in refused(*command, *launcher)
    text = kept.read_text()
    for line in ("--partition=gpu", "--time=600", "--ntasks-per-node=2", "--array=0-1%2"):
        assert f"#SBATCH {line}" in text
    assert "#SBATCH --gpus-per-node=2" in text
    assert "submitit.core._submit" in text


PARALLEL = pytest.mark.slow


@PARALLEL
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_of_other_processes(launcher: str, root: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher") is None:
        pytest.skip("the plugin is not installed")
    more = [f"hydra/launcher={launcher}", f"hydra.sweep.dir={tmp_path}", "seed=1,2"]
    cli.run(["train", "-m", *words(root, *more)])
    assert [job.state for job in sweep.jobs(tmp_path)] == ["finished"] * 2


def test_a_database_that_optuna_cannot_write_to() -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    pytest.importorskip("sqlalchemy", "2")
    more = ["hydra/sweeper=optuna", "hydra.sweeper.storage=sqlite:///x.db", "optimize=G/rec"]
    assert "does not work with SQLAlchemy 2" in refused("train", "-m", "experiment=demo", *more)


@PARALLEL
def test_optuna_gets_the_figure(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    more = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.sampler.seed=1"]
    more += ["method.generator_lr=interval(1e-5,1e-3)", "optimize=G/rec"]
    cli.run(["train", "-m", *words(root, *more), f"hydra.sweep.dir={tmp_path}"])
    best = configs.load_yaml(tmp_path / "optimization_results.yaml")
    values = [job.figures["G/rec"] for job in sweep.jobs(tmp_path)]
    assert best["best_value"] == pytest.approx(min(values))
