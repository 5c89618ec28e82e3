"""Networks: plain ``nn.Module`` s, one architecture per file, sizes given from outside."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from stargan.contracts import UserError

PACKAGE = "stargan.networks."
"""Where a described network must come from: a file may name no other code."""


def build(config: Mapping[str, Any], seed: int = 0) -> nn.Module:
    """A network of this package from its plain description, with fresh weights.

    Args:
        config: ``{"_target_": "stargan.networks.<module>.<class>", **arguments}``.
        seed: of the fresh weights, whatever random numbers were drawn before.

    Raises:
        UserError: a target outside ``stargan.networks``, unknown, or wrong arguments.
    """
    arguments = dict(config)
    target = str(arguments.pop("_target_", ""))
    module, _, name = target.rpartition(".")
    if not module.startswith(PACKAGE) or not target.replace(".", "_").isidentifier():
        raise UserError(f"the network '{target}' is not part of stargan.networks: not opened.")
    try:
        network = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"the network '{target}' does not exist in this version of stargan: update it."
        ) from error
    is_ours = isinstance(network, type) and issubclass(network, nn.Module)
    # Not what the module merely imports.
    if not is_ours or not str(network.__module__).startswith(PACKAGE):
        raise UserError(f"'{target}' is not a network of stargan.networks: not opened.")
    try:
        # The caller's random numbers are none of our business.
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed: that would reseed the GPUs too.
            torch.default_generator.manual_seed(seed)
            built: nn.Module = network(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"the network '{target}' cannot be built: {error}.") from error
    return built
