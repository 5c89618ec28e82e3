"""One training step of StarGAN, written plainly from the paper: a second, independent reading.

Nothing here is fast and nothing is imported from ``stargan``. Both networks are written again, the
condition is tiled and concatenated, the graph through the generator is kept in the discriminator's
step, the gradient penalty is double backward. Tests compare the real code with it.

Source: Choi et al., StarGAN, CVPR 2018, equations (1) to (8), tables 4 and 5, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

Generate = Callable[[Tensor, Tensor], Tensor]
Discriminate = Callable[[Tensor], tuple[Tensor, Tensor]]


class Space(NamedTuple):
    """One data set's place in the joint label vector: columns ``start`` to ``stop``."""

    start: int
    stop: int
    categorical: bool


class Step(NamedTuple):
    """``losses`` by name, ``gradients`` by parameter name (None where there is none)."""

    losses: dict[str, Tensor]
    gradients: dict[str, Tensor | None]


class PaperGenerator(nn.Module):
    """Table 4, layer after layer."""

    def __init__(self, condition_size: int, channels: int = 64, blocks: int = 6) -> None:
        super().__init__()
        c = channels

        def norm(size: int) -> nn.Module:
            return nn.InstanceNorm2d(size, affine=True)

        self.head = nn.Conv2d(3 + condition_size, c, 7, stride=1, padding=3, bias=False)
        self.head_norm = norm(c)
        self.down1 = nn.Conv2d(c, 2 * c, 4, stride=2, padding=1, bias=False)
        self.down1_norm = norm(2 * c)
        self.down2 = nn.Conv2d(2 * c, 4 * c, 4, stride=2, padding=1, bias=False)
        self.down2_norm = norm(4 * c)
        self.body = nn.ModuleList()
        for _ in range(blocks):
            self.body += [
                nn.Conv2d(4 * c, 4 * c, 3, stride=1, padding=1, bias=False),
                norm(4 * c),
                nn.Conv2d(4 * c, 4 * c, 3, stride=1, padding=1, bias=False),
                norm(4 * c),
            ]
        self.up1 = nn.ConvTranspose2d(4 * c, 2 * c, 4, stride=2, padding=1, bias=False)
        self.up1_norm = norm(2 * c)
        self.up2 = nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1, bias=False)
        self.up2_norm = norm(c)
        self.tail = nn.Conv2d(c, 3, 7, stride=1, padding=3, bias=False)

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        planes = condition[:, :, None, None].repeat(1, 1, image.shape[2], image.shape[3])
        x = torch.cat([image, planes], dim=1)
        x = torch.relu(self.head_norm(self.head(x)))
        x = torch.relu(self.down1_norm(self.down1(x)))
        x = torch.relu(self.down2_norm(self.down2(x)))
        for i in range(0, len(self.body), 4):
            conv1, norm1, conv2, norm2 = self.body[i : i + 4]
            x = x + norm2(conv2(torch.relu(norm1(conv1(x)))))
        x = torch.relu(self.up1_norm(self.up1(x)))
        x = torch.relu(self.up2_norm(self.up2(x)))
        return torch.tanh(self.tail(x))


class PaperDiscriminator(nn.Module):
    """Table 5, layer after layer."""

    def __init__(self, size: int, label_size: int, channels: int = 64, layers: int = 6) -> None:
        super().__init__()
        widths = [3] + [channels * 2**i for i in range(layers)]
        self.hidden = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 4, stride=2, padding=1) for i in range(layers)
        )
        self.src = nn.Conv2d(widths[-1], 1, 3, stride=1, padding=1, bias=False)
        self.cls = nn.Conv2d(widths[-1], label_size, size // 2**layers, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        for conv in self.hidden:
            image = nn.functional.leaky_relu(conv(image), 0.01)
        return self.src(image), self.cls(image).reshape(image.shape[0], -1)


def copy_parameters(origin: nn.Module, copy: nn.Module) -> None:
    """Give ``copy`` the parameters of ``origin``; both list them in the paper's order."""
    own, given = list(copy.parameters()), list(origin.parameters())
    assert [p.shape for p in own] == [p.shape for p in given]
    with torch.no_grad():
        for p, q in zip(own, given, strict=True):
            p.copy_(q)


def condition(label: Tensor, dataset: Tensor, spaces: Sequence[Space]) -> Tensor:
    """Equation (7): [c_1, ..., c_n, m], row by row; one data set alone needs no mask."""
    if len(spaces) == 1:
        return label
    rows = []
    for row, i in zip(label, dataset.tolist(), strict=True):
        known = torch.zeros_like(row)
        known[spaces[i].start : spaces[i].stop] = row[spaces[i].start : spaces[i].stop]
        mask = torch.zeros(len(spaces), dtype=row.dtype)
        mask[i] = 1
        rows.append(torch.cat([known, mask]))
    return torch.stack(rows)


def classification(
    logits: Tensor, label: Tensor, dataset: Tensor, spaces: Sequence[Space]
) -> Tensor:
    """Equations (2) and (3), row by row: -log D_cls(c | x), divided by the batch."""
    total = logits.new_zeros(())
    for z, y, i in zip(logits, label, dataset.tolist(), strict=True):
        z, y = z[spaces[i].start : spaces[i].stop], y[spaces[i].start : spaces[i].stop]
        if spaces[i].categorical:
            total = total - torch.log_softmax(z, dim=0)[y.argmax()]
        else:
            p = torch.sigmoid(z)
            total = total - (y * torch.log(p) + (1 - y) * torch.log(1 - p)).sum()
    return total / len(logits)


def discriminator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    image: Tensor,
    label: Tensor,
    dataset: Tensor,
    target: Tensor,
    alpha: Tensor,
    spaces: Sequence[Space],
    lambda_cls: float = 1.0,
    lambda_gp: float = 10.0,
) -> Step:
    """The losses of equation (5) with (8), and the discriminator's gradients.

    ``image`` (B, 3, H, W), ``label`` and ``target`` (B, L), ``dataset`` (B,), ``alpha`` (B,), the
    share of the real image in each row. Losses: D/adv, D/gp, D/cls (raw) and D/total (weighed).
    """
    generate: Generate = generator
    discriminate: Discriminate = discriminator
    fake = generate(image, condition(target, dataset, spaces))
    real_score, real_logits = discriminate(image)
    fake_score, _ = discriminate(fake)
    adv = -(real_score.mean() - fake_score.mean())
    cls = classification(real_logits, label, dataset, spaces)

    norms = []
    for x, y, a in zip(image, fake.detach(), alpha, strict=True):
        between = (a * x + (1 - a) * y).unsqueeze(0).requires_grad_()
        score = discriminate(between)[0].sum()
        (slope,) = torch.autograd.grad(score, between, create_graph=True)
        norms.append(torch.linalg.vector_norm(slope))
    gp = torch.stack([(norm - 1) ** 2 for norm in norms]).mean()

    total = adv + lambda_cls * cls + lambda_gp * gp
    losses = {"D/adv": adv, "D/gp": gp, "D/cls": cls, "D/total": total}
    return Step(_detached(losses), _gradients(total, discriminator))


def generator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    image: Tensor,
    label: Tensor,
    dataset: Tensor,
    target: Tensor,
    spaces: Sequence[Space],
    lambda_cls: float = 1.0,
    lambda_rec: float = 10.0,
) -> Step:
    """The losses of equation (6), and the generator's gradients.

    On the batch and the targets of the discriminator's last step. Losses: G/adv, G/cls, G/rec
    (raw) and G/total (weighed).
    """
    generate: Generate = generator
    discriminate: Discriminate = discriminator
    fake = generate(image, condition(target, dataset, spaces))
    score, logits = discriminate(fake)
    adv = -score.mean()
    cls = classification(logits, target, dataset, spaces)
    rec = (image - generate(fake, condition(label, dataset, spaces))).abs().mean()
    total = adv + lambda_cls * cls + lambda_rec * rec
    losses = {"G/adv": adv, "G/cls": cls, "G/rec": rec, "G/total": total}
    return Step(_detached(losses), _gradients(total, generator))


def apply_gradients(network: nn.Module, step: Step, optimizer: torch.optim.Optimizer) -> None:
    """One step of the optimizer with the gradients of ``step``, between the two halves."""
    for name, parameter in network.named_parameters():
        parameter.grad = step.gradients[name]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _gradients(total: Tensor, network: nn.Module) -> dict[str, Tensor | None]:
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    return dict(zip(names, gradients, strict=True))


def _detached(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: loss.detach() for name, loss in losses.items()}
