"""Known answers: planted translators on embedded faces, resume, mismatched labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stargan import imaging
from stargan.data.datamodule import DataModule
from stargan.data.drawn.faces import SyntheticFaces
from stargan.data.image_folder import ImageFolder
from stargan.errors import UserError
from stargan.evaluation.figures import Row, figures, pairwise_distance
from stargan.evaluation.held_out import TestSet, meet
from stargan.evaluation.measure import (
    PSNR_CAP,
    Instruments,
    Records,
    Shards,
    judge_instruments,
    translate_set,
)
from stargan.judges.judge import Judge, open_judge
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.reports.what_changed import pictures
from tests.tiny import write_judge

COUNT = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataModule:
    cache = tmp_path_factory.mktemp("cache")
    faces = partial(SyntheticFaces, kind="attributes", size=32, count=COUNT, seed=5)
    module = DataModule({"attributes": partial(faces, cache_dir=cache)}, image_size=32)
    module.setup()
    return module


class Memory(nn.Module):
    """A classifier that knows every picture by heart: the label of the nearest drawn face."""

    def __init__(self, faces: SyntheticFaces) -> None:
        super().__init__()
        pixels, labels = [], []
        for i in range(len(faces)):
            own = faces.labels[i]
            for _, target in [("own", own), *faces.space.targets(own)]:
                pixels.append(imaging.to_tensor(faces.counterfactual(i, target)))
                labels.append(target)
        self.pixels, self.labels = torch.stack(pixels).flatten(1), torch.stack(labels)
        self.weight = nn.Parameter(torch.zeros(1))

    def features(self, image: Tensor) -> Tensor:
        return image[:, :, ::4, ::4].flatten(1)

    def forward(self, image: Tensor) -> Tensor:
        return 2 * self.labels[torch.cdist(image.flatten(1), self.pixels).argmin(1)] - 1


class Planted:
    """A translator with a known fault."""

    def __init__(self, faces: SyntheticFaces, how: str) -> None:
        self.labels = JointLabelSpace([faces.space])
        self.faces = faces
        self.how = how
        self.calls = 0
        self.told: list[tuple[Tensor, Tensor, Tensor]] = []
        self.inputs = torch.stack(
            [imaging.to_tensor(faces.load(i)).flatten() for i in range(len(faces))]
        )

    def __call__(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        self.calls += 1
        self.told.append((image, own, target))
        if self.how == "same":
            return image
        if self.how == "constant":
            return torch.zeros_like(image)
        which = torch.cdist(image.flatten(1), self.inputs).argmin(1)
        pairs = zip(which.tolist(), target, strict=True)
        return torch.stack([imaging.to_tensor(self.faces.counterfactual(i, t)) for i, t in pairs])


def tools_of(test: TestSet) -> Instruments:
    faces = test.test.images
    assert isinstance(faces, SyntheticFaces)
    judge = Judge(Memory(faces), JointLabelSpace([faces.space]), (32, 32))
    return judge_instruments(judge, test.space, "memory")


def measured(
    data: DataModule, how: str, cycle: bool = False, reference: bool = False
) -> tuple[Records, TestSet]:
    faces = data.test["attributes"].images
    assert isinstance(faces, SyntheticFaces)
    planted = Planted(faces, how)
    test = TestSet(data, "attributes", planted.labels)
    shards = Shards(None) if reference else None
    return translate_set(planted, test, tools_of(test), 10, None, shards, cycle), test


def rows_of(data: DataModule, how: str, cycle: bool = False, reference: bool = False) -> list[Row]:
    records, test = measured(data, how, cycle, reference)
    (found,) = figures(records, test, intervals=False)
    return [*found.rows, found.overall]


def test_the_true_image_is_perfect(data: DataModule) -> None:
    *rows, overall = rows_of(data, "truth")
    names = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "not Male", "Young", "not Young"]
    assert [row.name for row in rows] == names
    for row in rows:
        found = row.figures
        assert (found["error"].value, found["kept"].value, found["truth"].value) == (0, 1, 0)
        assert found["outside"].value == 0
        assert found["inside"].value > 0.01
        assert found["real_error"].value == 0
    # Of an exclusive group those that have the label already are left out.
    assert sum(row.figures["error"].count for row in rows[:3]) == 2 * COUNT
    assert sum(row.figures["error"].count for row in rows[3:5]) == COUNT
    assert overall.figures["error"].count == 4 * COUNT
    # No error at all is not certainty: so many photos, not so many translations.
    assert overall.figures["error"].high > 0.1


def test_a_model_is_told_the_labels_of_the_images_that_it_gets(data: DataModule) -> None:
    faces = data.test["attributes"].images
    assert isinstance(faces, SyntheticFaces)
    planted = Planted(faces, "truth")
    test = TestSet(data, "attributes", planted.labels)
    records = translate_set(planted, test, tools_of(test), 10)
    pictures(planted, test, tools_of(test), records, 3)
    assert planted.calls > 2 * len(test.wishes)
    for image, own, _ in planted.told:
        # What it is given are photos and, translating back, true images: both show their labels.
        shown = Memory(faces)(image) > 0
        assert torch.equal(own > 0.5, shown)


class Painter:
    """Paints the rows from 10 on white, whatever is asked."""

    def __init__(self, labels: JointLabelSpace) -> None:
        self.labels = labels

    def __call__(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        painted = image.clone()
        painted[:, :, 10:] = 1
        return painted


def test_masks_of_the_user_say_what_may_change(class_folder: Path, tmp_path: Path) -> None:
    mask = Image.new("L", (40, 40))
    mask.paste(255, (0, 20, 40, 40))
    for place in ("red/test/red/0", "red/test/red/1", "red/test/blue/0"):
        (tmp_path / "masks" / place).parent.mkdir(parents=True, exist_ok=True)
        mask.save(tmp_path / "masks" / f"{place}.png")
    make = partial(ImageFolder, root=class_folder, regions=tmp_path / "masks")
    data = DataModule({"folder": make}, image_size=20)
    data.setup()
    labels = data.labels
    test = TestSet(data, "folder", labels)
    assert test.notes == [
        "What a label of folder concerns is the masks of masks (3 in all, of 1 label)."
    ]
    judge = open_judge(write_judge(tmp_path / "judge.safetensors", *labels.spaces))
    tools = judge_instruments(judge, test.space, "random")
    records = translate_set(Painter(labels), test, tools, 4, cycle=False)
    # Of a class the region is that of all classes: two red ones and a blue one, to two others each.
    known = ~records.fake["outside"].isnan()
    assert sorted(records.fake["row"][known].tolist()) == [0, 0, 6, 6, 7, 7]
    assert torch.equal(known, ~records.fake["inside"].isnan())
    assert (records.fake["outside"][known] == 0).all()
    assert (records.fake["inside"][known] > 0.1).all()
    (found,) = figures(records, test, intervals=False)
    assert found.overall.figures["outside"].count == 6
    assert found.overall.figures["change"].count == 18


def test_doing_nothing_is_right_nowhere_and_changes_nothing(data: DataModule) -> None:
    for row in rows_of(data, "same", cycle=True, reference=True):
        found = row.figures
        assert found["error"].value == 1
        assert found["kept"].value == 1
        assert found["change"].value == found["outside"].value == found["inside"].value == 0
        assert found["identity"].value == 0
        assert found["truth"].value > 0
        assert found["l1"].value == 0
        assert found["psnr"].value == PSNR_CAP
        assert found["ssim"].value == pytest.approx(1, abs=1e-4)
        assert found["fid"].value > 0


def test_a_constant_picture_is_seen_as_one(data: DataModule) -> None:
    for row in rows_of(data, "constant", cycle=True, reference=True):
        found = row.figures
        assert found["diversity"].value == pytest.approx(0, abs=1e-4)
        assert found["real_diversity"].value > 1
        assert found["outside"].value > 0.1
        assert found["ssim"].value < 0.5
        assert found["fid"].value > found["real_fid"].value


def test_confusion_counts_every_translation(data: DataModule) -> None:
    records, test = measured(data, "same")
    (found,) = figures(records, test, intervals=False)
    (hair,) = found.confusions
    counts = hair.translations.counts
    assert int(counts.sum()) == 2 * COUNT
    assert int(counts.trace()) == 0  # it is never what was wanted
    assert int(hair.real.counts.trace()) == COUNT


def test_an_interrupted_evaluation_goes_on(data: DataModule, tmp_path: Path) -> None:
    faces = data.test["attributes"].images
    assert isinstance(faces, SyntheticFaces)
    whole, test = measured(data, "truth")
    planted = Planted(faces, "truth")
    tools = tools_of(test)
    done: list[int] = []

    def stop(count: int) -> None:
        done.append(count)
        if len(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        translate_set(planted, test, tools, 10, Shards(tmp_path / "a", {"v": 1}), advance=stop)
    calls = planted.calls
    again = translate_set(planted, test, tools, 10, Shards(tmp_path / "a", {"v": 1}))
    fresh = Planted(faces, "truth")
    translate_set(fresh, test, tools, 10)
    assert calls < planted.calls < calls + fresh.calls
    # Without the cycle of the first, the same measurements.
    for key in ("row", "wish", "logits", "change"):
        torch.testing.assert_close(again.fake[key], whole.fake[key])


def test_measurements_of_something_else_are_thrown_away(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    Shards(folder, {"model": "a"}).get("0", lambda: {"x": torch.zeros(1)})
    kept = Shards(folder, {"model": "a"}).get("0", lambda: {"x": torch.ones(1)})
    assert kept["x"] == 0
    (folder / "0.safetensors").write_bytes(b"torn")
    assert Shards(folder, {"model": "a"}).get("0", lambda: {"x": torch.ones(1)})["x"] == 1
    assert Shards(folder, {"model": "b"}).get("0", lambda: {"x": torch.ones(1) * 2})["x"] == 2


def test_labels_meet_by_name() -> None:
    hair = ("Black", "Blond")
    own = LabelSpace(("Young", "Male", *hair), [hair], name="data")
    model = LabelSpace(("Male", "Young"), name="model")
    found = meet(own, JointLabelSpace([LabelSpace(("a", "b")), model]), "data")
    assert found.needed == 1
    assert found.take(torch.tensor([[1.0, 0, 1, 0]])).tolist() == [[0, 1]]
    with pytest.raises(UserError, match="Bald is missing"):
        meet(own, JointLabelSpace([LabelSpace(("Male", "Bald"))]), "data")


def test_a_judge_of_other_labels_is_refused(data: DataModule) -> None:
    faces = data.test["attributes"].images
    assert isinstance(faces, SyntheticFaces)
    judge = Judge(Memory(faces), JointLabelSpace([faces.space]), (32, 32))
    with pytest.raises(UserError, match=r"the judge memory has .*Black_Hair"):
        judge_instruments(judge, LabelSpace(("Smiling",)), "memory")


def test_a_joint_judge_reads_each_space_in_its_own_columns() -> None:
    faces = LabelSpace(("Male", "Young"), name="faces")
    moods = LabelSpace(("happy", "sad"), categorical=True, name="moods")

    def columns(space: LabelSpace, *spaces: LabelSpace) -> list[int]:
        judge = Judge(nn.Linear(1, 1), JointLabelSpace(spaces), (32, 32))
        return judge_instruments(judge, space, "j").columns.tolist()

    assert columns(faces, moods, faces) == [2, 3]
    assert columns(moods, moods, faces) == [0, 1]
    assert columns(LabelSpace(("Young", "Male"), name="other"), moods, faces) == [3, 2]
    again = LabelSpace(moods.names, categorical=True, name="again")
    assert columns(moods, again, moods) == [2, 3]
    stranger = LabelSpace(moods.names, categorical=True, name="stranger")
    with pytest.raises(UserError, match="several label spaces fit"):
        columns(stranger, again, moods)


def test_pairwise_distance_is_the_mean_over_pairs() -> None:
    points = torch.tensor([[0.0], [1.0], [3.0]])
    assert pairwise_distance(points).value == pytest.approx((1 + 3 + 2) / 3)
