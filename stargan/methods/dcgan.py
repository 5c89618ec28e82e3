"""DCGAN: images from noise, with the settings of TensorFlow's tutorial on digits.

Radford et al., Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, ICLR 2016; the tutorial "Deep Convolutional Generative Adversarial Network" for all sizes:
batch 256, noise 100, Adam 1e-4 for each network, cross entropy from logits with real images against
ones and fakes against zeros, the generator against ones.

Where the tutorial says nothing it takes Keras's defaults. Kept are those that change what is
learned or seen: initialisation, padding, slope, epsilon and momentum of batch norm
(``networks.dcgan``), Adam's betas 0.9 and 0.999 (the paper has 0.5 for the first) and its epsilon
(``adam``). One thing differs on
purpose: the tutorial updates both networks from the same scores; here, as in every adversarial
method of this package, D moves first and G's loss comes from the D that has moved.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from stargan.contracts import Batch, Draw, Feed
from stargan.errors import Plain, UserError
from stargan.methods.base import Sampling, evaluating, score_terms
from stargan.methods.gan import GAN
from stargan.methods.phases import Group, Shared, Terms

ADAMS = ("keras", "torch")


class DCGAN(GAN, Sampling):
    """See the module.

    Args:
        generator: ``{"_target_": class, ...}`` without its image sizes; takes noise ``(B, Z)`` and
            has ``noise_size``.
        discriminator: the same.
        adam: "keras": epsilon is 1e-7, added before the bias correction; "torch": 1e-8, after it.
        others: see ``GAN``. The labels of the data are not looked at.
    """

    takes_unknown: ClassVar[bool] = True

    def __init__(
        self,
        *,
        generator: Plain,
        discriminator: Plain,
        adversarial: str | Plain = "non_saturating",
        n_critic: int = 1,
        generator_lr: float = 1e-4,
        discriminator_lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        ema_decay: float = 0.0,
        adam: str = "torch",
        **others: Any,
    ) -> None:
        if adam not in ADAMS:
            raise UserError(f"method.adam={adam} is unknown: choose {' or '.join(ADAMS)}.")
        super().__init__(
            adversarial=adversarial,
            n_critic=n_critic,
            generator_lr=generator_lr,
            discriminator_lr=discriminator_lr,
            betas=betas,
            ema_decay=ema_decay,
            **others,
        )
        self.adam = adam
        channels = int(self.image["channels"])
        self.generator = self.make("generator", generator, image_channels=channels)
        self.discriminator = self.make("discriminator", discriminator, image_channels=channels)
        self.noise_size = int(self.generator.noise_size)  # type: ignore[arg-type]
        self.start_ema()

    def groups(self) -> dict[str, Group]:
        """G with its average, and D."""
        if self.adam == "torch":
            return super().groups()
        return {n: g._replace(eps=1e-7, eps_hat=True) for n, g in super().groups().items()}

    def feed(self) -> Feed:
        """Noise."""
        return Feed(None, {"noise": Draw("normal", (self.noise_size,))}, period=self.n_critic)

    def fakes(self, batch: Batch) -> Shared:
        """As many images as the batch has, from fresh noise."""
        return {"fake": self.generator(batch.draws["noise"])}

    def discriminator_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """Cross entropy of real images against ones and fakes against zeros."""
        real, fake = self.discriminator(torch.cat([batch.image, shared["fake"]])).chunk(2)
        loss = self.adversarial.d_loss(real, fake)
        return loss, {"D/adv": loss} | score_terms(real, fake)

    def generator_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """Cross entropy of the fakes against ones."""
        loss = self.adversarial.g_loss(self.discriminator(shared["fake"]))
        return loss, {"G/adv": loss}

    def exported(self) -> dict[str, nn.Module]:
        """The generator to ship."""
        return {"generator": self.best_generator}

    @torch.inference_mode()
    def sample(self, noise: Tensor) -> Tensor:
        """With the running statistics of batch norm: an image does not depend on the others."""
        with evaluating(self.best_generator):
            image: Tensor = self.best_generator(noise.to(self.device)).clamp(-1, 1)
        return image
