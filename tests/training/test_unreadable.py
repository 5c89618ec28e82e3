"""An image that cannot be read in the middle of training: what is trained is kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stargan import cli, configs
from stargan.errors import UserError
from stargan.training.run import build_data
from tests.tasks.test_train import arguments, weights


def cut_short(words: list[str], step: int) -> Path:
    """Cut the first image of a step short."""
    config = configs.of_training(words[1:])
    data = build_data(config)
    data.setup()
    data.max_steps = 10
    row = data._sampler(0, 1).batch(step)[0].row
    path = Path(data.train["folder"].images.paths[row])  # type: ignore[attr-defined]
    path.write_bytes(path.read_bytes()[:400])
    return path


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_image(
    class_folder: Path, tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(class_folder, root)
    more = ["trainer.max_steps=8", f"data.num_workers={workers}", "data.cache=false"]
    words = arguments(root, run, *more)
    file = cut_short(words, 4)
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"'{file}' is damaged or cut short" in said
    assert "data.on_error=skip; the run is saved" in said
    step = weights(run)["stargan"]["step"]
    assert 1 <= step <= 4
    assert f"resume={run} goes on from step {step}" in " ".join(said.split())
    assert (run / "images.csv").is_file()
    cli.run(["train", f"resume={run}", "data.on_error=skip", "log.samples_every_n_steps=2"])
    assert weights(run)["stargan"]["step"] == 8
    assert "1 unreadable images were skipped" in capsys.readouterr().out


def test_a_resume_with_training_images_held_out(class_folder: Path, tmp_path: Path) -> None:
    root, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(class_folder, root)
    cli.run(arguments(root, run, "trainer.max_steps=2"))
    (root / "train" / "red" / "7.png").rename(root / "test" / "red" / "7.png")
    with pytest.raises(UserError, match="1 of the 10 test images that are there now were trained"):
        cli.run(["train", f"resume={run}", "trainer.max_steps=4"])
