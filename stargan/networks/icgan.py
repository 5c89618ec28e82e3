"""The four networks of IcGAN: generator, discriminator and two encoders.

Perarnau, van de Weijer, Raducanu and Alvarez, "Invertible conditional GANs for image editing",
2016, arXiv 1611.06355; layers, biases and initial weights as in the authors' code. Labels are -1 or
1 here, as published, and join the noise in G, the features of the first layer in D. At 64 px and 18
labels: G 3,725,123 parameters, D 2,803,393, E_z 18,278,244, E_y 3,186,962.

The authors' code makes other sizes than 64 px by depth, in G and D: so does this one in all four.
Each network halves or doubles the image until it is 4 to 7 pixels wide.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.networks.blocks import check_image_size

SLOPE = 0.2
SURE = 0.999
"""Beyond this a label encoder's output says no more than that it is sure: a chance of 0.0005."""


class Generator(nn.Module):
    """Noise and labels to an image.

    Args:
        image_size: one number or ``(height, width)``, see ``halvings``.
        label_size: number of labels.
        noise_size: length of a noise vector.
        channels: before the last layer; each layer before it has twice as many.

    Raises:
        UserError: a size that the layers do not divide, or a width below 1.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        label_size: int,
        noise_size: int = 100,
        channels: int = 64,
    ) -> None:
        super().__init__()
        count, start = halvings(image_size, "IcGAN generator")
        _check(noise_size=noise_size, channels=channels, label_size=label_size)
        self.noise_size = noise_size
        size = channels << (count - 1)
        layers: list[nn.Module] = [nn.ConvTranspose2d(noise_size + label_size, size, start)]
        for _ in range(count - 1):
            layers += [nn.BatchNorm2d(size), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(size, size // 2, 4, 2, 1)]
            size //= 2
        layers += [nn.BatchNorm2d(size), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(size, 3, 4, 2, 1), nn.Tanh())
        small_weights(self)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Noise ``(B, noise_size)`` and labels ``(B, L)`` in [-1, 1] to ``(B, 3, H, W)``."""
        image: Tensor = self.layers(torch.cat([noise, label], 1)[:, :, None, None])
        return image


class Discriminator(nn.Module):
    """Image and labels to a score, higher for real images under their own labels.

    Args:
        image_size: one number or ``(height, width)``, see ``halvings``.
        label_size: number of labels.
        channels: of the first layer; each layer after it has twice as many.

    Raises:
        UserError: as of ``Generator``.
    """

    def __init__(
        self, image_size: int | Sequence[int], label_size: int, channels: int = 64
    ) -> None:
        super().__init__()
        count, rest = halvings(image_size, "IcGAN discriminator")
        _check(channels=channels, label_size=label_size)
        self.first = nn.Sequential(nn.Conv2d(3, channels, 4, 2, 1), nn.LeakyReLU(SLOPE, True))
        layers: list[nn.Module] = []
        size_in, size = channels + label_size, channels
        for _ in range(count - 1):
            size *= 2
            layers += [nn.Conv2d(size_in, size, 4, 2, 1), nn.BatchNorm2d(size)]
            layers += [nn.LeakyReLU(SLOPE, inplace=True)]
            size_in = size
        self.layers = nn.Sequential(*layers, nn.Conv2d(size_in, 1, rest))
        small_weights(self)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] and labels ``(B, L)`` in {-1, 1} to scores ``(B,)``."""
        features = self.first(image)
        planes = label[:, :, None, None].expand(-1, -1, *features.shape[-2:])
        score: Tensor = self.layers(torch.cat([features, planes.to(features)], 1))
        return score.flatten()


class Encoder(nn.Module):
    """Image to numbers: convolutions, one hidden dense layer, a linear output.

    Args:
        image_size: one number or ``(height, width)``, see ``halvings``.
        outputs: how many numbers.
        channels: of the first layer; each layer after it has twice as many.
        features: of the hidden dense layer; None: as many as go into it.

    Raises:
        UserError: as of ``Generator``.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        outputs: int,
        channels: int = 32,
        features: int | None = None,
    ) -> None:
        super().__init__()
        count, rest = halvings(image_size, "IcGAN encoder")
        _check(channels=channels, outputs=outputs, features=1 if features is None else features)
        layers: list[nn.Module] = []
        size_in, size = 3, channels
        for _ in range(count):
            layers += [nn.Conv2d(size_in, size, 5, 2, 2), nn.BatchNorm2d(size)]
            layers += [nn.ReLU(inplace=True)]
            size_in, size = size, 2 * size
        flat = size_in * rest[0] * rest[1]
        hidden = features or flat
        # The framework's own initial weights here: the authors' code draws them anew in G and D
        # alone.
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(flat, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, outputs),
        )

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to ``(B, outputs)``."""
        found: Tensor = self.layers(image)
        return found


class NoiseEncoder(Encoder):
    """E_z: an image to the noise vector from which G makes it again.

    Args:
        image_size, channels, features: see ``Encoder``.
        noise_size: length of a noise vector.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        noise_size: int = 100,
        channels: int = 32,
        features: int | None = None,
    ) -> None:
        super().__init__(image_size, noise_size, channels, features)


class LabelEncoder(Encoder):
    """E_y: an image to its labels.

    Trained on the squared distance to labels of -1 and 1, its output ``e`` is the mean of what the
    label can be given the image, ``2 p - 1``. Everybody else in this package reads logits; so
    called, the network gives the logit of that ``p``, ``log((1 + e) / (1 - e))``, whose sign is
    that of ``e`` and whose sigmoid is ``(1 + e) / 2``.

    Args:
        image_size, channels, features: see ``Encoder``.
        label_size: number of labels.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        label_size: int,
        channels: int = 32,
        features: int | None = 512,
    ) -> None:
        super().__init__(image_size, label_size, channels, features)

    def signs(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to ``(B, L)``, about -1 or 1: what is trained, what is published."""
        return super().forward(image)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to label logits ``(B, L)``, see the class."""
        return logits_of(self.signs(image))


def logits_of(signs: Tensor) -> Tensor:
    """Numbers about -1 or 1 as logits, see ``LabelEncoder``; float32."""
    return 2 * signs.float().clamp(-SURE, SURE).atanh()


def halvings(image_size: int | Sequence[int], network: str) -> tuple[int, tuple[int, int]]:
    """How often a network halves an image, and what is left: 4 to 7 pixels at the shorter side.

    64 px: 4 times, (4, 4); 128 px: 5 times; 96 x 64 px: 4 times, (6, 4).

    Raises:
        UserError: sides that cannot be halved so often, with the nearest that can.
    """
    sides = check_image_size(image_size, multiple=1, minimum=8, network=network)
    count = (min(sides) // 4).bit_length() - 1
    height, width = check_image_size(image_size, 2**count, 8, network)
    return count, (height >> count, width >> count)


def small_weights(network: nn.Module) -> None:
    """Weights N(0, 0.02) and zero biases; batch norm N(1, 0.02) and zero: DCGAN, ICLR 2016."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            mean = 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0
            nn.init.normal_(layer.weight, mean, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _check(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{name}={size} of an IcGAN network must be at least 1.")
