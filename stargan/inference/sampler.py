"""Images from noise with a trained model: ``Sampler``. No Lightning, no Hydra, no torchvision.

::

    sampler = Sampler.from_pretrained("runs/mnist_dcgan/.../generator.safetensors")
    sampler(16, seed=1)[0].save("first.png")
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from stargan import imaging
from stargan.building import Packages
from stargan.errors import Plain, UserError
from stargan.export import find_device, open_parts
from stargan.networks.dcgan import draw_noise


class Sampler:
    """Makes images from noise.

    Args:
        generator: ``(B, Z)`` to ``(B, C, H, W)``, with an attribute ``noise_size``.
        size: (height, width) of the images.
        training: where the model comes from.
        batch_size: how many images the network makes at once.
    """

    def __init__(
        self,
        generator: nn.Module,
        size: tuple[int, int],
        training: Plain | None = None,
        batch_size: int = 64,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size} is impossible: give 1 or more.")
        self.generator = generator
        self.size = size
        self.training = training or {}
        self.batch_size = batch_size

    def __repr__(self) -> str:
        return f"Sampler({self.size[1]} x {self.size[0]} pixels)"

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        device: str | torch.device = "cpu",
        batch_size: int = 64,
        trust: Packages = (),
    ) -> Sampler:
        """Open a run folder, a ``.ckpt`` or a ``generator.safetensors``.

        Args:
            path: of a run folder, ``generator.safetensors`` is taken unless
                ``checkpoints/last.ckpt`` has made more steps.
            device: ``cpu``, ``cuda``, ``mps``, or ``auto`` for the best there is.
            batch_size: how many images the network makes at once.
            trust: packages whose networks the file may name, see ``building``.

        Raises:
            UserError: nothing there, not a model that makes images from noise, damaged, of another
                format; says which.
        """
        place = find_device(device)
        parts = open_parts(path, "sampler", trust)
        return cls(parts.need("sample").to(place), parts.size, parts.training, batch_size)

    @property
    def noise_size(self) -> int:
        """Length of a noise vector."""
        return int(self.generator.noise_size)  # type: ignore[arg-type]

    def __call__(self, count: int, seed: int = 0) -> list[Image.Image]:
        """The first ``count`` images of a seed; image i does not depend on the count."""
        return [imaging.to_pil(image) for image in self.draw(self.noise(count, seed))]

    def noise(self, count: int, seed: int = 0) -> Tensor:
        """The first ``count`` noise vectors of a seed ``(count, Z)``, normally distributed.

        Raises:
            UserError: a count below 1 or a negative seed.
        """
        if count < 1:
            raise UserError(f"count={count}: at least 1 image must be asked for.")
        if not 0 <= seed < 2**63:
            raise UserError(f"seed={seed} must be a whole number from 0 on.")
        return draw_noise(count, self.noise_size, seed)

    @torch.inference_mode()
    def draw(self, noise: Tensor) -> Tensor:
        """Noise ``(B, Z)`` to images ``(B, C, H, W)`` in [-1, 1], on the CPU.

        Raises:
            UserError: noise of another size.
        """
        if noise.ndim != 2 or noise.shape[1] != self.noise_size:
            raise UserError(
                f"noise of shape {tuple(noise.shape)} does not fit: (images, {self.noise_size})."
            )
        device = next(self.generator.parameters()).device
        parts = noise.split(self.batch_size)
        return torch.cat([self.generator(part.to(device)).clamp(-1, 1).cpu() for part in parts])


def between(start: Tensor, end: Tensor, count: int) -> Tensor:
    """Noise on the way from one vector ``(Z,)`` to another: ``(count, Z)``, both ends included.

    Along the great circle (White, Sampling Generative Networks, 2016): on a straight line the
    vectors in the middle would be shorter than any that the generator has learned from.
    """
    share = torch.linspace(0, 1, count)[:, None]
    cosine = torch.dot(start, end) / (start.norm() * end.norm()).clamp_min(1e-12)
    angle = torch.arccos(cosine.clamp(-1, 1))
    if float(angle.sin()) < 1e-4:  # the same or opposite directions: no circle is given
        return start.lerp(end, share)
    return (((1 - share) * angle).sin() * start + (share * angle).sin() * end) / angle.sin()
