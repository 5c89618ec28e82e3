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

from functools import partial
from typing import Any

import torch
from torch import Tensor

from stargan.contracts import Batch, Draw, Feed
from stargan.labels.targets import Permuted
from stargan.losses.domain import domain_loss
from stargan.losses.gradient_penalty import autograd_gradient, r1_penalty
from stargan.losses.precision import at_least_fp32
from stargan.losses.reconstruction import squared_reconstruction_loss
from stargan.methods.augment import AUGMENT_DRAWS, augment
from stargan.methods.base import score_terms
from stargan.methods.phases import Phase, Shared, Terms, Until, Update
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
        self.warmup_steps = warmup_steps
        self.warmup_lr = warmup_lr
        self.lambda_cls_fake = lambda_cls_fake
        self.lambda_colour = lambda_colour
        self.lambda_grey = lambda_grey
        self.lambda_sparse = lambda_sparse
        self.rec_every = rec_every
        self.one_change = one_change
        self.to(memory_format=torch.channels_last)

    def feed(self) -> Feed:
        """Some targets change one label; what augments D's images, in each of its three places."""
        draws = {
            "augment/D": Draw("uniform", (AUGMENT_DRAWS,), repeat=2),
            "augment/G": Draw("uniform", (AUGMENT_DRAWS,)),
        }
        if self.lambda_r1:
            draws["augment/r1"] = Draw("uniform", (AUGMENT_DRAWS,))
        return Feed(Permuted(self.one_change), draws, period=self.period)

    def phases(self) -> tuple[Phase, ...]:
        """The classifier alone, then as every adversarial method."""
        reads = Update("D", self.classifier_loss, lr=self.warmup_lr, ramp=50)
        alone = Phase("classifier", (reads,), until=Until(self.warmup_steps, share=0.25))
        return alone, self.adversarial_phase()

    def lazy_terms(self) -> dict[str, dict[str, int]]:
        """R1 and the cycle are taken once in a while."""
        return {**super().lazy_terms(), "G": {"cycle": self.rec_every}}

    def judge(self, image: Tensor, label: Tensor, dataset: Tensor) -> tuple[Tensor, Tensor]:
        """The score of images AS images of these labels ``(B,)``, and the label logits.

        Realness plus what each label of the row's own data set says for it: its logit where the
        label is set, minus its logit where it is not, and nothing where that is not known.
        """
        score, logits = self.discriminator(image)
        label, known = self.labels.without_unknown(label)
        sign = (2 * label - 1) * (known & self.labels.known(dataset)).to(label)
        # One score per image, also of a D that scores patches.
        score = at_least_fp32(score).reshape(len(score), -1).mean(1)
        return score + (sign * logits).sum(1), logits

    def realness(self, label: Tensor, dataset: Tensor, image: Tensor) -> Tensor:
        """``judge`` without logits, as a function of the image."""
        return self.judge(image, label, dataset)[0]

    def classifier_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """The domain loss of augmented real images."""
        # Half of the numbers that D's two halves will need once there are fakes.
        draws = batch.draws["augment/D"][: len(batch.image)]
        _, logits = self.discriminator(augment(batch.image, draws))
        loss = domain_loss(logits, batch.label, batch.dataset, self.labels)
        return loss, {"D/cls": loss}

    def discriminator_loss(
        self, batch: Batch, shared: Shared, r1: bool = False
    ) -> tuple[Tensor, Terms]:
        """Non-saturating, the domain loss on real images, lazy R1."""
        fake = shared["fake"]
        size = len(fake)
        image = augment(torch.cat([batch.image, fake]), batch.draws["augment/D"])
        label = torch.cat([batch.label, batch.target])
        score, logits = self.judge(image, label, batch.dataset.repeat(2))
        terms = {
            "D/adv": self.adversarial.d_loss(score[:size], score[size:]),
            "D/cls": domain_loss(logits[:size], batch.label, batch.dataset, self.labels),
        }
        loss = terms["D/adv"] + self.lambda_cls * terms["D/cls"]
        if r1:
            seen = augment(batch.image, batch.draws["augment/r1"])
            realness = partial(self.realness, batch.label, batch.dataset)
            terms["D/r1"] = r1_penalty(partial(autograd_gradient, realness), seen)
            loss = loss + self.r1_every * self.lambda_r1 * terms["D/r1"]
        return loss, terms | score_terms(score[:size], score[size:])

    def generator_loss(
        self, batch: Batch, shared: Shared, cycle: bool = False
    ) -> tuple[Tensor, Terms]:
        """The score, a little classification, the size of the change, now and then a cycle."""
        fake = shared["fake"]
        seen = augment(fake, batch.draws["augment/G"])
        score, logits = self.judge(seen, batch.target, batch.dataset)
        change = fake - batch.image
        grey = change.mean(1, keepdim=True)
        terms = {
            "G/adv": self.adversarial.g_loss(score),
            "G/cls": domain_loss(logits, batch.target, batch.dataset, self.labels),
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
        if cycle:
            cycled = self.cycled(batch, fake)
            terms["G/rec"] = squared_reconstruction_loss(cycled, batch.image)
            loss = loss + self.rec_every * self.lambda_rec * terms["G/rec"]
        return loss, terms
