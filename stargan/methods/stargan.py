"""StarGAN: one generator told by a label, one discriminator with a domain classifier.

Choi et al., CVPR 2018, arXiv 1711.09020. Single and joint training are the same code: the label
space builds the condition, and the domain loss looks at each row's own slice.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from stargan import networks
from stargan.contracts import Batch, Plain
from stargan.export import describe
from stargan.losses.adversarial import adversarial_loss
from stargan.losses.domain import domain_loss
from stargan.losses.gradient_penalty import (
    gradient_penalty,
    lazy_factor,
    piecewise_linear_gradient,
    r1_penalty,
)
from stargan.losses.reconstruction import reconstruction_loss
from stargan.methods.base import Terms, Translation


class StarGAN(Translation):
    """The paper's equations (1) to (8).

    Args:
        generator: ``{"_target_": class in stargan.networks, ...}`` without its sizes.
        discriminator: the same.
        image: ``{"size": [height, width], "crop": {source name: pixels or None}}``.
        training: where this model comes from, for the exported file.
        adversarial: name of the adversarial loss.
        lambda_cls, lambda_rec, lambda_gp: weights of the terms, by the paper's names.
        lambda_r1: weight of the penalty R1 on real images, instead of lambda_gp; 0 in the paper.
        r1_every: discriminator steps between penalties R1, each weighing so much more.
    """

    def __init__(
        self,
        *,
        generator: Plain,
        discriminator: Plain,
        labels: list[Plain],
        image: Plain,
        training: Plain | None = None,
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
        schedule: str = "paper",
        max_steps: int = 200_000,
        ema_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            labels=labels,
            n_critic=n_critic,
            generator_lr=generator_lr,
            discriminator_lr=discriminator_lr,
            betas=betas,
            schedule=schedule,
            max_steps=max_steps,
            ema_decay=ema_decay,
            seed=seed,
        )
        self.save_hyperparameters()
        self.adversarial = adversarial_loss(adversarial)
        self.lambda_cls = lambda_cls
        self.lambda_rec = lambda_rec
        self.lambda_gp = lambda_gp
        self.lambda_r1 = lambda_r1
        self.r1_every = r1_every
        self.image = image
        self.training_facts = training or {}
        size = list(image["size"])
        self.networks: dict[str, Plain] = {
            "generator": {
                **generator,
                "image_size": size,
                "condition_size": self.labels.condition_size,
            },
            "discriminator": {
                **discriminator,
                "image_size": size,
                "label_size": self.labels.size,
            },
        }
        self.generator = networks.build(self.networks["generator"], seed)
        self.discriminator = networks.build(self.networks["discriminator"], seed + 1)
        self.start_ema()

    def description(self) -> Plain:
        """What an exported file says of itself, see ``stargan.export``."""
        name = f"{type(self).__module__}.{type(self).__name__}"
        return describe(
            network=self.networks["generator"],
            classifier=self.networks["discriminator"],
            labels=self.labels,
            image=self.image,
            training={**self.training_facts, "method": name, "steps": self.step},
        )

    def discriminator_loss(
        self, batch: Batch, target: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Terms]:
        """Equation (5): ``-L_adv + lambda_cls L_cls(real) + lambda_gp`` penalty (8)."""
        size = len(fake)
        score, logits = self.discriminator(torch.cat([batch.image, fake]))
        terms = {
            "D/adv": self.adversarial.d_loss(score[:size], score[size:]),
            "D/cls": domain_loss(logits[:size], batch.label, batch.source, self.labels),
        }
        self.note_scores(score[:size], score[size:])
        loss = terms["D/adv"] + self.lambda_cls * terms["D/cls"]
        layers = cast(nn.Sequential, self.discriminator.critic_layers)
        gradient_of = partial(piecewise_linear_gradient, layers)
        if self.lambda_gp:
            terms["D/gp"] = gradient_penalty(gradient_of, batch.image, fake, generator=draws)
            loss = loss + self.lambda_gp * terms["D/gp"]
        lazy = lazy_factor(self.step, self.r1_every) if self.lambda_r1 else 0
        if lazy:
            terms["D/r1"] = r1_penalty(gradient_of, batch.image)
            loss = loss + lazy * self.lambda_r1 * terms["D/r1"]
        return loss, terms

    def generator_loss(
        self, batch: Batch, target: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Terms]:
        """Equation (6): ``L_adv + lambda_cls L_cls(fake) + lambda_rec L_rec``."""
        score, logits = self.discriminator(fake)
        cycled = self.generator(fake, self.labels.condition(batch.label, batch.source))
        terms = {
            "G/adv": self.adversarial.g_loss(score),
            "G/cls": domain_loss(logits, target, batch.source, self.labels),
            "G/rec": reconstruction_loss(cycled, batch.image),
        }
        loss = terms["G/adv"] + self.lambda_cls * terms["G/cls"] + self.lambda_rec * terms["G/rec"]
        return loss, terms
