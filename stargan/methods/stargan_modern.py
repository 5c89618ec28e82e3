"""The modern recipe: StarGAN's task with a discriminator that judges image and label together.

What differs from the paper, and why (figures in docs/modern.md):

- No classification loss on G. A generator trained against a classifier finds spots that fool it;
  here the label logits are part of the realness score, and the fakes count against them.
- Relativistic pairing: target labels are a permutation of the batch's labels, so every fake has a
  real image with the very same label to be compared with.
- The classifier is trained alone first: a discriminator that cannot tell the labels cannot teach.
- Augmentation of all that D sees, lazy R1, a lazy cycle, an average of G.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from stargan.contracts import Batch
from stargan.losses.adversarial import relativistic_d, relativistic_g
from stargan.losses.domain import domain_loss
from stargan.losses.gradient_penalty import autograd_gradient, lazy_factor, r1_penalty
from stargan.losses.reconstruction import reconstruction_loss
from stargan.methods.augment import augment
from stargan.methods.base import Terms
from stargan.methods.stargan import StarGAN


class StarGANModern(StarGAN):
    """See the module.

    Args:
        warmup_steps: discriminator steps at the start that train the classifier alone.
        warmup_lr: its learning rate there.
        rec_every: generator steps between cycles, each weighing so much more.
        others: see ``StarGAN``.
    """

    def __init__(
        self,
        *,
        warmup_steps: int = 500,
        warmup_lr: float = 1e-3,
        rec_every: int = 4,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.warmup_steps = warmup_steps
        self.warmup_lr = warmup_lr
        self.rec_every = rec_every
        self.to(memory_format=torch.channels_last)

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """The classifier alone for the first steps, then as every adversarial method."""
        if self.step >= self.warmup_steps:
            super().training_step(batch, batch_index)
            return
        began = time.perf_counter()
        batch = Batch(*batch)
        optimizers: Any = self.optimizers()
        optimizer = optimizers[1]
        for group in optimizer.param_groups:
            group["lr"] = self.warmup_lr * min(1.0, (self.step + 1) / 50)
        _, logits = self.discriminator(augment(batch.image, self.draws()))
        loss = domain_loss(logits, batch.label, batch.source, self.labels)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.end_step({"D/cls": loss}, began)

    def judge(self, image: Tensor, label: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """The score of images AS images of these labels ``(B,)``, and the label logits.

        Realness plus what each label of the row's own data set says for it: its logit where the
        label is set, minus its logit where it is not.
        """
        score, logits = self.discriminator(image)
        sign = (2 * label - 1) * self.labels.known(source).to(label)
        return score + (sign * logits).sum(1), logits

    def discriminator_loss(
        self, batch: Batch, order: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Terms]:
        """Relativistic over pairs of one label, the domain loss on real images, lazy R1."""
        image = augment(torch.cat([batch.image, fake]), draws)
        label = torch.cat([batch.label, batch.label[order]])
        score, logits = self.judge(image, label, batch.source.repeat(2))
        real, fake_score = score.chunk(2)
        # The real image whose label the fake was given.
        self.real_score = real[order]
        terms = {
            "D/adv": relativistic_d(self.real_score, fake_score),
            "D/cls": domain_loss(logits.chunk(2)[0], batch.label, batch.source, self.labels),
        }
        loss = terms["D/adv"] + self.lambda_cls * terms["D/cls"]
        lazy = lazy_factor(self.step, self.r1_every) if self.lambda_r1 else 0
        if lazy:
            seen = augment(batch.image, draws)

            def gradient_of(x: Tensor) -> Tensor:
                return autograd_gradient(lambda y: self.judge(y, batch.label, batch.source)[0], x)

            terms["D/r1"] = r1_penalty(gradient_of, seen)
            loss = loss + lazy * self.lambda_r1 * terms["D/r1"]
        return loss, terms

    def generator_loss(
        self, batch: Batch, order: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Terms]:
        """Relativistic against the same real images, and a cycle now and then."""
        score, _ = self.judge(augment(fake, draws), batch.label[order], batch.source)
        terms = {"G/adv": relativistic_g(self.real_score.detach(), score)}
        loss = terms["G/adv"]
        lazy = lazy_factor(self.step // self.n_critic, self.rec_every)
        if lazy:
            cycled = self.generator(fake, self.labels.condition(batch.label, batch.source))
            terms["G/rec"] = reconstruction_loss(cycled, batch.image)
            loss = loss + lazy * self.lambda_rec * terms["G/rec"]
        return loss, terms
