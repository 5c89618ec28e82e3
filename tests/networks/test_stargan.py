from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.networks.stargan import Discriminator, Generator
from tests.reference_step import PaperDiscriminator, PaperGenerator, copy_parameters


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def small_generator(size: int | tuple[int, int] = 16) -> Generator:
    torch.manual_seed(0)
    return Generator(size, 5, channels=8, blocks=2)


def small_discriminator(size: int | tuple[int, int] = 16) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(size, 5, channels=8, layers=3)


@pytest.mark.parametrize(("condition", "number"), [(5, 8430528), (8, 8439936), (15, 8461888)])
def test_generator_has_the_published_number_of_parameters(condition: int, number: int) -> None:
    with torch.device("meta"):
        assert count(Generator(128, condition)) == number


@pytest.mark.parametrize(("labels", "number"), [(5, 44762048), (8, 44786624), (13, 44827584)])
def test_discriminator_has_the_published_number_of_parameters(labels: int, number: int) -> None:
    with torch.device("meta"):
        assert count(Discriminator(128, labels)) == number


def test_both_agree_with_a_plain_reading_of_the_paper() -> None:
    generator, discriminator = small_generator(), small_discriminator()
    paper_generator = PaperGenerator(5, channels=8, blocks=2)
    paper_discriminator = PaperDiscriminator(16, 5, channels=8, layers=3)
    copy_parameters(generator, paper_generator)
    copy_parameters(discriminator, paper_discriminator)
    image, condition = torch.randn(2, 3, 16, 16), torch.rand(2, 5)
    torch.testing.assert_close(
        generator(image, condition), paper_generator(image, condition), atol=1e-5, rtol=1e-5
    )
    for ours, paper in zip(discriminator(image), paper_discriminator(image), strict=True):
        torch.testing.assert_close(ours, paper)


def test_parameters_have_the_published_names_and_shapes() -> None:
    with torch.device("meta"):
        generator, discriminator = Generator(128, 5), Discriminator(128, 5)
    norm = {1, 4, 7, 16, 19}
    expected = {f"main.{i}.weight" for i in (0, 3, 6, 15, 18, 21)}
    expected |= {f"main.{i}.{p}" for i in norm for p in ("weight", "bias")}
    for block in range(9, 15):
        expected |= {f"main.{block}.main.{i}.weight" for i in (0, 1, 3, 4)}
        expected |= {f"main.{block}.main.{i}.bias" for i in (1, 4)}
    state = generator.state_dict()
    assert set(state) == expected
    assert state["main.0.weight"].shape == (64, 8, 7, 7)
    assert state["main.15.weight"].shape == (256, 128, 4, 4)
    expected = {f"main.{i}.{p}" for i in range(0, 12, 2) for p in ("weight", "bias")}
    state = discriminator.state_dict()
    assert set(state) == expected | {"conv1.weight", "conv2.weight"}
    assert state["conv1.weight"].shape == (1, 2048, 3, 3)
    assert state["conv2.weight"].shape == (5, 2048, 2, 2)


@pytest.mark.parametrize("size", [16, (8, 24)])
def test_shapes_and_ranges(size: int | tuple[int, int]) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    image = torch.randn(2, 3, height, width)
    fake = small_generator(size)(image, torch.rand(2, 5))
    assert fake.shape == image.shape
    assert fake.abs().max() <= 1
    score, logits = small_discriminator(size)(image)
    assert score.shape == (2, 1, height // 8, width // 8)
    assert logits.shape == (2, 5)


@pytest.mark.parametrize(
    ("size", "layers"), [(256, 6), (128, 6), (96, 5), (32, 5), (48, 4), (28, 2), ((64, 32), 5)]
)
def test_layers_none_takes_as_many_as_fit(size: int | tuple[int, int], layers: int) -> None:
    with torch.device("meta"):
        discriminator = Discriminator(size, 5, channels=2, layers=None)
    assert sum(isinstance(m, nn.LeakyReLU) for m in discriminator.modules()) == layers
    height, width = (size, size) if isinstance(size, int) else size
    assert discriminator.conv2.kernel_size == (height >> layers, width >> layers)


@pytest.mark.parametrize("size", [127, 130, (128, 126), 4, 0])
def test_generator_refuses_sizes_that_the_strides_do_not_divide(
    size: int | tuple[int, int],
) -> None:
    with pytest.raises(UserError, match="nearest"):
        Generator(size, 5)


@pytest.mark.parametrize(
    ("size", "layers", "near"),
    [
        (127, 6, "64 or 128"),
        (96, 6, "64 or 128"),
        (32, 6, "is 64"),
        ((128, 200), 6, "192 or 256"),
        (127, None, "124 or 128"),
        (100, 3, "96 or 104"),
    ],
)
def test_discriminator_refuses_sizes_that_the_strides_do_not_divide(
    size: int | tuple[int, int], layers: int | None, near: str
) -> None:
    with pytest.raises(UserError, match=near):
        Discriminator(size, 5, layers=layers)


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(UserError, match="condition size"):
        Generator(16, 0)
    with pytest.raises(UserError, match="label size"):
        Discriminator(16, 0, layers=3)
    with pytest.raises(UserError, match="number of layers"):
        Discriminator(16, 5, layers=0)


def test_evaluation_mode_changes_nothing() -> None:
    generator = small_generator()
    image, condition = torch.randn(2, 3, 16, 16), torch.rand(2, 5)
    trained = generator.train()(image, condition)
    assert torch.equal(generator.eval()(image, condition), trained)
    assert not list(generator.buffers())


def test_label_reaches_the_output() -> None:
    generator = small_generator()
    image = torch.randn(1, 3, 16, 16)
    difference = generator(image, torch.ones(1, 5)) - generator(image, torch.zeros(1, 5))
    assert difference.abs().max() > 1e-2


def test_rows_do_not_mix() -> None:
    generator, discriminator = small_generator(), small_discriminator()
    image, condition = torch.randn(3, 3, 16, 16), torch.rand(3, 5)
    changed, other = image.clone(), condition.clone()
    changed[1], other[1] = torch.randn(3, 16, 16), 1 - condition[1]
    kept = [0, 2]
    for before, after in (
        (generator(image, condition), generator(changed, other)),
        (discriminator(image)[0], discriminator(changed)[0]),
        (discriminator(image)[1], discriminator(changed)[1]),
    ):
        torch.testing.assert_close(before[kept], after[kept], atol=1e-6, rtol=1e-5)
        assert (before[1] - after[1]).abs().max() > 1e-4


def test_every_parameter_has_a_gradient() -> None:
    generator, discriminator = small_generator(), small_discriminator()
    fake = generator(torch.randn(2, 3, 16, 16), torch.rand(2, 5))
    score, logits = discriminator(fake)
    (score.square().sum() + logits.square().sum()).backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_critic_layers_are_the_way_to_the_score() -> None:
    discriminator = small_discriminator()
    image = torch.randn(2, 3, 16, 16)
    assert torch.equal(discriminator.critic_layers(image), discriminator(image)[0])


def test_runs_under_bf16_autocast() -> None:
    generator, discriminator = small_generator(), small_discriminator()
    image, condition = torch.randn(2, 3, 16, 16), torch.rand(2, 5)
    with torch.autocast("cpu", torch.bfloat16):
        fake = generator(image, condition)
        score, logits = discriminator(fake)
    assert fake.isfinite().all()
    assert score.isfinite().all()
    assert logits.isfinite().all()
    # Rounding alone: 0.004 over several draws. Another label moves the output by 0.1.
    assert (fake.float() - generator(image, condition)).abs().mean() < 0.01


@pytest.mark.slow
def test_exports_with_any_batch() -> None:
    generator = small_generator().eval()
    any_batch = {0: torch.export.Dim.DYNAMIC}
    example = (torch.randn(2, 3, 16, 16), torch.rand(2, 5))
    exported = torch.export.export(generator, example, dynamic_shapes=(any_batch, any_batch))
    image, condition = torch.randn(5, 3, 16, 16), torch.rand(5, 5)
    ours: Tensor = exported.module()(image, condition)
    torch.testing.assert_close(ours, generator(image, condition), atol=1e-5, rtol=1e-5)
