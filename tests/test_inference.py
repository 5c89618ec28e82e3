from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.export import Framing, Model, conditional
from stargan.export.rules import Conditional
from stargan.imaging.framing import crop_resize
from stargan.imaging.tensors import to_pil, to_tensor
from stargan.inference.translator import Translator
from stargan.labels import JointLabelSpace, LabelSpace, Match, match
from tests.tiny import FACES, MOODS, photo, settings, write_export


class WritesCondition(nn.Module):
    """A generator that writes what it is told into the picture: the last call's in row 0."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.batches: list[int] = []

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        self.batches.append(len(image))
        out = image.clone()
        out[:, 0, 1:] = image[:, 0, :-1]  # Earlier conditions move down a row.
        out[:, 0, 0] = -1
        out[:, 0, 0, : condition.shape[1]] = condition
        return out


class Reads(nn.Module):
    """A classifier that says the same of every photo."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return image.mean(), self.logits.expand(len(image), -1)


def spy(
    logits: list[float] | None, *spaces: LabelSpace, batch_size: int = 16, crop: int | None = None
) -> Translator:
    labels = JointLabelSpace(spaces or (FACES,))
    framing = Framing((32, 32), 3, {s.name: crop for s in labels.spaces})
    reader = None if logits is None else Reads(logits)
    rule = Conditional(labels, conditional("spy"), {"spy": WritesCondition()})
    return Translator(Model(rule, reader, labels, framing, {}), batch_size)


def told(result: Tensor, size: int = 5, row: int = 0) -> list[float]:
    """The condition that the spy generator wrote into a picture."""
    return [round(v, 3) for v in result[0, row, :size].tolist()]


IMAGE = torch.zeros(3, 32, 32)
# Black -1, Blond 3, Brown 2 (both above the threshold, one may win), Male -0.1, Young 0.1.
LOGITS = [-1.0, 3.0, 2.0, -0.1, 0.1]


def test_import_is_light_and_the_package_has_a_shortcut() -> None:
    heavy = "torchvision", "pytorch_lightning", "lightning", "hydra", "omegaconf", "rich", "scipy"
    code = (
        "import sys; from stargan import Translator; import stargan.inference;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_the_photos_own_labels_are_read_and_kept() -> None:
    assert told(spy(LOGITS)(IMAGE, "Male")) == [0, 1, 0, 1, 1]
    assert told(spy(LOGITS)(IMAGE, {"Black_Hair": 1})) == [1, 0, 0, 0, 1]
    assert told(spy(LOGITS)(IMAGE, "Young=0,Brown_Hair")) == [0, 0, 1, 0, 0]
    bald = [-1.0, -0.5, -2, 1, 1]
    assert told(spy(bald)(IMAGE, "Young=0")) == [0, 0, 0, 1, 0]


def test_known_labels_win_over_the_classifier() -> None:
    t = spy(LOGITS)
    assert told(t(IMAGE, "Young=0", labels={"Male": 1})) == [0, 1, 0, 1, 0]
    assert told(t(IMAGE, "Young=0", labels="Black_Hair")) == [1, 0, 0, 0, 0]
    assert told(t(IMAGE, "Young=0", labels="Blond_Hair=0")) == [0, 0, 1, 0, 0]
    with pytest.raises(UserError, match="exclude"):
        t(IMAGE, "Young=0", labels="Black_Hair,Blond_Hair")
    with pytest.raises(UserError, match="0 or 1"):
        t(IMAGE, "Young=0", labels="Male=0.5")
    with pytest.raises(UserError, match="unknown label"):
        t(IMAGE, "Young=0", labels="Mal")


def test_a_model_without_classifier_asks_for_the_labels_it_needs() -> None:
    t = spy(None)
    with pytest.raises(UserError, match=r"also Black_Hair, Blond_Hair, Brown_Hair, Young\."):
        t(IMAGE, "Male")
    assert told(t(IMAGE, "Male,Young=0", labels="Brown_Hair")) == [0, 0, 1, 1, 0]
    assert told(t(IMAGE, "Male,Young=0,Brown_Hair")) == [0, 0, 1, 1, 0]
    with pytest.raises(UserError, match="give the labels yourself"):
        t.predict(IMAGE)
    with pytest.raises(UserError, match="also"):
        t.all(IMAGE)
    moods = spy(None, MOODS)  # A class replaces the photo's own: nothing need be known.
    assert told(moods(IMAGE, "sad"), 3) == [0, 1, 0]
    assert [told(x, 3) for _, x in moods.all(IMAGE)] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    with pytest.raises(UserError, match="also"):
        moods(IMAGE, "sad=0.5")


def test_strength() -> None:
    t = spy(LOGITS)
    assert told(t(IMAGE, "Male=0.5")) == [0, 1, 0, 0.5, 1]
    assert told(t(IMAGE, "Black_Hair=0.25")) == [0.25, 0.75, 0, 0, 1]
    assert told(t(IMAGE, "Black_Hair,Young=0", strength=0.25)) == [0.25, 0.75, 0, 0, 0.75]
    assert told(t(IMAGE, "Black_Hair,Young=0", strength=0)) == [0, 1, 0, 0, 1]
    # Part of the way to what is there already: it stays. Below 0: part of the way to its absence.
    assert told(t(IMAGE, "Blond_Hair=0.25,Young=0.5")) == [0, 1, 0, 0, 1]
    assert told(t(IMAGE, "Young=-0.25,Male=-0.5")) == [0, 1, 0, 0, 0.75]
    assert told(t(IMAGE, "Young=-1")) == told(t(IMAGE, "Young=0")) == [0, 1, 0, 0, 0]
    assert told(t(IMAGE, "Black_Hair=0.5", strength=0.5)) == [0.25, 0.75, 0, 0, 1]
    with pytest.raises(UserError, match="strength"):
        t(IMAGE, "Male", strength=1.5)
    moods = spy([0.0, 1, -1], MOODS)
    assert told(moods(IMAGE, "happy=0.25"), 3) == [0.25, 0.75, 0]
    assert told(moods(IMAGE, "sad=0.25"), 3) == [0, 1, 0]  # Already there.
    unsure = spy([-3.0, -2, -1], MOODS)  # A class is always read, however unlikely it is.
    assert told(unsure(IMAGE, "happy=0.25"), 3) == [0.25, 0, 0.75]


def test_a_joint_model_goes_space_by_space_with_the_right_mask() -> None:
    logits = [*LOGITS, -3.0, -2, -1]
    t = spy(logits, FACES, MOODS)
    assert t.labels == (*FACES.names, *MOODS.names)
    assert told(t(IMAGE, "happy"), 10) == [0, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    both = t(IMAGE, "happy,Male")
    assert told(both, 10, row=1) == [0, 1, 0, 1, 1, 0, 0, 0, 1, 0]
    assert told(both, 10, row=0) == [0, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    row = t.all(IMAGE)
    assert [name for name, _ in row] == list(t.labels)
    assert told(row[3][1], 10) == [0, 1, 0, 1, 1, 0, 0, 0, 1, 0]
    assert told(row[4][1], 10) == [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    assert told(row[6][1], 10) == [0, 0, 0, 0, 0, 0, 1, 0, 0, 1]


def test_spaces_that_share_a_name() -> None:
    other = LabelSpace(["Male", "Smiling"], name="other")
    t = spy([*LOGITS, 1.0, 1.0], FACES, other)
    assert t.labels[3:] == ("faces.Male", "Young", "other.Male", "Smiling")
    assert told(t(IMAGE, "other.Male=0"), 9) == [0, 0, 0, 0, 0, 0, 1, 0, 1]
    assert set(t.predict(IMAGE)) == set(t.labels)
    with pytest.raises(UserError, match=r"faces\.Male or other\.Male"):
        t(IMAGE, "Male")


def test_a_photo_like_another() -> None:
    """Attribute transfer: the labels that the model reads off the other photo."""
    t = spy(LOGITS)
    assert t.labels_of(IMAGE) == {
        **{"Black_Hair": 0, "Blond_Hair": 1, "Brown_Hair": 0},
        **{"Male": 0, "Young": 1},
    }
    assert told(t(IMAGE, like=IMAGE)) == [0, 1, 0, 0, 1]
    assert t.labels_of([IMAGE, IMAGE]) == [t.labels_of(IMAGE)] * 2
    # One for each, of any kind; one photo and a list of others give one result for each.
    assert len(t([IMAGE, IMAGE], like=[to_pil(IMAGE), IMAGE])) == 2
    assert len(t(IMAGE, like=[IMAGE] * 3)) == 3
    # No hair colour at all is a combination, too; of classes there is always one.
    assert told(spy([-1.0, -2.0, -3.0, 1.0, -1.0])(IMAGE, like=IMAGE)) == [0, 0, 0, 1, 0]
    moods = spy([-1.0, -0.5, -3.0], MOODS)
    assert moods.labels_of(IMAGE) == {"happy": 0, "sad": 1, "neutral": 0}
    assert told(moods(IMAGE, like=IMAGE), 3) == [0, 1, 0]
    # Part of the way, from the photo's own labels.
    half = t(IMAGE, like=IMAGE, labels="Black_Hair,Male,Young=0", strength=0.5)
    assert told(half) == [0.5, 0.5, 0, 0.5, 0.5]


def test_a_joint_model_takes_all_spaces_of_the_other_photo() -> None:
    t = spy([*LOGITS, -1.0, 2.0, 0.0], FACES, MOODS)
    result = t(IMAGE, like=IMAGE)
    assert told(result, 10, 1) == [0, 1, 0, 0, 1, 0, 0, 0, 1, 0]
    assert told(result, 10, 0) == [0, 0, 0, 0, 0, 0, 1, 0, 0, 1]


def test_a_judge_reads_the_other_photo_where_it_is_given(tmp_path: Path) -> None:
    class Says:
        """A judge of the same labels in another order, and one more."""

        space = LabelSpace(["Young", "Hat", *FACES.names[:4]], name="judge")

        def match(self, space: LabelSpace) -> Match:
            return match(JointLabelSpace([space]), JointLabelSpace([self.space]), "it", "this")

        def logits(self, image: Tensor) -> Tensor:
            return torch.tensor([[-1.0, 9.0, 5.0, -1.0, 2.0, 3.0]]).expand(len(image), -1)

    expected = {"Black_Hair": 1, "Blond_Hair": 0, "Brown_Hair": 0, "Male": 1, "Young": 0}
    assert spy(None).labels_of(IMAGE, Says()) == expected
    assert spy(LOGITS).labels_of(IMAGE, Says()) == expected
    with pytest.raises(UserError, match="happy, sad, neutral"):
        spy(None, MOODS).labels_of(IMAGE, Says())


def test_a_wish_is_edits_or_another_photo() -> None:
    with pytest.raises(UserError, match="one of the two"):
        spy(LOGITS)(IMAGE)
    with pytest.raises(UserError, match="one of the two"):
        spy(LOGITS)(IMAGE, "Male", like=IMAGE)
    with pytest.raises(UserError, match="cannot read the labels of the photo that others"):
        spy(None)(IMAGE, like=IMAGE)


def test_predict() -> None:
    t = spy([*LOGITS, 0.0, 1, 2], FACES, MOODS)
    one = t.predict(photo())
    assert one["Young"] == pytest.approx(torch.tensor(0.1).sigmoid().item())
    assert one["happy"] + one["sad"] + one["neutral"] == pytest.approx(1)
    assert one["neutral"] > one["sad"] > one["happy"]
    assert t.predict([photo(), photo()]) == [one, one]
    assert t.predict([]) == []


def test_the_row_of_the_paper_in_batches() -> None:
    t = spy(LOGITS, batch_size=2)
    row = t.all([photo(seed=i) for i in range(3)], labels=["Male", None, "Male=0"])
    assert [name for name, _ in row] == list(FACES.names)
    males = [told(to_tensor(image), 5)[3] for image in row[3][1]]
    assert [round(v) for v in males] == [0, 1, 1]
    assert t.all([]) == [(name, []) for name in FACES.names]


def test_a_list_of_edits() -> None:
    t = spy(LOGITS, batch_size=2)
    steps = t(IMAGE, ["Male=0", "Male=0.5", {"Male": 1}])
    assert [told(x)[3] for x in steps] == [0, 0.5, 1]
    assert t.model.rule.networks["spy"].batches == [2, 1]
    mixed = t(torch.stack([IMAGE, IMAGE]), ["Male", "Young=0"], [None, "Male"])
    assert [told(x) for x in mixed] == [[0, 1, 0, 1, 1], [0, 1, 0, 1, 0]]
    assert [type(x) for x in t(photo(), ["Male", "Young"])] == [Image.Image] * 2
    for images, edits in (photo(), []), ([photo()] * 3, ["Male", "Young"]):
        with pytest.raises(UserError):
            t(images, edits)


def test_edits_in_different_spaces_do_not_touch_each_other() -> None:
    t = spy([*LOGITS, 0.0, 0, 1], FACES, MOODS)
    batch = torch.stack([IMAGE, IMAGE])
    first, second = t(batch, ["Male", "sad"])
    assert told(first, 10) == [0, 1, 0, 1, 1, 0, 0, 0, 1, 0]
    assert told(second, 10) == [0, 0, 0, 0, 0, 0, 1, 0, 0, 1]
    assert first[0, 1].abs().max() == 0  # One pass only.
    assert batch.abs().max() == 0  # The caller's images are not written to.


@pytest.mark.parametrize("edits", ["", {}, "Mael", "Male=2", "Male=x", {"Male": "yes"}, 3])
def test_refuses_edits_that_mean_nothing(edits: Any) -> None:
    with pytest.raises(UserError):
        spy(LOGITS)(IMAGE, edits)
    with pytest.raises(UserError, match="exclude"):
        spy(LOGITS)(IMAGE, "Black_Hair,Blond_Hair")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Translator:
    path = write_export(tmp_path_factory.mktemp("model") / "g.safetensors", settings(FACES, MOODS))
    return Translator.from_pretrained(path, batch_size=2)


def test_gives_back_the_kind_it_was_given(tiny: Translator, tmp_path: Path) -> None:
    photos = [photo(seed=i) for i in range(3)]
    ready = torch.stack([to_tensor(crop_resize(p, (32, 32))) for p in photos])
    pictures = tiny(photos, "Male,happy")
    assert [p.size for p in pictures] == [(32, 32)] * 3
    expected = np.stack([np.asarray(p) for p in pictures])

    tensors = tiny(ready, "Male,happy")
    assert tensors.shape == (3, 3, 32, 32)
    assert tensors.dtype == torch.float32
    assert np.array_equal(np.stack([np.asarray(to_pil(t)) for t in tensors]), expected)
    assert torch.allclose(tiny(ready[0], "Male,happy"), tensors[0], atol=1e-5)
    arrays = tiny(np.stack([np.asarray(p) for p in photos]), "Male,happy")
    assert arrays.dtype == np.uint8
    assert np.array_equal(arrays, expected)
    assert tiny(np.asarray(photos[1]), "Male,happy").shape == (32, 32, 3)
    photos[0].save(tmp_path / "a.png")
    from_path = np.asarray(tiny(tmp_path / "a.png", "Male,happy")).astype(int)
    assert np.abs(from_path - expected[0]).max() <= 1  # Another batch size rounds otherwise.
    kinds = tiny([photos[0], np.asarray(photos[1]), ready[2]], "Male,happy")
    assert [type(k) for k in kinds] == [Image.Image, np.ndarray, Tensor]
    assert tiny([], "Male") == []
    assert tensors.clone().requires_grad_().sum().backward() is None


def test_different_labels_give_different_images(tiny: Translator) -> None:
    row = tiny.all(torch.zeros(3, 32, 32))
    images = torch.stack([image for _, image in row])
    assert len(row) == 8
    # A flip always changes the label; of a group, one choice is the photo's own.
    assert (images[3] - images[4]).abs().mean() > 1e-3
    assert (images[5] - images[6]).abs().mean() > 1e-3


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(1, 32, 32),
        torch.zeros(3, 32, 32, dtype=torch.uint8),
        torch.full((3, 32, 32), 255.0),
        torch.full((3, 32, 32), torch.nan),
        np.zeros((32, 32, 3)),
        np.zeros((32, 32), np.uint8),
        None,
        "nowhere.png",
    ],
)
def test_refuses_what_is_no_image(image: Any) -> None:
    with pytest.raises(UserError):
        spy(LOGITS)(image, "Male")


def test_photos_are_framed_as_in_training_or_as_large_as_they_can_be() -> None:
    t = spy(LOGITS, crop=178)

    def same(image: Image.Image, crop: int | None) -> bool:
        expected = crop_resize(image, (32, 32), crop)
        return np.array_equal(np.asarray(t.prepare(image)), np.asarray(expected))

    assert same(photo(218, 178), 178)
    assert same(photo(218, 200), 178)
    assert not same(photo(218, 200), None)
    assert same(photo(100, 120), None)  # Smaller than the crop.
    assert same(photo(900, 700), None)  # A crop of 178 would cut out a nose.
    assert t.prepare(Image.new("RGBA", (178, 218))).getpixel((9, 9)) == (255, 255, 255)


def test_low_level_is_the_contract() -> None:
    t = spy(LOGITS)
    label = torch.tensor([[1.0, 0, 0, 0, 1]])
    out = t.translate(IMAGE[None], 1 - label, label, torch.zeros(1, dtype=torch.long))
    assert told(out[0]) == [1, 0, 0, 0, 1]
    assert t.spaces == JointLabelSpace([FACES])
    assert t.image_size == (32, 32)
    with pytest.raises(UserError, match="batch_size"):
        Translator(t.model, 0)
