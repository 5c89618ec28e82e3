"""The domain classifier that judges translations; StarGAN (Choi et al. 2018), section 5.4.

One network, trained on real images alone: on any data set, single or joint, with binary or
exclusive labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from stargan.contracts import Batch, Draw, Feed
from stargan.errors import Plain, UserError
from stargan.export import open_parts, reads
from stargan.export.parts import load_weights
from stargan.losses.domain import domain_loss
from stargan.methods.augment import AUGMENT_DRAWS, augment
from stargan.methods.base import Method, check_betas
from stargan.methods.phases import Group, Phase, Shared, Terms, Update
from stargan.networks.classifier import load_backbone


class Classifier(Method):
    """A classifier of the labels of images.

    Args:
        classifier: ``{"_target_": class, ...}`` without its sizes.
        weights: what to start from, see ``read_weights``, or None.
        lr: learning rate.
        betas: of Adam.
        augment: how strongly the images are changed in training, 0 to 1: colours, light, a shift
            and grain, since what is judged later is not as clean as photos.
        others: see ``Method``.
    """

    product: ClassVar[str] = "classifier.safetensors"
    kind: ClassVar[str] = "classifier"
    takes_unknown: ClassVar[bool] = True
    # Not the file of weights: a checkpoint opens without it.
    forgotten: ClassVar[tuple[str, ...]] = ("weights",)

    def __init__(
        self,
        *,
        classifier: Plain,
        weights: str | None = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        augment: float = 0.3,
        **others: Any,
    ) -> None:
        if not 0 <= augment <= 1:
            raise UserError(f"augment={augment} must lie in [0, 1].")
        super().__init__(**others)
        self.lr = lr
        self.betas = check_betas(betas)
        self.augment = augment
        self.classifier = self.make("classifier", classifier, label_size=self.labels.size)
        if weights is not None:
            load_backbone(self.classifier, read_weights(Path(weights)))

    def feed(self) -> Feed:
        """What changes the images: colours, light and place; grain."""
        if not self.augment:
            return Feed()
        height, width = self.image["size"]
        grain = (int(self.image.get("channels", 3)), height, width)
        return Feed(
            None, {"augment": Draw("uniform", (AUGMENT_DRAWS,)), "grain": Draw("normal", grain)}
        )

    def groups(self) -> dict[str, Group]:
        """C, the classifier."""
        return {"C": Group(("classifier",), self.lr, self.betas)}

    def phases(self) -> tuple[Phase, ...]:
        """One."""
        return (Phase("classifier", (Update("C", self.loss),)),)

    def loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """The domain loss of real images, equations (2) and (3)."""
        image = batch.image
        if self.augment:
            image = augmented(image, self.augment, batch.draws["augment"], batch.draws["grain"])
        loss = domain_loss(self.classifier(image), batch.label, batch.dataset, self.labels)
        return loss, {"C/cls": loss}

    def exported(self) -> dict[str, nn.Module]:
        """The classifier, in full precision."""
        return {"classifier": self.classifier}

    def roles(self) -> dict[str, Plain]:
        """It reads labels."""
        return {"read": reads("classifier")}


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


def augmented(image: Tensor, strength: float, draws: Tensor, grain: Tensor) -> Tensor:
    """Images ``(B, 3, H, W)`` with other colours, light and place, and grain.

    Args:
        strength: above 0 (as they are) up to 1.
        draws: see ``augment``.
        grain: normal numbers of the shape of the images.
    """
    return augment(image, draws, strength) + 0.1 * strength * grain
