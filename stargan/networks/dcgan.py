"""The generator and discriminator of a deep convolutional GAN, in sizes of TensorFlow's tutorial.

Radford et al., DCGAN, ICLR 2016; the tutorial "Deep Convolutional Generative Adversarial Network"
(28 x 28 grey digits). What is not said in its layers is Keras's default there, and is kept: "same"
padding (the odd row and column go below and to the right), Glorot's uniform initialisation, zero
biases, LeakyReLU with slope 0.3, batch norm with epsilon 1e-3 and running statistics of which 0.99
is kept at each step. The last one shows: pictures are made with the running statistics, and of
those four fifths are still their initial values after 20 steps.

Any image whose sides are multiples of 4, with any number of channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stargan.errors import UserError

SLOPE = 0.3
EPSILON = 1e-3
MOMENTUM = 0.01  # Keras counts what is kept, 0.99; PyTorch what is new.


class SameConv2d(nn.Conv2d):
    """A convolution whose output is ``ceil(input / stride)`` pixels, for any kernel."""

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, K, ceil(H / stride), ceil(W / stride))``."""
        borders: list[int] = []
        for side, kernel, stride in zip(
            reversed(image.shape[-2:]), self.kernel_size, self.stride, strict=True
        ):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            borders += [total // 2, total - total // 2]
        return F.conv2d(F.pad(image, borders), self.weight, self.bias, self.stride)


class SameConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution whose output is ``input * stride`` pixels, for any kernel.

    Args:
        in_channels, out_channels, kernel, stride: as of ``nn.ConvTranspose2d``; no bias.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        excess = kernel - stride
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding=max(excess // 2, 0),
            output_padding=max(-excess, 0),
            bias=False,
        )
        self.odd = excess > 0 and excess % 2 == 1

    def forward(self, image: Tensor, output_size: list[int] | None = None) -> Tensor:
        """``(B, C, H, W)`` to ``(B, K, H * stride, W * stride)``."""
        whole: Tensor = super().forward(image, output_size)
        return whole[..., :-1, :-1] if self.odd else whole


class Dropout(nn.Dropout):
    """``nn.Dropout``; on a CPU the mask is made of 16 random bits per value, five times faster.

    The share of zeros is then right to 1e-5.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Any shape; values that stay are divided by ``1 - p``."""
        on_cpu = image.device.type == "cpu"
        # torch.compile knows the ordinary form and has no graph for this one.
        if not self.training or not self.p or not on_cpu or torch.compiler.is_compiling():
            return super().forward(image)
        # All 64 bits: without bounds the highest would be 0.
        bits = torch.empty(-(-image.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[: image.numel()] >= round(self.p * 2**16) - 2**15
        return image * kept.view(image.shape).to(image.dtype).div_(1 - self.p)


class Generator(nn.Module):
    """Noise to images: one dense layer and three transposed convolutions, no biases.

    Args:
        image_size: (height, width), multiples of 4.
        image_channels: 1 for grey, 3 for colour.
        noise_size: length of a noise vector.
        channels: width before the last convolution; the first layers have 4 and 2 times as many.
        kernel: side of the kernels in pixels.
        batch_norm: whether the layers are normalised (they are in the tutorial).

    Raises:
        UserError: sides that are no multiples of 4, an impossible size.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        image_channels: int = 1,
        noise_size: int = 100,
        channels: int = 64,
        kernel: int = 5,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        height, width = check_sizes(image_size, image_channels, channels, kernel)
        if noise_size < 1:
            raise UserError(f"noise_size={noise_size}: at least 1 is needed.")
        self.noise_size = noise_size
        self.start = (4 * channels, height // 4, width // 4)
        flat = 4 * channels * (height // 4) * (width // 4)

        def norm(layer: type[nn.BatchNorm1d | nn.BatchNorm2d], size: int) -> list[nn.Module]:
            return [layer(size, eps=EPSILON, momentum=MOMENTUM)] if batch_norm else []

        self.dense = nn.Sequential(
            nn.Linear(noise_size, flat, bias=False),
            *norm(nn.BatchNorm1d, flat),
            nn.LeakyReLU(SLOPE, inplace=True),
        )
        self.up = nn.Sequential(
            SameConvTranspose2d(4 * channels, 2 * channels, kernel, 1),
            *norm(nn.BatchNorm2d, 2 * channels),
            nn.LeakyReLU(SLOPE, inplace=True),
            SameConvTranspose2d(2 * channels, channels, kernel, 2),
            *norm(nn.BatchNorm2d, channels),
            nn.LeakyReLU(SLOPE, inplace=True),
            SameConvTranspose2d(channels, image_channels, kernel, 2),
            nn.Tanh(),
        )
        glorot(self)

    def forward(self, noise: Tensor) -> Tensor:
        """``(B, noise_size)`` to ``(B, image_channels, H, W)`` in [-1, 1]."""
        image: Tensor = self.up(self.dense(noise).unflatten(1, self.start))
        return image


class Discriminator(nn.Module):
    """Images to one score each, positive for real: two convolutions with dropout, one dense layer.

    Args:
        image_size: (height, width), multiples of 4.
        image_channels: 1 for grey, 3 for colour.
        channels: width of the first convolution; the second has twice as many.
        kernel: side of the kernels in pixels.
        dropout: share of the activations that are set to zero in training.

    Raises:
        UserError: sides that are no multiples of 4, an impossible size.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        image_channels: int = 1,
        channels: int = 64,
        kernel: int = 5,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        height, width = check_sizes(image_size, image_channels, channels, kernel)
        if not 0 <= dropout < 1:
            raise UserError(f"dropout={dropout} must lie in [0, 1).")
        self.layers = nn.Sequential(
            SameConv2d(image_channels, channels, kernel, 2),
            nn.LeakyReLU(SLOPE, inplace=True),
            Dropout(dropout),
            SameConv2d(channels, 2 * channels, kernel, 2),
            nn.LeakyReLU(SLOPE, inplace=True),
            Dropout(dropout),
            nn.Flatten(),
            nn.Linear(2 * channels * (height // 4) * (width // 4), 1),
        )
        glorot(self)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, image_channels, H, W)`` to scores ``(B, 1)``."""
        score: Tensor = self.layers(image)
        return score


def check_sizes(
    image_size: int | Sequence[int], image_channels: int, channels: int, kernel: int
) -> tuple[int, int]:
    """(height, width) of a DCGAN's images.

    Raises:
        UserError: impossible sizes, with the nearest possible ones.
    """
    height, width = (image_size,) * 2 if isinstance(image_size, int) else tuple(image_size)
    for side in (height, width):
        if side < 8 or side % 4:
            fits = sorted({max(8, side // 4 * 4), max(8, -(-side // 4) * 4)})
            raise UserError(
                f"image_size={side}: DCGAN's strides need multiples of 4 from 8 on; the nearest: "
                f"{' and '.join(map(str, fits))}."
            )
    for name, value in (
        ("image_channels", image_channels),
        ("channels", channels),
        ("kernel", kernel),
    ):
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{name}={value} must be a whole number of at least 1.")
    return height, width


def draw_noise(count: int, size: int, seed: int) -> Tensor:
    """The first ``count`` noise vectors of a seed ``(count, size)``: row i is always the same."""
    generator = torch.Generator().manual_seed(seed)
    # Row by row: torch fills a large tensor in another order than a small one.
    rows = [torch.randn(size, generator=generator) for _ in range(count)]
    return torch.stack(rows) if rows else torch.empty(0, size)


def glorot(network: nn.Module) -> None:
    """Glorot's uniform weights and zero biases, for dense layers and convolutions."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
