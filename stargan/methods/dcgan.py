"""DCGAN: images from noise, with the settings of TensorFlow's tutorial on digits.

Radford et al., Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, ICLR 2016; the tutorial "Deep Convolutional Generative Adversarial Network" for all sizes:
batch 256, noise 100, Adam 1e-4 for each network, cross entropy from logits with real images against
ones and fakes against zeros, the generator against ones.

Where the tutorial says nothing it takes Keras's defaults. Kept are those that change what is
learned or seen: initialisation, padding, slope, epsilon and momentum of batch norm
(``networks.dcgan``), Adam's betas 0.9 and 0.999 (the paper has 0.5 for the first). Not kept: Adam's
epsilon, 1e-7 in Keras and 1e-8 here, both far below the gradients' own size. One thing differs on
purpose: the tutorial updates both networks from the same scores; here, as in every adversarial
method of this package, D moves first and G's loss comes from the D that has moved.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stargan import networks
from stargan.contracts import Batch, Plain
from stargan.export import describe
from stargan.losses.adversarial import adversarial_loss
from stargan.methods.base import Terms
from stargan.methods.sampling import Sampling


class DCGAN(Sampling):
    """See the module.

    Args:
        generator: ``{"_target_": class in stargan.networks, ...}`` without its image sizes.
        discriminator: the same.
        image: ``{"size": [height, width], "crop": {...}, "channels": 1 or 3}``.
        training: where this model comes from, for the exported file.
        adversarial: name of the adversarial loss.
        others: see ``Adversarial``. The labels of the data are not looked at.
    """

    def __init__(
        self,
        *,
        generator: Plain,
        discriminator: Plain,
        labels: list[Plain],
        image: Plain,
        training: Plain | None = None,
        adversarial: str | Plain = "non_saturating",
        n_critic: int = 1,
        generator_lr: float = 1e-4,
        discriminator_lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        schedule: str = "constant",
        max_steps: int = 11_700,
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
        self.image = image
        self.training_facts = training or {}
        sizes = {"image_size": list(image["size"]), "image_channels": int(image["channels"])}
        self.network: Plain = {**generator, **sizes}
        self.generator = networks.build(self.network, seed)
        self.discriminator = networks.build({**discriminator, **sizes}, seed + 1)
        self.start_ema()

    def description(self) -> Plain:
        """What an exported file says of itself, see ``stargan.export``."""
        name = f"{type(self).__module__}.{type(self).__name__}"
        return describe(
            network=self.network,
            classifier=None,
            labels=self.labels,
            image=self.image,
            training={**self.training_facts, "method": name, "steps": self.step},
            kind="sampler",
        )

    def discriminator_loss(
        self, batch: Batch, target: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Terms]:
        """Cross entropy of real images against ones and fakes against zeros."""
        real_score, fake_score = self.discriminator(torch.cat([batch.image, fake])).chunk(2)
        self.note_scores(real_score, fake_score)
        loss = self.adversarial.d_loss(real_score, fake_score)
        return loss, {"D/adv": loss}

    def generator_loss(
        self, batch: Batch, target: Tensor, fake: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Terms]:
        """Cross entropy of the fakes against ones."""
        loss = self.adversarial.g_loss(self.discriminator(fake))
        return loss, {"G/adv": loss}
