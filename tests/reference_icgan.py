"""One step of each part of IcGAN, written plainly: a second, independent reading.

Nothing is imported from ``stargan``. The networks are written again, layer after layer, with
sigmoids and logarithms where the real code has logits, and the labels are made -1 and 1 by hand.

Source: Perarnau et al., "Invertible conditional GANs for image editing", 2016, equations (2) to (5)
and the authors' code (trainGAN.lua, trainEncoder.lua).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Weights = dict[str, Tensor]
"""Parameters by name, as of ``nn.Module.named_parameters``."""


def weights_of(network: nn.Module) -> Weights:
    """Copies of the parameters, in their order, that take gradients."""
    return {n: p.detach().clone().requires_grad_() for n, p in network.named_parameters()}


def plus_minus(label: Tensor) -> Tensor:
    return torch.where(label > 0.5, torch.ones_like(label), -torch.ones_like(label))


def norm(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Batch norm by this batch's own mean and variance."""
    dims = [d for d in range(x.ndim) if d != 1]
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean = x.mean(dims, keepdim=True)
    variance = ((x - mean) ** 2).mean(dims, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * gamma.view(shape) + beta.view(shape)


def generate(weights: Weights, noise: Tensor, y: Tensor) -> Tensor:
    values = list(weights.values())
    x = torch.cat([noise, y], dim=1).reshape(len(noise), -1, 1, 1)
    x = F.conv_transpose2d(x, values[0], values[1])
    at = 2
    while at < len(values):
        x = torch.relu(norm(x, values[at], values[at + 1]))
        x = F.conv_transpose2d(x, values[at + 2], values[at + 3], stride=2, padding=1)
        at += 4
    return torch.tanh(x)


def discriminate(weights: Weights, image: Tensor, y: Tensor) -> Tensor:
    """The chance that an image is real and has these labels."""
    values = list(weights.values())
    x = F.leaky_relu(F.conv2d(image, values[0], values[1], stride=2, padding=1), 0.2)
    planes = y.reshape(*y.shape, 1, 1).repeat(1, 1, x.shape[2], x.shape[3])
    x = torch.cat([x, planes], dim=1)
    at = 2
    while at < len(values) - 2:
        x = F.conv2d(x, values[at], values[at + 1], stride=2, padding=1)
        x = F.leaky_relu(norm(x, values[at + 2], values[at + 3]), 0.2)
        at += 4
    return torch.sigmoid(F.conv2d(x, values[-2], values[-1])).reshape(len(image))


def encode(weights: Weights, image: Tensor) -> Tensor:
    values, x, at = list(weights.values()), image, 0
    while values[at].ndim == 4:
        x = F.conv2d(x, values[at], values[at + 1], stride=2, padding=2)
        x = torch.relu(norm(x, values[at + 2], values[at + 3]))
        at += 4
    x = x.reshape(len(x), -1) @ values[at].T + values[at + 1]
    x = torch.relu(norm(x, values[at + 2], values[at + 3]))
    return x @ values[at + 4].T + values[at + 5]


def cross_entropy(chance: Tensor, one: bool) -> Tensor:
    return -torch.log(chance if one else 1 - chance).mean()


def discriminator_loss(
    d: Weights, image: Tensor, label: Tensor, wrong: Tensor, fake: Tensor
) -> Tensor:
    """Real and own labels; half each for real with wrong labels and for fakes."""
    y = plus_minus(label)
    loss = cross_entropy(discriminate(d, image, y), True)
    loss = loss + 0.5 * cross_entropy(discriminate(d, image, plus_minus(wrong)), False)
    return loss + 0.5 * cross_entropy(discriminate(d, fake.detach(), y), False)


def generator_loss(g: Weights, d: Weights, noise: Tensor, label: Tensor) -> Tensor:
    y = plus_minus(label)
    return cross_entropy(discriminate(d, generate(g, noise, y), y), True)


def noise_loss(e: Weights, fake: Tensor, noise: Tensor) -> Tensor:
    return ((encode(e, fake) - noise) ** 2).sum() / noise.numel()


def label_loss(e: Weights, image: Tensor, label: Tensor) -> Tensor:
    return ((encode(e, image) - plus_minus(label)) ** 2).sum() / label.numel()


def gradients(loss: Tensor, weights: Weights) -> Weights:
    found = torch.autograd.grad(loss, list(weights.values()))
    return dict(zip(weights, found, strict=True))
