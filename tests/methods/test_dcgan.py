"""DCGAN: the published losses, steps that repeat, samples that depend on their noise alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stargan.contracts import Batch, UserError
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.methods.dcgan import DCGAN

LABELS = JointLabelSpace([LabelSpace(("a", "b"), categorical=True)]).to_plain()


def make(size: int = 8, channels: int = 1, **changed: Any) -> DCGAN:
    settings: dict[str, Any] = {
        "generator": {"_target_": "stargan.networks.dcgan.Generator", "channels": 4},
        "discriminator": {"_target_": "stargan.networks.dcgan.Discriminator", "channels": 4},
        "labels": LABELS,
        "image": {"size": [size, size], "crop": {"labels": None}, "channels": channels},
        **changed,
    }
    return DCGAN(**settings)


def make_batch(count: int = 6, size: int = 8, channels: int = 1) -> Batch:
    image = torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))
    return Batch(image * 2 - 1, torch.eye(2)[[0] * count], torch.zeros(count, dtype=torch.long))


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> DCGAN:
    made = make()
    optimizers = made.configure_optimizers()
    monkeypatch.setattr(made, "optimizers", lambda: optimizers)
    monkeypatch.setattr(made, "manual_backward", Tensor.backward)
    return made


def step(method: DCGAN, batch: Batch) -> None:
    method.on_train_batch_start(batch, 0)
    method.training_step(batch, 0)


def test_published_settings_are_the_defaults() -> None:
    method = DCGAN(
        generator={"_target_": "stargan.networks.dcgan.Generator"},
        discriminator={"_target_": "stargan.networks.dcgan.Discriminator"},
        labels=LABELS,
        image={"size": [28, 28], "crop": {}, "channels": 1},
    )
    assert method.noise_size == 100
    assert method.n_critic == 1
    assert [type(o) for o in method.configure_optimizers()] == [torch.optim.Adam] * 2
    for optimizer in method.configure_optimizers():
        assert optimizer.param_groups[0]["lr"] == 1e-4
        assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)
    counts = {k: sum(p.numel() for p in n.parameters()) for k, n in method.trained().items()}
    assert counts == {"G": 2_305_472, "D": 212_865}


def test_losses_are_cross_entropy_from_logits() -> None:
    method, batch = make(), make_batch()
    method.discriminator.eval()  # dropout would differ from call to call
    draws = torch.Generator().manual_seed(0)
    fake = method.make_fake(batch, batch.label, draws)
    real_score, fake_score = method.discriminator(batch.image), method.discriminator(fake)
    ones, zeros = torch.ones_like(real_score), torch.zeros_like(real_score)
    bce = F.binary_cross_entropy_with_logits
    loss, terms = method.discriminator_loss(batch, batch.label, fake.detach(), draws)
    torch.testing.assert_close(loss, bce(real_score, ones) + bce(fake_score, zeros))
    assert set(terms) == {"D/adv"}
    loss, terms = method.generator_loss(batch, batch.label, fake, draws)
    torch.testing.assert_close(loss, bce(fake_score, ones))
    assert set(terms) == {"G/adv"}


def test_both_networks_move_and_scores_are_logged(method: DCGAN) -> None:
    before = [p.detach().clone() for p in method.parameters()]
    step(method, make_batch())
    assert all(not torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True))
    assert {"D/adv", "G/adv", "D/real", "D/fake"} <= set(method.terms)
    # D starts near zero scores: it guesses.
    assert abs(float(method.terms["D/adv"]) - 2 * math.log(2)) < 0.7
    assert abs(float(method.terms["D/real"])) < 2


def test_a_step_is_a_function_of_seed_and_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout and noise too: whatever was drawn before, the step is the same."""
    batch, results = make_batch(), []
    for junk in (0, 1000):
        torch.manual_seed(junk)
        torch.rand(junk)
        made = make()
        optimizers = made.configure_optimizers()
        monkeypatch.setattr(made, "optimizers", lambda optimizers=optimizers: optimizers)
        monkeypatch.setattr(made, "manual_backward", Tensor.backward)
        step(made, batch)
        step(made, batch)
        results.append([p.detach().clone() for p in made.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_noise_differs_from_step_to_step_and_from_dropout(method: DCGAN) -> None:
    first = torch.randn(4, generator=method.draws())
    method.on_train_batch_start(make_batch(), 0)
    assert not torch.equal(first, torch.randn(4))
    method.step = 1
    assert not torch.equal(first, torch.randn(4, generator=method.draws()))


def test_samples_depend_on_their_noise_alone_and_leave_no_trace(method: DCGAN) -> None:
    step(method, make_batch())
    method.train()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    noise = torch.randn(5, method.noise_size)
    whole = method.sample(noise)
    assert whole.shape == (5, 1, 8, 8)
    parts = torch.cat([method.sample(row[None]) for row in noise])
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)
    assert method.generator.training
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


def test_an_average_of_g_is_what_samples_show(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(ema_decay=0.999)
    optimizers = made.configure_optimizers()
    monkeypatch.setattr(made, "optimizers", lambda: optimizers)
    monkeypatch.setattr(made, "manual_backward", Tensor.backward)
    for _ in range(3):
        step(made, make_batch())
    assert made.best_generator is made.ema
    assert made.exported()["generator"] is made.ema
    noise = torch.randn(2, made.noise_size)
    assert not torch.equal(made.sample(noise), made.generator.eval()(noise))


def test_colour_images(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(channels=3)
    optimizers = made.configure_optimizers()
    monkeypatch.setattr(made, "optimizers", lambda: optimizers)
    monkeypatch.setattr(made, "manual_backward", Tensor.backward)
    step(made, make_batch(channels=3))
    assert made.sample(torch.randn(2, 100)).shape == (2, 3, 8, 8)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UserError, match="28 and 32"):
        make(size=30)
    with pytest.raises(UserError, match="unknown adversarial loss"):
        make(adversarial="bce")
    with pytest.raises(UserError, match="two numbers"):
        make(betas=[0.5])
