"""Known answers of the figures on embedded faces, and the report."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from stargan import images
from stargan.data.synthetic_faces import SyntheticFaces
from stargan.evaluation.embedded import score
from stargan.evaluation.judge import accuracy, cached_judge, judge_file, stack
from stargan.evaluation.training_report import write_report
from stargan.judge import Judge, open_judge
from stargan.labels import JointLabelSpace

SIZE = (32, 32)
COUNT = 24


@pytest.fixture
def faces() -> SyntheticFaces:
    return SyntheticFaces(split="test", kind="attributes", size=32, count=COUNT, seed=5)


class Oracle(Judge):
    """A judge that knows every picture by heart: the label of the nearest drawn face."""

    def __init__(self, faces: SyntheticFaces) -> None:
        space = faces.space
        super().__init__(torch.nn.Identity(), JointLabelSpace([space]), SIZE)
        pixels, known = [], []
        for i in range(COUNT):
            own = faces.labels[i]
            for _, target in space.targets(own):
                pixels.append(images.to_tensor(faces.counterfactual(i, target)))
                known.append(target)
            pixels.append(images.to_tensor(faces.load(i)))
            known.append(own)
        self.pixels, self.known = torch.stack(pixels), torch.stack(known)

    def read(self, image: Tensor, source: int = 0) -> Tensor:
        distance = torch.cdist(image.flatten(1), self.pixels.flatten(1))
        return self.known[distance.argmin(1)]


class Planted:
    """A translator with a known fault."""

    def __init__(self, faces: SyntheticFaces, how: str) -> None:
        self.labels = JointLabelSpace([faces.space])
        self.faces = faces
        self.how = how
        self.inputs = stack(faces, SIZE, COUNT).float() / 127.5 - 1

    def __call__(self, image: Tensor, label: Tensor, source: Tensor) -> Tensor:
        if self.how == "same":
            return image
        if self.how == "constant":
            return torch.zeros_like(image)
        which = torch.cdist(image.flatten(1), self.inputs.flatten(1)).argmin(1)
        pairs = zip(which.tolist(), label, strict=True)
        return torch.stack([images.to_tensor(self.faces.counterfactual(i, t)) for i, t in pairs])


def test_a_perfect_translator_is_perfect(faces: SyntheticFaces) -> None:
    rows = score(Planted(faces, "truth"), faces, 0, Oracle(faces), SIZE, COUNT)
    assert [r.label for r in rows] == list(faces.space.names)
    for row in rows:
        assert (row.right, row.kept) == (1, 1)
        assert row.outside == 0
        assert row.inside > 0.01
    # Of an exclusive group the faces that have the label already are left out.
    assert sum(r.count for r in rows[:3]) == 2 * COUNT
    assert rows[3].count == COUNT


def test_doing_nothing_is_right_nowhere_and_changes_nothing(faces: SyntheticFaces) -> None:
    for row in score(Planted(faces, "same"), faces, 0, Oracle(faces), SIZE, COUNT):
        assert (row.right, row.kept, row.outside, row.inside) == (0, 1, 0, 0)


def test_a_constant_picture_changes_what_it_should_not(faces: SyntheticFaces) -> None:
    for row in score(Planted(faces, "constant"), faces, 0, Oracle(faces), SIZE, COUNT):
        assert row.outside > 0.1


@pytest.mark.slow
def test_judge_reads_held_out_faces_and_is_kept(tmp_path: Path) -> None:
    train = SyntheticFaces(split="train", kind="attributes", size=32, count=2000, seed=0)
    test = SyntheticFaces(split="test", kind="attributes", size=32, count=300, seed=0)
    seen: list[float] = []
    judge = cached_judge(train, SIZE, "test", seen.append)
    assert seen[-1] == 1
    pixels = stack(test, SIZE).float() / 127.5 - 1
    found = accuracy(judge, pixels, test.labels)
    assert min(found.values()) > 0.95, found
    again = cached_judge(train, SIZE, "test", seen.append)
    assert torch.equal(judge.read(pixels), again.read(pixels))
    opened = open_judge(judge_file(train, SIZE, "test"))
    assert torch.equal(judge.read(pixels), opened.read(pixels))


def test_report_names_its_figures(faces: SyntheticFaces, tmp_path: Path) -> None:
    rows = score(Planted(faces, "same"), faces, 0, Oracle(faces), SIZE, COUNT)
    path = tmp_path / "report.md"
    real = dict.fromkeys(faces.space.names, 0.99)
    facts = {"name": "demo", "steps": "3 of D"}
    sections: list[list[str]] = [["![samples](samples/a.png)"], []]
    write_report(path, facts, {"D/adv": 1.5}, sections, {"faces": (rows, real)})
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# demo\n")
    assert "| Male | 0.0% | 100.0% | 0.0000 | 0.0000 | 24 | 99.0% |" in text
    assert "![samples](samples/a.png)" in text
    assert "| D/adv | 1.5 |" in text
