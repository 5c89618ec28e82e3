"""The import contract, and the wheel outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    import os

    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | more
    return subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def test_import_contract() -> None:
    code = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports())"
    done = run(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stdout


def test_a_translator_loads_neither_lightning_nor_hydra() -> None:
    code = (
        "import sys\n"
        "from stargan import Translator\n"
        "heavy = {'pytorch_lightning', 'hydra', 'omegaconf', 'torchvision', 'onnx', 'onnxruntime',"
        " 'onnxscript', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = run(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_wheel_works_outside_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path)]
    done = run(*build, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "stargan/conf/experiment/demo.yaml" in names
    assert not [n for n in names if n.startswith(("tests/", "data/", "runs/"))]
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    words = [
        *(sys.executable, "-m", "stargan", "train", "experiment=demo", "debug=smoke"),
        *(
            "data.attributes.count.train=40",
            "data.attributes.count.test=20",
            "run_dir=run",
            "trainer.accelerator=cpu",
        ),
        "data.batch_size=4",
    ]
    places = {"PYTHONPATH": str(tmp_path / "site"), "STARGAN_CACHE": str(tmp_path / "cache")}
    done = run(*words, cwd=tmp_path, **places)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run" / "generator.safetensors").exists()
