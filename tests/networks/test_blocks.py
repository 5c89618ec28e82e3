from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.networks.blocks import (
    ConditionedConv2d,
    check_image_size,
)


def concatenated(conv: ConditionedConv2d, image: Tensor, condition: Tensor) -> Tensor:
    planes = condition[:, :, None, None].repeat(1, 1, *image.shape[2:])
    return F.conv2d(torch.cat([image, planes], 1), conv.weight, padding=conv.padding)


@pytest.mark.parametrize("size", [(16, 16), (8, 20), (7, 7), (4, 12), (5, 5), (6, 6), (1, 1)])
def test_conditioned_conv_equals_concatenation_in_values_and_gradients(
    size: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    # In double precision, where the order of summation does not matter.
    conv = ConditionedConv2d(5, 8, 7).double()
    image = torch.randn(3, 3, *size, dtype=torch.double, requires_grad=True)
    condition = torch.rand(3, 5, dtype=torch.double, requires_grad=True)
    weights = torch.randn(3, 8, *size, dtype=torch.double)
    inputs = (image, condition, conv.weight)
    ours, plain = conv(image, condition), concatenated(conv, image, condition)
    torch.testing.assert_close(ours, plain, atol=1e-12, rtol=1e-12)
    for ours_grad, plain_grad in zip(
        torch.autograd.grad((ours * weights).sum(), inputs),
        torch.autograd.grad((plain * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours_grad, plain_grad, atol=1e-11, rtol=1e-11)


def test_conditioned_conv_starts_like_the_published_convolution() -> None:
    torch.manual_seed(0)
    ours = ConditionedConv2d(5, 64, 7)
    torch.manual_seed(0)
    published = nn.Conv2d(8, 64, 7, padding=3, bias=False)
    assert torch.equal(ours.weight, published.weight)


def label_effect(padding_mode: str) -> float:
    """How far two labels move the normalised output of a concatenating convolution."""
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, 7, padding=3, bias=False, padding_mode=padding_mode)
    image = torch.randn(1, 3, 16, 16)

    def output(label: Tensor) -> Tensor:
        planes = label[None, :, None, None].expand(-1, -1, 16, 16)
        return F.instance_norm(conv(torch.cat([image, planes], 1)))

    difference = output(torch.ones(5)) - output(torch.zeros(5))
    return difference.abs().max().item()


def test_label_reaches_the_output_by_zero_padding_and_not_by_reflection() -> None:
    torch.manual_seed(0)
    conv = ConditionedConv2d(5, 16, 7)
    image = torch.randn(1, 3, 16, 16)
    ours = [F.instance_norm(conv(image, torch.full((1, 5), v))) for v in (0.0, 1.0)]
    assert (ours[0] - ours[1]).abs().max() > 0.1
    assert label_effect("zeros") > 0.1
    assert label_effect("reflect") < 1e-4


def test_image_size_is_a_number_or_a_pair() -> None:
    assert check_image_size(64, 4, 8, "net") == (64, 64)
    assert check_image_size([64, 48], 4, 8, "net") == (64, 48)
    for bad in ((1, 2, 3), "ab", (64.0, 64), True, 64.0):
        with pytest.raises(UserError, match="height"):
            check_image_size(bad, 4, 8, "net")  # type: ignore[arg-type]


def test_refused_size_names_the_nearest_that_fit() -> None:
    with pytest.raises(UserError, match=r"size 127 .* net, .* of 4 .* 124 or 128\."):
        check_image_size(127, 4, 8, "net")
    with pytest.raises(UserError, match=r"nearest is 8\."):
        check_image_size(-3, 4, 8, "net")
    with pytest.raises(UserError, match=r"size 100 .* nearest is 64 or 128\."):
        check_image_size((128, 100), 64, 64, "net")
