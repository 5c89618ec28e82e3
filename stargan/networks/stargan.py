"""The generator and the discriminator of StarGAN, to the letter.

Source: Choi et al., StarGAN, CVPR 2018, tables 4 and 5 of the appendix. Modules are named and
ordered as in the published weights, so these load strictly once the running statistics, which the
paper's code kept but never used, are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from stargan.errors import UserError
from stargan.networks.blocks import ConditionedConv2d, check_image_size

MOST_LAYERS = 6


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm, and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _instance_norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            _instance_norm(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """``(B, channels, H, W)`` to the same shape."""
        return features + self.main(features)


class Generator(nn.Module):
    """Image and condition to image (table 4). 8,430,528 parameters at condition size 5.

    Args:
        image_size: one number or ``(height, width)``, multiples of 4 from 8 on.
        condition_size: length of the condition vector, labels and mask.
        channels: of the first layer; 64 in the paper.
        blocks: residual blocks; 6 in the paper.

    Raises:
        UserError: a size that the strides do not divide, or no condition.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        condition_size: int,
        channels: int = 64,
        blocks: int = 6,
    ) -> None:
        super().__init__()
        # From 8 on: at 4 px the features are one pixel, which instance norm cannot normalise.
        check_image_size(image_size, multiple=4, minimum=8, network="StarGAN generator")
        _check_count(condition_size, "condition size", "generator")
        c = channels
        layers: list[nn.Module] = [ConditionedConv2d(condition_size, c, 7), *_norm_relu(c)]
        for size in (c, 2 * c):
            layers += [nn.Conv2d(size, 2 * size, 4, 2, 1, bias=False), *_norm_relu(2 * size)]
        layers += [ResidualBlock(4 * c) for _ in range(blocks)]
        for size in (4 * c, 2 * c):
            layers += [
                nn.ConvTranspose2d(size, size // 2, 4, 2, 1, bias=False),
                *_norm_relu(size // 2),
            ]
        layers += [nn.Conv2d(c, 3, 7, padding=3, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """Translate.

        Args:
            image: ``(B, 3, H, W)`` in [-1, 1].
            condition: ``(B, condition_size)``.

        Returns:
            ``(B, 3, H, W)`` in [-1, 1].
        """
        first, *others = self.main
        features = first(image, condition)
        for layer in others:
            features = layer(features)
        return features


class Critic(nn.Module):
    """Image to a map of scores, real or fake (table 5 without D_cls).

    44,721,088 parameters at 128 px: half of a model of DIAT or CycleGAN in the paper's comparison.

    Args:
        image_size: one number or ``(height, width)``, multiples of ``2 ** layers``.
        channels: of the first layer; 64 in the paper. Each layer doubles them.
        layers: halvings of the image; 6 in the paper. None takes as many as divide both sides
            evenly, 2 to 6: 5 at 32 px.

    Raises:
        UserError: a size that the strides do not divide.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        channels: int = 64,
        layers: int | None = MOST_LAYERS,
    ) -> None:
        super().__init__()
        name = "StarGAN discriminator"
        if layers is None:
            # Two at least: what fits the generator fits the discriminator.
            sides = check_image_size(image_size, multiple=4, minimum=4, network=name)
            layers = max(n for n in range(2, MOST_LAYERS + 1) if not any(s % 2**n for s in sides))
        else:
            _check_count(layers, "number of layers", "discriminator")
            name += f" of {layers} layers"
            sides = check_image_size(image_size, 2**layers, minimum=2**layers, network=name)
        blocks: list[nn.Module] = []
        size_in, size = 3, channels
        for _ in range(layers):
            blocks += [nn.Conv2d(size_in, size, 4, 2, 1), nn.LeakyReLU(0.01)]
            size_in, size = size, 2 * size
        self.main = nn.Sequential(*blocks)
        # D_src, by its name in the published weights.
        self.conv1 = nn.Conv2d(size_in, 1, 3, padding=1, bias=False)
        self.rest = (sides[0] >> layers, sides[1] >> layers)

    def features(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to what the scores are made of, ``(B, C, h, w)``."""
        features: Tensor = self.main(image)
        return features

    def score(self, features: Tensor) -> Tensor:
        """Features to scores ``(B, 1, h, w)``, higher is more real."""
        score: Tensor = self.conv1(features)
        return score

    def forward(self, image: Tensor) -> Any:
        """``(B, 3, H, W)`` to scores ``(B, 1, H / 2 ** layers, W / 2 ** layers)``."""
        return self.score(self.features(image))

    @property
    def critic_layers(self) -> nn.Sequential:
        """The layers from image to scores, for ``piecewise_linear_gradient``."""
        return nn.Sequential(*self.main, self.conv1)


class Discriminator(Critic):
    """Image to a map of scores and label logits (table 5).

    44,762,048 parameters at 128 px and label size 5.

    Args:
        label_size: label logits.
        image_size, channels, layers: see ``Critic``.

    Raises:
        UserError: a size that the strides do not divide, or no labels.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        label_size: int,
        channels: int = 64,
        layers: int | None = MOST_LAYERS,
    ) -> None:
        _check_count(label_size, "label size", "discriminator")
        super().__init__(image_size, channels, layers)
        # D_cls, by its name in the published weights.
        size = self.conv1.in_channels
        self.conv2 = nn.Conv2d(size, label_size, self.rest, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Judge.

        Args:
            image: ``(B, 3, H, W)`` in [-1, 1], of the size given at construction.

        Returns:
            Scores ``(B, 1, H / 2 ** layers, W / 2 ** layers)``, higher is more real; label logits
            ``(B, label_size)``.
        """
        features = self.features(image)
        return self.score(features), self.conv2(features).flatten(1)


def _instance_norm(channels: int) -> nn.InstanceNorm2d:
    # No running statistics: the paper's code never left training mode, and with them the
    # pictures change as soon as somebody calls eval().
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=False)


def _norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return _instance_norm(channels), nn.ReLU(inplace=True)


def _check_count(number: int, what: str, network: str) -> None:
    if number < 1:
        raise UserError(f"the {what} of the StarGAN {network} is {number}: give 1 or more.")
