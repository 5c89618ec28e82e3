"""What a device can compute in."""

from __future__ import annotations

import torch


def has_bfloat16(accelerator: str) -> bool:
    """Whether the device that will be used computes in bfloat16 (and does not imitate it)."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator in ("auto", "cpu") and not torch.backends.mps.is_available():
        return any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
    return False
