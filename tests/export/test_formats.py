"""One call, one result, whatever the format."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stargan import Translator
from stargan.errors import UserError
from stargan.export import conditional, describe, hub, open_parts, reads
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.tasks import export
from tests.tiny import FACES, MOODS, photo, settings, write_export


def modern(*spaces: LabelSpace) -> dict:
    labels = JointLabelSpace(spaces)
    name = "stargan.networks.modern."
    generator = {"channels": 8, "width": 16, "blocks": 1, "style_size": 8, "thin": 4}
    reader = {"channels": 8, "width": 16, "label_size": labels.size}
    return describe(
        networks={
            "generator": {
                "_target_": name + "Generator",
                "condition_size": labels.condition_size,
                "image_size": 32,
                **generator,
            },
            "classifier": {"_target_": name + "Discriminator", "image_size": 32, **reader},
        },
        roles={"translate": conditional("generator"), "read": reads("classifier")},
        labels=labels,
        image={"size": [32, 32], "crop": {}},
        training={"method": "stargan_modern", "steps": 0},
    )


DESCRIPTIONS = {
    "paper_joint": settings(FACES, MOODS),
    "modern_joint": modern(FACES, MOODS),
}


def make(model: Path, output: Path, **more: object) -> None:
    base = {"format": None, "precision": "fp32", "images": None, "tolerance": None}
    base |= {"classifier": True, "device": "cpu"}
    export.main({"model": str(model), "output": str(output), **base, **more})


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_all_formats_give_the_same(tmp_path: Path, name: str) -> None:
    dataset = write_export(tmp_path / "run" / "generator.safetensors", DESCRIPTIONS[name])
    places = [tmp_path / file for file in ("m.safetensors", "m.onnx", "m.pt2", "folder")]
    for place in places:
        make(dataset.parent, place, format=None if place.suffix else "hub")
    photos = [photo(seed=i) for i in range(3)]
    tensors = torch.rand(5, 3, 32, 32) * 2 - 1
    before = Translator.from_pretrained(dataset)
    edits = "Male,happy" if len(before.spaces.spaces) > 1 else "Male"
    expected = before(tensors, edits)
    for place in places:
        after = Translator.from_pretrained(place, batch_size=2)
        assert (after(tensors, edits) - expected).abs().max() < 1e-4, place.name
        assert (after(tensors[0], edits) - expected[0]).abs().max() < 1e-4, place.name
        for one, other in zip(after(photos, edits), before(photos, edits), strict=True):
            assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1
        assert after.predict(photos[0]) == pytest.approx(before.predict(photos[0]), abs=1e-3)
        assert (after.labels, after.image_size) == (before.labels, before.image_size)
    card = (tmp_path / "m.onnx.md").read_text()
    assert card.startswith("---\nlibrary_name:")
    assert "largest difference" in card
    assert {p.name for p in places[3].iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    assert not list(tmp_path.glob(".*"))


def test_the_program_of_the_docs_needs_onnxruntime_alone(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    program = next(part for part in text.split("```python\n") if "onnxruntime" in part[:100])
    (tmp_path / "example.py").write_text(program.partition("```")[0], encoding="utf-8")
    dataset = write_export(tmp_path / "g.safetensors", settings(FACES, MOODS, crop=34))
    make(dataset, tmp_path / "m.onnx")
    picture = photo()
    picture.save(tmp_path / "in.png")
    for wish in ("Blond_Hair", "sad"):
        words = ["m.onnx", "in.png", wish, f"{wish}.png"]
        subprocess.run([sys.executable, "example.py", *words], cwd=tmp_path, check=True)
        with Image.open(tmp_path / f"{wish}.png") as made:
            found = np.asarray(made, int)
        expected = np.asarray(Translator.from_pretrained(dataset)(picture, wish), int)
        assert np.abs(found - expected).mean() < 2


@pytest.mark.slow
@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_smaller_precisions(tmp_path: Path, name: str) -> None:
    dataset = write_export(tmp_path / "g.safetensors", DESCRIPTIONS[name])
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    expected = Translator.from_pretrained(dataset)(image, "Male")
    for file, precision in ("h.onnx", "fp16"), ("i.onnx", "int8"), ("h.pt2", "fp16"):
        make(dataset, tmp_path / file, precision=precision)
        after = Translator.from_pretrained(tmp_path / file)(image, "Male")
        assert (after - expected).abs().mean() < 0.05
        assert (after - expected).abs().max() > 0  # It is another precision.


def test_a_file_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_export(tmp_path / "g.safetensors", settings())
    other = write_export(tmp_path / "other.safetensors", settings(), seed=1)
    write = export.write

    def wrong(kind: str, precision: str, parts: object, photos: object, path: Path) -> object:
        return write(kind, precision, open_parts(other, "translator"), photos, path)

    monkeypatch.setattr(export, "write", wrong)
    with pytest.raises(UserError, match="was not kept"):
        make(dataset, tmp_path / "m.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g.safetensors", "other.safetensors"]


def test_without_classifier(tmp_path: Path) -> None:
    dataset = write_export(tmp_path / "g.safetensors", settings())
    make(dataset, tmp_path / "m.onnx", classifier=False)
    translator = Translator.from_pretrained(tmp_path / "m.onnx")
    with pytest.raises(UserError, match="give the photo's own labels"):
        translator(photo(), "Male")
    translator(photo(), "Male", labels="Black_Hair,Young=0")
    with pytest.raises(UserError, match="no weights to save"):
        translator.save_pretrained(tmp_path / "folder")


@pytest.mark.parametrize(
    ("output", "more", "words"),
    [
        ("m.tflite", {}, "does not say which format"),
        ("m.onnx", {"format": "pt2"}, "does not fit"),
        ("m.onnx", {"format": "onx"}, "is unknown"),
        ("m.pt2", {"precision": "int8"}, "onnx only"),
        ("m.onnx", {"precision": "fp8"}, "is unknown"),
        ("m.onnx", {"tolerance": -1}, "no number"),
        ("m.onnx", {"images": "nowhere"}, "does not exist"),
        ("x-G.ckpt", {}, "200000-G.ckpt"),
        ("file/m.onnx", {}, "cannot be written"),
    ],
)
def test_bad_words(tmp_path: Path, output: str, more: dict, words: str) -> None:
    dataset = write_export(tmp_path / "g.safetensors", settings())
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=words) as caught:
        make(dataset, tmp_path / output, **more)
    assert "\n" not in str(caught.value)


def test_damaged_graphs_are_refused(tmp_path: Path) -> None:
    dataset = write_export(tmp_path / "g.safetensors", settings())
    for ending in "onnx", "pt2":
        good = tmp_path / f"m.{ending}"
        make(dataset, good)
        (tmp_path / f"cut.{ending}").write_bytes(good.read_bytes()[:3000])
        (tmp_path / f"text.{ending}").write_text("hello")
        for name in f"cut.{ending}", f"text.{ending}":
            with pytest.raises(UserError, match="damaged"):
                Translator.from_pretrained(tmp_path / name)
    with (
        zipfile.ZipFile(tmp_path / "m.pt2") as old,
        zipfile.ZipFile(tmp_path / "evil.pt2", "w") as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("_weights_config.json"):
                data = data.replace(b'"use_pickle": false', b'"use_pickle": true')
                data = data.replace(b'"use_pickle":false', b'"use_pickle":true')
            new.writestr(name, data)
    with pytest.raises(UserError, match="could run code"):
        Translator.from_pretrained(tmp_path / "evil.pt2")


def test_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_export(tmp_path / "g.safetensors", settings())
    translator = Translator.from_pretrained(dataset)
    uploads: list[set[str]] = []

    class Api:
        def __init__(self, token: str | None) -> None: ...

        def create_repo(self, name: str, private: bool | None, exist_ok: bool) -> object:
            return type("Made", (), {"repo_id": name, "__str__": lambda self: f"hub/{name}"})()

        def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> None:
            uploads.append({p.name for p in Path(folder_path).iterdir()})

    package = hub.need()
    monkeypatch.setattr(package, "HfApi", Api)
    assert translator.push_to_hub("owner/faces") == "hub/owner/faces"
    assert uploads == [{"config.json", "model.safetensors", "README.md"}]

    folder = translator.save_pretrained(tmp_path / "saved")
    assert json.loads((folder / "config.json").read_text())["labels"]
    asked = []

    def download(name: str, file: str, revision: str | None) -> str:
        asked.append((name, file, revision))
        return str(folder / file)

    monkeypatch.setattr(package, "hf_hub_download", download)
    monkeypatch.chdir(tmp_path)
    fetched = Translator.from_pretrained("owner/faces", revision="v1")
    image = torch.zeros(3, 32, 32)
    assert torch.equal(fetched(image, "Male"), translator(image, "Male"))
    assert asked == [("owner/faces", f, "v1") for f in ("config.json", "model.safetensors")]


@pytest.mark.parametrize("name", ["owner/no-such-model", "runs/typo"])
def test_offline_errors_are_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "runs").mkdir()
    code = (
        "from stargan import Translator\n"
        "from stargan.errors import UserError\n"
        f"try: Translator.from_pretrained({name!r})\n"
        "except UserError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
    )
    assert len(done.stdout.strip().splitlines()) == 1, done.stderr
    assert name in done.stdout
    assert ("hub" in done.stdout) == (name == "owner/no-such-model")


def test_missing_extras_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = write_export(tmp_path / "g.safetensors", settings())
    make(dataset, tmp_path / "m.onnx")
    for package in "onnx", "onnxruntime", "huggingface_hub":
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"stargan\[onnx\]"):
        Translator.from_pretrained(tmp_path / "m.onnx")
    with pytest.raises(UserError, match=r"stargan\[onnx\]"):
        make(dataset, tmp_path / "n.onnx")
    with pytest.raises(UserError, match=r"stargan\[hub\]"):
        Translator.from_pretrained("owner/name")
