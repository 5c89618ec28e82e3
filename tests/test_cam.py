from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stargan.cam import class_activation_map, normalise, overlay
from stargan.contracts import UserError
from stargan.judge import Judge
from stargan.labels import JointLabelSpace, LabelSpace


class Colours(nn.Module):
    """Label 0 is red, label 1 is blue; maps are the colours themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[1.0, -1, -1], [-1, -1, 1]]))

    def maps(self, image: Tensor) -> Tensor:
        return (image + 1) / 2

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.maps(image).mean((2, 3)))


@pytest.fixture
def judge() -> Judge:
    return Judge(Colours(), JointLabelSpace([LabelSpace(["red", "blue"])]), (16, 16))


def half_red_half_blue() -> Tensor:
    image = torch.full((2, 3, 32, 32), -1.0)
    image[:, 0, :, :16] = 1
    image[:, 2, :, 16:] = 1
    return image


def test_a_map_is_where_the_label_is(judge: Judge) -> None:
    heat = class_activation_map(judge, half_red_half_blue(), torch.tensor([0, 1]))
    assert heat.shape == (2, 32, 32)
    assert (heat[0, :, :12] > 0.9).all()
    assert (heat[0, :, 20:] < -0.9).all()
    assert (heat[1, :, 20:] > 0.9).all()
    assert torch.equal(class_activation_map(judge, half_red_half_blue(), 0)[0], heat[0])


def test_the_mean_of_a_map_is_the_logit(judge: Judge) -> None:
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    heat = class_activation_map(judge, image, 1)
    logit = judge.logits(image)[0, 1] - judge.network.head.bias[1]
    assert heat.mean().item() == pytest.approx(logit.item(), abs=1e-5)


def test_normalised_maps(judge: Judge) -> None:
    heat = torch.stack([torch.linspace(-2, 4, 16).view(4, 4), -torch.ones(4, 4)])
    value = normalise(heat)
    assert (value[0].min(), value[0].max()) == (0, 1)
    assert torch.equal(value[1], torch.zeros(4, 4))
    image = torch.zeros(3, 4, 4)
    assert np.asarray(overlay(image, value[1])).std() == 0
    assert np.asarray(overlay(image, value[0])).std() > 0


def test_a_network_without_pooling_is_refused() -> None:
    space = JointLabelSpace([LabelSpace(["red"])])
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 1))
    with pytest.raises(UserError, match="no class activation maps"):
        class_activation_map(Judge(network, space, (16, 16)), torch.zeros(1, 3, 16, 16), 0)
