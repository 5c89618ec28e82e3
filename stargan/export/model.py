"""An opened model, and the device that it runs on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stargan.contracts import Plain, UserError
from stargan.labels import JointLabelSpace


@dataclass(eq=False)
class Model:
    """An opened model, ready to translate tensors: a ``contracts.Translate``.

    Attributes:
        generator: ``(image, condition) -> image``.
        classifier: an image to label logits ``(B, L)``, alone or last of a tuple; None if the
            file has none.
        labels: what conditions are built from.
        size: ``(height, width)`` of the images.
        crops: the training's centre crop for each label space, in pixels or None.
        training: where the model comes from.
        plain: its whole description; None where the file holds graphs, not networks of this
            package.
    """

    generator: nn.Module
    classifier: nn.Module | None
    labels: JointLabelSpace
    size: tuple[int, int]
    crops: dict[str, int | None]
    training: Plain
    plain: Plain | None = None

    @property
    def device(self) -> torch.device:
        """Where the networks are; onnxruntime's take and give tensors on the CPU."""
        weight = next(self.generator.parameters(), None)
        return torch.device("cpu") if weight is None else weight.device

    @torch.inference_mode()
    def __call__(self, image: Tensor, label: Tensor, source: Tensor) -> Tensor:
        """Images to images, told by target labels.

        Args:
            image: ``(B, 3, H, W)`` in [-1, 1], of the model's size, on any device.
            label: ``(B, L)`` joint target labels.
            source: ``(B,)`` int64, the label space that each row's labels belong to.

        Returns:
            ``(B, 3, H, W)`` in [-1, 1], on the model's device.
        """
        device = self.device
        condition = self.labels.condition(label.to(device), source.to(device))
        translated: Tensor = self.generator(image.to(device), condition)
        return translated.clamp(-1, 1)

    @torch.inference_mode()
    def classify(self, image: Tensor) -> Tensor:
        """The classifier's logits ``(B, L)`` for images ``(B, 3, H, W)``.

        Raises:
            UserError: the model has no classifier.
        """
        if self.classifier is None:
            raise UserError(
                "this model cannot read labels off an image (it was exported without a "
                "classifier): give the labels yourself."
            )
        out = self.classifier(image.to(self.device))
        logits: Tensor = out[-1] if isinstance(out, tuple) else out
        return logits


def find_device(name: str | torch.device) -> torch.device:
    """A device by name; ``auto`` is CUDA, else Apple's GPU, else the CPU.

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device '{name}' is not available here: try auto or cpu.") from error
    return device
