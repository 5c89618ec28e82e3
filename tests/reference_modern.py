"""One training step of the modern recipe, written plainly from its description: a second reading.

Nothing here is fast and nothing is imported from ``stargan``. Both networks are written again, the
sign of every label is looked up row by row, images are augmented one at a time, the penalty is
double backward on one image after the other. ``weights`` are a recipe's numbers by their names in
the configuration. Tests compare the real code with it.

Source: docs/modern.md, the docstrings of ``networks/modern.py``, ``methods/stargan_modern.py`` and
``methods/augment.py``; the condition and the domain loss are the paper's (``reference_step``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.reference_step import Space, Step, classification, condition


class Layer(nn.Module):
    """A convolution without bias, instance norm, scale and shift, leaky ReLU of slope 0.2.

    Scale and shift are parameters, or a linear function of the style (one is added to the scale).
    """

    def __init__(self, conv: nn.Module, channels: int, style: int = 0, relu: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.relu = relu
        if style:
            self.affine = nn.Linear(style, 2 * channels)
        else:
            own = (torch.ones(channels), torch.zeros(channels))
            self.own = nn.ParameterList(nn.Parameter(p) for p in own)

    def forward(self, image: Tensor, style: Tensor | None = None) -> Tensor:
        x = self.conv(image)
        if style is None:
            scale, shift = (p.repeat(len(x), 1) for p in self.own)
        else:
            both = self.affine(style)
            scale, shift = 1 + both[:, : x.shape[1]], both[:, x.shape[1] :]
        mean = x.mean((2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean((2, 3), keepdim=True)
        x = (x - mean) / torch.sqrt(variance + 1e-5)
        x = x * scale[:, :, None, None] + shift[:, :, None, None]
        return functional.leaky_relu(x, 0.2) if self.relu else x


class ModernGenerator(nn.Module):
    """For images of 32 pixels: two halvings, the blocks, one doubling under the style, the head."""

    def __init__(self, condition_size: int, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        wide = min(2 * channels, width)
        self.embed1, self.embed2 = nn.Linear(condition_size, 64), nn.Linear(64, 64)
        self.down1 = Layer(nn.Conv2d(3, channels, 4, 2, 1, bias=False), channels)
        self.down2 = Layer(nn.Conv2d(channels, wide, 4, 2, 1, bias=False), wide)
        self.body = nn.ModuleList()
        for _ in range(blocks):
            self.body += [
                Layer(nn.Conv2d(wide, wide, 3, 1, 1, bias=False), wide, 64),
                Layer(nn.Conv2d(wide, wide, 3, 1, 1, bias=False), wide, 64, relu=False),
            ]
        self.up = Layer(nn.Conv2d(wide, channels, 3, 1, 1, bias=False), channels, 64)
        self.fine = nn.Conv2d(channels, 16, 3, 1, 1)
        self.local = nn.Conv2d(3, 16, 3, 1, 1)
        self.head = nn.Conv2d(16, 4, 3, 1, 1)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        style = functional.leaky_relu(self.embed1(label), 0.2)
        style = functional.leaky_relu(self.embed2(style), 0.2)
        half = self.down1(image)
        x = self.down2(half)
        for i in range(0, len(self.body), 2):
            x = x + self.body[i + 1](self.body[i](x, style), style)
        x = self.up(twice(x), style) + half
        x = functional.leaky_relu(self.fine(twice(x)) + self.local(image), 0.2)
        x = self.head(x)
        change, mask = x[:, :3], torch.sigmoid(x[:, 3:4])
        return image + 2 * mask * change


def twice(image: Tensor) -> Tensor:
    """Every pixel four times."""
    return image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


class ModernDiscriminator(nn.Module):
    """For images of 32 pixels: three halvings, a residual convolution after each but the first."""

    def __init__(self, label_size: int, channels: int, width: int) -> None:
        super().__init__()
        widths = [channels, min(2 * channels, width), min(4 * channels, width)]
        self.conv1 = nn.Conv2d(3, widths[0], 4, 2, 1)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 4, 2, 1)
        self.residual2 = nn.Conv2d(widths[1], widths[1], 3, 1, 1)
        self.conv3 = nn.Conv2d(widths[1], widths[2], 4, 2, 1)
        self.residual3 = nn.Conv2d(widths[2], widths[2], 3, 1, 1)
        self.head = nn.Linear(widths[2], 1 + label_size)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.leaky_relu(self.conv1(image), 0.2)
        for conv, residual in ((self.conv2, self.residual2), (self.conv3, self.residual3)):
            x = functional.leaky_relu(conv(x), 0.2)
            x = functional.leaky_relu((x + residual(x)) / math.sqrt(2), 0.2)
        out = self.head(2 * x.mean((2, 3)))
        return out[:, 0], out[:, 1:]


def augmented(image: Tensor, draws: Tensor) -> Tensor:
    """Saturation 0.5 to 1.5, contrast 0.7 to 1.3, brightness -0.25 to 0.25, a shift of an eighth.

    One image after the other; ``draws`` (B, 5) in [0, 1): those three, rows down, columns right
    from the most negative to the most positive shift.
    """
    rows = []
    for x, (saturation, contrast, brightness, down, right) in zip(
        image, draws.tolist(), strict=True
    ):
        grey = x.mean(0, keepdim=True)
        x = grey + (0.5 + saturation) * (x - grey)
        mean = x.mean()
        x = mean + (0.7 + 0.6 * contrast) * (x - mean) - 0.25 + 0.5 * brightness
        height, width = x.shape[1:]
        dy = math.floor(down * (2 * (height // 8) + 1)) - height // 8
        dx = math.floor(right * (2 * (width // 8) + 1)) - width // 8
        moved = torch.zeros_like(x)
        # The pixel that is shown at (i, j) was at (i + dy, j + dx).
        inside = slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx))
        origin = slice(max(0, dy), height - max(0, -dy)), slice(max(0, dx), width - max(0, -dx))
        moved[:, inside[0], inside[1]] = x[:, origin[0], origin[1]]
        rows.append(moved)
    return torch.stack(rows)


def judged(
    discriminate: nn.Module, image: Tensor, label: Tensor, dataset: Tensor, spaces: Sequence[Space]
) -> tuple[Tensor, Tensor]:
    """Realness + sum of (2y - 1) logit over the row's own labels, and the logits."""
    score, logits = discriminate(image)
    totals = []
    for s, z, y, i in zip(score, logits, label, dataset.tolist(), strict=True):
        for k in range(spaces[i].start, spaces[i].stop):
            s = s + (z[k] if y[k] > 0.5 else -z[k])
        totals.append(s)
    return torch.stack(totals), logits


def classifier_step(
    discriminator: nn.Module,
    image: Tensor,
    label: Tensor,
    dataset: Tensor,
    draws: Tensor,
    spaces: Sequence[Space],
) -> Step:
    """The warm-up: the domain loss of augmented real images. ``draws`` (B, 5)."""
    _, logits = discriminator(augmented(image, draws))
    cls = classification(logits, label, dataset, spaces)
    return _step({"D/cls": cls, "D/total": cls}, discriminator)


def discriminator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    image: Tensor,
    label: Tensor,
    dataset: Tensor,
    target: Tensor,
    draws: Tensor,
    r1_draws: Tensor | None,
    spaces: Sequence[Space],
    weights: Mapping[str, float],
) -> Step:
    """Real images as images of their labels against fakes as images of their targets.

    ``draws`` (2B, 5) for real and fake; ``r1_draws`` (B, 5), None in a step without R1.
    """
    fake = generator(image, condition(target, dataset, spaces)).detach()
    real_score, logits = judged(
        discriminator, augmented(image, draws[: len(image)]), label, dataset, spaces
    )
    fake_score, _ = judged(
        discriminator, augmented(fake, draws[len(image) :]), target, dataset, spaces
    )
    losses = {
        "D/adv": torch.log(1 + torch.exp(-real_score)).mean()
        + torch.log(1 + torch.exp(fake_score)).mean(),
        "D/cls": classification(logits, label, dataset, spaces),
    }
    total = losses["D/adv"] + weights["lambda_cls"] * losses["D/cls"]
    if r1_draws is not None:
        norms = []
        for i, x in enumerate(augmented(image, r1_draws)):
            x = x.unsqueeze(0).requires_grad_()
            score, _ = judged(discriminator, x, label[i : i + 1], dataset[i : i + 1], spaces)
            (slope,) = torch.autograd.grad(score.sum(), x, create_graph=True)
            norms.append((slope**2).sum())
        losses["D/r1"] = torch.stack(norms).mean() / 2
        total = total + weights["r1_every"] * weights["lambda_r1"] * losses["D/r1"]
    return _step({**losses, "D/total": total}, discriminator)


def generator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    image: Tensor,
    label: Tensor,
    dataset: Tensor,
    target: Tensor,
    draws: Tensor,
    cycle: bool,
    spaces: Sequence[Space],
    weights: Mapping[str, float],
) -> Step:
    """The score, some classification, the size of the change; with ``cycle`` the way back too."""
    fake = generator(image, condition(target, dataset, spaces))
    score, logits = judged(discriminator, augmented(fake, draws), target, dataset, spaces)
    change = fake - image
    grey = (change[:, 0:1] + change[:, 1:2] + change[:, 2:3]) / 3
    losses = {
        "G/adv": torch.log(1 + torch.exp(-score)).mean(),
        "G/cls": classification(logits, target, dataset, spaces),
        "G/colour": ((change - grey) ** 2).mean(),
        "G/grey": (grey**2).mean(),
        "G/change": change.abs().mean(),
    }
    total = (
        losses["G/adv"]
        + weights["lambda_cls_fake"] * losses["G/cls"]
        + weights["lambda_colour"] * losses["G/colour"]
        + weights["lambda_grey"] * losses["G/grey"]
        + weights["lambda_sparse"] * losses["G/change"]
    )
    if cycle:
        back = generator(fake, condition(label, dataset, spaces))
        losses["G/rec"] = ((back - image) ** 2).mean()
        total = total + weights["rec_every"] * weights["lambda_rec"] * losses["G/rec"]
    return _step({**losses, "G/total": total}, generator)


def _step(losses: dict[str, Tensor], network: nn.Module) -> Step:
    names, parameters = zip(*network.named_parameters(), strict=True)
    total = next(loss for name, loss in losses.items() if name.endswith("/total"))
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    detached = {name: loss.detach() for name, loss in losses.items()}
    return Step(detached, dict(zip(names, gradients, strict=True)))
