"""Maps, overlays and boxes with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stargan import imaging
from stargan.errors import UserError
from stargan.imaging.regions import Box, box_of
from stargan.judges import cam
from stargan.judges.judge import Judge
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.networks.gap import AlexNet

FACES = LabelSpace(("red", "green"), name="faces")
MOODS = LabelSpace(("happy", "sad", "angry"), categorical=True, name="moods")


class Colours(nn.Module):
    """Maps are the colour channels of an image at half its size."""

    def __init__(self, weight: list[list[float]], bias: float = 0.0) -> None:
        super().__init__()
        self.head = nn.Linear(3, len(weight))
        self.head.weight.data = torch.tensor(weight)
        self.head.bias.data.fill_(bias)

    def maps(self, image: Tensor) -> Tensor:
        return nn.functional.avg_pool2d((image + 1) / 2, 2)

    def features(self, image: Tensor) -> Tensor:
        return self.maps(image).mean((2, 3))

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.features(image))


def judge(weight: list[list[float]], *spaces: LabelSpace, bias: float = 0.0) -> Judge:
    return Judge(Colours(weight, bias), JointLabelSpace(spaces), (32, 32))


def picture(size: int = 32) -> Tensor:
    """Black, with a red square above left and a green one below right."""
    image = -torch.ones(1, 3, size, size)
    image[:, 0, 4:12, 4:12] = 1
    image[:, 1, 16:28, 20:30] = 1
    return image


def test_the_map_is_where_the_label_is_and_sums_to_the_logit() -> None:
    one = judge([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], FACES, bias=0.25)
    image = picture()
    logits, maps = cam.logits_and_maps(one, image)
    torch.testing.assert_close(logits, one.logits(image))
    assert maps.shape == (1, 2, 16, 16)
    torch.testing.assert_close(maps.mean((2, 3)) + 0.25, one.logits(image))
    both = cam.class_activation_map(one, image.repeat(2, 1, 1, 1), torch.tensor([0, 1]))
    assert both.shape == (2, 32, 32)
    assert both[0, 6:10, 6:10].min() == 1
    assert both[0, 14:].max() == 0
    assert both[1, 18:26, 22:28].min() == 2
    # The same label for all images, images of any size.
    large = cam.class_activation_map(one, nn.functional.interpolate(image, (64, 48)), 1)
    assert large.shape == (1, 64, 48)


def test_boxes() -> None:
    one = judge([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], FACES)
    heat = cam.class_activation_map(one, picture(), 1)
    (box,) = cam.localise(heat, 0.5)
    assert box == Box(16, 20, 28, 30)
    # Of two parts the larger, not the stronger.
    maps = torch.zeros(1, 20, 20)
    maps[0, 2:4, 2:4] = 1
    maps[0, 8:15, 9:12] = 0.3
    assert cam.localise(maps) == [Box(8, 9, 15, 12)]
    assert cam.localise(maps, 0.5) == [Box(2, 2, 4, 4)]


def test_a_map_without_evidence_stays_empty() -> None:
    maps = torch.stack([-torch.ones(8, 8), torch.zeros(8, 8), torch.full((8, 8), torch.nan)])
    shown = cam.normalise(maps)
    assert torch.equal(shown, torch.zeros(3, 8, 8))
    assert cam.localise(maps) == [None, None, None]
    image = torch.rand(3, 8, 8) * 2 - 1
    untouched = np.asarray(cam.overlay(image, shown[0]))
    assert np.array_equal(untouched, np.asarray(imaging.to_pil(image)))


def test_normalised_maps_reach_one_and_hide_what_speaks_against() -> None:
    maps = torch.tensor([[[-3.0, 0.5], [2.0, 1.0]], [[1e-30, -1.0], [0.0, 0.0]]])
    shown = cam.normalise(maps)
    assert torch.equal(shown[0], torch.tensor([[0, 0.25], [1, 0.5]]))
    assert shown[1].max() == 1
    assert torch.isfinite(shown).all()


def test_maps_together_are_on_one_scale() -> None:
    maps = torch.tensor([[[[4.0, 0.0]], [[-1.0, 0.0]]], [[[1.0, 2.0]], [[0.5, -2.0]]]])
    shown = cam.normalise(maps, together=True)
    assert torch.equal(shown[:, 0], torch.tensor([[[1.0, 0.0]], [[0.25, 0.5]]]))
    assert torch.equal(shown[:, 1], torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]]]))


def test_relative_maps_of_classes_know_differences_only() -> None:
    weight = [[-1.0, -3.0, -3.0], [-3.0, -1.0, -3.0], [-3.0, -3.0, -1.0]]
    one = judge([*weight, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], MOODS, FACES)
    image = picture()
    assert cam.class_activation_map(one, image, 0).max() <= 0
    heat = cam.class_activation_map(one, image, 0, relative=True)
    assert cam.localise(heat, 0.5) == [Box(4, 4, 12, 12)]
    maps, plain = cam.label_maps(one, image, relative=True), cam.label_maps(one, image)
    assert maps[:, :3].sum(1).abs().max() < 1e-5
    assert torch.equal(maps[:, 3:], plain[:, 3:])


def test_overlay_colours_only_the_map() -> None:
    image, heat = torch.zeros(3, 8, 8), torch.zeros(8, 8)
    heat[:, 4:] = 1
    pixels = np.asarray(cam.overlay(image, heat)).astype(int)
    assert (pixels[:, :4] == 128).all()
    assert (pixels[:, 4:, 0] > pixels[:, 4:, 2] + 50).all()


def test_iou() -> None:
    box = Box(0, 0, 10, 10)
    assert cam.iou(box, box) == 1
    assert cam.iou(box, Box(0, 5, 10, 15)) == pytest.approx(1 / 3)
    assert cam.iou(box, Box(10, 10, 12, 12)) == 0
    assert cam.iou(box, None) == cam.iou(None, None) == 0
    assert box_of(np.zeros((4, 4), bool)) is None


def test_a_network_without_maps_and_unknown_labels_are_refused() -> None:
    plain = Judge(AlexNet(2, 64), JointLabelSpace([FACES]), (64, 64))
    with pytest.raises(UserError, match="AlexNet has no class activation maps"):
        cam.class_activation_map(plain, torch.zeros(1, 3, 64, 64), 0)
    with pytest.raises(UserError, match="none of the judge's 2 labels"):
        cam.class_activation_map(judge([[1.0] * 3] * 2, FACES), picture(), 2)
