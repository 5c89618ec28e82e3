"""The import contract, and the wheel outside the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stargan import __version__
from tests.tiny import photo, settings, write_export

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | more
    return subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def test_import_contract() -> None:
    code = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports())"
    done = run(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stdout


def test_messages_name_extras_that_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, said = project["optional-dependencies"], set()
    for path in (ROOT / "stargan").rglob("*.py"):
        for names in re.findall(r"stargan\[([a-z,]+)\]", path.read_text(encoding="utf-8")):
            said |= set(names.split(","))
    assert {"onnx", "hub", "web", "metrics", "fonts"} <= said <= set(extras)


def test_everything_that_is_installed_has_one_version() -> None:
    """What pyproject.toml asks for is in constraints.txt, so that a checkout is one environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(text for extra in extras for text in extra)]
    names = {canonicalize_name(Requirement(text).name) for text in asked} - {"stargan"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    fixed = {canonicalize_name(line.partition("==")[0]) for line in lines}
    assert names <= fixed, names - fixed


def test_the_citation_has_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert citation["license"] == "MIT"


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


def opens_with_few_packages(folder: Path) -> None:
    """The wheel translates where there is nothing but torch, Pillow and safetensors."""
    wanted, seen = ["torch", "pillow", "safetensors"], set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        needs = [Requirement(text) for text in found.requires or ()]
        wanted += [n.name for n in needs if n.marker is None or n.marker.evaluate({"extra": ""})]
        for top in {file.parts[0] for file in found.files or ()} - {".."}:
            place = folder / "few" / top
            place.parent.mkdir(exist_ok=True)
            if not place.exists():
                place.symlink_to(Path(str(found.locate_file(top))))
    assert "numpy" not in seen
    write_export(folder / "generator.safetensors", settings())
    photo().save(folder / "photo.png")
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
        "from stargan import Translator\n"
        "translator = Translator.from_pretrained('generator.safetensors')\n"
        "translator('photo.png', 'Male').save('male.png')\n"
        "import stargan, importlib.util as util\n"
        "assert 'site' in stargan.__file__\n"
        "assert not util.find_spec('numpy') and not util.find_spec('yaml')\n"
    )
    path = os.pathsep.join(str(folder / place) for place in ("site", "few"))
    done = run(sys.executable, "-S", "-c", code, cwd=folder, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert (folder / "male.png").exists()


@pytest.mark.slow
def test_wheel_works_outside_the_checkout(tmp_path: Path) -> None:
    # The sdist, and the wheel from it: so what the wheel needs is in the sdist.
    done = run(*(sys.executable, "-m", "build", "--no-isolation", "-o", str(tmp_path)), cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert "stargan/conf/experiment/demo.yaml" in names
    assert not [n for n in names if n.startswith(("tests/", "data/", "runs/", "docs/"))]
    # All that the package is made of, data too: the page's style, the model that comes with it.
    package = [p for p in (ROOT / "stargan").rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert {p.relative_to(ROOT).as_posix() for p in package} <= set(names)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"conf/train.yaml", "README.md", "LICENSE", "constraints.txt"} <= inside
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    opens_with_few_packages(tmp_path)
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
