"""The modern recipe: StarGAN's task with a discriminator that judges image and label together.

What differs from the paper, and why (the tries and their figures are in docs/modern.md):

- A generator trained against a classifier alone finds coloured spots that fool it. Here the label
  logits are part of the realness score, in which the fakes count against them (matching-aware, as
  in Reed et al., ICML 2016, and Miyato and Koyama, ICLR 2018), and all that D sees is augmented.
- Squared penalties on the change (above all its colour) and on the cycle make many faint pixels
  cheaper than a few strong ones: absolute ones gather the change in dark dabs.
- D's classifier is trained alone first: a discriminator that cannot tell labels cannot teach them.
- Half of the targets change exactly one label, which is what one asks for afterwards.
- Non-saturating loss with lazy R1, a lazy cycle, an average of G.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stargan.contracts import Batch
from stargan.losses.domain import domain_loss
from stargan.losses.gradient_penalty import autograd_gradient, lazy_factor, r1_penalty
from stargan.losses.reconstruction import squared_reconstruction_loss
from stargan.methods.augment import augment
from stargan.methods.base import Terms
from stargan.methods.stargan import StarGAN


class StarGANModern(StarGAN):
    """See the module.

    Args:
        warmup_steps: discriminator steps at the start that train the classifier alone, at most a
            quarter of the run.
        warmup_lr: its learning rate there.
        lambda_cls_fake: weight of the classification loss on G; ``lambda_cls`` weighs D's.
        lambda_colour: weight of the mean square of the colour of the change, its distance from its
            own grey.
        lambda_grey: weight of the mean square of the grey of the change.
        lambda_sparse: weight of the mean absolute change: few and strong pixels, for drawings.
        rec_every: generator steps between cycles, each weighing so much more.
        one_change: share of targets that change exactly one label; the others are a permutation.
        others: see ``StarGAN``.
    """

    def __init__(
        self,
        *,
        warmup_steps: int = 1500,
        warmup_lr: float = 1e-3,
        lambda_cls_fake: float = 0.25,
        lambda_colour: float = 40.0,
        lambda_grey: float = 6.0,
        lambda_sparse: float = 0.0,
        rec_every: int = 3,
        one_change: float = 0.5,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.warmup_steps = min(warmup_steps, self.max_steps // 4)
        self.warmup_lr = warmup_lr
        self.lambda_cls_fake = lambda_cls_fake
        self.lambda_colour = lambda_colour
        self.lambda_grey = lambda_grey
        self.lambda_sparse = lambda_sparse
        self.rec_every = rec_every
        self.one_change = one_change
        self.to(memory_format=torch.channels_last)

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """The classifier alone for the first steps, then as every adversarial method."""
        if self.step >= self.warmup_steps:
            super().training_step(batch, batch_index)
            return
        batch = Batch(*batch)
        optimizers: Any = self.optimizers()
        optimizer = optimizers[1]
        for group in optimizer.param_groups:
            group["lr"] = self.warmup_lr * self.rate_scale * min(1.0, (self.step + 1) / 50)
        _, logits = self.discriminator(augment(batch.image, self.draws()))
        loss = domain_loss(logits, batch.label, batch.source, self.labels)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.end_step({"D/cls": loss})

    @property
    def generator_steps(self) -> int:
        """How many steps G has made: none while the classifier is alone."""
        return max(0, self.step - self.warmup_steps) // self.n_critic

    def draw_targets(self, batch: Batch, draws: torch.Generator) -> Tensor:
        """Some targets change one label, the others are a permutation of the batch's."""
        permuted = super().draw_targets(batch, draws)
        changed = self.labels.draw_changes(batch.label, batch.source, draws)
        one = torch.rand(len(permuted), 1, generator=draws) < self.one_change
        return torch.where(one.to(permuted.device), changed, permuted)

    def judge(self, image: Tensor, label: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """The score of images AS images of these labels ``(B,)``, and the label logits.

        Realness plus what each label of the row's own data set says for it: its logit where the
        label is set, minus its logit where it is not.
        """
        score, logits = self.discriminator(image)
        sign = (2 * label - 1) * self.labels.known(source).to(label)
        return score + (sign * logits).sum(1), logits

    def discriminator_loss(
        self, batch: Batch, target: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Terms]:
        """Non-saturating, the domain loss on real images, lazy R1."""
        size = len(fake)
        image = augment(torch.cat([batch.image, fake]), draws)
        label = torch.cat([batch.label, target])
        score, logits = self.judge(image, label, batch.source.repeat(2))
        terms = {
            "D/adv": self.adversarial.d_loss(score[:size], score[size:]),
            "D/cls": domain_loss(logits[:size], batch.label, batch.source, self.labels),
        }
        self.note_scores(score[:size], score[size:])
        loss = terms["D/adv"] + self.lambda_cls * terms["D/cls"]
        lazy = lazy_factor(self.step, self.r1_every) if self.lambda_r1 else 0
        if lazy:
            seen = augment(batch.image, draws)

            def realness(x: Tensor) -> Tensor:
                return self.judge(x, batch.label, batch.source)[0]

            terms["D/r1"] = r1_penalty(lambda x: autograd_gradient(realness, x), seen)
            loss = loss + lazy * self.lambda_r1 * terms["D/r1"]
        return loss, terms

    def generator_loss(
        self, batch: Batch, target: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Terms]:
        """The score, a little classification, the size of the change, now and then a cycle."""
        score, logits = self.judge(augment(fake, draws), target, batch.source)
        change = fake - batch.image
        grey = change.mean(1, keepdim=True)
        terms = {
            "G/adv": self.adversarial.g_loss(score),
            "G/cls": domain_loss(logits, target, batch.source, self.labels),
            "G/colour": (change - grey).square().mean(),
            "G/grey": grey.square().mean(),
            "G/change": change.abs().mean(),
        }
        loss = (
            terms["G/adv"]
            + self.lambda_cls_fake * terms["G/cls"]
            + self.lambda_colour * terms["G/colour"]
            + self.lambda_grey * terms["G/grey"]
            + self.lambda_sparse * terms["G/change"]
        )
        lazy = lazy_factor(self.generator_steps, self.rec_every)
        if lazy:
            cycled = self.generator(fake, self.labels.condition(batch.label, batch.source))
            terms["G/rec"] = squared_reconstruction_loss(cycled, batch.image)
            loss = loss + lazy * self.lambda_rec * terms["G/rec"]
        return loss, terms
