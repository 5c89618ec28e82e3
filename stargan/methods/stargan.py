"""StarGAN: one generator conditioned on a label, one discriminator with a domain classifier.

Choi et al., CVPR 2018, arXiv 1711.09020. Single and joint training are the same code: the label
space builds the condition, and the domain loss looks at each row's own slice.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from stargan.contracts import Batch, Draw, Feed
from stargan.errors import Plain
from stargan.labels.targets import Permuted
from stargan.losses.domain import domain_loss
from stargan.losses.gradient_penalty import (
    autograd_gradient,
    gradient_penalty,
    piecewise_linear_gradient,
    r1_penalty,
)
from stargan.losses.reconstruction import reconstruction_loss
from stargan.methods.base import Translation, score_terms
from stargan.methods.gan import GAN
from stargan.methods.phases import Shared, Terms


class StarGAN(GAN, Translation):
    """The paper's equations (1) to (8).

    Args:
        generator: ``{"_target_": class, ...}`` without its sizes.
        discriminator: the same.
        adversarial: name of the adversarial loss.
        lambda_cls, lambda_rec, lambda_gp: weights of the terms, by the paper's names.
        lambda_r1: weight of the penalty R1 on real images, instead of lambda_gp; 0 in the paper.
        r1_every: discriminator steps between penalties R1, each weighing so much more.
        n_critic: discriminator steps per generator step.
        generator_lr, discriminator_lr: learning rates.
        betas: of both Adams.
        ema_decay: share of the old average kept at each generator step; 0: no average (the paper).
        others: see ``Method``.
    """

    takes_unknown: ClassVar[bool] = True

    def __init__(
        self,
        *,
        generator: Plain,
        discriminator: Plain,
        adversarial: str | Plain = "wgan",
        lambda_cls: float = 1.0,
        lambda_rec: float = 10.0,
        lambda_gp: float = 10.0,
        lambda_r1: float = 0.0,
        r1_every: int = 16,
        n_critic: int = 5,
        generator_lr: float = 1e-4,
        discriminator_lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        ema_decay: float = 0.0,
        **others: Any,
    ) -> None:
        super().__init__(
            adversarial=adversarial,
            n_critic=n_critic,
            generator_lr=generator_lr,
            discriminator_lr=discriminator_lr,
            betas=betas,
            ema_decay=ema_decay,
            **others,
        )
        self.lambda_cls = lambda_cls
        self.lambda_rec = lambda_rec
        self.lambda_gp = lambda_gp
        self.lambda_r1 = lambda_r1
        self.r1_every = r1_every
        self.generator = self.make(
            "generator", generator, condition_size=self.labels.condition_size
        )
        self.discriminator = self.make("discriminator", discriminator, label_size=self.labels.size)
        self.start_ema()

    def feed(self) -> Feed:
        """Targets are a permutation of the batch's own labels; a point between real and fake."""
        draws = {"alpha": Draw()} if self.lambda_gp else {}
        return Feed(Permuted(), draws, period=self.n_critic)

    def fakes(self, batch: Batch) -> Shared:
        """The batch's images under the target labels."""
        condition = self.labels.condition(batch.target, batch.dataset)
        return {"fake": self.generator(batch.image, condition)}

    def cycled(self, batch: Batch, fake: Tensor) -> Tensor:
        """Translations under the images' own labels again. Where one of these is not known nobody
        can ask for it: there the image itself, which costs nothing."""
        label, known = self.labels.without_unknown(batch.label)
        made = self.generator(fake, self.labels.condition(label, batch.dataset))
        return torch.where(known.all(1)[:, None, None, None], made, batch.image)

    def lazy_terms(self) -> dict[str, dict[str, int]]:
        """R1 is taken once in a while."""
        return {"D": {"r1": self.r1_every}} if self.lambda_r1 else {}

    def discriminator_loss(
        self, batch: Batch, shared: Shared, r1: bool = False
    ) -> tuple[Tensor, Terms]:
        """Equation (5): ``-L_adv + lambda_cls L_cls(real) + lambda_gp`` penalty (8)."""
        fake = shared["fake"]
        score, logits = self.discriminator(torch.cat([batch.image, fake]))
        real_score, fake_score = score.chunk(2)
        terms = {
            "D/adv": self.adversarial.d_loss(real_score, fake_score),
            "D/cls": domain_loss(logits[: len(fake)], batch.label, batch.dataset, self.labels),
        }
        loss = terms["D/adv"] + self.lambda_cls * terms["D/cls"]
        if self.lambda_gp:
            alpha = batch.draws["alpha"]
            terms["D/gp"] = gradient_penalty(self.image_gradient, batch.image, fake, alpha)
            loss = loss + self.lambda_gp * terms["D/gp"]
        if r1:
            terms["D/r1"] = r1_penalty(self.image_gradient, batch.image)
            loss = loss + self.r1_every * self.lambda_r1 * terms["D/r1"]
        return loss, terms | score_terms(real_score, fake_score)

    def image_gradient(self, image: Tensor) -> Tensor:
        """See ``losses.gradient_penalty.ImageGradient``: without double backward where D can."""
        layers = getattr(self.discriminator, "critic_layers", None)
        if layers is not None:
            return piecewise_linear_gradient(layers, image)
        return autograd_gradient(lambda x: self.discriminator(x)[0], image)

    def generator_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """Equation (6): ``L_adv + lambda_cls L_cls(fake) + lambda_rec L_rec``."""
        fake = shared["fake"]
        score, logits = self.discriminator(fake)
        cycled = self.cycled(batch, fake)
        terms = {
            "G/adv": self.adversarial.g_loss(score),
            "G/cls": domain_loss(logits, batch.target, batch.dataset, self.labels),
            "G/rec": reconstruction_loss(cycled, batch.image),
        }
        loss = terms["G/adv"] + self.lambda_cls * terms["G/cls"] + self.lambda_rec * terms["G/rec"]
        return loss, terms

    def exported(self) -> dict[str, nn.Module]:
        """The generator to ship, and D, which reads a photo's own labels."""
        return {"generator": self.best_generator, "classifier": self.discriminator}

    @torch.inference_mode()
    def translate(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        """One generator for every change: the own labels are not looked at."""
        condition = self.labels.condition(target, dataset)
        translated: Tensor = self.best_generator(image, condition)
        return translated.clamp(-1, 1)
