"""One step of CycleGAN and of DIAT, written plainly from the papers: a second, independent reading.

Nothing is imported from ``stargan``: networks are written again, images are looked at one by one,
penalties are double backward. Tests compare the real code with it.

Sources: Zhu et al., CycleGAN, ICCV 2017, equations (1) to (3), sections 4 and 5.2, appendix 7.2; Li
et al., DIAT, arXiv 1610.05586; Gulrajani et al., WGAN-GP, 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def normalised(x: Tensor) -> Tensor:
    """Instance norm without weights: each image's channel to mean 0 and variance 1."""
    mean = x.mean(dim=(2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=(2, 3), keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5)


class PaperGenerator(nn.Module):
    """c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3 with reflection padding."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        c = channels
        self.head = nn.Conv2d(3, c, 7)
        self.down1 = nn.Conv2d(c, 2 * c, 3, stride=2, padding=1)
        self.down2 = nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(4 * c, 4 * c, 3) for _ in range(2 * blocks))
        self.up1 = nn.ConvTranspose2d(4 * c, 2 * c, 3, stride=2, padding=1, output_padding=1)
        self.up2 = nn.ConvTranspose2d(2 * c, c, 3, stride=2, padding=1, output_padding=1)
        self.tail = nn.Conv2d(c, 3, 7)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(normalised(self.head(F.pad(image, (3, 3, 3, 3), mode="reflect"))))
        x = torch.relu(normalised(self.down1(x)))
        x = torch.relu(normalised(self.down2(x)))
        for i in range(0, len(self.body), 2):
            y = torch.relu(normalised(self.body[i](F.pad(x, (1, 1, 1, 1), mode="reflect"))))
            x = x + normalised(self.body[i + 1](F.pad(y, (1, 1, 1, 1), mode="reflect")))
        x = torch.relu(normalised(self.up1(x)))
        x = torch.relu(normalised(self.up2(x)))
        return torch.tanh(self.tail(F.pad(x, (3, 3, 3, 3), mode="reflect")))


class PaperPatches(nn.Module):
    """C64-C128-C256-C512 and one more: scores of patches, of ``layers`` halvings."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        widths = [3] + [channels * 2 ** min(i, 3) for i in range(layers + 1)]
        self.halvings = layers
        self.hidden = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 4, stride=2 if i < layers else 1, padding=1)
            for i in range(layers + 1)
        )
        self.last = nn.Conv2d(widths[-1], 1, 4, stride=1, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        for i, conv in enumerate(self.hidden):
            image = conv(image)
            image = F.leaky_relu(normalised(image) if i else image, 0.2)
        return self.last(image)


class PaperCritic(nn.Module):
    """StarGAN's table 5 without D_cls."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        widths = [3] + [channels * 2**i for i in range(layers)]
        self.hidden = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 4, stride=2, padding=1) for i in range(layers)
        )
        self.src = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)

    def features(self, image: Tensor) -> Tensor:
        for conv in self.hidden:
            image = F.leaky_relu(conv(image), 0.01)
        return image

    def forward(self, image: Tensor) -> Tensor:
        return self.src(self.features(image))


def penalty(critic: nn.Module, real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """Image by image, by double backward."""
    found = []
    for x, y, a in zip(real, fake.detach(), alpha, strict=True):
        between = (a * x + (1 - a) * y)[None].requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        found.append((torch.sqrt((slope**2).sum() + 1e-12) - 1) ** 2)
    return torch.stack(found).mean()


def cyclegan_g(
    g: nn.Module,
    f: nn.Module,
    d_x: nn.Module,
    d_y: nn.Module,
    x: Tensor,
    y: Tensor,
    identity: float,
    least_squares: bool,
) -> Tensor:
    """Equation (3) as G sees it, with lambda 10; identity is a share of it."""
    to_y, to_x = g(x), f(y)
    if least_squares:
        adversarial = ((d_y(to_y) - 1) ** 2).mean() + ((d_x(to_x) - 1) ** 2).mean()
    else:
        adversarial = -d_y(to_y).mean() - d_x(to_x).mean()
    cycle = torch.abs(f(to_y) - x).mean() + torch.abs(g(to_x) - y).mean()
    same = torch.abs(g(y) - y).mean() + torch.abs(f(x) - x).mean()
    return adversarial + 10 * cycle + 10 * identity * same


def cyclegan_d(
    d_x: nn.Module,
    d_y: nn.Module,
    x: Tensor,
    y: Tensor,
    seen_x: Tensor,
    seen_y: Tensor,
    alpha: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """Least squares, halved; with alpha WGAN-GP, lambda_gp 10."""
    total = x.new_zeros(())
    sides = ((d_x, x, seen_x), (d_y, y, seen_y))
    for number, (d, real, fake) in enumerate(sides):
        if alpha is None:
            total = total + (((d(real) - 1) ** 2).mean() + (d(fake) ** 2).mean()) / 2
        else:
            total = total - (d(real).mean() - d(fake).mean())
            total = total + 10 * penalty(d, real, fake, alpha[number])
    return total


class Pool:
    """The image pool of the authors' code, with its random numbers given."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def query(self, images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
        """``(B, C, H, W)``; of each row of numbers the first decides whether, the second which."""
        given = []
        for image, (whether, which) in zip(images, numbers, strict=True):
            if len(self.images) < self.size:
                self.images.append(image.clone())
                given.append(image)
            elif whether > 0.5:
                place = int(which * self.size)
                given.append(self.images[place].clone())
                self.images[place] = image.clone()
            else:
                given.append(image)
        return torch.stack(given)


def diat_g(
    g: nn.Module, d: nn.Module, features: Callable[[Tensor], Tensor], x: Tensor, weight: float,
    wgan: bool, squared: bool,
) -> Tensor:  # fmt: skip
    """The attribute term and ||F(x) - F(G(x))||, on average over the features."""
    made = g(x)
    score = d(made)
    attribute = -score.mean() if wgan else -torch.log(torch.sigmoid(score)).mean()
    difference = features(made) - features(x)
    identity = (difference**2 if squared else difference.abs()).mean()
    return attribute + weight * identity


def diat_d(d: nn.Module, real: Tensor, fake: Tensor, alpha: Tensor | None) -> Tensor:
    """Images that have the attribute against translated ones; with alpha WGAN-GP."""
    if alpha is None:
        real_term = -torch.log(torch.sigmoid(d(real))).mean()
        return real_term - torch.log(1 - torch.sigmoid(d(fake))).mean()
    return d(fake).mean() - d(real).mean() + 10 * penalty(d, real, fake, alpha)
