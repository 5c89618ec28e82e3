"""Penalties on the critic's gradient with respect to the image, WGAN-GP and R1.

A penalty is made of two parts: how the gradient is had (``autograd_gradient`` for any critic,
``piecewise_linear_gradient`` for those made of convolutions and leaky ReLUs), and what is asked of
it (``gradient_penalty``, ``r1_penalty``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stargan.losses.precision import at_least_fp32

ImageGradient = Callable[[Tensor], Tensor]
"""Images ``(B, C, H, W)`` to d(sum of scores) / d(images), of the same shape, differentiable with
respect to the critic's weights."""

# Under the square root: its slope is infinite at zero. Far below any gradient that counts.
EPSILON = 1e-12


def gradient_penalty(
    gradient_of: ImageGradient, real: Tensor, fake: Tensor, alpha: Tensor
) -> Tensor:
    """Two-sided penalty between real and fake: mean over images of (norm - 1) squared.

    Gulrajani et al., WGAN-GP, 2017, equation (3); StarGAN, equation (8), last term, unweighted.

    Args:
        gradient_of: the critic's gradient, of the summed scores.
        real, fake: ``(B, C, H, W)``; no gradient flows into them.
        alpha: ``(B,)`` in [0, 1], share of the real image, one per image.

    Returns:
        Scalar, fp32 at least.
    """
    gradient = gradient_of(interpolate(real, fake, alpha))
    norm = (_squared_norm(gradient) + EPSILON).sqrt()
    return (norm - 1).square().mean()


def r1_penalty(gradient_of: ImageGradient, real: Tensor) -> Tensor:
    """Half the squared norm of the gradient on real images, mean over images.

    Mescheder et al., "Which training methods for GANs do actually converge?", 2018, equation (9),
    with gamma 1.

    Args:
        gradient_of: the critic's gradient, of the summed scores.
        real: ``(B, C, H, W)``; no gradient flows into them.

    Returns:
        Scalar, fp32 at least.
    """
    return 0.5 * _squared_norm(gradient_of(real.detach())).mean()


def interpolate(real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """Points on the lines from fake to real, without graph. Arguments as ``gradient_penalty``."""
    alpha = alpha.to(real).reshape(-1, 1, 1, 1)
    return torch.lerp(fake.detach().to(real), real.detach(), alpha)


def autograd_gradient(score: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """The gradient of any critic, by double backward.

    ``torch.func`` and not ``torch.autograd.grad``: that would break a compiled loss in two.

    Args:
        score: images to scores of any shape; they are summed.
        image: ``(B, C, H, W)``.

    Returns:
        d(sum of scores) / d(image), of the shape of ``image``, differentiable with respect to the
        critic's weights.
    """

    def total(x: Tensor) -> Tensor:
        return score(x).sum()

    with torch.enable_grad():
        gradient: Tensor = torch.func.grad(total)(image.detach())
    return gradient


def image_gradient(critic: nn.Module) -> ImageGradient:
    """The cheaper way to the gradient of a critic, an image to scores.

    Args:
        critic: with ``critic_layers``, a chain of convolutions and leaky ReLUs, or any other.
    """
    layers = getattr(critic, "critic_layers", None)
    if layers is not None:
        return partial(piecewise_linear_gradient, layers)
    return partial(autograd_gradient, critic)


def piecewise_linear_gradient(layers: Iterable[nn.Module], image: Tensor) -> Tensor:
    """The gradient of a critic made of convolutions and (leaky) ReLUs, without double backward.

    Such a critic is linear around almost every image, so its gradient is a forward pass of
    transposed convolutions, last layer first, through the slopes that the image sets. The slopes
    do not depend on the weights (almost everywhere), so ordinary backward through that pass gives
    the penalty's exact gradient. Biases play no part in it and get none. torch.compile takes it.

    Args:
        layers: ``nn.Conv2d`` with zero padding, ``nn.LeakyReLU``, ``nn.ReLU``, applied in turn;
            an ``nn.Sequential`` will do.
        image: ``(B, C, H, W)``.

    Returns:
        d(sum of scores) / d(image), of the shape of ``image``, differentiable once with respect to
        the weights.

    Raises:
        TypeError: a layer of another kind.
    """
    features = image.detach()
    steps: list[tuple[nn.Conv2d, Tensor, torch.Size] | Tensor] = []
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            _check_convolution(layer)
            # Read once: a parametrized weight is made anew, and changed, at every reading.
            weight = layer.weight
            steps.append((layer, weight, features.shape[-2:]))
            # Only the slopes are wanted of this pass: everything detached, no graph is built.
            bias = None if layer.bias is None else layer.bias.detach()
            features = F.conv2d(
                features,
                weight.detach(),
                bias,
                layer.stride,
                layer.padding,
                layer.dilation,
                layer.groups,
            )
        elif isinstance(layer, nn.LeakyReLU | nn.ReLU):
            slope = layer.negative_slope if isinstance(layer, nn.LeakyReLU) else 0.0
            steps.append(torch.where(features > 0, 1.0, slope).to(features.dtype))
            features = F.leaky_relu(features, slope)
        else:
            raise TypeError(
                f"{type(layer).__name__} is not piecewise linear or not known to be: "
                "use autograd_gradient."
            )
    gradient = torch.ones_like(features)
    for step in reversed(steps):
        gradient = gradient * step if isinstance(step, Tensor) else _transposed(gradient, *step)
    return gradient


def _transposed(gradient: Tensor, layer: nn.Conv2d, weight: Tensor, size: torch.Size) -> Tensor:
    """Back through one convolution to its input of this size."""
    stride, dilation = layer.stride, layer.dilation
    padding = [int(p) for p in layer.padding]
    # Rows at the far border that a stride left unread: they have gradient zero, but they exist.
    unread = [
        size[i]
        - (
            (gradient.shape[2 + i] - 1) * stride[i]
            - 2 * padding[i]
            + dilation[i] * (layer.kernel_size[i] - 1)
            + 1
        )
        for i in range(2)
    ]
    return F.conv_transpose2d(
        gradient, weight, None, stride, padding, unread, layer.groups, dilation
    )


def _check_convolution(layer: nn.Conv2d) -> None:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise TypeError(
            f"a convolution with padding {layer.padding!r}, {layer.padding_mode!r} has no "
            "transposed form here: use autograd_gradient."
        )
    if layer._forward_pre_hooks:
        # Old-style spectral and weight norm: the weight read here would be a stale one.
        raise TypeError(
            "a convolution with forward pre-hooks may change its weight: use "
            "torch.nn.utils.parametrizations, or autograd_gradient."
        )


def _squared_norm(gradient: Tensor) -> Tensor:
    """``(B, ...)`` to ``(B,)``. In fp32: squares of small gradients vanish in half precision."""
    return at_least_fp32(gradient).flatten(1).square().sum(1)
