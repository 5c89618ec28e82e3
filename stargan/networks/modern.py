"""The networks of the modern recipe: small, quick on a CPU, free of batch statistics.

The label enters by adaptive instance norm in the body and the decoder; the output is the input
plus a gated change, so that what needs no change is copied; upsampling is nearest neighbours and a
convolution, which leaves no checkerboard. The discriminator judges image and label together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stargan.networks.blocks import check_image_size

SLOPE = 0.2


class FusedNorm(torch.autograd.Function):
    """Instance norm, scale and shift per image and channel, leaky ReLU: few passes over memory.

    On a CPU the native instance norm leaves the channels-last layout and costs more than the
    convolution beside it; this is several times cheaper. Statistics in fp32. First-order
    gradients only.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, scale: Tensor, shift: Tensor, slope: float, eps: float
    ) -> Tensor:
        """``(B, C, H, W)``, scale and shift ``(B, C)``; slope 1 leaves the ReLU out."""
        batch, channels, height, width = features.shape
        # (B, HW, C): a view where the layout is channels last.
        x = features.permute(0, 2, 3, 1).flatten(1, 2).float()
        mean = x.mean(1, keepdim=True)
        variance = (x.square().mean(1, keepdim=True) - mean.square()).clamp_min_(0)
        inverse = variance.add_(eps).rsqrt_()
        factor = scale.float().unsqueeze(1) * inverse
        y = torch.addcmul(shift.float().unsqueeze(1) - mean * factor, x, factor)
        if slope != 1.0:
            y = F.leaky_relu(y, slope)
        y = y.to(features.dtype)
        ctx.save_for_backward(features, y if slope != 1.0 else None, scale, mean, inverse)
        ctx.slope = slope
        return y.view(batch, height, width, channels).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Gradients of features, scale and shift."""
        features, y, scale, mean, inverse = ctx.saved_tensors
        batch, channels, height, width = features.shape
        g = gradients[0].permute(0, 2, 3, 1).flatten(1, 2).float()
        if y is not None:
            g = torch.ops.aten.leaky_relu_backward(g, y.view_as(g).float(), ctx.slope, True)
        x = features.permute(0, 2, 3, 1).flatten(1, 2).float()
        pixels = height * width
        sum_g = g.sum(1, keepdim=True)
        # Sum of g times the normalised features.
        sum_gx = ((g * x).sum(1, keepdim=True) - mean * sum_g) * inverse
        k = scale.float().unsqueeze(1) * inverse
        k2 = -k * sum_gx * inverse / pixels
        dx = torch.addcmul(-k * sum_g / pixels - k2 * mean, g, k).addcmul_(x, k2)
        dx = dx.to(features.dtype).view(batch, height, width, channels).permute(0, 3, 1, 2)
        dscale, dshift = sum_gx.squeeze(1).to(scale.dtype), sum_g.squeeze(1).to(scale.dtype)
        return dx, dscale, dshift, None, None


def normalise(features: Tensor, scale: Tensor, shift: Tensor, slope: float) -> Tensor:
    """Instance norm, scale and shift ``(B, C)``, leaky ReLU; the fused form while training."""
    if features.requires_grad and features.device.type == "cpu":
        return FusedNorm.apply(features, scale, shift, slope, 1e-5)
    x = F.instance_norm(features.float())
    x = x * scale.float()[:, :, None, None] + shift.float()[:, :, None, None]
    return F.leaky_relu(x, slope).to(features.dtype)


class Norm(nn.Module):
    """Instance norm and leaky ReLU; scale and shift from the style, or learnt where it is None.

    Huang and Belongie, "Arbitrary style transfer in real-time with AdaIN", ICCV 2017, equation (8).
    """

    def __init__(self, channels: int, style_size: int | None = None, slope: float = SLOPE) -> None:
        super().__init__()
        self.slope = slope
        if style_size is None:
            self.scale = nn.Parameter(torch.ones(channels))
            self.shift = nn.Parameter(torch.zeros(channels))
        else:
            self.affine = nn.Linear(style_size, 2 * channels)
            nn.init.zeros_(self.affine.bias)

    def forward(self, features: Tensor, style: Tensor | None = None) -> Tensor:
        """``(B, C, H, W)`` and ``(B, style)`` to ``(B, C, H, W)``."""
        if style is None:
            # Not len(features): an exported graph would keep the batch size of its example.
            scale, shift = (p.expand(features.shape[0], -1) for p in (self.scale, self.shift))
        else:
            scale, shift = self.affine(style).float().chunk(2, dim=1)
            scale = 1 + scale
        return normalise(features, scale, shift, self.slope)


class Down(nn.Module):
    """Half the size: 4x4 convolution, norm, leaky ReLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 4, 2, 1, bias=False)
        self.norm = Norm(after)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, before, H, W)`` to ``(B, after, H/2, W/2)``."""
        return self.norm(self.conv(features))


class Block(nn.Module):
    """Two 3x3 convolutions under the style, and the input added."""

    def __init__(self, channels: int, style_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = Norm(channels, style_size)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = Norm(channels, style_size, slope=1.0)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """``(B, channels, H, W)`` to the same shape."""
        change = self.norm1(self.conv1(features), style)
        return features + self.norm2(self.conv2(change), style)


class Up(nn.Module):
    """Twice the size by nearest neighbours, then a 3x3 convolution under the style."""

    def __init__(self, before: int, after: int, style_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.norm = Norm(after, style_size)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """``(B, before, H, W)`` to ``(B, after, 2H, 2W)``."""
        larger = F.interpolate(features, scale_factor=2.0, mode="nearest")
        return self.norm(self.conv(larger), style)


class Generator(nn.Module):
    """``image + 2 * mask * change``; mask and change from a small U-Net under the label.

    A gated change and not a blend of the image with new content: the blend's mask falls to zero
    within 200 steps (while D knows no labels yet, copying is the best answer) and then passes no
    gradient. Nothing is normalised at full size, where it would cost the most.

    Args:
        image_size: one number or ``(height, width)``, multiples of ``2 ** depth``.
        condition_size: length of the condition vector, labels and mask vector.
        channels: at half the size; doubled at each further halving up to ``width``.
        width: the most channels.
        depth: halvings; None: as many as leave 8 pixels, 2 at least.
        blocks: residual blocks at the bottom.
        style_size: length of the label's embedding.
        thin: channels at full size.

    Raises:
        UserError: a size that the strides do not divide.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        condition_size: int,
        channels: int = 48,
        width: int = 160,
        depth: int | None = None,
        blocks: int = 4,
        style_size: int = 64,
        thin: int = 16,
    ) -> None:
        super().__init__()
        if depth is None:
            sides = check_image_size(image_size, 4, 8, "modern generator")
            most = max(2, round(math.log2(min(sides) / 8)))
            depth = max(n for n in range(2, most + 1) if not any(side % 2**n for side in sides))
        check_image_size(image_size, 2**depth, 2 ** (depth + 1), "modern generator")
        widths = [min(channels * 2**i, width) for i in range(depth)]
        self.style = nn.Sequential(
            nn.Linear(condition_size, style_size),
            nn.LeakyReLU(SLOPE),
            nn.Linear(style_size, style_size),
            nn.LeakyReLU(SLOPE),
        )
        pairs = list(zip([3, *widths[:-1]], widths, strict=True))
        self.down = nn.ModuleList(Down(before, after) for before, after in pairs)
        self.body = nn.ModuleList(Block(widths[-1], style_size) for _ in range(blocks))
        self.up = nn.ModuleList(
            Up(after, before, style_size) for before, after in reversed(pairs[1:])
        )
        self.fine = nn.Conv2d(widths[0], thin, 3, padding=1)
        self.local = nn.Conv2d(3, thin, 3, padding=1)
        self.head = nn.Conv2d(thin, 4, 3, padding=1)
        with torch.no_grad():
            # A small change to begin with.
            assert self.head.bias is not None
            self.head.bias.zero_()
            self.head.weight[:3] *= 0.3

    def parts(self, image: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """The change ``(B, 3, H, W)`` and the mask ``(B, 1, H, W)`` in [0, 1]."""
        image = image.contiguous(memory_format=torch.channels_last)
        style = self.style(condition)
        features, skips = image, []
        for down in self.down:
            features = down(features)
            skips.append(features)
        for block in self.body:
            features = block(features, style)
        for up, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            features = up(features, style) + skip
        larger = F.interpolate(features, scale_factor=2.0, mode="nearest")
        features = F.leaky_relu(self.fine(larger) + self.local(image), SLOPE)
        out = self.head(features).float()
        return out[:, :3], torch.sigmoid(out[:, 3:])

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """Translate.

        Args:
            image: ``(B, 3, H, W)`` in [-1, 1].
            condition: ``(B, condition_size)``.

        Returns:
            ``(B, 3, H, W)``; a little beyond [-1, 1] where the change overshoots, to be clamped
            by who shows it (clamped here, training would lose its gradient).
        """
        change, mask = self.parts(image, condition)
        return image + 2 * mask * change


class ResidualBlock(nn.Module):
    """One 3x3 convolution with the input added, leaky ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, channels, H, W)`` to the same shape."""
        return F.leaky_relu((features + self.conv(features)) / math.sqrt(2), SLOPE)


class Discriminator(nn.Module):
    """Image to a score of realness and label logits.

    Args:
        image_size: one number or ``(height, width)``; multiples of 4.
        label_size: label logits.
        channels: of the first layer, doubled at each halving up to ``width``.
        width: the most channels.

    Raises:
        UserError: a size that the strides do not divide.
    """

    def __init__(
        self,
        image_size: int | Sequence[int],
        label_size: int,
        channels: int = 48,
        width: int = 192,
    ) -> None:
        super().__init__()
        sides = check_image_size(image_size, 4, 8, "modern discriminator")
        halvings = max(2, int(math.log2(min(sides) / 4)))
        layers: list[nn.Module] = []
        before, after = 3, channels
        for i in range(halvings):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(SLOPE)]
            if i:
                layers.append(ResidualBlock(after))
            before, after = after, min(2 * after, width)
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(before, 1 + label_size)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                assert module.bias is not None
                nn.init.kaiming_normal_(module.weight, SLOPE)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.head.weight, 0, 0.5 / math.sqrt(before))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Judge.

        Args:
            image: ``(B, 3, H, W)`` in [-1, 1].

        Returns:
            Scores ``(B,)``, higher is more real; label logits ``(B, label_size)``.
        """
        features = self.features(image.contiguous(memory_format=torch.channels_last))
        # The mean alone: a maximum rewards one strong spot.
        pooled = 2 * features.float().mean((2, 3))
        # In 32 bits also under autocast: these few numbers are all that the losses see.
        with torch.autocast(image.device.type, enabled=False):
            out = self.head(pooled)
        return out[:, 0], out[:, 1:]
