from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from stargan.errors import UserError
from stargan.judges import cam
from stargan.judges.judge import Judge
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.web.pictures import caption, message, outcome, to_pil
from stargan.web.studio import Studio, titles
from tests.tiny import FACES, MOODS
from tests.web.conftest import colourful, tiny_translator


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Studio:
    folder = tmp_path_factory.mktemp("joint")
    models = {
        "joint": tiny_translator(folder, 2, True, FACES, MOODS),
        "moods": tiny_translator(folder, 3, True, MOODS),
        "blind": tiny_translator(folder, 4, False),
    }
    return Studio(models, examples=examples)


def test_a_result_is_the_translator_s(joint: Studio) -> None:
    photo = colourful()
    visit = joint.see(photo)
    model, seen = joint.models[0], visit.seen[0]
    expected = model.translator(photo, {"Blond_Hair": 1, "happy": 1})
    result = to_pil(model.translate(seen, {"Blond_Hair": 1, "happy": 1}))
    assert result.tobytes() == expected.tobytes()
    assert torch.equal(model.translate(seen, {}), seen.photo)


def test_a_photo_is_read_by_each_model(joint: Studio) -> None:
    visit = joint.see(colourful())
    own = visit.seen[0].own
    assert own is not None
    assert sum(own[name] for name in MOODS.names) == 1
    assert set(visit.seen[1].own or ()) == set(MOODS.names)
    assert visit.seen[2].own is None


def test_the_row_shows_every_label_and_is_made_once(joint: Studio) -> None:
    visit = joint.see(colourful())
    row = joint.models[0].row(visit.seen[0], {})
    assert re.findall(r'data-pick="(\w+)"', row) == [*FACES.names, *MOODS.names]
    assert joint.models[0].row(visit.seen[0], {"Male": 1.0}) is row
    # A model that cannot read goes by what the controls say.
    blind, seen = joint.models[2], visit.seen[2]
    says = {"Black_Hair": 1.0, "Male": 0.0, "Young": 0.0}
    assert blind.row(seen, says) != blind.row(seen, {**says, "Male": 1.0})


def test_models_are_compared_on_the_labels_they_have(joint: Studio) -> None:
    visit = joint.see(colourful())
    both = joint.compare(visit, {"happy": 1.0})
    assert both.count("<img") == 3
    assert "blind: has no such label" in both
    assert joint.compare(visit, {}) == ""


def test_the_first_edit_changes_the_photo(joint: Studio) -> None:
    visit = joint.see(colourful())
    ((name, value),) = joint.first_edit(visit, 0).items()
    assert value == 1
    assert not visit.seen[0].own[name]
    assert joint.first_edit(visit, 2) == {}


def test_drawn_faces_are_the_examples_where_none_are_given(tmp_path: Path) -> None:
    studio = Studio({"m": tiny_translator(tmp_path)})
    assert len(studio.examples) == 6
    assert len({image.tobytes() for image in studio.examples}) == 6


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        Studio({"m": tiny_translator(tmp_path)}, examples=tmp_path / "missing")


def test_words_of_strangers_stay_words() -> None:
    assert "<script>" not in message("<script>alert(1)</script>")
    assert "<b>" not in outcome(colourful(), {"<b>": 1.0})
    assert (
        caption({"Black_Hair": 1.0, "Male": 0.0, "Young": 0.5}) == "Black hair, not male, Young 50%"
    )


def test_titles_tell_models_apart(tmp_path: Path) -> None:
    a, b = tmp_path / "runs/demo/one", tmp_path / "runs/demo/two"
    assert titles([a]) == ["one"]
    assert titles([a, b / "generator.safetensors"]) == ["one", "two"]
    assert titles([a / "checkpoints" / "last.ckpt", tmp_path / "small.safetensors"]) == [
        "one",
        "small",
    ]
    other = tmp_path / "runs/long/one"
    assert titles([a, other]) == ["demo", "long"]
    third = tmp_path / "runs/long/two"
    assert len(set(titles([a, other, third]))) == 3
    with pytest.raises(UserError, match="twice"):
        titles([a, a / "generator.safetensors"])


def test_the_judge_shows_where_and_how_sure(
    tmp_path: Path, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Maps are the business of stargan.judges.cam; here, that each picture and label gets its own.
    asked: list[tuple[float, int]] = []

    def activation(judge: Judge, image: torch.Tensor, label: int, relative: bool) -> torch.Tensor:
        assert relative
        asked.append((float(image.mean()), label))
        return torch.zeros(len(image), *image.shape[-2:])

    checked: list[Judge] = []
    monkeypatch.setattr(cam, "class_activation_map", activation)
    monkeypatch.setattr(cam, "check_maps", checked.append)
    space = LabelSpace(("Young", "Male"), name="other order")
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2))
    judge = Judge(network, JointLabelSpace([space]), (16, 16))
    studio = Studio({"m": tiny_translator(tmp_path)}, judge, examples)
    assert checked == [judge]  # A judge without maps is refused at the start.
    seen = studio.see(colourful()).seen[0]
    result = studio.models[0].translate(seen, {"Male": 1.0})
    shown = studio.evidence(seen, result, {"Male": 1.0, "Blond_Hair": 1.0})
    assert [label for _, label in asked] == [1, 1]
    assert asked[0][0] != asked[1][0]
    sure = [f"{float(judge.logits(p[None])[0, 1].sigmoid()):.0%}" for p in (seen.photo, result)]
    assert f"Male in the photo: {sure[0]}" in shown
    assert f"Male in the result: {sure[1]}" in shown
    assert "not trained" in studio.evidence(seen, result, {"Blond_Hair": 1.0})
    assert studio.evidence(seen, result, {}) == ""
