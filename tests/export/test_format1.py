"""Files of format 1 open, and give what they gave: see tests/fixtures/format1/README.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stargan.export import open_model
from stargan.inference.sampler import Sampler
from stargan.judges.judge import open_judge
from stargan.labels import JointLabelSpace
from tests.tiny import FACES, MOODS

FOLDER = Path(__file__).parents[1] / "fixtures" / "format1"
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
LABELS = JointLabelSpace([FACES, MOODS])


def fixed_image() -> Tensor:
    n, c, y, x = torch.meshgrid(
        *(torch.arange(k, dtype=torch.float64) for k in (2, 3, 16, 16)), indexing="ij"
    )
    return torch.sin(1.3 * n + 0.7 * c + 0.31 * y + 0.17 * x * (n + 1)).float()


def compare(name: str, kind: str, found: Tensor) -> None:
    part = found[..., ::3, ::3] if found.ndim == 4 else found
    expected = torch.tensor(EXPECTED[name][kind])
    torch.testing.assert_close(part.flatten(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["generator.safetensors", "translator.onnx", "translator.pt2", "hub"]
)
def test_a_translator(name: str) -> None:
    model = open_model(FOLDER / name)
    assert model.labels == LABELS
    assert model.size == (16, 16)
    assert model.framing.crops == {"faces": 30, "moods": None}
    assert model.training == {"method": "stargan", "steps": 3}
    target = torch.zeros(2, LABELS.size)
    target[0, [1, 3]] = 1
    target[1, 5] = 1
    compare(name, "image", model(fixed_image(), 1 - target, target, torch.tensor([0, 1])))
    compare(name, "logits", model.read(fixed_image()))


def test_a_checkpoint_of_a_translator() -> None:
    model = open_model(FOLDER / "last.ckpt")
    assert model.labels.names == ("left", "right")
    target, dataset = torch.eye(2), torch.zeros(2, dtype=torch.long)
    compare("last.ckpt", "image", model(fixed_image(), 1 - target, target, dataset))
    compare("last.ckpt", "logits", model.read(fixed_image()))


def test_a_judge() -> None:
    judge = open_judge(FOLDER / "classifier.safetensors")
    assert judge.labels == LABELS
    compare("classifier.safetensors", "logits", judge.logits(fixed_image()))


@pytest.mark.parametrize("name", ["sampler.ckpt", "sampler.safetensors"])
def test_a_sampler(name: str) -> None:
    sampler = Sampler.from_pretrained(FOLDER / name)
    noise = torch.linspace(-1, 1, 2 * sampler.noise_size).view(2, -1)
    compare(name, "image", sampler.draw(noise))
