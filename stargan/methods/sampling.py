"""What methods share whose generator makes images from noise alone."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from stargan.contracts import Batch
from stargan.methods.base import Adversarial


class Sampling(Adversarial):
    """Base of the methods whose generator takes noise ``(B, Z)``.

    Subclasses set ``self.generator`` (with an attribute ``noise_size``) and the rest of what
    ``Adversarial`` asks for.
    """

    channels: ClassVar[tuple[int, ...]] = (1, 3)

    @property
    def noise_size(self) -> int:
        """Length of a noise vector."""
        return int(self.generator.noise_size)  # type: ignore[arg-type]

    def make_fake(self, batch: Batch, target: Tensor, draws: torch.Generator) -> Tensor:
        """As many images as the batch has, from fresh noise."""
        noise = torch.randn(len(batch.image), self.noise_size, generator=draws)
        fake: Tensor = self.generator(noise.to(batch.image))
        return fake

    def exported(self) -> dict[str, nn.Module]:
        """The generator to ship."""
        return {"generator": self.best_generator}

    @torch.inference_mode()
    def sample(self, noise: Tensor) -> Tensor:
        """Noise ``(B, Z)`` to images ``(B, C, H, W)`` in [-1, 1], each by itself.

        With the running statistics of batch norm, so that an image does not depend on the others.
        """
        generator = self.best_generator
        training = generator.training
        generator.eval()
        image: Tensor = generator(noise.to(self.device)).clamp(-1, 1)
        generator.train(training)
        return image
