"""CycleGAN's networks: golden sizes, an independent reading, image sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stargan.errors import UserError
from stargan.networks.cyclegan import Discriminator, Generator
from stargan.networks.stargan import Critic
from stargan.networks.stargan import Discriminator as WithClasses
from tests import reference_pairs
from tests.reference_step import copy_parameters


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_golden_parameter_counts() -> None:
    with torch.device("meta"):
        g, d = Generator(128), Critic(128)
        assert count(g) == 7_837_699
        assert count(d) == 44_721_088
        # What the StarGAN paper prints as 52.6M for DIAT and for CycleGAN.
        assert count(g) + count(d) == 52_558_787
        assert count(Generator(256)) == 11_378_179
        assert count(Discriminator(256)) == 2_764_737
        assert count(WithClasses(128, 5)) == 44_762_048


@pytest.mark.parametrize("size", [8, 32, [16, 24]])
def test_the_generator_is_the_paper_s(size: int) -> None:
    g = Generator(size, channels=6, blocks=2)
    plain = reference_pairs.PaperGenerator(6, 2)
    copy_parameters(g, plain)
    sides = (size, size) if isinstance(size, int) else size
    image = torch.rand(2, 3, *sides) * 2 - 1
    out = g(image)
    assert out.shape == image.shape
    torch.testing.assert_close(out, plain(image), rtol=1e-4, atol=1e-5)


def test_the_patch_discriminator_is_the_paper_s() -> None:
    d = Discriminator(70, channels=4)
    plain = reference_pairs.PaperPatches(4, 3)
    copy_parameters(d, plain)
    image = torch.rand(2, 3, 70, 70) * 2 - 1
    torch.testing.assert_close(d(image), plain(image), rtol=1e-4, atol=1e-5)


def test_a_score_sees_seventy_pixels() -> None:
    d = Discriminator(128, channels=2).double()
    for layer in d.modules():
        # Instance norm looks at the whole image; the patch is that of the convolutions.
        if isinstance(layer, nn.InstanceNorm2d):
            layer.forward = lambda x: x  # type: ignore[method-assign]
    image = torch.rand(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    score = d(image)
    middle = score[0, 0, score.shape[2] // 2, score.shape[3] // 2]
    (slope,) = torch.autograd.grad(middle, image)
    rows = torch.nonzero(slope.abs().amax((0, 1, 3)) > 0).flatten()
    assert int(rows[-1] - rows[0]) + 1 == 70


def test_weights_start_as_published() -> None:
    for network in (Generator(128), Discriminator(128)):
        for name, p in network.named_parameters():
            if name.endswith("bias"):
                assert not p.any()
            elif p.numel() > 2000:
                assert abs(float(p.std()) - 0.02) < 0.002, name
                assert abs(float(p.mean())) < 0.002, name


def test_evaluation_changes_nothing() -> None:
    g = Generator(16, channels=4, blocks=1)
    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(g.train()(image), g.eval()(image))


def test_nine_blocks_from_256_pixels_on() -> None:
    with torch.device("meta"):
        assert count(Generator(252)) == count(Generator(256, blocks=6))
        assert count(Generator(256)) == count(Generator(252, blocks=9))


@pytest.mark.parametrize("size", [6, 4, 33])
def test_sizes_that_do_not_fit_are_refused(size: int) -> None:
    with pytest.raises(UserError, match="CycleGAN generator"):
        Generator(size)


def test_small_images_have_fewer_layers_of_patches_unless_told() -> None:
    assert Discriminator(16, channels=2)(torch.rand(1, 3, 16, 16)).shape[2] >= 1
    with pytest.raises(UserError, match="patch discriminator of 3 layers"):
        Discriminator(16, channels=2, layers=3)
