"""A model of which no step was made: said, and refused without ``force=true``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stargan import cli, configs
from stargan.errors import UserError
from stargan.export import open_model
from stargan.export.parity import in_turn, speed
from stargan.tasks.serve import _studio
from stargan.training import checkpoints
from tests.rig import fit, make_dcgan, make_engine, make_modern
from tests.tiny import photo, settings, write_export

NEVER = {"steps": 9, "counts": {"G": 0, "D": 9}, "untrained": ["generator"]}


def noise(folder: Path) -> Path:
    plain = settings()
    return write_export(folder / "generator.safetensors", {**plain, "training": dict(NEVER)})


def words(task: str, folder: Path) -> list[str]:
    model = f"model={noise(folder)}"
    photo().save(folder / "photo.png")
    if task == "export":
        return ["export", model, f"output={folder / 'out.safetensors'}", "device=cpu"]
    more = ["to=Male", "device=cpu", f"input={folder / 'photo.png'}"]
    return ["translate", model, *more, f"output={folder / 'out'}"]


@pytest.mark.parametrize("task", ["export", "translate"])
def test_it_is_refused_unless_it_is_forced(task: str, tmp_path: Path) -> None:
    typed = words(task, tmp_path)
    with pytest.raises(
        UserError, match=r"never trained: .*no step of generator .*9 of D"
    ) as caught:
        cli.run(typed)
    assert "\n" not in str(caught.value)
    assert "force=true" in str(caught.value)
    assert not list(tmp_path.glob("out*"))
    cli.run([*typed, "force=true"])
    assert list(tmp_path.glob("out*"))


def test_neither_true_nor_false(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="force=perhaps is neither true nor false"):
        cli.run([*words("translate", tmp_path), "force=perhaps"])


def test_it_is_not_served(tmp_path: Path) -> None:
    cfg: dict[str, Any] = configs.compose("serve", [f"model={noise(tmp_path)}", "device=cpu"])
    with pytest.raises(UserError, match="never trained"):
        _studio(cfg)
    _studio({**cfg, "force": True})


def test_nor_are_samples_taken(tmp_path: Path) -> None:
    checkpoints.export(make_dcgan(), tmp_path, dict(NEVER))
    typed = ["sample", f"model={tmp_path}", f"output={tmp_path / 'out'}", "count=2", "device=cpu"]
    with pytest.raises(UserError, match="never trained"):
        cli.run(typed)
    cli.run([*typed, "force=true"])


def test_an_export_says_what_was_done(tmp_path: Path) -> None:
    engine = make_engine(make_modern(warmup_steps=3), max_steps=20)
    fit(engine, 2)
    assert engine.facts()["untrained"] == ["generator"]
    path = checkpoints.export(engine.method, tmp_path, engine.facts())
    facts = open_model(path).training
    assert facts["untrained"] == ["generator"]
    assert facts["phases"] == {"classifier": 2, "gan": 0}
    assert facts["counts"]["G"] == 0
    fit(engine, 3)
    assert engine.facts()["phases"] == {"classifier": 3, "gan": 2}
    assert "untrained" not in engine.facts()


def test_a_speed_is_one_only_where_it_is_more_than_noise() -> None:
    times = [3.0, 4.0, 2.0, 5.0] * 5
    twice = speed(times, [t / 2 for t in times])
    assert [twice.value, twice.low, twice.high] == pytest.approx([2, 2, 2])
    one, other = in_turn(lambda: sum(range(2000)), lambda: sum(range(2000)))
    assert len(one) == len(other) == 20
    noisy = speed(times, times[1:] + times[:1])
    assert noisy.low < 1 < noisy.high
