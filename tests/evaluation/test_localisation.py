"""Localisation with planted judges: one that knows every region, one that looks elsewhere."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stargan.contracts import UserError
from stargan.data.datamodule import DataModule
from stargan.data.image_folder import ImageFolder
from stargan.data.prepared import PreparedImages
from stargan.data.synthetic_faces import SyntheticFaces
from stargan.evaluation.localisation import Case, by_label, cells, locate_labels, summarise
from stargan.judge import Judge

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

    def maps(self, image: Tensor) -> Tensor:
        which = torch.cdist(image.flatten(1), self.known).argmin(1)
        # The regions of a group are the same: what tells its labels apart is the strength.
        return self.regions[which] * (1 + self.label[which])[:, :, None, None]

    def forward(self, image: Tensor) -> Tensor:
        which = torch.cdist(image.flatten(1), self.known).argmin(1)
        return self.sign * (self.label[which] - 0.5)


def judged(kind: str, **how: int) -> list[Case]:
    data = faces(kind)
    judge = Judge(Planted(data, kind, **how), data.labels, (SIZE, SIZE))
    return locate_labels(judge, data, kind, batch_size=5).cases


@pytest.mark.parametrize("kind", ["attributes", "expressions"])
def test_a_judge_that_looks_at_the_regions_is_right(kind: str) -> None:
    cases = judged(kind)
    one = summarise("all", cases)
    assert (one.top1, one.hit) == (0, 1)
    # The largest part of a region is not always all of it: hair, and a few strands apart.
    assert one.known == one.located1 <= 0.1
    assert one.overlap > 0.9
    assert (one.top5 is None) == (kind == "attributes")
    if kind == "expressions":
        assert len(cases) == COUNT
        assert one.top5 == one.located5 == 0


def test_the_wrong_class_is_wrong_even_where_the_box_is_right() -> None:
    one = summarise("all", judged("expressions", wrong=True))
    assert (one.top1, one.top5, one.located1, one.located5) == (1, 1, 1, 1)
    assert one.known <= 0.1


def test_looking_elsewhere_is_wrong_even_where_the_class_is_right() -> None:
    one = summarise("all", judged("expressions", shift=SIZE // 2))
    assert one.top1 == 0
    assert one.located1 == one.located5 == one.known == 1
    assert one.hit < 0.5


def test_rows_by_label() -> None:
    a = Case(0, "happy", 0, 8, 0.6, True, 0.2)
    b = Case(1, "sad", 6, 8, 0.9, False, 0.4)
    c = Case(2, "sad", 3, 8, 0.2, True, 0.4)
    rows = by_label([a, b, c], ("happy", "sad", "angry"))
    assert [r.title for r in rows] == ["happy", "sad", "all"]
    sad = rows[1]
    assert (sad.count, sad.top1, sad.top5, sad.located1, sad.located5) == (2, 1, 0.5, 1, 1)
    assert (sad.known, sad.hit) == (0.5, 0.5)
    assert sad.overlap == pytest.approx(0.55)
    shown = ["happy", "1", "0.0%", "0.0%", "0.0%", "0.0%", "0.0%", "0.60", "100.0%", "20.0%"]
    assert cells(rows[0]) == shown
    lone = summarise("Male", [Case(0, "Male", 1, 1, 0.6, True, 0.2)])
    assert (lone.top1, lone.top5, lone.located1, lone.known) == (1, None, 1, 0)


def test_data_without_regions_are_refused(class_folder: object) -> None:
    data = DataModule({"folder": partial(ImageFolder, root=str(class_folder))}, SIZE)
    data.setup()
    plain = Judge(_Pooled(), data.labels, (SIZE, SIZE))
    with pytest.raises(UserError, match="does not say where its labels are"):
        locate_labels(plain, data, "folder")


class _Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)

    def maps(self, image: Tensor) -> Tensor:
        return image

    def forward(self, image: Tensor) -> Tensor:
        return self.head(image.mean((2, 3)))
