from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from stargan.losses.gradient_penalty import (
    EPSILON,
    autograd_gradient,
    gradient_penalty,
    interpolate,
    piecewise_linear_gradient,
    r1_penalty,
)


def critic() -> nn.Sequential:
    """As StarGAN's, and with all that the first-order form must also bear."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=2, padding=1),
        nn.LeakyReLU(0.01),
        nn.Conv2d(8, 12, 5, stride=(3, 2), padding=(0, 2), dilation=(1, 2), groups=4),
        nn.ReLU(),
        nn.Conv2d(12, 6, 3, stride=1, padding=1, bias=False),
        nn.LeakyReLU(0.3, inplace=True),
        nn.Conv2d(6, 2, 1),
    )


def pictures(size: tuple[int, int] = (17, 22)) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(3, 3, *size) * 2 - 1, torch.rand(3, 3, *size) * 2 - 1, torch.rand(3)


def weight_gradients(loss: Tensor, network: nn.Module) -> dict[str, Tensor | None]:
    names, parameters = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True))


def relative(ours: Tensor, expected: Tensor) -> float:
    return ((ours - expected).norm() / expected.norm()).item()


# Sizes that the strides divide, and sizes that leave one or two rows unread.
@pytest.mark.parametrize("size", [(16, 16), (17, 22), (18, 19), (21, 25), (22, 30)])
@pytest.mark.parametrize("penalty", ["wgan_gp", "r1"])
def test_first_order_form_equals_double_backward(size: tuple[int, int], penalty: str) -> None:
    network = critic()
    real, fake, alpha = pictures(size)

    def loss(gradient_of: partial[Tensor]) -> Tensor:
        if penalty == "r1":
            return r1_penalty(gradient_of, real)
        return gradient_penalty(gradient_of, real, fake, alpha)

    ours = loss(partial(piecewise_linear_gradient, network))
    expected = loss(partial(autograd_gradient, network))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=0)
    gradients = weight_gradients(ours, network)
    for name, by_double in weight_gradients(expected, network).items():
        mine = gradients[name]
        if name.endswith("bias"):
            # Double backward hands some biases a zero, and some nothing.
            assert mine is None
            assert by_double is None or not by_double.any()
        else:
            assert mine is not None
            assert by_double is not None
            assert relative(mine, by_double) < 1e-4, name


def test_the_gradient_itself_and_its_shape() -> None:
    network = critic()
    real, _, _ = pictures()
    ours = piecewise_linear_gradient(network, real)
    assert ours.shape == real.shape
    torch.testing.assert_close(ours, autograd_gradient(network, real), atol=1e-6, rtol=1e-4)
    # The last rows of a size that the strides do not divide are read by nobody.
    assert not autograd_gradient(network, torch.ones(1, 3, 21, 25))[:, :, -1].any()


def test_a_critic_of_one_convolution_and_one_that_ends_in_a_relu() -> None:
    real, _, _ = pictures()
    for network in (nn.Conv2d(3, 1, 3), nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())):
        layers = [network] if isinstance(network, nn.Conv2d) else network
        torch.testing.assert_close(
            piecewise_linear_gradient(layers, real), autograd_gradient(network, real)
        )


def test_image_is_not_changed_by_in_place_layers() -> None:
    real, _, _ = pictures()
    kept = real.clone()
    piecewise_linear_gradient([nn.ReLU(inplace=True), nn.Conv2d(3, 1, 3)], real)
    assert torch.equal(real, kept)


def test_spectral_norm_as_a_parametrization_is_followed() -> None:
    torch.manual_seed(0)
    first = parametrizations.spectral_norm(nn.Conv2d(3, 4, 3))
    network = nn.Sequential(first, nn.LeakyReLU(), nn.Conv2d(4, 1, 3)).eval()
    real, fake, alpha = pictures()
    losses = [
        gradient_penalty(partial(way, network), real, fake, alpha)
        for way in (piecewise_linear_gradient, autograd_gradient)
    ]
    torch.testing.assert_close(losses[0], losses[1])
    ours, expected = (weight_gradients(loss, network) for loss in losses)
    name = "0.parametrizations.weight.original"
    assert ours[name] is not None
    assert expected[name] is not None
    assert relative(ours[name], expected[name]) < 1e-4


@pytest.mark.parametrize(
    "layer",
    [
        nn.Tanh(),
        nn.InstanceNorm2d(3),
        nn.BatchNorm2d(3),
        nn.PReLU(),
        nn.Linear(3, 3),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 3, 3, padding="same"),
        torch.nn.utils.spectral_norm(nn.Conv2d(3, 3, 3)),
    ],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_other_layers_are_refused(layer: nn.Module) -> None:
    with pytest.raises(TypeError, match="autograd_gradient"):
        piecewise_linear_gradient([layer, nn.Conv2d(3, 1, 3)], torch.rand(1, 3, 8, 8))


def test_penalty_is_two_sided_and_of_norm_one() -> None:
    def constant(norm: float) -> float:
        def gradient_of(image: Tensor) -> Tensor:
            return torch.full_like(image, norm / image[0].numel() ** 0.5)

        real, fake, alpha = pictures()
        return gradient_penalty(gradient_of, real, fake, alpha).item()

    assert constant(1.0) == pytest.approx(0, abs=1e-8)
    assert constant(0.5) == pytest.approx(0.25, rel=1e-4)
    assert constant(3.0) == pytest.approx(4, rel=1e-4)


def test_penalty_takes_each_images_own_norm() -> None:
    def gradient_of(image: Tensor) -> Tensor:
        norms = torch.tensor([0.0, 1.0, 2.0]).reshape(-1, 1, 1, 1)
        return norms * torch.full_like(image, image[0].numel() ** -0.5)

    real, fake, alpha = pictures()
    # Norms 0, 1, 2: the mean of the squared distances is 2/3, that of the mean norm would be 0.
    assert gradient_penalty(gradient_of, real, fake, alpha).item() == pytest.approx(2 / 3, rel=1e-4)


def test_gradient_of_zero_gives_no_nan() -> None:
    network = nn.Conv2d(3, 1, 3)
    nn.init.zeros_(network.weight)
    real, fake, alpha = pictures()
    loss = gradient_penalty(partial(piecewise_linear_gradient, [network]), real, fake, alpha)
    loss.backward()
    assert loss.item() == pytest.approx((EPSILON**0.5 - 1) ** 2)
    assert network.weight.grad is not None
    assert network.weight.grad.isfinite().all()


def test_r1_is_half_the_squared_norm() -> None:
    real, _, _ = pictures()
    loss = r1_penalty(lambda image: torch.full_like(image, 0.1), real)
    assert loss.item() == pytest.approx(0.5 * 0.01 * real[0].numel(), rel=1e-4)


def test_alpha_is_one_share_per_image() -> None:
    real, fake, _ = pictures()
    between = interpolate(real, fake, torch.tensor([1.0, 0.0, 0.25]))
    torch.testing.assert_close(between[0], real[0])
    torch.testing.assert_close(between[1], fake[1])
    torch.testing.assert_close(between[2], 0.25 * real[2] + 0.75 * fake[2])


def test_no_gradient_flows_into_the_images() -> None:
    network = critic()
    real, fake, alpha = pictures()
    fake.requires_grad_()
    assert not interpolate(real.clone().requires_grad_(), fake, alpha).requires_grad
    for way in (piecewise_linear_gradient, autograd_gradient):
        loss = gradient_penalty(partial(way, network), real, fake, alpha)
        assert torch.autograd.grad(loss, fake, allow_unused=True)[0] is None


def test_double_backward_works_where_gradients_are_off() -> None:
    real, _, _ = pictures()
    with torch.no_grad():
        assert autograd_gradient(critic(), real).shape == real.shape


@pytest.mark.parametrize("penalty_first", [True, False])
def test_bf16_autocast_keeps_the_norm_in_fp32(penalty_first: bool) -> None:
    network = critic()
    real, fake, alpha = pictures()

    def penalty() -> Tensor:
        way = partial(piecewise_linear_gradient, network)
        return gradient_penalty(way, real, fake, alpha)

    expected = penalty()
    expected_gradients = weight_gradients(expected, network)
    with torch.autocast("cpu", torch.bfloat16):
        # Weights cast once per region are shared with the critic's other pass: either order.
        if penalty_first:
            loss, score = penalty(), network(real)
        else:
            score, loss = network(real), penalty()
    assert score.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=0.02)
    for name, gradient in weight_gradients(loss + 0 * score.float().sum(), network).items():
        full = expected_gradients[name]
        if full is not None and gradient is not None:
            cosine = torch.cosine_similarity(gradient.flatten(), full.flatten(), dim=0)
            assert cosine > 0.98, name


def test_small_half_precision_gradients_keep_their_square() -> None:
    # 1e-4 squared is zero in fp16.
    real = torch.zeros(2, 3, 8, 8)
    loss = r1_penalty(lambda image: torch.full_like(image, 1e-4, dtype=torch.float16), real)
    assert loss.item() == pytest.approx(0.5 * 192 * 1e-8, rel=0.01)


@pytest.mark.slow
def test_first_order_form_survives_torch_compile() -> None:
    network = critic()
    real, fake, alpha = pictures()

    def penalty(real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
        return gradient_penalty(partial(piecewise_linear_gradient, network), real, fake, alpha)

    compiled = torch.compile(penalty, backend="aot_eager", fullgraph=True)
    ours, expected = compiled(real, fake, alpha), penalty(real, fake, alpha)
    torch.testing.assert_close(ours, expected)
    gradients = weight_gradients(ours, network)
    for name, gradient in weight_gradients(expected, network).items():
        mine = gradients[name]
        assert (mine is None) == (gradient is None)
        if mine is not None and gradient is not None:
            torch.testing.assert_close(mine, gradient)
