from __future__ import annotations

import pytest
import torch

from stargan.losses.reconstruction import reconstruction_loss, squared_reconstruction_loss


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


def test_squared_loss_prefers_faint_and_many_to_strong_and_few() -> None:
    real = torch.zeros(1, 3, 4, 4)
    spread, gathered = torch.full_like(real, 0.1), torch.zeros_like(real)
    gathered[..., :2, :2] = 0.4
    torch.testing.assert_close(
        reconstruction_loss(spread, real), reconstruction_loss(gathered, real)
    )
    assert float(squared_reconstruction_loss(spread, real)) == pytest.approx(0.01)
    assert float(squared_reconstruction_loss(gathered, real)) == pytest.approx(0.04)
