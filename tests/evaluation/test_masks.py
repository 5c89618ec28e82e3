"""The wrong mask: the condition that the generator sees, and what is read of its images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.evaluation.masks import mask_figures, with_masks
from stargan.export import Model, conditional
from stargan.export.description import Framing
from stargan.export.rules import make_rule
from stargan.labels import JointLabelSpace
from tests.tiny import FACES, MOODS


class Told(nn.Module):
    """Writes the condition into the first pixels of the red channel."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        made = image.clone()
        made[:, 0, 0, : condition.shape[1]] = condition * self.weight
        return made


def model_of(*spaces: object) -> Model:
    labels = JointLabelSpace(spaces)  # type: ignore[arg-type]
    rule = make_rule(conditional("generator"), labels, {"generator": Told()})
    return Model(rule, None, labels, Framing((16, 16), 3, {}), {})


def test_the_label_stays_and_the_mask_is_the_others() -> None:
    image = torch.zeros(2, 3, 16, 16)
    found = with_masks(model_of(FACES, MOODS), image, labels=1, mask=0, names=("happy", "neutral"))
    assert [m.label for m in found] == ["happy", "neutral"]
    faces, happy = [0.0] * 5, [1.0, 0, 0]
    assert found[0].right[1, 0, 0, :10].tolist() == [*faces, *happy, 0, 1]
    assert found[0].wrong[1, 0, 0, :10].tolist() == [*faces, *happy, 1, 0]
    assert found[1].wrong[0, 0, 0, :10].tolist() == [*faces, 0, 0, 1, 1, 0]


def test_figures_of_planted_readings() -> None:
    image = torch.zeros(4, 3, 16, 16)
    found = with_masks(model_of(FACES, MOODS), image, labels=1, mask=0)

    def moods(picture: Tensor) -> Tensor:
        # A model whose labels count under their own mask only.
        return picture[:, 0, 0, 5:8] * picture[:, 0, 0, 9:10]

    def faces(picture: Tensor) -> Tensor:
        # Under the mask of the faces two of four become male.
        male = picture[:, 0, 0, 8] * torch.tensor([1.0, 1, 0, 0])
        return torch.stack([torch.zeros(4)] * 3 + [male, torch.zeros(4)], 1)

    rows = mask_figures(found, image, MOODS.names, moods, faces)
    assert [r.label for r in rows] == ["happy", "sad", "neutral"]
    for row in rows:
        assert [e.value for e in row.read] == [1, 0]
        assert [e.value for e in row.changed] == [0, 0.5]


def test_a_model_without_mask_is_refused() -> None:
    with pytest.raises(UserError, match="needs a joint model with one generator"):
        with_masks(model_of(FACES), torch.zeros(1, 3, 16, 16), 0, 1)
