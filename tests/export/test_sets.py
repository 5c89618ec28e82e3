"""Several single-purpose models as one: a folder of them, joined by what each changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from stargan import Translator, cli
from stargan.errors import UserError
from stargan.export import open_model
from stargan.export.opening import open_translator
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.methods.base import Method
from stargan.training import checkpoints
from tests.rig import SINGLE, make_cyclegan, make_diat, make_stargan
from tests.tiny import MOODS, photo, write_export, write_judge
from tests.tiny import settings as stargan_settings

MOOD = JointLabelSpace([MOODS])


def put(folder: Path, **models: Method) -> Path:
    for name, method in models.items():
        (folder / name).mkdir(parents=True)
        checkpoints.export(method, folder / name, {"steps": 5})
    return folder


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A model per target: blond, male, not male."""
    return put(
        tmp_path / "faces",
        blond=make_diat(target="Blond_Hair", seed=1),
        male=make_diat(target="Male", seed=2),
        female=make_diat(target="Male=0", seed=3),
    )


def own(*names: str) -> torch.Tensor:
    return SINGLE.spaces[0].encode(names)[None]


DATASET = torch.zeros(1, dtype=torch.long)


def test_each_change_goes_to_its_model_and_several_are_chained(faces: Path) -> None:
    model = open_model(faces)
    assert model.parts is not None
    assert set(model.parts.networks) == {"to_Blond_Hair_on", "to_Male_on", "to_Male_off"}
    assert model.training["models"] == ["blond", "female", "male"]
    alone = {name: open_model(faces / name) for name in ("blond", "male", "female")}
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    cases = [
        (["blond"], own("Black_Hair"), own("Blond_Hair")),
        (["male"], own(), own("Male")),
        (["female"], own("Male"), own()),
        (["blond", "female"], own("Black_Hair", "Male"), own("Blond_Hair")),
    ]
    for chain, before, after in cases:
        wanted = image
        for name in chain:
            single = next(iter(alone[name].parts.networks.values()))  # type: ignore[union-attr]
            with torch.inference_mode():
                wanted = single(wanted)
        made = model(image, before, after, DATASET)
        assert torch.equal(made, wanted.clamp(-1, 1)), chain


def test_pairs_are_joined_too_and_name_their_networks_by_labels(tmp_path: Path) -> None:
    pairs = put(
        tmp_path / "moods",
        happy=make_cyclegan(MOOD, pair=["neutral", "happy"], seed=1),
        sad=make_cyclegan(MOOD, pair=["neutral", "sad"], seed=5),
    )
    parts = open_translator(pairs)
    assert parts.plain["roles"]["translate"]["rule"] == "by_change"
    names = {"to_happy_on", "to_neutral_on", "to_sad_on", "to_neutral_on_2"}
    assert set(parts.networks) == names
    translator = Translator.from_pretrained(pairs)
    assert translator.changeable == ("happy", "sad", "neutral")
    translator(photo(), "happy", labels="neutral")
    with pytest.raises(UserError, match="no network for the change happy to sad"):
        translator(photo(), "sad", labels="happy")
    with pytest.raises(UserError, match="cannot read labels off a photo"):
        translator(photo(), "happy")


@pytest.mark.parametrize("kind", ["safetensors", "hub", "onnx", "pt2"])
def test_a_set_is_one_file_in_every_format(kind: str, faces: Path, tmp_path: Path) -> None:
    pytest.importorskip({"onnx": "onnxruntime", "hub": "huggingface_hub"}.get(kind, "torch"))
    output = tmp_path / ("set" if kind == "hub" else f"set.{kind}")
    words = ["export", f"model={faces}", f"output={output}"]
    cli.run(words + (["format=hub"] if kind == "hub" else []))
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    before, after = own("Black_Hair", "Male"), own("Blond_Hair")
    wanted = open_model(faces)(image, before, after, DATASET)
    made = open_model(output)(image, before, after, DATASET)
    torch.testing.assert_close(made, wanted, rtol=1e-3, atol=1e-4)


def test_the_row_of_all_labels_has_those_that_some_model_changes(faces: Path) -> None:
    translator = Translator.from_pretrained(faces)
    assert translator.changeable == ("Blond_Hair", "Male")
    row = dict(translator.all(photo(), "Male"))
    assert list(row) == ["Blond_Hair", "Male"]


def test_a_set_is_evaluated_as_one_model(celeba_folder: Path, tmp_path: Path) -> None:
    hair = ["Black_Hair", "Blond_Hair"]
    space = LabelSpace([*hair, "Male"], [hair], name="celeba")
    labels = JointLabelSpace([space])
    folder = put(
        tmp_path / "set",
        blond=make_diat(labels, target="Blond_Hair"),
        male=make_diat(labels, target="Male"),
    )
    judge = write_judge(tmp_path / "judge" / "classifier.safetensors", space, size=32)
    words = [f"model={folder}", f"judge={judge}", f"output={tmp_path / 'report'}", "cases=1"]
    more = ["data=celeba", f"data.root={celeba_folder}", "data.celeba.crop=40"]
    cli.run(["evaluate", *words, *more])
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| Blond_Hair |" in text
    assert "| Male |" in text
    assert "| not Male |" not in text


def test_a_label_that_no_model_changes_is_named(faces: Path) -> None:
    with pytest.raises(UserError, match=r"no network for the change Young on.*nothing"):
        Translator.from_pretrained(faces)(photo(), "Young")


def test_a_missing_model_is_named(faces: Path) -> None:
    (faces / "young").mkdir()
    (faces / "young" / "config.yaml").write_text("name: young\n")
    with pytest.raises(UserError, match=r"the set '.*' lacks a model: 'young' has none yet"):
        open_model(faces)


def test_two_models_for_one_change_are_refused(faces: Path) -> None:
    shutil.copytree(faces / "male", faces / "male_again")
    with pytest.raises(UserError, match=r"'male_again' and 'male' .* same change \(on Male\)"):
        open_model(faces)


def test_models_of_other_labels_or_sizes_are_refused(faces: Path) -> None:
    put(faces, mood=make_diat(MOOD, target="happy"))
    with pytest.raises(UserError, match=r"'mood' and 'blond' .* different labels"):
        open_model(faces)
    shutil.rmtree(faces / "mood")
    image = {"size": [16, 16], "crop": {"celeba": None}, "channels": 3}
    put(faces, small=make_diat(target="Young", image=image))
    with pytest.raises(UserError, match=r"'small' and 'blond' .* different images"):
        open_model(faces)


def test_a_model_that_makes_all_changes_is_no_part_of_a_set(faces: Path) -> None:
    put(faces, whole=make_stargan())
    with pytest.raises(UserError, match=r"'whole' of the set .* makes all changes by itself"):
        open_model(faces)


def test_a_run_folder_is_no_set(tmp_path: Path) -> None:
    put(tmp_path, run=make_diat())
    inner = tmp_path / "run" / "old"
    write_export(inner / "generator.safetensors", stargan_settings())
    assert open_model(tmp_path / "run").parts is not None
    assert open_translator(tmp_path / "run").plain["roles"]["translate"]["rule"] == "by_target"


def test_an_empty_folder_is_neither(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no model"):
        open_model(tmp_path)
