from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stargan import imaging
from stargan.callbacks.epoch_images import EpochImages, epoch_means, score_lines, square, thin_out
from stargan.methods.dcgan import DCGAN
from stargan.networks.dcgan import draw_noise
from stargan.training.engine import Engine
from tests.callbacks.test_callbacks import Trainer
from tests.rig import make_dcgan, make_engine


@pytest.fixture
def engine() -> Engine:
    return make_engine(make_dcgan())


def dcgan(engine: Engine) -> DCGAN:
    assert isinstance(engine.method, DCGAN)
    return engine.method


def callback(folder: Path, steps_per_epoch: int = 3) -> Any:
    noise = draw_noise(16, 100, seed=0)
    return EpochImages(noise, folder / "samples", steps_per_epoch, folder / "metrics.csv")


def run(made: Any, engine: Engine, steps: range) -> None:
    for engine.step in steps:
        made.on_train_batch_end(Trainer(), engine)
    made.on_train_end(Trainer(), engine)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "samples").iterdir())


def test_a_picture_after_each_epoch_and_the_animation(engine: Engine, tmp_path: Path) -> None:
    made = callback(tmp_path)
    run(made, engine, range(1, 7))
    assert names(tmp_path) == [
        "animation.gif",
        "image_at_epoch_0001.png",
        "image_at_epoch_0002.png",
    ]
    shown = Image.open(tmp_path / "samples" / "image_at_epoch_0001.png")
    expected = square(dcgan(engine).sample(made.noise))
    assert np.array_equal(np.asarray(shown), np.asarray(expected))
    with Image.open(tmp_path / "samples" / "animation.gif") as gif:
        # G has not moved, so both frames are alike and one is shown for both their times.
        assert gif.info["loop"] == 0


def test_frames_of_the_animation_are_the_pictures(engine: Engine, tmp_path: Path) -> None:
    made = callback(tmp_path)
    for engine.step in range(1, 13):
        with torch.no_grad():
            for p in dcgan(engine).generator.parameters():
                p.add_(0.1 * torch.randn_like(p))
        made.on_train_batch_end(Trainer(), engine)
    made.on_train_end(Trainer(), engine)
    with Image.open(tmp_path / "samples" / "animation.gif") as gif:
        assert gif.n_frames == 4
        gif.seek(3)
        last = np.asarray(gif.convert("L")).astype(int)
    png = Image.open(tmp_path / "samples" / "image_at_epoch_0004.png").convert("L")
    assert np.abs(last - np.asarray(png).astype(int)).max() <= 4


def test_a_run_stopped_within_an_epoch(engine: Engine, tmp_path: Path) -> None:
    made = callback(tmp_path)
    run(made, engine, range(1, 3))
    assert names(tmp_path) == ["image_at_step_00000002.png"]
    assert "image_at_step_00000002.png" in "\n".join(made.report())
    assert made.summary() == {"samples": str(tmp_path / "samples")}


def test_a_resumed_run_goes_on_with_the_animation(engine: Engine, tmp_path: Path) -> None:
    run(callback(tmp_path), engine, range(1, 4))
    imaging.save_png(Image.new("RGB", (456, 456)), tmp_path / "samples" / "image_at_epoch_0001.png")
    run(callback(tmp_path), engine, range(4, 7))
    with Image.open(tmp_path / "samples" / "animation.gif") as gif:
        assert gif.n_frames == 2, "the black one of the first epoch, and the second"


def test_report_shows_scores_by_epoch(engine: Engine, tmp_path: Path) -> None:
    rows = ["step,seconds,D/real,D/fake"]
    rows += [f"{s},1,{s / 10},{-s / 10}" for s in range(1, 8)]
    (tmp_path / "metrics.csv").write_text("\n".join(rows) + "\n")
    means = epoch_means(tmp_path / "metrics.csv", 3)
    assert means[1] == pytest.approx({"D/real": 0.2, "D/fake": -0.2})
    assert means[2]["D/real"] == pytest.approx(0.5)
    assert sorted(means) == [1, 2, 3]
    made = callback(tmp_path)
    run(made, engine, range(1, 7))
    report = "\n".join(made.report())
    assert "samples/animation.gif" in report
    assert "| 2 | +0.50 | -0.50 |" in report


def test_no_scores_no_table(tmp_path: Path) -> None:
    assert epoch_means(tmp_path / "missing.csv", 3) == {}
    assert score_lines({}) == []


def test_thin_out() -> None:
    assert thin_out([1, 2, 3], 5) == [1, 2, 3]
    few = thin_out(list(range(100)), 12)
    assert len(few) == 12
    assert (few[0], few[-1]) == (0, 99)
    assert len(set(few)) == 12
