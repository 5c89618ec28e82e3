"""An opened model, and the device that it runs on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stargan.errors import Plain, UserError
from stargan.export.description import Framing
from stargan.export.parts import Parts
from stargan.export.rules import Rule
from stargan.labels import JointLabelSpace


@dataclass(eq=False)
class Model:
    """An opened model, ready to translate tensors: a ``contracts.Translate``.

    Attributes:
        rule: how it translates, see ``rules``.
        reader: an image to label logits ``(B, L)``, alone or last of a tuple; None if the model
            reads no labels.
        labels: the joint label space.
        framing: how images are brought before the networks.
        training: where the model comes from.
        parts: its networks and description; None where the file holds graphs, not networks of this
            package.
    """

    rule: Rule
    reader: nn.Module | None
    labels: JointLabelSpace
    framing: Framing
    training: Plain
    parts: Parts | None = None

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` of the images."""
        return self.framing.size

    @property
    def device(self) -> torch.device:
        """Where the networks are; onnxruntime's take and give tensors on the CPU."""
        weight = next(self.rule.parameters(), None)
        return torch.device("cpu") if weight is None else weight.device

    @torch.inference_mode()
    def __call__(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        """Images under other labels, see ``contracts.Translate``.

        Args:
            image: ``(B, 3, H, W)`` in [-1, 1], of the model's size, on any device.
            own: ``(B, L)`` joint labels of the images themselves.
            target: ``(B, L)`` joint labels that they are asked for.
            dataset: ``(B,)`` int64, the label space that each row's labels belong to.

        Returns:
            ``(B, 3, H, W)`` in [-1, 1], on the model's device.

        Raises:
            UserError: a change that the model has no network for.
        """
        place = self.device
        given = (tensor.to(place) for tensor in (image, own, target, dataset))
        translated: Tensor = self.rule(*given)
        return translated.clamp(-1, 1)

    def can(self, own: Tensor, target: Tensor) -> Tensor:
        """See ``contracts.Chooses``."""
        return self.rule.can(own, target)

    @torch.inference_mode()
    def read(self, image: Tensor) -> Tensor:
        """Logits ``(B, L)`` of the labels of images ``(B, 3, H, W)``.

        Raises:
            UserError: the model reads no labels.
        """
        if self.reader is None:
            raise UserError(
                "this model cannot read labels off an image (it was exported without a "
                "classifier): give the labels yourself."
            )
        out = self.reader(image.to(self.device))
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
