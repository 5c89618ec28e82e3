"""The modern networks: sizes, the label's way in, the fused norm, independence of the batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from stargan.errors import UserError
from stargan.networks.modern import Discriminator, FusedNorm, Generator, normalise


def generator(size: int | list[int] = 32, condition: int = 5) -> Generator:
    torch.manual_seed(0)
    return Generator(size, condition, channels=8, width=16, blocks=1, style_size=8, thin=8)


@pytest.mark.parametrize("slope", [0.2, 1.0])
def test_fused_norm_equals_the_plain_one(slope: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 6, 5, dtype=torch.float32).contiguous(memory_format=torch.channels_last)
    scale, shift, weight = torch.randn(3, 4), torch.randn(3, 4), torch.randn(3, 4, 6, 5)

    def run(fused: bool) -> list[torch.Tensor]:
        inputs = [t.clone().requires_grad_() for t in (x, scale, shift)]
        if fused:
            y = FusedNorm.apply(*inputs, slope, 1e-5)
        else:
            y = F.instance_norm(inputs[0]) * inputs[1][:, :, None, None]
            y = F.leaky_relu(y + inputs[2][:, :, None, None], slope)
        return [y, *torch.autograd.grad((y * weight).sum(), inputs)]

    for a, b in zip(run(True), run(False), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_training_and_inference_take_the_same_function() -> None:
    x, scale, shift = torch.randn(2, 4, 8, 8), torch.randn(2, 4), torch.randn(2, 4)
    trained = normalise(x.clone().requires_grad_(), scale, shift, 0.2)
    torch.testing.assert_close(trained.detach(), normalise(x, scale, shift, 0.2))


@pytest.mark.parametrize("size", [16, 32, 48, 100, [32, 64]])
def test_sizes_in_and_out(size: int | list[int]) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    image = torch.rand(2, 3, height, width)
    assert generator(size)(image, torch.rand(2, 5)).shape == image.shape
    score, logits = Discriminator(size, 7, channels=8, width=16)(image)
    assert (score.shape, logits.shape) == ((2,), (2, 7))


@pytest.mark.parametrize("size", [127, 30, 6])
def test_impossible_sizes_are_refused(size: int) -> None:
    with pytest.raises(UserError, match="nearest"):
        generator(size)
    with pytest.raises(UserError, match="nearest"):
        Discriminator(size, 7)


@torch.no_grad()
def test_label_reaches_the_output() -> None:
    network = generator()
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    first, second = torch.eye(5)[:2].split(1)
    assert float((network(image, first) - network(image, second)).abs().mean()) > 1e-3


@torch.no_grad()
def test_change_is_small_to_begin_with() -> None:
    network = generator()
    image = torch.rand(4, 3, 32, 32) * 2 - 1
    assert float((network(image, torch.rand(4, 5)) - image).abs().mean()) < 0.5
    change, mask = network.parts(image, torch.rand(4, 5))
    assert change.shape == (4, 3, 32, 32)
    assert float(mask.min()) >= 0
    assert float(mask.max()) <= 1


def test_no_mixing_across_the_batch() -> None:
    network = generator()
    image, condition = torch.rand(3, 3, 32, 32), torch.rand(3, 5)
    together = network(image, condition)
    alone = torch.cat([network(image[i : i + 1], condition[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_every_parameter_gets_a_gradient() -> None:
    network, judge = generator(), Discriminator(32, 5, channels=8, width=16)
    score, logits = judge(network(torch.rand(2, 3, 32, 32), torch.rand(2, 5)))
    (score.sum() + logits.sum()).backward()
    for module in (network, judge):
        silent = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()]
        assert not silent


def test_export_needs_no_custom_function() -> None:
    network = generator().eval()
    inputs = (torch.rand(2, 3, 32, 32), torch.rand(2, 5))
    with torch.no_grad():
        exported = torch.export.export(network, inputs)
        torch.testing.assert_close(exported.module()(*inputs), network(*inputs))
