"""IcGAN: a conditional GAN, and encoders that invert it.

Perarnau, van de Weijer, Raducanu and Alvarez, "Invertible conditional GANs for image editing",
2016, arXiv 1611.06355, with the settings of the authors' code. A photo is encoded as noise ``z``
and labels ``y``; the generator makes it again under other labels. One run has three phases:

``cgan``
    D tells real images with their own labels from real images with wrong ones and from fakes, G
    makes images of noise under the labels of training images.
``statistics``
    Nothing but passes of G, so that its running statistics are those of the G that has been
    trained: from here on it makes images with them.
``encoders``
    E_z learns the noise of G's images, E_y the labels of real ones.

The authors' code makes 182,638 pairs of noise and image once and trains E_z on two thirds of them
for 15 epochs; here every step makes new ones, of which the fixed set is a sample.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from stargan.contracts import Batch, Draw, Feed
from stargan.errors import Plain, UserError
from stargan.export import encoded, reads
from stargan.labels.targets import Mismatched
from stargan.losses.precision import at_least_fp32
from stargan.methods.base import Translation, check_betas, evaluating, score_terms
from stargan.methods.gan import GAN
from stargan.methods.phases import Group, Phase, Shared, Terms, Until, Update


class IcGAN(GAN, Translation):
    """See the module.

    Args:
        generator: ``{"_target_": class, ...}`` without its sizes; takes noise ``(B, Z)`` and labels
            ``(B, L)`` in [-1, 1] and has ``noise_size``.
        discriminator: the same; takes images and labels.
        encoder: E_z, images to noise.
        label_encoder: E_y, images to label logits, with ``signs`` for what they are logits of.
        adversarial: name of the adversarial loss.
        n_critic: discriminator steps per generator step.
        generator_lr, discriminator_lr, encoder_lr: learning rates.
        betas: of the Adams of G and D.
        encoder_betas: of those of the encoders.
        ema_decay: share of the old average kept at each generator step; 0: no average (the paper).
        cgan_share: of the run that is the conditional GAN's.
        statistics_steps: passes of the second phase, at most a twentieth of the run.
        setting: whose settings these are, for the record.
        others: see ``Method``.
    """

    # A second space would need a mask vector, of which the paper knows nothing.
    joint: ClassVar[bool] = False

    def __init__(
        self,
        *,
        generator: Plain,
        discriminator: Plain,
        encoder: Plain,
        label_encoder: Plain,
        adversarial: str | Plain = "non_saturating",
        n_critic: int = 1,
        generator_lr: float = 2e-4,
        discriminator_lr: float = 2e-4,
        encoder_lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        encoder_betas: tuple[float, float] = (0.1, 0.999),
        ema_decay: float = 0.0,
        cgan_share: float = 0.625,
        statistics_steps: int = 100,
        setting: str = "published",
        **others: Any,
    ) -> None:
        if not 0 < cgan_share < 1:
            raise UserError(f"cgan_share={cgan_share}: both parts of the run need a share of it.")
        if statistics_steps < 0:
            raise UserError(f"statistics_steps={statistics_steps} must be at least 0.")
        super().__init__(
            adversarial=adversarial,
            n_critic=n_critic,
            generator_lr=generator_lr,
            discriminator_lr=discriminator_lr,
            betas=betas,
            ema_decay=ema_decay,
            **others,
        )
        (space,) = self.labels.spaces
        if space.categorical and space.size < 2:
            raise UserError(
                f"'{space.name}' has one class, {space.names[0]}: IcGAN shows its discriminator "
                "images with wrong labels, so give two classes at least."
            )
        self.encoder_lr = encoder_lr
        self.encoder_betas = check_betas(encoder_betas)
        self.cgan_share = cgan_share
        self.statistics_steps = statistics_steps
        self.setting = setting
        label = {"label_size": self.labels.size}
        self.generator = self.make("generator", generator, **label)
        self.discriminator = self.make("discriminator", discriminator, **label)
        self.noise_size = int(self.generator.noise_size)  # type: ignore[arg-type]
        self.encoder = self.make("encoder", encoder, noise_size=self.noise_size)
        self.label_encoder: Any = self.make("label_encoder", label_encoder, **label)
        self.start_ema()

    def feed(self) -> Feed:
        """Targets are the wrong labels; noise. The fakes take the labels of the batch's images."""
        return Feed(
            Mismatched(), {"noise": Draw("normal", (self.noise_size,))}, period=self.n_critic
        )

    def groups(self) -> dict[str, Group]:
        """G with its average, D, and the encoders: Ez of the noise, Ey of the labels."""
        return {
            **super().groups(),
            "Ez": Group(("encoder",), self.encoder_lr, self.encoder_betas),
            "Ey": Group(("label_encoder",), self.encoder_lr, self.encoder_betas),
        }

    def phases(self) -> tuple[Phase, ...]:
        """See the module."""
        cgan = self.adversarial_phase()._replace(name="cgan", until=Until(share=self.cgan_share))
        refresh = Phase(
            "statistics",
            (),
            shared=self.pairs,
            until=Until(self.statistics_steps, share=0.05),
        )
        encoders = Phase(
            "encoders",
            (Update("Ez", self.noise_loss), Update("Ey", self.label_loss)),
            shared=self.pairs,
            evaluating=("generator", "ema") if self.ema is not None else ("generator",),
        )
        return cgan, refresh, encoders

    def fakes(self, batch: Batch) -> Shared:
        """Images of noise under the labels of the batch's images."""
        return {"fake": self.generator(batch.draws["noise"], signs(batch.label))}

    def pairs(self, batch: Batch) -> Shared:
        """The same of the G that is shipped."""
        return {"fake": self.best_generator(batch.draws["noise"], signs(batch.label))}

    def discriminator_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """Cross entropy: real images against ones, half of the rest for each way to be wrong.

        ``BCE(D(x, y), 1) + 0.5 BCE(D(x, wrong y), 0) + 0.5 BCE(D(G(z, y), y), 0)``, each a batch of
        its own for batch norm.
        """
        own = signs(batch.label)
        real = self.discriminator(batch.image, own)
        wrong = self.discriminator(batch.image, signs(batch.target))
        fake = self.discriminator(shared["fake"], own)
        # The mean over both, as the two are as many.
        loss = self.adversarial.d_loss(real, torch.cat([wrong, fake]))
        said = {"D/wrong": wrong.detach().float().mean()}
        return loss, {"D/adv": loss} | score_terms(real, fake) | said

    def generator_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """``BCE(D(G(z, y), y), 1)``, by the D that has just moved."""
        loss = self.adversarial.g_loss(self.discriminator(shared["fake"], signs(batch.label)))
        return loss, {"G/adv": loss}

    def noise_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """Mean squared distance of ``E_z(G(z, y))`` from ``z``."""
        found = at_least_fp32(self.encoder(shared["fake"]))
        loss = (found - batch.draws["noise"]).square().mean()
        return loss, {"Ez/mse": loss}

    def label_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """Mean squared distance of ``E_y(x)`` from the labels of a real image, -1 or 1."""
        found = at_least_fp32(self.label_encoder.signs(batch.image))
        loss = (found - signs(batch.label)).square().mean()
        return loss, {"Ey/mse": loss}

    def exported(self) -> dict[str, nn.Module]:
        """E_z and the generator, which translate, and E_y, which reads labels."""
        return {
            "encoder": self.encoder,
            "generator": self.best_generator,
            "classifier": self.label_encoder,
        }

    def roles(self) -> dict[str, Plain]:
        """A photo becomes a code, and the code a photo under other labels."""
        return {"translate": encoded("encoder", "generator"), "read": reads("classifier")}

    @torch.inference_mode()
    def translate(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        """``G(E_z(x), target)``: the own labels are not looked at."""
        with evaluating(self.encoder, self.best_generator):
            made: Tensor = self.best_generator(self.encoder(image), signs(target))
        return made.clamp(-1, 1)


def signs(label: Tensor) -> Tensor:
    """Labels of 0 and 1 as -1 and 1."""
    return 2 * label - 1
