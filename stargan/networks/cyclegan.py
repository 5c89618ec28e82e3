"""CycleGAN's generator, image to image without a condition, and its discriminator of patches.

Source: Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial
networks", ICCV 2017, appendix, and the authors' PyTorch code: instance norm without weights of its
own and without running statistics, convolutions with biases, reflection padding, all weights
N(0, 0.02) and biases 0. The patches are
those of pix2pix (Isola et al., CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from stargan.errors import UserError
from stargan.networks.blocks import check_image_size

DEVIATION = 0.02
"""Of the fresh weights."""
LARGE = 256
"""Images from this side on have nine residual blocks, smaller ones six."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm, and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *_reflected(channels, channels, 3),
            *_norm_relu(channels),
            *_reflected(channels, channels, 3),
            _norm(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """``(B, channels, H, W)`` to the same shape."""
        return features + self.main(features)


class Generator(nn.Module):
    """Image to image. 7,837,699 parameters with 6 blocks, 11,378,179 with 9.

    Args:
        image_size: one number or ``(height, width)``, multiples of 4 from 8 on.
        channels: of the first layer; 64 in the paper.
        blocks: residual blocks; None: 9 from 256 px on, else 6, as in the paper.

    Raises:
        UserError: a size that the strides do not divide, or fewer than no blocks.
    """

    def __init__(
        self, image_size: int | Sequence[int], channels: int = 64, blocks: int | None = None
    ) -> None:
        super().__init__()
        sides = check_image_size(image_size, multiple=4, minimum=8, network="CycleGAN generator")
        if blocks is None:
            blocks = 9 if min(sides) >= LARGE else 6
        if channels < 1 or blocks < 0:
            raise UserError(
                f"the CycleGAN generator cannot have {channels} channels and {blocks} blocks."
            )
        c = channels
        layers: list[nn.Module] = [*_reflected(3, c, 7), *_norm_relu(c)]
        for size in (c, 2 * c):
            layers += [nn.Conv2d(size, 2 * size, 3, 2, 1), *_norm_relu(2 * size)]
        layers += [ResidualBlock(4 * c) for _ in range(blocks)]
        for size in (4 * c, 2 * c):
            up = nn.ConvTranspose2d(size, size // 2, 3, 2, padding=1, output_padding=1)
            layers += [up, *_norm_relu(size // 2)]
        layers += [*_reflected(c, 3, 7), nn.Tanh()]
        self.main = nn.Sequential(*layers)
        self.apply(_start)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to the same."""
        translated: Tensor = self.main(image)
        return translated


class Discriminator(nn.Module):
    """Image to a map of scores, each of a patch of 70 x 70 pixels. 2,764,737 parameters.

    Args:
        image_size: one number or ``(height, width)``.
        channels: of the first layer; 64 in the paper.
        layers: halvings of the image; 3 in the paper, the 70 x 70 pixels. None: 3, fewer where
            the map would have no pixel left.

    Raises:
        UserError: an image too small for so many layers.
    """

    def __init__(
        self, image_size: int | Sequence[int], channels: int = 64, layers: int | None = None
    ) -> None:
        super().__init__()
        sides = check_image_size(image_size, multiple=1, minimum=1, network="patch discriminator")
        fits = [n for n in (1, 2, 3) if min(sides) >> n >= 3]
        layers = (fits or [1])[-1] if layers is None else layers
        if layers < 1 or channels < 1 or min(sides) >> layers < 3:
            raise UserError(
                f"a patch discriminator of {layers} layers and {channels} channels does not fit "
                f"images of {sides[0]} x {sides[1]} pixels: at least {3 << max(layers, 1)} are "
                "needed, or fewer layers."
            )
        blocks: list[nn.Module] = []
        size_in, size = 3, channels
        for layer in range(layers + 1):
            blocks.append(nn.Conv2d(size_in, size, 4, 2 if layer < layers else 1, 1))
            blocks += [_norm(size)] if layer else []
            blocks.append(nn.LeakyReLU(0.2))
            size_in, size = size, min(2 * size, 8 * channels)
        self.main = nn.Sequential(*blocks)
        self.last = nn.Conv2d(size_in, 1, 4, 1, 1)
        self.apply(_start)

    def features(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to what the scores are made of, ``(B, C, h, w)``."""
        features: Tensor = self.main(image)
        return features

    def score(self, features: Tensor) -> Tensor:
        """Features to scores ``(B, 1, h', w')``, higher is more real."""
        score: Tensor = self.last(features)
        return score

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to scores ``(B, 1, h', w')``."""
        return self.score(self.features(image))


def _reflected(size_in: int, size: int, kernel: int) -> tuple[nn.Module, nn.Module]:
    return nn.ReflectionPad2d(kernel // 2), nn.Conv2d(size_in, size, kernel)


def _norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=False, track_running_stats=False)


def _norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return _norm(channels), nn.ReLU(inplace=True)


def _start(layer: nn.Module) -> None:
    """The authors' initialisation."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, std=DEVIATION)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
