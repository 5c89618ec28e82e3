"""Networks as graphs: what ONNX files and .pt2 files share.

Both are traced by ``torch.export`` with a batch of any size. What the translating graph takes
beside the image is the rule's business (``rules.Rule.takes``): of one conditional generator a
``condition`` vector, of all others the joint labels ``own`` and ``target``. What a precision means:

fp32
    As trained. The weights of what only reads labels are kept in half precision, as in the
    safetensors file, and computed with in fp32: only the sign and order of its logits matter.
fp16
    ONNX: translating is computed in half precision (norms in fp32 where the network says so). A
    .pt2 file and a safetensors file only keep the weights in half precision and compute in fp32,
    since PyTorch has no fast half precision on a CPU.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.export.parts import Parts
from stargan.export.rules import Rule
from stargan.labels.edits import Edits

PRECISIONS = ("fp32", "fp16", "int8")


class Translation(nn.Module):
    """``(image, condition) -> image`` in [-1, 1]: what ``Model`` does, condition given."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        """``(B, 3, H, W)`` and ``(B, C)`` to ``(B, 3, H, W)``, all fp32."""
        return self.run(image, condition)

    def run(self, *inputs: Tensor) -> Tensor:
        """Whatever the inputs are."""
        translated: Tensor = self.network(*(tensor.to(self.dtype) for tensor in inputs))
        return translated.float().clamp(-1, 1)


class Change(Translation):
    """``(image, own, target) -> image`` in [-1, 1]: what ``Model`` does, joint labels given."""

    # torch.export takes the names of a graph's inputs from here.
    def forward(self, image: Tensor, own: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        """``(B, 3, H, W)`` and twice ``(B, L)`` to ``(B, 3, H, W)``, all fp32."""
        return self.run(image, own, target)


class _Steps(nn.Module):
    """A rule as a graph computes it."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, image: Tensor, *fed: Tensor) -> Tensor:
        return self.rule.graph(image, *fed)


def translation(
    rule: Rule, dtype: torch.dtype = torch.float32, kept_in_half: bool = False
) -> Translation:
    """A rule as what is traced.

    Args:
        rule: with its networks.
        dtype: what is computed in.
        kept_in_half: the weights are kept in half precision, and computed with in fp32.
    """
    network: nn.Module = copy.deepcopy(_Steps(rule)).to(dtype)
    if kept_in_half:
        network = KeptInHalf(network)
    made = Translation if rule.takes == ("condition",) else Change
    return made(network, dtype)


class Traced(Rule):
    """A rule whose networks are in a graph.

    Args:
        rule: the same without networks, which knows what the graph takes.
        graph: image and ``rule.takes`` to images.
    """

    def __init__(self, rule: Rule, graph: nn.Module) -> None:
        nn.Module.__init__(self)
        self.labels, self.rule, self.traced = rule.labels, rule, graph

    @property
    def graded(self) -> bool:  # type: ignore[override]
        """See ``Rule``."""
        return self.rule.graded

    @property
    def takes(self) -> tuple[str, ...]:  # type: ignore[override]
        """See ``Rule``."""
        return self.rule.takes

    def check(self, own: Tensor, target: Tensor) -> None:
        """See ``Rule``."""
        self.rule.check(own, target)

    def can(self, own: Tensor, target: Tensor) -> Tensor:
        """See ``Rule``."""
        return self.rule.can(own, target)

    def changeable(self, space: int) -> list[str]:
        """See ``Rule``."""
        return self.rule.changeable(space)

    def feed(self, own: Tensor, target: Tensor, dataset: Tensor) -> dict[str, Tensor]:
        """See ``Rule``."""
        return self.rule.feed(own, target, dataset)

    def graph(self, image: Tensor, *fed: Tensor) -> Tensor:
        """See ``Rule``."""
        translated: Tensor = self.traced(image, *fed)
        return translated

    def needed(self, space: int, edits: Edits) -> set[str]:
        """See ``Rule``."""
        return self.rule.needed(space, edits)

    def examples(self) -> tuple[Tensor, Tensor, Tensor]:
        """See ``Rule``."""
        return self.rule.examples()


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


def examples(parts: Parts) -> dict[str, Tensor]:
    """Inputs of the right names and shapes, two rows, to trace the translation with."""
    rule = parts.rule()
    own, target, dataset = (t[torch.arange(2) % len(t)] for t in rule.examples())
    image = torch.zeros(2, 3, *parts.size)
    return {"image": image, **rule.feed(own, target, dataset)}


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
            program = torch.export.export(
                network.eval().requires_grad_(False),
                tuple(inputs.values()),
                dynamic_shapes={name: {0: batch} for name in inputs},
            )
    except Exception as error:  # torch.export raises almost anything.
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{type(network).__name__} cannot be exported as a graph: {first}"
        ) from error
    for node in program.graph.nodes:
        # Where the code lies on this machine is nobody's business who is given the file.
        node.meta.pop("stack_trace", None)
    return program
