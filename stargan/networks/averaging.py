"""Running averages of weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def start_average(network: nn.Module) -> nn.Module:
    """A copy that is not trained: the average before the first step."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, count: int) -> None:
    """``average = decay * average + (1 - decay) * network``, buffers copied.

    The decay warms up, ``min(decay, (1 + n) / (10 + n))`` at the n-th step, so that a short run
    is not an average with its own initialisation.

    Args:
        average: see ``start_average``.
        network: the weights of now.
        decay: share of the old average that is kept.
        count: how many steps the network had made before this one.
    """
    weight = 1 - min(decay, (1 + count) / (10 + count))
    kept: list[Tensor] = list(average.parameters())
    current: list[Tensor] = list(network.parameters())
    torch._foreach_lerp_(kept, current, weight)
    for old, new in zip(average.buffers(), network.buffers(), strict=True):
        old.copy_(new)
