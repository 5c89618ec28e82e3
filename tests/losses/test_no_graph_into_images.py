"""Gradient penalties see images as data: no gradient flows into them, nor into biases."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stargan.losses.gradient_penalty import (
    autograd_gradient,
    gradient_penalty,
    image_gradient,
    interpolate,
    piecewise_linear_gradient,
    r1_penalty,
)


def critic(slope: float = 0.01) -> nn.Sequential:
    torch.manual_seed(3)
    layers = [nn.Conv2d(2, 4, 4, 2, 1), nn.LeakyReLU(slope), nn.Conv2d(4, 1, 3, 1, 1)]
    return nn.Sequential(*layers).double()


def images() -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    real, fake = torch.randn(2, 3, 2, 8, 8, dtype=torch.float64)
    return real.requires_grad_(), fake.requires_grad_()


@pytest.mark.parametrize("way", ["first order", "double backward"])
def test_no_gradient_flows_into_images(way: str) -> None:
    network, (real, fake) = critic(), images()

    def gradient_of(image: Tensor) -> Tensor:
        if way == "first order":
            return piecewise_linear_gradient(network, image)
        return autograd_gradient(network, image)

    r1_penalty(gradient_of, real).backward()
    assert real.grad is None
    moved = [p.grad is not None for n, p in network.named_parameters() if "weight" in n]
    assert all(moved)
    network.zero_grad()
    try:
        penalty = gradient_penalty(gradient_of, real, fake, torch.rand(3))
    except TypeError:  # the form that draws its points itself
        penalty = gradient_penalty(gradient_of, real, fake)  # type: ignore[call-arg]
    penalty.backward()
    assert real.grad is None
    assert fake.grad is None


def test_the_slopes_carry_no_graph_of_their_own() -> None:
    """The weights have the gradient through the transposed pass alone; biases have none."""
    network, (real, _) = critic(), images()
    gradient = piecewise_linear_gradient(network, real)
    expected = autograd_gradient(network, real)
    torch.testing.assert_close(gradient, expected)
    weights = [p for n, p in network.named_parameters() if "weight" in n]
    one = torch.autograd.grad(gradient.square().sum(), weights)
    other = torch.autograd.grad(expected.square().sum(), weights)
    torch.testing.assert_close(one, other)
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(
            piecewise_linear_gradient(network, real).sum(), [network[0].bias, network[2].bias]
        )


def test_at_exactly_zero_the_slope_is_the_lower_one() -> None:
    """As torch's own backward has it: a blank image through a critic without biases."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.LeakyReLU(0.25))
    nn.init.constant_(network[0].weight, 2.0)
    blank = torch.zeros(1, 1, 2, 2)
    assert piecewise_linear_gradient(network, blank).tolist() == [[[[0.5, 0.5], [0.5, 0.5]]]]
    torch.testing.assert_close(
        piecewise_linear_gradient(network, blank), autograd_gradient(network, blank)
    )


def test_a_critic_that_does_not_care_has_a_finite_slope() -> None:
    """The norm is zero there, whose square root has no slope: hence the epsilon."""
    network, (real, fake) = critic(), images()
    for p in network.parameters():
        nn.init.zeros_(p)

    def gradient_of(image: Tensor) -> Tensor:
        return piecewise_linear_gradient(network, image)

    try:
        penalty = gradient_penalty(gradient_of, real, fake, torch.rand(3))
    except TypeError:
        penalty = gradient_penalty(gradient_of, real, fake)  # type: ignore[call-arg]
    assert penalty.item() == pytest.approx(1, abs=1e-5)
    penalty.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


def test_a_gradient_has_no_graph_to_the_image() -> None:
    network, (real, _) = critic(), images()
    for gradient in (autograd_gradient(network, real), piecewise_linear_gradient(network, real)):
        with pytest.raises(RuntimeError, match="not have been used"):
            torch.autograd.grad(gradient.square().sum(), real)


def test_a_chain_of_layers_is_taken_the_cheaper_way() -> None:
    chain, (real, _) = critic(), images()

    class Critic(nn.Module):
        def __init__(self, **parts: nn.Module) -> None:
            super().__init__()
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, image: Tensor) -> Tensor:
            return 3 * chain(image)  # Not what its layers say, to see which of them is asked.

    expected = autograd_gradient(chain, real)
    torch.testing.assert_close(image_gradient(Critic(critic_layers=chain))(real), expected)
    torch.testing.assert_close(image_gradient(Critic())(real), 3 * expected)


def test_points_between_images_are_in_the_precision_of_the_real_ones() -> None:
    real, fake = torch.zeros(2, 3, 4, 4, dtype=torch.float64), torch.ones(2, 3, 4, 4)
    points = interpolate(real, fake, torch.tensor([0.25, 1.0]))
    assert points.dtype == torch.float64
    assert points.flatten(1).unique(dim=1).flatten().tolist() == [0.75, 0.0]
