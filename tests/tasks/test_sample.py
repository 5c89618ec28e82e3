from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stargan import cli
from stargan.errors import UserError
from stargan.tasks.sample import real_data, real_images
from stargan.training import checkpoints
from tests.rig import make_dcgan


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    checkpoints.export(make_dcgan(), folder)
    return folder


def sample(run: Path, output: Path, *more: str) -> None:
    cli.run(["sample", f"model={run}", f"output={output}", "device=cpu", *more])


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_images_and_a_sheet(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample(run, tmp_path, "count=5", "batch_size=2")
    files = [f"sample_{i:05d}.png" for i in range(1, 6)]
    assert names(tmp_path) == [*files, "sheet.png"]
    with Image.open(tmp_path / files[0]) as image:
        assert (image.mode, image.size) == ("L", (8, 8))
    assert f"wrote 5 images to {tmp_path}" in capsys.readouterr().out


def test_seed_and_count(run: Path, tmp_path: Path) -> None:
    for name, words in (("a", ("count=3",)), ("b", ("count=4",)), ("c", ("count=3", "seed=1"))):
        sample(run, tmp_path / name, "sheet=false", *words)
    first, same, other = (np.asarray(Image.open(tmp_path / n / "sample_00003.png")) for n in "abc")
    assert np.abs(first.astype(int) - same).max() <= 1
    assert not np.array_equal(first, other)
    assert "sheet.png" not in names(tmp_path / "a")


def test_a_large_sheet_shows_the_first(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample(run, tmp_path, "count=101")
    assert "(the first 100 of 101)" in capsys.readouterr().out
    assert len(names(tmp_path)) == 102


@pytest.mark.parametrize("count", [1, 2, 9])
def test_walks(run: Path, tmp_path: Path, count: int) -> None:
    sample(run, tmp_path, f"count={count}", "interpolate=4")
    with Image.open(tmp_path / "interpolation.png") as image:
        assert image.width > 4 * 96
        rows = {1: 1, 2: 1, 9: 6}[count]
        assert rows * 96 < image.height < (rows + 0.5) * 110


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["count=0"], "count=0"),
        (["count=1.5"], "count=1.5 is no whole number"),
        (["seed=-1"], "seed=-1"),
        (["interpolate=1"], "interpolate=1"),
        (["batch_size=0"], "batch_size=0"),
        (["device=xpu9"], "device 'xpu9'"),
        (["cuont=3"], "Did you mean count="),
    ],
)
def test_bad_words_are_refused(run: Path, tmp_path: Path, words: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        sample(run, tmp_path / "out", *words)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_output_that_is_a_file_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        sample(run, tmp_path / "file")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge") / "run"
    small = ["data.digits.count.train=40", "data.digits.count.test=30", "data.batch_size=8"]
    more = ["trainer.max_steps=4", "method.classifier.channels=4", "log.tensorboard=false"]
    cpu = ["trainer.accelerator=cpu", f"run_dir={folder}"]
    cli.run(["train", "experiment=digits_classifier", *small, *more, *cpu])
    return folder


def test_a_judge_gives_fid_and_shares(
    run: Path, judge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample(run, tmp_path, "count=40", f"judge={judge}")
    report = (tmp_path / "report.md").read_text()
    assert "samples: 40; real test images: 30" in report
    assert "FID in the judge's features, 30 images" in report
    assert sum(line.startswith("| ") for line in report.splitlines()) == 11
    assert "Inception Score in the judge's classes, 30 images each" in report
    assert "over ten parts, as published" in report
    assert "NDB and JSD: too few images" in report
    assert "FID of 30" in capsys.readouterr().out


def test_training_images_are_on_the_scale_of_the_test_images(judge: Path) -> None:
    """They came as bytes from 0 to 255, and made a floor of FID that was none."""
    test, train = real_images(real_data(judge), 20)
    assert len(train) == 20
    for image in (test, train):
        assert image.dtype == torch.float32
        assert float(image.min()) == -1
        assert 0.5 < float(image.max()) <= 1
    assert float(train.mean()) == pytest.approx(float(test.mean()), abs=0.1)


def test_a_judge_that_is_none_is_refused(run: Path, judge: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "classifier.safetensors"
    alone.parent.mkdir()
    alone.write_bytes((judge / "classifier.safetensors").read_bytes())
    for bad, said in (
        (run / "generator.safetensors", "is a sampler"),
        (tmp_path, "holds no model"),
        (alone, "must be the run folder"),
    ):
        with pytest.raises(UserError, match=said):
            sample(run, tmp_path / "out", f"judge={bad}")
    assert not (tmp_path / "out").exists()


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["sample", "--help"])
    assert "stargan sample model=" in capsys.readouterr().out
