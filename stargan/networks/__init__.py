"""Networks: plain ``nn.Module`` s, one architecture per file, sizes given from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from stargan import building
from stargan.building import TYPED, Trust

NETWORK = building.kind_of("network", "stargan.networks", nn.Module)


def build(
    config: Mapping[str, Any], seed: int = 0, trust: Trust = TYPED, where: str = ""
) -> nn.Module:
    """A network from its plain description, with fresh weights.

    Args:
        config: ``{"_target_": "stargan.networks.<module>.<class>", **arguments}``, or a class of
            the person's own.
        seed: of the fresh weights, whatever random numbers were drawn before.
        trust: whose word the description is.
        where: whose description, for messages.

    Raises:
        UserError: an unknown target, one that a file may not name, wrong arguments.
    """
    maker = building.maker(config, NETWORK, trust, where)
    # The caller's random numbers are none of our business.
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that would reseed the GPUs too.
        torch.default_generator.manual_seed(seed)
        built: nn.Module = maker()
    return built
