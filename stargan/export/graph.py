"""Networks as graphs: what ONNX files and .pt2 files share.

Both are traced by ``torch.export`` with a batch of any size. What a precision means:

fp32
    G as trained. D's weights are kept in half precision, as in the safetensors file, and computed
    with in fp32: only the sign and order of its logits matter.
fp16
    ONNX: G computes in half precision (its norms in fp32 where the network says so). A .pt2 file
    and a safetensors file only keep the weights in half precision and compute in fp32, since
    PyTorch has no fast half precision on a CPU.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from stargan.contracts import UserError
from stargan.export.parts import Parts

PRECISIONS = ("fp32", "fp16", "int8")


class Translation(nn.Module):
    """``(image, condition) -> image`` in [-1, 1]: what ``Model`` does, condition given."""

    def __init__(self, generator: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.generator = copy.deepcopy(generator).to(dtype)
        self.dtype = dtype

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """``(B, 3, H, W)`` and ``(B, C)`` to ``(B, 3, H, W)``, all fp32."""
        image, condition = image.to(self.dtype), condition.to(self.dtype)
        translated: Tensor = self.generator(image, condition)
        return translated.float().clamp(-1, 1)


class Reading(nn.Module):
    """``image -> label logits``, whatever else the classifier gives."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = KeptInHalf(classifier)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to ``(B, L)``."""
        out = self.classifier(image)
        logits: Tensor = out[-1] if isinstance(out, tuple) else out
        return logits


class KeptInHalf(nn.Module):
    """A network whose weights are kept in half precision and computed with in fp32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, *inputs: Tensor) -> Any:
        """What the network gives."""
        weights = {
            name: value.float() if value.is_floating_point() else value
            for name, value in self.network.state_dict().items()
        }
        return torch.func.functional_call(self.network, weights, inputs)


def examples(parts: Parts) -> tuple[Tensor, Tensor]:
    """An image batch and a condition batch of the right shapes, to trace with."""
    return torch.zeros(2, 3, *parts.size), torch.zeros(2, parts.labels.condition_size)


def trace(network: nn.Module, inputs: dict[str, Tensor]) -> torch.export.ExportedProgram:
    """The graph of a network, for a batch of any size.

    Args:
        network: takes ``inputs`` in their order.
        inputs: by the name of the argument.

    Raises:
        UserError: the network does something that has no graph.
    """
    batch = torch.export.Dim("batch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(
                network.eval().requires_grad_(False),
                tuple(inputs.values()),
                dynamic_shapes={name: {0: batch} for name in inputs},
            )
    except Exception as error:  # torch.export raises almost anything.
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{type(network).__name__} cannot be exported as a graph: {first}"
        ) from error
