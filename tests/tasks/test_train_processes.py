"""Several processes: equal weights, one clock, one folder, one message an update."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from stargan import cli
from stargan.errors import UserError
from stargan.training import checkpoints
from stargan.training.distributed import cluster, count_processes, place
from stargan.training.metrics_log import read_terms
from tests.tasks.test_train import TINY, same

NAMES = ("SLURM_", "TORCHELASTIC_", "DRIVER_", "STARGAN_RUN_DIR", "LOCAL_", "MASTER_", "NODE_RANK")
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(NAMES)}
ENVIRONMENT |= {"OMP_NUM_THREADS": "1"}

MODERN = [
    *("method=stargan_modern", "data.image_size=32", "data.batch_size=4", "method.n_critic=1"),
    *("method.generator.channels=8", "method.generator.width=16", "method.generator.blocks=1"),
    *("method.discriminator.channels=8", "method.discriminator.width=16", "method.r1_every=2"),
    *("method.warmup_steps=2", "method.rec_every=2", "trainer.precision=32-true"),
    *("trainer.accelerator=cpu", "log.every_n_steps=2", "log.tensorboard=false"),
    *("log.samples_every_n_steps=1000", "log.sample_rows=2"),
]
NOISE = [
    *("method=dcgan", "data.image_size=16", "data.batch_size=4", "method.ema_decay=0.9"),
    *("method.generator.channels=4", "method.discriminator.channels=4", "data.channels=3"),
    *("trainer.accelerator=cpu", "log.every_n_steps=2", "log.tensorboard=false"),
]
READING = [
    *("method=classifier", "network=small_classifier", "data.image_size=32", "data.batch_size=4"),
    *("method.classifier.channels=4", "trainer.accelerator=cpu", "trainer.precision=32-true"),
    *("log.every_n_steps=2", "log.test_every_n_steps=4", "log.tensorboard=false"),
]
METHODS = {"stargan": TINY, "stargan_modern": MODERN, "dcgan": NOISE, "classifier": READING}


def words(root: Path, run: Path, method: str, *more: str) -> list[str]:
    start = ["train", "experiment=folder", f"data.root={root}", f"run_dir={run}"]
    return [*start, *METHODS[method], *more]


def start(arguments: list[str], **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=ENVIRONMENT | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def driver(arguments: list[str], out: Path, **more: str) -> str:
    """Run the driver to its end; what it says, on one line."""
    out.mkdir(exist_ok=True)
    made = start(["-m", "tests.tasks.driver", *arguments], DRIVER_OUT=str(out), **more)
    shown, _ = made.communicate(timeout=300)
    assert made.returncode == 0, shown
    return " ".join(shown.split())


def ranks(out: Path, count: int = 2) -> list[dict[str, Any]]:
    """What the processes have left."""
    found = [torch.load(out / f"rank{i}.pt", weights_only=True) for i in range(count)]
    assert [(one["rank"], one["world_size"]) for one in found] == [(i, count) for i in range(count)]
    return found


def assert_equal(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Weights, buffers, counts and learning rates of two processes."""
    for name, value in one["state_dict"].items():
        assert torch.equal(value, two["state_dict"][name]), name
    assert one["rates"] == two["rates"]
    ignored = {"seconds": 0}
    assert one["state"] | ignored == two["state"] | ignored


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_processes_end_equal_and_send_the_networks_that_step(
    method: str, class_folder: Path, tmp_path: Path
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    two = ["trainer.max_steps=8", "trainer.devices=2"]
    shown = driver(words(class_folder, run, method, *two), out)
    assert "2 processes, largest difference between their weights: 0" in shown
    assert shown.count("run folder:") == 1, "one process speaks"
    first, second = ranks(out)
    assert_equal(first, second)
    saved = checkpoints.load(run / "checkpoints" / "last.ckpt")
    assert saved["stargan"]["step"] == 8
    for name, value in saved["state_dict"].items():
        assert torch.equal(value, first["state_dict"][name]), name

    # Four bytes for each gradient of a network that steps; once a step for each running statistic.
    made = checkpoints.build_method(saved["hyper_parameters"])
    groups = {
        name: sum(p.numel() for a in group.networks for p in getattr(made, a).parameters())
        for name, group in made.groups().items()
    }
    statistics = sum(
        value.numel()
        for name, value in made.state_dict().items()
        if name.endswith(("running_mean", "running_var"))
    )
    for step, messages in enumerate(first["messages"]):
        stepping = {
            "stargan": ["D", "G"] if step % 2 else ["D"],
            "stargan_modern": ["D", "G"] if step >= 2 else ["D"],
            "dcgan": ["D", "G"],
            "classifier": ["C"],
        }[method]
        expected = [4 * groups[name] for name in stepping]
        expected[-1] += 4 * statistics
        assert messages == expected, step
    assert (statistics > 0) == (method in ("dcgan", "classifier"))


@pytest.mark.slow
def test_other_images_on_each_process_and_a_resume_on_two_and_on_one(
    class_folder: Path, tmp_path: Path
) -> None:
    steps = ["trainer.max_steps=8", "schedule=late", "checkpoint.every_n_steps=100"]
    two = ["trainer.devices=2", *steps]
    whole, parts, alone = (tmp_path / name for name in ("whole", "parts", "alone"))
    driver(words(class_folder, whole, "stargan_modern", *two), tmp_path / "out1")
    assert_equal(*ranks(tmp_path / "out1"))
    # After three steps: past the warm-up, within R1's and the cycle's turns.
    driver(words(class_folder, parts, "stargan_modern", *two), tmp_path / "out2", DRIVER_STOP="3")
    assert checkpoints.load(parts / "checkpoints" / "last.ckpt")["stargan"]["step"] == 3
    one = tmp_path / "one"
    copy(parts, one)
    driver(["train", f"resume={parts}"], tmp_path / "out3")
    assert_equal(*ranks(tmp_path / "out3"))
    assert same(whole, parts)
    cli.run(["train", f"resume={one}", "trainer.devices=1"])
    assert checkpoints.load(one / "checkpoints" / "last.ckpt")["stargan"]["step"] == 8
    cli.run(words(class_folder, alone, "stargan_modern", *steps))
    assert not same(whole, alone), "the second process sees other images"


def copy(run: Path, to: Path) -> None:
    """A run folder as of now."""
    (to / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "metrics.csv", "checkpoints/last.ckpt"):
        (to / name).write_bytes((run / name).read_bytes())


@pytest.mark.slow
def test_one_clock_for_a_schedule_that_follows_the_time(class_folder: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    more = ["trainer.devices=2", "trainer.max_steps=100000", "trainer.max_minutes=0.8"]
    more += ["schedule=late", "log.every_n_steps=20"]
    driver(words(class_folder, run, "stargan_modern", *more), out, DRIVER_CLOCK="1")
    first, second = ranks(out)
    assert_equal(first, second)
    # They agree every ten steps: 40 of 48 seconds are used up after step 40, all after step 50.
    assert first["state"]["step"] == 50
    rates = [rate["G"] for rate in first["rates"]]
    assert rates == pytest.approx([2e-4] * 40 + [2e-4 * (1 - 40 / 48) / 0.3] * 10)


@pytest.mark.slow
def test_an_evaluation_may_take_longer_than_processes_wait(tmp_path: Path) -> None:
    """On the embedded faces, with a timeout of seconds in place of half an hour."""
    run, out = tmp_path / "run", tmp_path / "out"
    small = ["data.attributes.count.train=64", "data.attributes.count.test=16"]
    evaluated = ["callbacks=evaluate", "callbacks.evaluate.every_n_steps=3"]
    driver(
        [
            *("train", "experiment=demo", f"run_dir={run}", *MODERN, *small, *evaluated),
            *("callbacks.evaluate.count=8", "trainer.devices=2", "trainer.max_steps=6"),
        ],
        out,
        DRIVER_TIMEOUT="4",
        DRIVER_SLEEP="8",
    )
    assert_equal(*ranks(out))
    # The last step was evaluated already: nobody does it again, and nobody waits for it.
    rows = read_terms(run / "metrics.csv")
    assert [r["step"] for r in rows if r.get("eval/error", float("nan")) >= 0] == [4, 6]
    assert (run / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.slow
def test_the_first_process_may_read_the_test_images_for_long(
    class_folder: Path, tmp_path: Path
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    more = ["trainer.devices=2", "trainer.max_steps=4"]
    driver(
        words(class_folder, run, "classifier", *more),
        out,
        DRIVER_TIMEOUT="4",
        DRIVER_SLEEP="8",
    )
    assert_equal(*ranks(out))
    assert (run / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.slow
def test_two_processes_go_back_together(class_folder: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    more = ["trainer.devices=2", "trainer.max_steps=24", "health.action=rollback"]
    shown = driver(words(class_folder, run, "stargan_modern", *more), out, DRIVER_TROUBLE="6")
    assert "rollback 1 of 3" in shown
    first, second = ranks(out)
    assert_equal(first, second)
    assert first["state"]["rollbacks"] == 1
    assert first["state"]["step"] == 24
    steps = [row["step"] for row in read_terms(run / "metrics.csv")]
    assert steps == list(range(2, 25, 2))


def two_commands(arguments: list[str], places: list[dict[str, str]]) -> list[str]:
    """The same command, started once for each environment, as a cluster does."""
    started = [start(["-m", "stargan", *arguments], **place) for place in places]
    shown = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(places), shown
    return shown


def assert_one_run(folder: Path) -> None:
    (run,) = (folder / "runs" / "folder").iterdir()
    assert checkpoints.load(run / "checkpoints" / "last.ckpt")["stargan"]["step"] == 4
    assert (run / "generator.safetensors").is_file()
    assert [row["step"] for row in read_terms(run / "metrics.csv")] == [2, 4]


@pytest.mark.slow
def test_torchrun_makes_one_run_folder(
    class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(Path.cwd()))
    arguments = ["train", "experiment=folder", f"data.root={class_folder}", *TINY]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    monkeypatch.chdir(tmp_path)
    made = start([*torchrun, "-m", "stargan", *arguments, "trainer.max_steps=4"])
    shown, _ = made.communicate(timeout=300)
    assert made.returncode == 0, shown
    assert "largest difference between their weights: 0" in " ".join(shown.split())
    assert_one_run(tmp_path)


@pytest.mark.slow
def test_slurm_makes_one_run_folder(
    class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(Path.cwd()))
    arguments = ["train", "experiment=folder", f"data.root={class_folder}", *TINY]
    job = {
        "SLURM_NTASKS": "2",
        "SLURM_JOB_NAME": "train",
        "SLURM_JOB_ID": str(20_000 + os.getpid() % 10_000),
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
    }
    places = [{**job, "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in range(2)]
    monkeypatch.chdir(tmp_path)
    shown = two_commands([*arguments, "trainer.max_steps=4"], places)
    assert "largest difference between their weights: 0" in " ".join(shown[0].split())
    assert "run folder:" not in shown[1], "one process speaks"
    assert_one_run(tmp_path)


# Where processes are ------------------------------------------------------------------------------


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in os.environ:
        if name.startswith(("SLURM_", "TORCHELASTIC_", "WORLD_SIZE", "LOCAL_WORLD_SIZE")):
            monkeypatch.delenv(name)
    return monkeypatch


def settings(**changes: Any) -> dict[str, Any]:
    return {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", **changes}


@pytest.mark.parametrize("devices", [1, "1", [0], [3], "auto", -1])
def test_one_device_is_one_process(devices: Any, no_cluster: pytest.MonkeyPatch) -> None:
    assert count_processes(settings(devices=devices)) == 1
    assert place(settings(devices=devices))["strategy"] == "auto"
    assert place(settings(devices=devices, strategy="ddp"))["strategy"] == "auto"


def test_two_devices_are_reduced_by_the_engine(no_cluster: pytest.MonkeyPatch) -> None:
    for changes in ({"devices": 2}, {"devices": [0, 1]}, {"num_nodes": 2}):
        placed = place(settings(**changes))
        assert type(placed["strategy"]).__name__ == "OneReduction"


def test_other_strategies_are_refused(no_cluster: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="strategy=fsdp"):
        place(settings(strategy="fsdp"))


def test_torchrun_and_slurm_say_how_many_processes_there_are(
    no_cluster: pytest.MonkeyPatch,
) -> None:
    assert cluster() is None
    for name, value in (
        *(("TORCHELASTIC_RUN_ID", "1"), ("WORLD_SIZE", "8"), ("LOCAL_WORLD_SIZE", "4")),
    ):
        no_cluster.setenv(name, value)
    assert cluster() == (4, 2)
    placed = place(settings())
    assert (placed["devices"], placed["num_nodes"]) == (4, 2)
    with pytest.raises(UserError, match="asks for 3 processes, but 8 were started"):
        place(settings(devices=3))
    no_cluster.setenv("WORLD_SIZE", "7")
    with pytest.raises(UserError, match="do not spread evenly"):
        cluster()
    no_cluster.delenv("TORCHELASTIC_RUN_ID")
    no_cluster.setenv("SLURM_NTASKS", "6")
    no_cluster.setenv("SLURM_JOB_NAME", "train")
    no_cluster.setenv("SLURM_JOB_NUM_NODES", "3")
    assert cluster() == (2, 3)
    # A shell inside a job is no job.
    no_cluster.setenv("SLURM_JOB_NAME", "bash")
    assert cluster() is None
