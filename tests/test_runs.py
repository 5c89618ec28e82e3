"""What models are called where others read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stargan.runs import short_names

ONE, TWO = "2026-11-25_20-14-01", "2026-11-25_20-15-01_2"


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], []),
        (["demo"], ["demo"]),
        (["owner/name"], ["name"]),
        ([f"runs/faces/{ONE}"], ["faces"]),
        ([f"runs/faces/{ONE}/generator.safetensors"], ["faces"]),
        ([f"runs/faces/{ONE}/checkpoints/last.ckpt"], ["faces"]),
        (["runs/mine/checkpoints/step_00001000.ckpt"], ["mine/step_00001000"]),
        (["runs/a/checkpoints/s_1.ckpt", "runs/a/checkpoints/s_2.ckpt"], ["a/s_1", "a/s_2"]),
        ([f"runs/faces/{ONE}", "old.onnx"], ["faces", "old"]),
        ([f"runs/a/{ONE}", f"runs/b/{ONE}"], ["a", "b"]),
        (["x/m.safetensors", "x/m.onnx"], ["m safetensors", "m onnx"]),
        (["p/one", "q/one", "q/two"], ["p/one", "q/one", "q/two"]),
        (
            [f"runs/faces/{ONE}", f"runs/faces/{TWO}"],
            ["faces 2026-11-25 20:14:01", "faces 2026-11-25 20:15:01_2"],
        ),
        (["runs/a", "runs/a/checkpoints/last.ckpt"], ["a", "a (2)"]),
    ],
)
def test_a_model_has_a_name_and_no_path(
    paths: list[str], names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert short_names(paths) == names
    assert short_names([tmp_path / p for p in paths]) == names
