from __future__ import annotations

import math

import pytest
import torch

from stargan.errors import UserError
from stargan.losses.adversarial import ADVERSARIAL, adversarial_loss

REAL = torch.tensor([[0.5], [2.0]])
FAKE = torch.tensor([[-2.0], [0.25], [1.0]])


def mean(*values: float) -> float:
    return sum(values) / len(values)


def log_sigmoid(x: float) -> float:
    return -math.log(1 + math.exp(-x))


# By hand, from the papers' equations.
EXPECTED = {
    "wgan": (mean(-2, 0.25, 1) - mean(0.5, 2), -mean(-2, 0.25, 1)),
    "non_saturating": (
        -mean(log_sigmoid(0.5), log_sigmoid(2))
        - mean(log_sigmoid(2), log_sigmoid(-0.25), log_sigmoid(-1)),
        -mean(log_sigmoid(-2), log_sigmoid(0.25), log_sigmoid(1)),
    ),
    "least_squares": (
        0.5 * mean(0.25, 1) + 0.5 * mean(4, 0.0625, 1),
        0.5 * mean(9, 0.5625, 0),
    ),
    "hinge": (mean(0.5, 0) + mean(0, 1.25, 2), -mean(-2, 0.25, 1)),
}


def test_every_loss_is_checked_here() -> None:
    assert set(EXPECTED) == set(ADVERSARIAL)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_values_by_hand(name: str) -> None:
    loss, (d, g) = adversarial_loss(name), EXPECTED[name]
    assert loss.d_loss(REAL, FAKE).item() == pytest.approx(d, rel=1e-5)
    assert loss.g_loss(FAKE).item() == pytest.approx(g, rel=1e-5)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_each_side_pushes_the_scores_its_own_way(name: str) -> None:
    loss = adversarial_loss(name)
    # Half way between least squares' two targets, and inside the hinge's margins.
    real, fake = (torch.full((2, 1, 2, 2), 0.5, requires_grad=True) for _ in range(2))
    loss.d_loss(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake.grad = None
    loss.g_loss(fake).backward()
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_half_precision_scores_give_an_fp32_loss(name: str) -> None:
    loss = adversarial_loss(name)
    for value in (
        loss.d_loss(REAL.bfloat16(), FAKE.bfloat16()),
        loss.g_loss(FAKE.bfloat16()),
    ):
        assert value.dtype == torch.float32
        assert value.shape == ()


def test_non_saturating_loss_stays_finite_for_a_sure_discriminator() -> None:
    score = torch.tensor([-1000.0], requires_grad=True)
    loss = adversarial_loss("non_saturating").g_loss(score)
    loss.backward()
    assert loss.item() == 1000
    assert score.grad is not None
    assert score.grad.item() == -1


def test_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"'wgna'.*wgan, non_saturating"):
        adversarial_loss("wgna")


# What D says of a real and of a fake image when it guesses and when it is sure.
SAID = {
    "non_saturating": ((0, 0), (math.log(7), -math.log(7))),
    "least_squares": ((1 / 2, 1 / 2), (7 / 8, 1 / 8)),
}


@pytest.mark.parametrize("name", SAID)
def test_the_scale_of_a_loss_is_what_its_equations_say(name: str) -> None:
    """Guessing; seven chances in eight for what an image is; G against such a D."""
    loss = adversarial_loss(name)
    assert loss.scale is not None
    (guess, same), (real, fake) = (
        [torch.full((3,), float(v)) for v in pair] for pair in SAID[name]
    )
    assert float(loss.d_loss(guess, same)) == pytest.approx(loss.scale.guessing)
    assert float(loss.d_loss(real, fake)) == pytest.approx(loss.scale.sure)
    assert float(loss.g_loss(fake)) == pytest.approx(loss.scale.beaten)


def test_the_scale_of_scores_without_chances() -> None:
    hinge = adversarial_loss("hinge")
    assert hinge.scale is not None
    nothing = torch.zeros(3)
    assert float(hinge.d_loss(nothing, nothing)) == hinge.scale.guessing
    assert hinge.scale.sure == hinge.scale.guessing / 8
    assert float(hinge.g_loss(torch.full((3,), -1.0))) == hinge.scale.beaten
    assert adversarial_loss("wgan").scale is None, "a critic's distance has no zero"
