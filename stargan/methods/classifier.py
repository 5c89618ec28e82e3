"""The domain classifier that judges translations; StarGAN (Choi et al. 2018), section 5.4.

One network, trained on real images alone: on any data set, single or joint, with binary or
exclusive labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stargan import networks
from stargan.contracts import Batch, Plain, UserError
from stargan.export import describe
from stargan.losses.domain import domain_loss
from stargan.methods.augment import augment
from stargan.methods.base import Method
from stargan.networks.classifier import load_backbone


class Classifier(Method):
    """A classifier of the labels of images.

    Args:
        classifier: ``{"_target_": class in stargan.networks, ...}`` without its sizes.
        image: ``{"size": [height, width], "crop": {source name: pixels or None}}``.
        training: where this model comes from, for the exported file.
        weights: a file of torchvision's weights to start from, or None.
        lr: learning rate.
        augment: how strongly the images are changed in training, 0 to 1: colours, light, a shift
            and grain, since what is judged later is not as clean as photos.
        others: see ``Method``.
    """

    product: ClassVar[str] = "classifier.safetensors"

    def __init__(
        self,
        *,
        classifier: Plain,
        labels: list[Plain],
        image: Plain,
        training: Plain | None = None,
        weights: str | None = None,
        lr: float = 1e-3,
        augment: float = 0.3,
        betas: tuple[float, float] = (0.9, 0.999),
        schedule: str = "late",
        max_steps: int = 10_000,
        seed: int = 0,
    ) -> None:
        if not 0 <= augment <= 1:
            raise UserError(f"augment={augment} must lie in [0, 1].")
        super().__init__(
            labels=labels,
            rates=(lr,),
            betas=betas,
            schedule=schedule,
            max_steps=max_steps,
            seed=seed,
        )
        # Not the file of weights: a checkpoint opens without it.
        self.save_hyperparameters(ignore=["weights"])
        self.augment = augment
        self.image = image
        self.training_facts = training or {}
        self.network: Plain = {
            **classifier,
            "image_size": list(image["size"]),
            "label_size": self.labels.size,
        }
        self.classifier = networks.build(self.network, seed)
        if weights is not None:
            load_backbone(self.classifier, read_weights(Path(weights)))

    def trained(self) -> dict[str, nn.Module]:
        """C, the classifier."""
        return {"C": self.classifier}

    def description(self) -> Plain:
        """What an exported file says of itself, see ``stargan.export``."""
        name = f"{type(self).__module__}.{type(self).__name__}"
        return describe(
            network=None,
            classifier=self.network,
            labels=self.labels,
            image=self.image,
            training={**self.training_facts, "method": name, "steps": self.step},
            kind="classifier",
        )

    def exported(self) -> dict[str, nn.Module]:
        """The classifier, in full precision."""
        return {"classifier": self.classifier}

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """One step of Adam on the domain loss of real images, equations (2) and (3)."""
        batch = Batch(*batch)
        (optimizer,) = self.all_optimizers()
        self.set_rates()
        image = augmented(batch.image, self.augment, self.draws())
        loss = domain_loss(self.classifier(image), batch.label, batch.source, self.labels)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.end_step({"C/cls": loss})


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a ``.safetensors`` file, or one that torch saved; runs no code from it.

    Raises:
        UserError: no such file, damaged, or anything but named tensors.
    """
    if not path.is_file():
        raise UserError(f"the weights '{path}' do not exist: give a .pth or .safetensors file.")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises almost anything on damaged files.
        raise UserError(
            f"the weights '{path}' cannot be read: they are damaged, or hold more than tensors."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"'{path}' is no state dict of tensors: save network.state_dict().")
    return state


def augmented(image: Tensor, strength: float, draws: torch.Generator) -> Tensor:
    """Images ``(B, 3, H, W)`` with other colours, light and place, and grain.

    Args:
        strength: 0 (as they are) to 1.
        draws: a CPU generator.
    """
    if not strength:
        return image
    grain = torch.randn(image.shape, generator=draws).to(image)
    return augment(image, draws, strength) + 0.1 * strength * grain
