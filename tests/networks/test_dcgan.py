from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stargan import networks
from stargan.errors import UserError
from stargan.networks.dcgan import (
    Discriminator,
    Dropout,
    Generator,
    SameConv2d,
    SameConvTranspose2d,
    draw_noise,
)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameters_of_the_published_sizes() -> None:
    # Keras's summary of the tutorial: 2,330,944 with the running statistics, 212,865.
    generator = Generator(28)
    running = [b for n, b in generator.named_buffers() if "running" in n]
    assert count(generator) == 2_305_472
    assert count(generator) + sum(b.numel() for b in running) == 2_330_944
    assert count(Discriminator(28)) == 212_865


def test_shapes_of_every_layer() -> None:
    shapes: list[tuple[int, ...]] = []

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        shapes.append(tuple(output.shape[1:]))

    generator, discriminator = Generator(28).eval(), Discriminator(28).eval()
    for layer in (*generator.modules(), *discriminator.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(note)
    image = generator(torch.randn(2, 100))
    discriminator(image)
    assert shapes == [
        *((7 * 7 * 256,), (128, 7, 7), (64, 14, 14), (1, 28, 28)),
        *((64, 14, 14), (128, 7, 7), (1,)),
    ]
    assert image.abs().max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 20)])
def test_any_kernel_gives_the_image_s_size(
    size: tuple[int, int], kernel: int, channels: int
) -> None:
    generator = Generator(size, channels, noise_size=7, channels=4, kernel=kernel)
    image = generator(torch.randn(3, 7))
    assert image.shape == (3, channels, *size)
    assert Discriminator(size, channels, 4, kernel)(image).shape == (3, 1)


def test_same_padding_puts_the_odd_pixel_below_and_to_the_right() -> None:
    """TensorFlow's rule for 5 x 5, stride 2: one pixel before, two after."""
    conv = SameConv2d(1, 1, 5, 2, bias=False)
    image = torch.randn(1, 1, 28, 28)
    padded = F.pad(image, (1, 2, 1, 2))
    torch.testing.assert_close(conv(image), F.conv2d(padded, conv.weight, stride=2))


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (5, 2), (4, 2), (3, 2), (1, 2), (8, 2)])
def test_the_transposed_convolution_is_the_gradient_of_the_same_convolution(
    kernel: int, stride: int
) -> None:
    """Keras defines Conv2DTranspose so: ``<conv(x), y> == <x, transposed(y)>`` for all x and y."""
    conv = SameConv2d(2, 3, kernel, stride, bias=False)
    up = SameConvTranspose2d(3, 2, kernel, stride)
    up.weight.data = conv.weight.data
    x, y = torch.randn(2, 2, 8 * stride, 6 * stride), torch.randn(2, 3, 8, 6)
    assert up(y).shape == x.shape
    torch.testing.assert_close((conv(x) * y).sum(), (x * up(y)).sum(), rtol=1e-4, atol=1e-4)


def test_initialisation_is_glorot_s() -> None:
    for network in (Generator(28), Discriminator(28)):
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                fan = sum(layer.weight.shape[:2]) * layer.weight[0, 0].numel()
                bound = math.sqrt(6 / fan)
                weight = layer.weight.detach().double()
                # Drawn in float32, whose rounding may step over the bound by a unit or two.
                assert 0.95 * bound < weight.abs().max() <= bound * (1 + 2**-22)
                # Uniform: the squares have mean bound ** 2 / 3 and deviation bound ** 2 * 0.298.
                doubt = 5 * 0.298 / math.sqrt(weight.numel())
                assert abs(weight.square().mean() / bound**2 - 1 / 3) < doubt
                if layer.bias is not None:
                    assert not layer.bias.any()


def test_every_parameter_has_a_gradient_and_images_do_not_mix() -> None:
    generator, discriminator = Generator(28, channels=4), Discriminator(28, channels=4)
    discriminator(generator(torch.randn(4, 100))).sum().backward()
    for network in (generator, discriminator):
        for name, p in network.named_parameters():
            assert p.grad is not None, name
            assert p.grad.abs().sum() > 0, name
    generator.eval(), discriminator.eval()
    noise = torch.randn(4, 100)
    whole = discriminator(generator(noise))
    parts = torch.cat([discriminator(generator(row[None])) for row in noise])
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


def test_dropout_is_dropout() -> None:
    dropout, image = Dropout(0.3), torch.full((64, 64, 14, 14), 2.0, requires_grad=True)
    out = dropout(image)
    zeros = (out == 0).float().mean().item()
    assert abs(zeros - 0.3) < 5 * math.sqrt(0.21 / out.numel())
    torch.testing.assert_close(out[out != 0], torch.full_like(out[out != 0], 2 / 0.7))
    out.sum().backward()
    assert image.grad is not None
    torch.testing.assert_close(image.grad * 2, out.detach())
    # Neighbouring values come from the same random integer: they must not depend on each other.
    kept = (out != 0).flatten().float().view(-1, 4)
    together = torch.corrcoef(kept.T).fill_diagonal_(0).abs().max()
    assert together < 5 / math.sqrt(len(kept))
    # Down to the single bit of a short tail.
    assert dropout(torch.ones(3, 1)).shape == (3, 1)
    assert torch.equal(dropout.eval()(image), image)


def test_without_batch_norm() -> None:
    network = Generator(28, channels=4, batch_norm=False)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in network.modules())


def test_noise_of_a_seed_does_not_depend_on_the_count() -> None:
    few, many = draw_noise(3, 100, seed=5), draw_noise(50, 100, seed=5)
    assert torch.equal(few, many[:3])
    assert not torch.equal(few, draw_noise(3, 100, seed=6))
    assert abs(many.mean()) < 0.05
    assert abs(many.std() - 1) < 0.05


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"image_size": 30}, "28 and 32"),
        ({"image_size": 6}, "the nearest: 8"),
        ({"image_size": [28, 29]}, "image_size=29"),
        ({"kernel": 0}, "kernel=0"),
        ({"channels": 0}, "channels=0"),
        ({"noise_size": 0}, "noise_size=0"),
    ],
)
def test_impossible_sizes_are_refused(changed: dict[str, object], words: str) -> None:
    plain = {"_target_": "stargan.networks.dcgan.Generator", "image_size": 28, **changed}
    with pytest.raises(UserError, match=words):
        networks.build(plain)


def test_impossible_dropout_is_refused() -> None:
    with pytest.raises(UserError, match="dropout"):
        Discriminator(28, dropout=1.0)
