"""Localisation with planted judges: one that knows every region, one that looks elsewhere."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stargan.data.datamodule import DataModule
from stargan.data.drawn.faces import SyntheticFaces
from stargan.data.image_folder import ImageFolder
from stargan.data.prepared import PreparedImages
from stargan.errors import UserError
from stargan.imaging.regions import Box
from stargan.judges.judge import Judge
from stargan.judges.localisation import Case, by_label, cells, locate_labels, summarise

SIZE, COUNT = 32, 16


def faces(kind: str) -> DataModule:
    make = partial(SyntheticFaces, kind=kind, size=SIZE, count={"train": 20, "test": COUNT}, seed=3)
    data = DataModule({kind: make}, SIZE)
    data.setup()
    return data


def faces_of(prepared: PreparedImages) -> SyntheticFaces:
    assert isinstance(prepared.images, SyntheticFaces)
    return prepared.images


class Planted(nn.Module):
    """Knows every test image by heart; its maps are the regions of its labels."""

    def __init__(self, data: DataModule, kind: str, wrong: bool = False, shift: int = 0) -> None:
        super().__init__()
        prepared = data.test[kind]
        (batch,) = data.test_batches(kind, COUNT)
        self.known, self.label = batch.image.flatten(1), batch.label
        regions = np.stack([faces_of(prepared).regions(i) for i in range(COUNT)])
        self.regions = torch.from_numpy(regions).float().roll((shift, shift), (2, 3))
        self.sign = -1.0 if wrong else 1.0
        self.head = nn.Linear(batch.label.shape[1], batch.label.shape[1])
        nn.init.eye_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def maps(self, image: Tensor) -> Tensor:
        which = torch.cdist(image.flatten(1), self.known).argmin(1)
        # The regions of a group are the same: what tells its labels apart is the strength.
        heat = 100 * self.regions[which] * (1 + self.label[which])[:, :, None, None]
        # The mean of a map is the logit.
        logits = self.sign * (self.label[which] - 0.5)
        return heat - (heat.mean((2, 3)) - logits)[:, :, None, None]

    def forward(self, image: Tensor) -> Tensor:
        return self.maps(image).mean((2, 3))


def judged(kind: str, **how: int) -> list[Case]:
    data = faces(kind)
    judge = Judge(Planted(data, kind, **how), data.labels, (SIZE, SIZE))
    return locate_labels(judge, data, kind, batch_size=5).cases


@pytest.mark.parametrize("kind", ["attributes", "expressions"])
def test_a_judge_that_looks_at_the_regions_is_right(kind: str) -> None:
    cases = judged(kind)
    one = summarise("all", cases)
    assert (one.top1, one.hit) == (0, 1)
    assert one.known == one.located1 == 0
    assert one.overlap > 0.9
    assert one.inside == pytest.approx(1)
    assert (one.top5 is None) == (kind == "attributes")
    if kind == "expressions":
        assert len(cases) == COUNT
        assert one.top5 == one.located5 == 0


def test_the_wrong_class_is_wrong_even_where_the_box_is_right() -> None:
    one = summarise("all", judged("expressions", wrong=True))
    assert (one.top1, one.top5, one.located1, one.located5) == (1, 1, 1, 1)
    assert one.known == 0


def test_looking_elsewhere_is_wrong_even_where_the_class_is_right() -> None:
    one = summarise("all", judged("expressions", shift=SIZE // 2))
    assert one.top1 == 0
    assert one.located1 == one.located5 == one.known == 1
    assert one.hit < 0.5
    assert one.inside < 2 * one.area


def test_rows_by_label() -> None:
    a = Case(0, "happy", 0, 8, 0.6, True, 0.5, 0.2)
    b = Case(1, "sad", 6, 8, 0.9, False, 0.5, 0.4)
    c = Case(2, "sad", 3, 8, 0.2, True, 0.5, 0.4)
    rows = by_label([a, b, c], ("happy", "sad", "angry"))
    assert [r.title for r in rows] == ["happy", "sad", "all"]
    sad = rows[1]
    assert (sad.count, sad.top1, sad.top5, sad.located1, sad.located5) == (2, 1, 0.5, 1, 1)
    assert (sad.known, sad.hit) == (0.5, 0.5)
    assert sad.overlap == pytest.approx(0.55)
    shown = [
        "happy",
        "1",
        "0.0%",
        "0.0%",
        "0.0%",
        "0.0%",
        "0.0%",
        "0.60",
        "100.0%",
        "50.0%",
        "20.0%",
    ]
    assert cells(rows[0]) == shown
    lone = summarise("Male", [Case(0, "Male", 1, 1, 0.6, True, 0.5, 0.2)])
    assert (lone.top1, lone.top5, lone.located1, lone.known) == (1, None, 1, 0)


def test_data_without_regions_are_refused(class_folder: object) -> None:
    data = DataModule({"folder": partial(ImageFolder, root=str(class_folder))}, SIZE)
    data.setup()
    plain = Judge(_Pooled(), data.labels, (SIZE, SIZE))
    with pytest.raises(UserError, match="does not say where its labels are"):
        locate_labels(plain, data, "folder")


def pets(folder: Path, regions: Path, count: int = 4) -> DataModule:
    """Noisy pictures of 60 x 40 pixels, seen as 20 x 20: ten columns go on either side."""
    rng = np.random.default_rng(0)
    for animal in ("cat", "dog"):
        for split in ("train", "test"):
            (folder / split / animal).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                pixels = rng.integers(0, 255, (40, 60, 3), np.uint8)
                Image.fromarray(pixels).save(folder / split / animal / f"{animal}_{split}{i}.png")
    data = DataModule({"pets": partial(ImageFolder, root=folder, regions=regions)}, 20)
    data.setup()
    return data


class Looking(nn.Module):
    """Looks at known boxes of known images, and reads the right class."""

    def __init__(self, data: DataModule, boxes: list[Box]) -> None:
        super().__init__()
        (batch,) = data.test_batches("pets", len(boxes))
        self.known, self.label = batch.image.flatten(1), batch.label
        self.heat = torch.zeros(len(boxes), 20, 20)
        for heat, box in zip(self.heat, boxes, strict=True):
            heat[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 1
        self.head = nn.Linear(2, 2)
        nn.init.eye_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def maps(self, image: Tensor) -> Tensor:
        which = torch.cdist(image.flatten(1), self.known).argmin(1)
        return self.heat[which][:, None] * self.label[which][:, :, None, None]

    def forward(self, image: Tensor) -> Tensor:
        return self.maps(image).mean((2, 3))


def test_boxes_of_the_user(tmp_path: Path) -> None:
    lines = [
        "image,label,left,top,width,height",
        "cat_test0,cat,20,8,20,16",  # seen as 4 to 12, 5 to 15
        *("cat_test1,cat,20,8,20,16", "cat_test1,cat,10,0,8,8"),  # the second: 0 to 4, 0 to 4
        *("cat_test2,cat,20,8,20,16", "cat_test2,dog,10,0,8,8"),  # no dog is there
        "dog_test0,dog,20,8,20,16",
        "dog_test1,,0,0,9,40",  # cut away
        "dog_test2,cat,20,8,20,16",  # it is no cat
        "cat_train0,cat,0,0,9,9",
    ]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("\n".join(lines), encoding="utf-8")
    data = pets(tmp_path / "pets", boxes)
    seen, corner = Box(4, 5, 12, 15), Box(0, 0, 4, 4)
    looks = [seen, corner, corner, seen, Box(4, 10, 12, 20), seen, seen, seen]
    judge = Judge(Looking(data, looks), data.labels, (20, 20))
    found = locate_labels(judge, data, "pets", batch_size=3)
    assert [(c.index, c.label) for c in found.cases] == [
        (0, "cat"),
        (1, "cat"),
        (2, "cat"),
        (4, "dog"),
    ]
    assert [c.overlap for c in found.cases] == pytest.approx([1, 1, 0, 1 / 3])
    assert [c.hit for c in found.cases] == [True, True, False, True]
    assert [c.area for c in found.cases] == pytest.approx([0.2, 0.24, 0.2, 0.2])
    # cat_test3, dog_test2 and dog_test3 have no box of their label; that of dog_test1 is cut away.
    assert (found.unknown, found.cut) == (3, 1)
    known = summarise("all", found.cases)
    assert (known.top1, known.located1) == (0, 0.5)


def test_masks_of_the_user(tmp_path: Path) -> None:
    """Two corners of a mask: the box is around both, the peak must lie in one."""
    mask = np.zeros((40, 60), np.uint8)
    mask[8:10, 20:22] = mask[22:24, 38:40] = 255
    for place in ("masks/cat_test0.png", "masks/cat/cat_test1.png", "masks/dog/dog_test0.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(tmp_path / place)
    data = pets(tmp_path / "pets", tmp_path / "masks")
    seen = Box(4, 5, 12, 15)
    looks = [seen, Box(5, 5, 12, 15), *[seen] * 6]
    judge = Judge(Looking(data, looks), data.labels, (20, 20))
    found = locate_labels(judge, data, "pets")
    assert [c.index for c in found.cases] == [0, 1, 4]
    assert [c.overlap for c in found.cases] == pytest.approx([1, 0.875, 1])
    assert (found.unknown, found.cut) == (5, 0)


def test_bad_regions_stop_before_any_map(tmp_path: Path) -> None:
    data = pets(tmp_path / "pets", tmp_path / "nowhere")
    judge = Judge(Looking(data, [Box(0, 0, 1, 1)] * 8), data.labels, (20, 20))
    with pytest.raises(UserError, match=r"nowhere' do not exist"):
        locate_labels(judge, data, "pets")


class _Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)

    def maps(self, image: Tensor) -> Tensor:
        return image

    def forward(self, image: Tensor) -> Tensor:
        return self.head(image.mean((2, 3)))
