"""The domain classifier that judges translations; StarGAN (Choi et al. 2018), section 5.4.

One network, trained on real images alone: on any data set, single or joint, with binary or
exclusive labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from stargan import networks
from stargan.contracts import Batch, Plain, UserError
from stargan.export import describe, open_parts, reads
from stargan.export.parts import load_weights
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
        weights: what to start from, see ``read_weights``, or None.
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
            networks={"classifier": self.network},
            roles={"read": reads("classifier")},
            labels=self.labels,
            image=self.image,
            training={**self.training_facts, "method": name, "steps": self.step},
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
    """A state dict by torchvision's names; runs no code from the file.

    Args:
        path: torchvision's weights (``.pth``, ``.safetensors``), or a judge of this package: run
            folder, ``.ckpt`` or ``classifier.safetensors``.

    Raises:
        UserError: nothing there, damaged, or anything but named tensors.
    """
    path = path.expanduser()
    if not path.exists():
        raise UserError(
            f"the weights '{path}' do not exist: give a .pth or .safetensors file, or the run "
            "folder of a judge."
        )
    if _is_judge(path):
        network = open_parts(path, "classifier").need("read")
        return getattr(network, "trunk", nn.Module()).state_dict()
    state = load_file(path) if path.suffix == ".safetensors" else load_weights(path, mmap=False)
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"'{path}' is no state dict of tensors: save network.state_dict().")
    return state


def _is_judge(path: Path) -> bool:
    """Whether a path is a judge of this package, not weights by torchvision's names."""
    if path.is_dir() or path.suffix == ".ckpt":
        return True
    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return "stargan" in (file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise UserError(f"'{path}' is damaged, cut short or no safetensors file.") from error


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
