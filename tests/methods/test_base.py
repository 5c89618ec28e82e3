"""What all methods of a kind share: how they translate or sample, and what they can take."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.methods.base import Method, Sampling, SinglePurpose, Translation
from stargan.methods.diat import aim
from tests.rig import JOINT, SINGLE, make_dcgan, make_diat, make_icgan, make_stargan


class Loud(nn.Module):
    """Three times its input: outside of [-1, 1]."""

    def forward(self, image: Tensor) -> Tensor:
        return 3 * image


def test_a_method_takes_coloured_images_of_several_data_sets_unless_it_says() -> None:
    assert Method.channels == (3,)
    assert Method.joint
    assert Translation.kind == "translator"
    assert Sampling.channels == (1, 3)


def test_what_a_kind_leaves_to_its_methods() -> None:
    with pytest.raises(NotImplementedError):
        SinglePurpose.rule(make_diat())
    with pytest.raises(NotImplementedError):
        Sampling.sample(make_dcgan(), torch.zeros(1, 4))


def test_translations_of_a_single_purpose_stay_within_the_range() -> None:
    method = make_diat()
    method.generator = Loud()
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    own, target = torch.zeros(2, SINGLE.size), torch.zeros(2, SINGLE.size)
    target[:, SINGLE.names.index("Male")] = 1
    dataset = torch.zeros(2, dtype=torch.long)
    made = method.translate(image, own, target, dataset)
    assert torch.equal(made, (3 * image).clamp(-1, 1))
    assert made.min() == -1
    assert made.max() == 1


def test_one_generator_of_several_data_sets_is_told_the_mask() -> None:
    method = make_stargan(JOINT)
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(2, JOINT.size)
    target[0, 0] = target[1, -1] = 1
    dataset = torch.tensor([0, len(JOINT.spaces) - 1])
    with torch.no_grad():
        expected = method.generator(image, JOINT.condition(target, dataset)).clamp(-1, 1)
    made = method.translate(image, torch.zeros_like(target), target, dataset)
    torch.testing.assert_close(made, expected)


def test_labels_that_nobody_knows_do_not_matter_to_noise() -> None:
    assert make_dcgan().takes_unknown
    assert not make_icgan().takes_unknown


def test_one_of_two_that_exclude_each_other_is_no_target_to_be_taken_away() -> None:
    pair = JointLabelSpace([LabelSpace(["Old", "New"], [["Old", "New"]])])
    with pytest.raises(UserError, match="what is to come in the place of Old"):
        aim(pair, "Old=0")


def test_two_classes_are_enough_for_wrong_labels() -> None:
    two = JointLabelSpace([LabelSpace(["a", "b"], categorical=True)])
    assert make_icgan(two).labels == two
    one = JointLabelSpace([LabelSpace(["a"], categorical=True)])
    with pytest.raises(UserError, match="has one class, a"):
        make_icgan(one)
