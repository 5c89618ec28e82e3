"""DCGAN: the published losses, steps that repeat, samples that depend on their noise alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from stargan import configs
from stargan.data.sampler import batches_per_epoch
from stargan.errors import UserError
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.methods.dcgan import DCGAN
from stargan.training.engine import Engine
from tests.rig import Watch, fit, make_batch, make_dcgan, make_engine, same_weights


def test_published_settings_are_the_defaults() -> None:
    method = DCGAN(
        generator={"_target_": "stargan.networks.dcgan.Generator"},
        discriminator={"_target_": "stargan.networks.dcgan.Discriminator"},
        labels=JointLabelSpace([LabelSpace(("a", "b"), categorical=True)]).to_plain(),
        image={"size": [28, 28], "crop": {}, "channels": 1},
    )
    assert method.noise_size == 100
    assert method.n_critic == 1
    engine = Engine(method, max_steps=1)
    assert [type(o) for o in engine.configure_optimizers()] == [torch.optim.Adam] * 2
    for optimizer in engine.configure_optimizers():
        assert optimizer.param_groups[0]["lr"] == 1e-4
        assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)
    counts = {k: sum(p.numel() for p in engine.parameters_of(k)) for k in engine.groups}
    assert counts == {"G": 2_305_472, "D": 212_865}


def test_losses_are_cross_entropy_from_logits() -> None:
    method = make_dcgan()
    batch = make_batch(method)
    method.discriminator.eval()  # dropout would differ from call to call
    shared = method.fakes(batch)
    fake = shared["fake"]
    real_score, fake_score = method.discriminator(batch.image), method.discriminator(fake)
    ones, zeros = torch.ones_like(real_score), torch.zeros_like(real_score)
    bce = F.binary_cross_entropy_with_logits
    loss, terms = method.discriminator_loss(batch, shared)
    torch.testing.assert_close(loss, bce(real_score, ones) + bce(fake_score, zeros))
    assert set(terms) == {"D/adv", "D/real", "D/fake", "D/rank"}
    torch.testing.assert_close(terms["D/real"], real_score.mean())
    torch.testing.assert_close(terms["D/fake"], fake_score.mean())
    loss, terms = method.generator_loss(batch, shared)
    torch.testing.assert_close(loss, bce(fake_score, ones))
    assert set(terms) == {"G/adv"}


def test_both_networks_move_and_scores_are_logged() -> None:
    method, watch = make_dcgan(), Watch()
    before = [p.detach().clone() for p in method.parameters()]
    engine = fit(make_engine(method), 1, watch)
    assert all(not torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True))
    assert {"D/adv", "G/adv", "D/real", "D/fake"} <= set(engine.terms)
    # D starts near zero scores: it guesses.
    assert abs(float(engine.terms["D/adv"]) - 2 * math.log(2)) < 0.7
    assert abs(float(engine.terms["D/real"])) < 2


def test_a_step_is_a_function_of_seed_and_step_alone() -> None:
    """Dropout too: whatever was drawn before, the step is the same."""
    results = []
    for junk in (0, 1000):
        torch.manual_seed(junk)
        torch.rand(junk)
        results.append(fit(make_engine(make_dcgan()), 2).method)
    assert same_weights(*results)
    assert not same_weights(results[0], fit(make_engine(make_dcgan(), seed=1), 2).method)


def test_it_asks_for_as_much_noise_as_there_are_images() -> None:
    method = make_dcgan(n_critic=3)
    feed = method.feed()
    assert feed.targets is None
    assert feed.period == 3
    first, second = (make_batch(method, step=step).draws["noise"] for step in (0, 1))
    assert first.shape == (6, 100)
    assert not torch.equal(first, second)
    assert torch.equal(first, make_batch(method, step=0).draws["noise"])


def test_samples_depend_on_their_noise_alone_and_leave_no_trace() -> None:
    method = make_dcgan()
    fit(make_engine(method), 1)
    method.train()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    noise = torch.randn(5, method.noise_size)
    whole = method.sample(noise)
    assert whole.shape == (5, 1, 8, 8)
    parts = torch.cat([method.sample(row[None]) for row in noise])
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)
    assert method.generator.training
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


def test_an_average_of_g_is_what_samples_show() -> None:
    made = make_dcgan(ema_decay=0.999)
    fit(make_engine(made), 3)
    assert made.best_generator is made.ema
    assert made.exported()["generator"] is made.ema
    noise = torch.randn(2, made.noise_size)
    assert not torch.equal(made.sample(noise), made.generator.eval()(noise))


def test_colour_images() -> None:
    made = make_dcgan(channels=3)
    fit(make_engine(made), 1)
    assert made.sample(torch.randn(2, 100)).shape == (2, 3, 8, 8)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UserError, match="28 and 32"):
        make_dcgan(size=30)
    with pytest.raises(UserError, match="unknown adversarial loss"):
        make_dcgan(adversarial="bce")
    with pytest.raises(UserError, match="two numbers"):
        make_dcgan(betas=[0.5])


class Gradients(pl.Callback):
    """D's first weight, its gradient and its value after each step."""

    def __init__(self, method: DCGAN) -> None:
        self.weight = next(method.discriminator.parameters())
        self.begin = self.weight.detach().clone()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_end(self, *_: Any) -> None:
        assert self.weight.grad is not None
        self.seen.append((self.weight.grad.clone(), self.weight.detach().clone()))


def adam(gradients: Gradients, eps: float, keras: bool) -> list[Tensor]:
    """Adam as its two libraries write it; Keras: ``Adam.update_step``."""
    weight = gradients.begin.double()
    m, v = torch.zeros_like(weight), torch.zeros_like(weight)
    found = []
    for t, (gradient, _) in enumerate(gradients.seen, 1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        if keras:
            rate = 1e-4 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            weight = weight - rate * m / (v.sqrt() + eps)
        else:
            corrected = (v / (1 - 0.999**t)).sqrt() + eps
            weight = weight - 1e-4 * m / (1 - 0.9**t) / corrected
        found.append(weight)
    return found


@pytest.mark.parametrize("name", ["keras", "torch"])
def test_adam_is_that_of_keras_or_of_torch(name: str) -> None:
    method = make_dcgan(adam=name)
    method.double()
    seen = Gradients(method)
    fit(make_engine(method), 4, seen, precision="64-true")
    formulas = {"keras": adam(seen, 1e-7, True), "torch": adam(seen, 1e-8, False)}
    for step, (_, after) in enumerate(seen.seen):
        # Of steps of about 1e-4.
        assert (after - formulas[name][step]).abs().max() < 1e-12
    (other,) = set(formulas) - {name}
    assert (seen.seen[0][1] - formulas[other][0]).abs().max() > 1e-11


def test_another_adam_is_refused() -> None:
    with pytest.raises(UserError, match="adam=tensorflow is unknown: choose keras or torch"):
        make_dcgan(adam="tensorflow")


def test_the_experiment_has_the_settings_of_the_tutorial() -> None:
    config = configs.of_training(["experiment=mnist_dcgan", "data.root=x"])
    assert config["method"]["adam"] == "keras"
    assert config["data"]["partial"] is True
    assert config["trainer"]["max_epochs"] == 10
    assert config["method"]["max_steps"] == 10 * batches_per_epoch(60_000, 256, 1) == 2350
    short = configs.of_training(["experiment=mnist_dcgan_short", "data.root=x"])
    assert short["data"]["partial"] is False
