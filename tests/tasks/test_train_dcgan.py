"""``stargan train`` of DCGAN end to end: pictures, checkpoints by epochs, exact resume."""

from __future__ import annotations

from pathlib import Path

import pytest

from stargan import Sampler, cli
from stargan.errors import UserError
from stargan.training import checkpoints
from stargan.training.distributed import count_processes
from stargan.training.metrics_log import read_terms
from tests.tasks.test_train import same

TINY = [
    *("method.generator.channels=4", "method.discriminator.channels=4", "data.batch_size=8"),
    *("trainer.accelerator=cpu", "log.every_n_steps=1", "log.tensorboard=false"),
]
DIGITS = ["experiment=digits_dcgan", "data.digits.count.train=40", "data.digits.count.test=10"]


def train(run: Path, *more: str) -> None:
    cli.run(["train", *DIGITS, *TINY, f"run_dir={run}", *more])


def test_a_run_folder_has_all_that_it_should(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, "trainer.max_epochs=3", "checkpoint.every_n_epochs=2", "log.tensorboard=true")
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == [
        "animation.gif",
        *(f"image_at_epoch_{i:04d}.png" for i in (1, 2, 3)),
    ]
    # Five steps make an epoch: the second one's end, and the end.
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {
        *("step_00000010.ckpt", "step_00000015.ckpt", "last.ckpt"),
    }
    opened = checkpoints.load(tmp_path / "checkpoints" / "last.ckpt")
    assert {k.split(".")[0] for k in opened["state_dict"]} >= {"generator", "discriminator"}
    assert len(opened["optimizer_states"]) == 2
    rows = read_terms(tmp_path / "metrics.csv")
    assert [row["step"] for row in rows] == list(range(1, 16))
    assert {"D/adv", "G/adv", "D/real", "D/fake"} <= set(rows[0])
    report = (tmp_path / "report.md").read_text()
    assert "samples/image_at_epoch_0003.png" in report
    assert "| 3 |" in report
    assert "28 x 28, grey" in capsys.readouterr().out
    assert Sampler.from_pretrained(tmp_path)(1)[0].size == (28, 28)


def test_an_epoch_ends_with_the_images_that_are_left(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    # 40 images in batches of 7: five and one of five images.
    more = ["data.partial=true", "data.batch_size=7"]
    train(whole, "trainer.max_epochs=2", *more)
    assert read_terms(whole / "metrics.csv")[-1]["step"] == 12
    train(parts, "trainer.max_epochs=null", "trainer.max_steps=6", *more)
    cli.run(["train", f"resume={parts}", "trainer.max_steps=12"])
    assert same(whole, parts)
    with pytest.raises(UserError, match="no meaning for several data sets or balanced draws"):
        train(tmp_path / "run", "data.partial=true", "data.balance=true")


def test_resume_goes_on_exactly(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, "trainer.max_epochs=3")
    # Stops within the second epoch.
    train(parts, "trainer.max_epochs=null", "trainer.max_steps=7")
    assert not same(whole, parts)
    cli.run(["train", f"resume={parts}", "trainer.max_steps=15"])
    assert same(whole, parts)
    for epoch in (1, 2, 3):
        one, two = (d / "samples" / f"image_at_epoch_{epoch:04d}.png" for d in (whole, parts))
        assert one.read_bytes() == two.read_bytes()


def test_a_folder_of_colour_images_without_classes(class_folder: Path, tmp_path: Path) -> None:
    words = ["experiment=mnist_dcgan", "data=images", f"data.root={class_folder}"]
    small = ["data.channels=3", "data.image_size=[16,24]", "trainer.max_epochs=1"]
    cli.run(["train", *words, *small, *TINY, f"run_dir={tmp_path / 'run'}"])
    made = Sampler.from_pretrained(tmp_path / "run")(2)
    assert [(image.mode, image.size) for image in made] == [("RGB", (24, 16))] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=stargan"], "add data.channels=3"),
        (["data.channels=2"], "channels=2"),
        (["data.image_size=30"], "28 and 32"),
        (["trainer.max_steps=5"], "set one of them to null"),
        (["checkpoint.every_n_epochs=0"], "checkpoint.every_n_epochs=0"),
    ],
)
def test_bad_words_are_refused(tmp_path: Path, words: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        cli.run(["train", *DIGITS, f"run_dir={tmp_path / 'run'}", *words])
    assert said in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("devices", "nodes", "count"),
    [(1, 1, 1), (4, 2, 8), ("2", 1, 2), ([0, 3], 1, 2), ("auto", 1, 1)],
)
def test_processes_share_an_epoch(devices: object, nodes: int, count: int) -> None:
    trainer = {"devices": devices, "num_nodes": nodes, "accelerator": "cpu"}
    assert count_processes(trainer) == count
