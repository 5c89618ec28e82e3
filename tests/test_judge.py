"""Opening a judge and reading with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stargan import networks
from stargan.errors import UserError
from stargan.export import describe, reads, save_export
from stargan.judges.judge import Judge, open_judge
from stargan.labels import JointLabelSpace, LabelSpace
from tests.tiny import FACES, MOODS, settings, write_export

LABELS = JointLabelSpace([FACES, MOODS])


def write_judge(path: Path, labels: JointLabelSpace = LABELS, size: int = 32) -> Path:
    plain = {
        "_target_": "stargan.networks.classifier.SmallClassifier",
        "image_size": [size, size],
        "label_size": labels.size,
        "channels": 4,
    }
    about = describe(
        networks={"classifier": plain},
        roles={"read": reads("classifier")},
        labels=labels,
        image={"size": [size, size], "crop": {labels.spaces[0].name: 30}},
        training={"steps": 7},
    )
    save_export(path, {"classifier": networks.build(plain)}, about)
    return path


def test_a_judge_opens_and_reads_images_of_any_size(tmp_path: Path) -> None:
    judge = open_judge(write_judge(tmp_path / "classifier.safetensors"))
    assert (judge.labels, judge.size) == (LABELS, (32, 32))
    assert judge.crops == {"faces": 30, "moods": None}
    assert judge.training == {"steps": 7}
    image = torch.rand(3, 3, 80, 48) * 2 - 1
    assert judge.logits(image).shape == (3, 8)
    features = judge.features(image)
    assert (features.shape, features.dtype) == ((3, 16), torch.float32)
    network = judge.network
    torch.testing.assert_close(network.head(features), judge.logits(image))
    # A space's own labels, always possible ones.
    assert judge.read(image, 0).shape == (3, 5)
    assert judge.read(image, 1).sum(1).tolist() == [1, 1, 1]
    # The folder of a run opens too.
    assert torch.equal(open_judge(tmp_path).logits(image), judge.logits(image))


def test_images_are_resized_with_antialiasing() -> None:
    judge = Judge(torch.nn.Conv2d(3, 1, 1), LABELS, (8, 8))
    fine = torch.ones(1, 3, 64, 64)
    fine[..., ::2] = -1
    assert judge.prepare(fine).abs().max() < 0.1
    own = torch.rand(1, 3, 8, 8)
    assert torch.equal(judge.prepare(own), own)


def test_the_labels_of_a_model_are_found_by_name() -> None:
    judge = Judge(torch.nn.Conv2d(3, 1, 1), LABELS, (8, 8))
    assert judge.match(MOODS).places == [5, 6, 7]
    assert judge.match(LabelSpace(MOODS.names[::-1], categorical=True)).places == [7, 6, 5]
    assert judge.column(FACES, "Male") == 3
    other = LabelSpace(("calm", "wild"), categorical=True, name="moods")
    with pytest.raises(UserError, match=r"calm, wild.*happy, sad, neutral"):
        judge.match(other)
    with pytest.raises(UserError, match="calm is missing"):
        judge.column(other, "calm")


def test_what_is_no_judge_is_refused(tmp_path: Path) -> None:
    path = write_export(tmp_path / "generator.safetensors", settings())
    with pytest.raises(UserError, match="is a translator, not a classifier"):
        open_judge(path)
    with pytest.raises(UserError, match="does not exist"):
        open_judge(tmp_path / "nothing.ckpt")
