from __future__ import annotations

import pytest
import torch

from stargan.losses.precision import at_least_fp32


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_only_half_precisions_are_raised(given: torch.dtype, expected: torch.dtype) -> None:
    assert at_least_fp32(torch.ones(2, dtype=given)).dtype == expected
