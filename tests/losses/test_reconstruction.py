from __future__ import annotations

import torch

from stargan.losses.reconstruction import reconstruction_loss


def test_mean_absolute_difference() -> None:
    real = torch.zeros(2, 3, 2, 2)
    cycled = torch.zeros(2, 3, 2, 2)
    cycled[0, 0] = -0.6
    assert abs(reconstruction_loss(cycled, real).item() - 0.6 * 4 / 24) < 1e-6
    assert reconstruction_loss(real, real) == 0


def test_half_precision_gives_fp32() -> None:
    cycled = torch.rand(2, 3, 4, 4).bfloat16()
    loss = reconstruction_loss(cycled, torch.zeros(2, 3, 4, 4))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, cycled.float().mean())
