"""stargan cam from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from stargan import cli, configs, networks
from stargan.contracts import UserError
from stargan.data.synthetic_faces import SPACES
from stargan.export import describe, save_export
from stargan.labels import JointLabelSpace
from tests.test_judge import write_judge
from tests.tiny import photo

ATTRIBUTES = JointLabelSpace([SPACES["attributes"]])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        photo(seed=i).save(folder / f"p{i}.png")
    return folder


def test_maps_of_photos(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge = write_judge(tmp_path / "classifier.safetensors")
    (photos / "bad.png").write_bytes(b"no image")
    out = tmp_path / "out"
    cli.run(["cam", f"model={judge}", f"input={photos}", "class=Male,happy", f"output={out}"])
    names = {p.name for p in out.iterdir()}
    assert names == {
        *("p0_Male.png", "p0_happy.png", "p1_Male.png", "p1_happy.png", "contact_sheet.png")
    }
    with Image.open(out / "p0_Male.png") as image:
        assert image.size == (192, 192)
    said = capsys.readouterr()
    assert "wrote 4 maps of 2 images" in said.out
    assert "skipped 1 unreadable: bad.png" in said.err


def test_all_classes_by_default(photos: Path, tmp_path: Path) -> None:
    judge = write_judge(tmp_path / "classifier.safetensors")
    out = tmp_path / "out"
    cli.run(["cam", f"model={judge}", f"input={photos / 'p0.png'}", f"output={out}"])
    assert len(list(out.glob("p0_*.png"))) == 8


def test_class_is_text() -> None:
    words = ["model=m", "output=o", "input=i", "class=Blond_Hair,Male"]
    assert configs.compose("cam", words)["class"] == "Blond_Hair,Male"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["class=Blond"], "unknown label 'Blond'. Did you mean 'Blond_Hair'"),
        (["class=Male,"], "unknown label ''"),
        (["batch_size=0"], "batch_size=0"),
        (["on_error=stop"], "on_error=stop"),
        (["device=gpu7"], "device 'gpu7'"),
        (["input=null"], "nothing to look at"),
        (["input=null", "data=attributes", "threshold=1"], "threshold=1"),
    ],
)
def test_bad_words(words: list[str], said: str, photos: Path, tmp_path: Path) -> None:
    judge = write_judge(tmp_path / "classifier.safetensors")
    given = {"model": judge, "input": photos, "output": tmp_path / "out"}
    keys = {w.partition("=")[0] for w in words}
    base = [f"{k}={v}" for k, v in given.items() if k not in keys]
    with pytest.raises(UserError) as error:
        cli.run(["cam", *base, *words])
    assert said in str(error.value)


def test_a_network_without_maps_is_refused(photos: Path, tmp_path: Path) -> None:
    plain = {"_target_": "stargan.networks.gap.AlexNet", "image_size": [64, 64], "label_size": 5}
    about = describe(None, plain, ATTRIBUTES, {"size": [64, 64]}, {}, "classifier")
    path = tmp_path / "classifier.safetensors"
    save_export(path, {"classifier": networks.build(plain)}, about)
    with pytest.raises(UserError, match="AlexNet has no class activation maps"):
        cli.run(["cam", f"model={path}", f"input={photos}", f"output={tmp_path / 'out'}"])


def test_figures_on_data_with_regions(
    tmp_path: Path, class_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = write_judge(tmp_path / "classifier.safetensors", ATTRIBUTES)
    out = tmp_path / "out"
    counts = ["data.attributes.count.train=20", "data.attributes.count.test=12"]
    cli.run(["cam", f"model={judge}", "data=attributes", *counts, f"output={out}"])
    text = (out / "localisation.md").read_text(encoding="utf-8")
    assert "| Male |" in text
    assert "| all |" in text
    assert "attributes: 12 test images" in capsys.readouterr().out
    assert (out / "localisation_attributes.png").is_file()
