"""CycleGAN: two domains, a generator for each direction, a discriminator for each domain.

Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks", ICCV
2017. A and B are two sets of training images: those without and with a label, or those of two
labels that exclude each other. What the paper leaves open, and StarGAN's comparison: see
docs/comparison.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stargan.contracts import Batch, Draw, Feed, Stratum
from stargan.errors import Plain, UserError
from stargan.export import by_change
from stargan.labels import JointLabelSpace
from stargan.losses.adversarial import adversarial_loss
from stargan.losses.gradient_penalty import gradient_penalty, image_gradient
from stargan.losses.reconstruction import reconstruction_loss
from stargan.methods.base import SinglePurpose, check_betas, score_terms
from stargan.methods.phases import Group, Phase, Shared, Terms, Update


class CycleGAN(SinglePurpose):
    """The paper's equations (1) to (3), and the identity term of its section 5.2.

    Args:
        pair: one label (A is without it, B with it) or two that exclude each other; None: the two
            labels of the data, or their only one.
        generator: ``{"_target_": class, ...}`` without its sizes; both are alike.
        discriminator: the same: an image to scores.
        adversarial: name of the adversarial loss.
        lambda_adv: weight of G's adversarial terms.
        lambda_rec: weight of the cycle, the paper's lambda.
        lambda_idt: weight of the identity term as a share of ``lambda_rec``; 0: none.
        lambda_gp: weight of the two-sided gradient penalty of each D; 0: none.
        pool: so many earlier fakes per direction from which D gets some instead of the newest
            ones; 0: none. Each process has its own.
        n_critic: discriminator steps per generator step. With 1 G steps first, as published;
            with more D does, as in StarGAN.
        generator_lr, discriminator_lr: learning rates.
        betas: of both Adams.
        setting: for the record: which of the settings of ``conf/method/cyclegan.yaml`` it is.
        others: see ``Method``.
    """

    def __init__(
        self,
        *,
        generator: Plain,
        discriminator: Plain,
        pair: str | Sequence[str] | None = None,
        adversarial: str | Plain = "least_squares",
        lambda_adv: float = 2.0,
        lambda_rec: float = 10.0,
        lambda_idt: float = 0.5,
        lambda_gp: float = 0.0,
        pool: int = 50,
        n_critic: int = 1,
        generator_lr: float = 2e-4,
        discriminator_lr: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        setting: str = "published",
        **others: Any,
    ) -> None:
        if n_critic < 1:
            raise UserError(f"n_critic={n_critic}: at least one discriminator step is needed.")
        if isinstance(pool, bool) or not isinstance(pool, int) or pool < 0:
            raise UserError(f"method.pool={pool} must be a whole number of at least 0.")
        super().__init__(**others)
        self.domains = domains(self.labels, pair)
        self.adversarial = adversarial_loss(adversarial)
        self.scale = self.adversarial.scale
        self.lambda_adv = lambda_adv
        self.lambda_rec = lambda_rec
        self.lambda_idt = lambda_idt
        self.lambda_gp = lambda_gp
        self.n_critic = n_critic
        self.generator_lr = generator_lr
        self.discriminator_lr = discriminator_lr
        self.betas = check_betas(betas)
        self.generator_ab = self.make("generator_ab", generator)
        self.generator_ba = self.make("generator_ba", generator)
        self.discriminator_a = self.make("discriminator_a", discriminator)
        self.discriminator_b = self.make("discriminator_b", discriminator)
        shape = (int(self.image.get("channels", 3)), *self.image["size"])
        self.pool_a = Pool(pool, shape) if pool else None
        self.pool_b = Pool(pool, shape) if pool else None

    def groups(self) -> dict[str, Group]:
        """One Adam over both generators, one over both discriminators."""
        return {
            "G": Group(("generator_ab", "generator_ba"), self.generator_lr, self.betas),
            "D": Group(("discriminator_a", "discriminator_b"), self.discriminator_lr, self.betas),
        }

    def feed(self) -> Feed:
        """Rows of A, then as many of B; what the pools give back; points between real and fake."""
        draws = {}
        if self.pool_a is not None:
            draws["pool"] = Draw("uniform", (2,))
        if self.lambda_gp:
            draws["alpha"] = Draw()
        return Feed(None, draws, self.domains.strata, self.n_critic)

    def phases(self) -> tuple[Phase, ...]:
        """One."""
        g = Update("G", self.generator_loss, every=self.n_critic)
        d = Update("D", self.discriminator_loss)
        updates = (g, d) if self.n_critic == 1 else (d, g)
        return (Phase("gan", updates, shared=self.fakes, shared_by="G"),)

    def per_process(self) -> dict[str, Tensor]:
        """The pools: each process has seen other images."""
        pools = {"a": self.pool_a, "b": self.pool_b}
        return {
            f"pool_{name}.{key}": tensor
            for name, pool in pools.items()
            if pool is not None
            for key, tensor in pool.named_buffers()
        }

    # Losses -------------------------------------------------------------------------------------

    def fakes(self, batch: Batch) -> Shared:
        """``fake_b`` of A, ``fake_a`` of B, and what the discriminators see in their place."""
        a, b = batch.image.chunk(2)
        shared = {"fake_b": self.generator_ab(a), "fake_a": self.generator_ba(b)}
        if self.pool_a is not None and self.pool_b is not None:
            of_b, of_a = batch.draws["pool"].chunk(2)
            shared["seen_b"] = self.pool_b(shared["fake_b"].detach(), of_b)
            shared["seen_a"] = self.pool_a(shared["fake_a"].detach(), of_a)
        return shared

    def generator_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """Both directions of equation (3), and the identity term."""
        a, b = batch.image.chunk(2)
        fake_a, fake_b = shared["fake_a"], shared["fake_b"]
        adv_b = self.adversarial.g_loss(self.discriminator_b(fake_b))
        adv_a = self.adversarial.g_loss(self.discriminator_a(fake_a))
        terms = {
            "G/adv": (adv_a + adv_b) / 2,
            "G/adv_a": adv_a,
            "G/adv_b": adv_b,
            "G/rec_a": reconstruction_loss(self.generator_ba(fake_b), a),
            "G/rec_b": reconstruction_loss(self.generator_ab(fake_a), b),
        }
        loss = self.lambda_adv * (adv_a + adv_b)
        loss = loss + self.lambda_rec * (terms["G/rec_a"] + terms["G/rec_b"])
        if self.lambda_idt:
            terms["G/idt_a"] = reconstruction_loss(self.generator_ba(a), a)
            terms["G/idt_b"] = reconstruction_loss(self.generator_ab(b), b)
            weight = self.lambda_rec * self.lambda_idt
            loss = loss + weight * (terms["G/idt_a"] + terms["G/idt_b"])
        return loss, terms

    def discriminator_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """Equation (1) for both domains: real images against the fakes of the pools."""
        a, b = batch.image.chunk(2)
        seen_a, seen_b = (shared.get(f"seen_{n}", shared[f"fake_{n}"]) for n in ("a", "b"))
        # Real and fake apart: with instance norm it is the same, and as published.
        real_a, score_a = self.discriminator_a(a), self.discriminator_a(seen_a)
        real_b, score_b = self.discriminator_b(b), self.discriminator_b(seen_b)
        adv_a = self.adversarial.d_loss(real_a, score_a)
        adv_b = self.adversarial.d_loss(real_b, score_b)
        terms = {"D/adv": (adv_a + adv_b) / 2, "D/adv_a": adv_a, "D/adv_b": adv_b}
        loss = adv_a + adv_b
        if self.lambda_gp:
            alpha_a, alpha_b = batch.draws["alpha"].chunk(2)
            critics = image_gradient(self.discriminator_a), image_gradient(self.discriminator_b)
            gp_a = gradient_penalty(critics[0], a, seen_a, alpha_a)
            gp_b = gradient_penalty(critics[1], b, seen_b, alpha_b)
            terms["D/gp"] = (gp_a + gp_b) / 2
            loss = loss + self.lambda_gp * (gp_a + gp_b)
        scores = score_terms(torch.cat([real_a, real_b]), torch.cat([score_a, score_b]))
        return loss, terms | scores

    # What it can do -----------------------------------------------------------------------------

    def exported(self) -> dict[str, nn.Module]:
        """Both generators."""
        return {"generator_ab": self.generator_ab, "generator_ba": self.generator_ba}

    def rule(self) -> Plain:
        """Chosen by what changes."""
        return by_change(self.domains.changes("generator_ab", "generator_ba"))


class Domains(NamedTuple):
    """What A and B are.

    Attributes:
        names: of the label that B has and A has not; or of A's and of B's label.
        strata: A and B.
        whole: whether the two labels are all that there are in their group, so that whatever an
            image is, it is of the other domain.
    """

    names: tuple[str, ...]
    strata: tuple[Stratum, Stratum]
    whole: bool

    def changes(self, to_b: str, to_a: str) -> list[dict[str, str]]:
        """The changes of ``rules.by_change``."""
        if len(self.names) == 1:
            return [{"label": self.names[0], "on": to_b, "off": to_a}]
        a, b = self.names
        if self.whole:
            return [{"label": b, "on": to_b}, {"label": a, "on": to_a}]
        return [{"from": a, "to": b, "network": to_b}, {"from": b, "to": a, "network": to_a}]


def domains(labels: JointLabelSpace, pair: str | Sequence[str] | None) -> Domains:
    """The two domains that a pair of labels means, see ``CycleGAN``.

    Raises:
        UserError: unknown labels, two that do not exclude each other, or none given where there
            are several to choose from.
    """
    example = f"method.pair=[{labels.names[0]}]"
    if pair is None:
        (space, *others) = labels.spaces
        if others or not ((space.size == 1 and not space.categorical) or len(space.names) == 2):
            raise UserError(f"which two domains? Add method.pair=, one label or two: {example}.")
        if space.size == 2 and not space.groups:
            raise UserError(f"which label of {', '.join(space.names)}? Add {example}.")
        pair = list(space.names)
    names = [pair] if isinstance(pair, str) else [str(name) for name in pair]
    if len(names) not in (1, 2) or len(set(names)) < len(names):
        raise UserError(f"method.pair={names} is no pair: give one label, or two: {example}.")
    places = [labels.locate(name) for name in names]
    number, last = places[-1]
    group = labels.spaces[number].group_of(last)
    if len(names) == 1:
        if labels.spaces[number].categorical and len(group) > 1:
            other = next(name for name in group if name != last)
            raise UserError(
                f"method.pair=[{names[0]}]: that is one of several classes, name the other one "
                f"too, such as [{other},{names[0]}]."
            )
        strata = Stratum(number, {last: 0}), Stratum(number, {last: 1})
        return Domains(tuple(names), strata, whole=True)
    if places[0][0] != number or places[0][1] not in group:
        raise UserError(
            f"method.pair={names}: the two do not exclude each other, so they are no two domains: "
            f"give one of them, or two of an exclusive group."
        )
    strata = Stratum(number, {places[0][1]: 1}), Stratum(number, {last: 1})
    whole = labels.spaces[number].categorical and len(group) == 2
    return Domains(tuple(names), strata, whole)


class Pool(nn.Module):
    """Earlier fakes, so that D does not forget what it has learned.

    Shrivastava et al., "Learning from simulated and unsupervised images through adversarial
    training", CVPR 2017, section 2.3; the rule is that of the authors' code of CycleGAN: until it
    is full each image is kept and comes back; then half of the time an earlier one comes back and
    the new one takes its place.

    Its images are no part of the weights, see ``Method.per_process``.

    Args:
        size: images.
        shape: of one, ``(C, H, W)``.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape), persistent=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.long), persistent=False)

    @torch.no_grad()
    def forward(self, fake: Tensor, draws: Tensor) -> Tensor:
        """Images ``(B, C, H, W)`` and ``(B, 2)`` uniform numbers to as many images.

        Nothing here looks at a value, so a GPU is not waited for.
        """
        size, given = len(self.images), []
        for image, (which, where) in zip(fake.to(self.images), draws, strict=True):
            full = self.count >= size
            swap = full & (which > 0.5)
            place = torch.where(full, (where * size).long(), self.count).clamp(max=size - 1)
            place = place.reshape(1)
            stored = self.images.index_select(0, place)[0]
            given.append(torch.where(swap, stored, image))
            kept = torch.where(swap | ~full, image, stored)
            self.images.index_copy_(0, place, kept[None])
            self.count += (~full).long()
        return torch.stack(given).to(fake)
