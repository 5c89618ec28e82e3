"""IcGAN's networks: published counts, sizes, initial weights, and logits of the label encoder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stargan.errors import UserError
from stargan.networks.icgan import (
    Discriminator,
    Generator,
    LabelEncoder,
    NoiseEncoder,
    halvings,
    logits_of,
)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameters_as_published() -> None:
    made = (Generator(64, 18), Discriminator(64, 18), NoiseEncoder(64), LabelEncoder(64, 18))
    assert [count(n) for n in made] == [3_725_123, 2_803_393, 18_278_244, 3_186_962]
    assert sum(map(count, made)) == 27_993_722


@pytest.mark.parametrize("size", [8, 32, 64, (48, 32)])
def test_shapes(size: int | tuple[int, int]) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    noise, label = torch.randn(3, 5), torch.ones(3, 2)
    image = Generator(size, 2, noise_size=5, channels=4)(noise, label)
    assert image.shape == (3, 3, height, width)
    assert image.abs().max() <= 1
    assert Discriminator(size, 2, channels=4)(image, label).shape == (3,)
    assert NoiseEncoder(size, 5, channels=4)(image).shape == (3, 5)
    assert LabelEncoder(size, 2, channels=4, features=8)(image).shape == (3, 2)


@pytest.mark.parametrize(
    ("size", "found"),
    [(64, (4, (4, 4))), (128, (5, (4, 4))), (32, (3, (4, 4))), (96, (4, (6, 6))), (8, (1, (4, 4)))],
)
def test_other_sizes_by_depth(size: int, found: tuple[int, tuple[int, int]]) -> None:
    assert halvings(size, "x") == found


@pytest.mark.parametrize(
    ("size", "words"), [(127, "112 or 128"), (30, "28 or 32"), (4, "nearest is 8")]
)
def test_sizes_that_do_not_fit(size: int, words: str) -> None:
    for make in (Generator, Discriminator, LabelEncoder):
        with pytest.raises(UserError, match=words):
            make(size, 2)


def test_widths_below_one_are_refused() -> None:
    with pytest.raises(UserError, match="channels=0"):
        Generator(32, 2, channels=0)
    with pytest.raises(UserError, match="features=0"):
        LabelEncoder(32, 2, features=0)


def test_initial_weights() -> None:
    for network in (Generator(64, 18), Discriminator(64, 18)):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                assert float(layer.weight.std()) == pytest.approx(0.02, rel=0.1)
                assert abs(float(layer.weight.mean())) < 0.002
                assert not layer.bias.any()
            if isinstance(layer, nn.BatchNorm2d):
                assert float(layer.weight.mean()) == pytest.approx(1, abs=0.01)
                assert 0.012 < float(layer.weight.std()) < 0.028
                assert not layer.bias.any()
    # Encoders begin as the framework makes them.
    first = NoiseEncoder(64).layers[0]
    assert float(first.weight.abs().max()) <= 1 / (3 * 25) ** 0.5


def test_labels_enter_the_generator_and_the_discriminator() -> None:
    torch.manual_seed(0)
    noise = torch.randn(4, 6)
    one, other = torch.ones(4, 2), torch.tensor([[1.0, -1.0]]).expand(4, 2)
    generator, judge = Generator(16, 2, 6, 4), Discriminator(16, 2, 4)
    image = generator(noise, one)
    assert not torch.allclose(image, generator(noise, other))
    assert not torch.allclose(judge(image, one), judge(image, other))


def test_signs_become_logits_of_their_chances() -> None:
    signs = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.2, 1.0, 1.7])
    logits = logits_of(signs)
    # e = 2 p - 1, but never surer than 0.9995.
    expected = ((1 + signs.clamp(-1, 1)) / 2).clamp(0.0005, 0.9995)
    torch.testing.assert_close(logits.sigmoid(), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(logits.sign(), signs.sign())
    network = LabelEncoder(16, 3, 4, 8).eval()
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(network(image), logits_of(network.signs(image)))
