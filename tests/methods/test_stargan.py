"""The method of the paper: one step against an independent reading, turns, schedules, average."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.labels import JointLabelSpace
from stargan.methods.stargan import StarGAN
from stargan.networks.averaging import update_average
from tests import reference_step as paper
from tests.rig import (
    JOINT,
    MODERN_D,
    PAPER_D,
    SINGLE,
    Watch,
    fit,
    make_batch,
    make_engine,
    make_modern,
    make_stargan,
    same_weights,
)


@pytest.mark.parametrize("labels", [SINGLE, JOINT], ids=["single", "joint"])
def test_one_step_equals_an_independent_reading_of_the_paper(labels: JointLabelSpace) -> None:
    method = make_stargan(labels)
    batch = make_batch(method)
    spaces = [
        paper.Space(part.start, part.stop, space.categorical)
        for space, part in zip(labels.spaces, labels.slices, strict=True)
    ]
    generator = paper.PaperGenerator(labels.condition_size, 8, 2)
    discriminator = paper.PaperDiscriminator(32, labels.size, 8, 5)
    paper.copy_parameters(method.generator, generator)
    paper.copy_parameters(method.discriminator, discriminator)

    shared = method.fakes(batch)
    given = (batch.image, batch.label, batch.dataset, batch.target)
    d_loss, d_terms = method.discriminator_loss(batch, {"fake": shared["fake"].detach()})
    d_loss.backward()
    expected = paper.discriminator_step(
        generator, discriminator, *given, batch.draws["alpha"], spaces
    )
    scores = {"D/real", "D/fake", "D/rank"}
    assert scores <= set(d_terms)
    raw = {name: term for name, term in d_terms.items() if name not in scores}
    compare({**raw, "D/total": d_loss}, method.discriminator, expected)
    assert all(p.grad is None for p in method.generator.parameters())

    g_loss, g_terms = method.generator_loss(batch, shared)
    g_loss.backward()
    expected = paper.generator_step(generator, discriminator, *given, spaces)
    compare({**g_terms, "G/total": g_loss}, method.generator, expected)


def compare(terms: dict[str, Tensor], network: nn.Module, expected: paper.Step) -> None:
    assert set(terms) == set(expected.losses)
    for name, term in terms.items():
        torch.testing.assert_close(term.detach(), expected.losses[name], rtol=1e-4, atol=1e-5)
    mine = [p.grad for p in network.parameters()]
    theirs = list(expected.gradients.values())
    for a, b in zip(mine, theirs, strict=True):
        assert a is not None
        assert b is not None
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()) + 1e-8)


def test_steps_are_discriminator_steps_and_g_moves_on_every_nth() -> None:
    engine, watch = make_engine(make_stargan(n_critic=3)), Watch()
    fit(engine, 8, watch)
    assert engine.step == 8
    assert watch.steps_of("discriminator") == list(range(1, 9))
    assert watch.steps_of("generator") == [3, 6]


def test_generator_turn_reuses_the_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    method = make_stargan(n_critic=2)
    calls: list[bool] = []
    forward = method.generator.forward

    def count(*arguments: Tensor) -> Tensor:
        calls.append(torch.is_grad_enabled())
        return forward(*arguments)

    monkeypatch.setattr(method.generator, "forward", count)
    fit(make_engine(method), 2)
    # First step: fakes for D alone, no graph. Second: fakes for both, then the cycle.
    assert calls == [False, True, True]


def test_average_moves_towards_g_the_right_way_round() -> None:
    method = make_stargan(ema_decay=0.9)
    assert method.ema is not None
    (average,) = method.groups()["G"].averages
    assert (average.kept, average.of, average.decay) == ("ema", "generator", 0.9)
    with torch.no_grad():
        for p in method.ema.parameters():
            p.zero_()
        for p in method.generator.parameters():
            p.fill_(1)
    update_average(method.ema, method.generator, average.decay, count=10_000)
    assert all(torch.allclose(p, torch.tensor(0.1)) for p in method.ema.parameters())
    assert not any(p.requires_grad for p in method.ema.parameters())
    assert method.best_generator is method.ema


def test_paper_has_no_average() -> None:
    method = make_stargan()
    assert method.ema is None
    assert method.groups()["G"].averages == ()
    assert method.best_generator is method.generator


def test_no_mixing_across_the_batch() -> None:
    method = make_stargan()
    given = make_batch(method)[:4]
    image, label, dataset, target = given
    together = method.translate(image, label, target, dataset)
    alone = torch.cat(
        [
            method.translate(*(t[i : i + 1] for t in (image, label, target, dataset)))
            for i in range(6)
        ]
    )
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_translations_follow_the_target_and_not_the_own_label() -> None:
    method = make_stargan()
    image, label, dataset, target = make_batch(method)[:4]
    expected = method.generator(image, SINGLE.condition(target, dataset)).clamp(-1, 1)
    assert torch.equal(method.translate(image, label, target, dataset), expected)
    assert torch.equal(method.translate(image, 1 - label, target, dataset), expected)


def test_every_parameter_gets_a_gradient() -> None:
    method = make_stargan(JOINT)
    batch = make_batch(method)
    shared = method.fakes(batch)
    method.discriminator_loss(batch, {"fake": shared["fake"].detach()})[0].backward()
    method.generator_loss(batch, shared)[0].backward()
    silent = [n for n, p in method.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_a_loss_draws_nothing() -> None:
    method = make_stargan(lambda_r1=1.0)
    batch = make_batch(method)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    shared = method.fakes(batch)
    first = method.discriminator_loss(batch, shared, r1=True)[0]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, method.discriminator_loss(batch, shared, r1=True)[0])
    other = batch._replace(draws=make_batch(method, step=1).draws)
    assert not torch.equal(first, method.discriminator_loss(other, shared, r1=True)[0])


def test_what_it_asks_of_the_loader() -> None:
    feed = make_stargan(n_critic=3).feed()
    assert feed.period == 3
    assert set(feed.draws) == {"alpha"}
    assert feed.targets is not None
    assert not make_stargan(lambda_gp=0.0).feed().draws


def test_initialisation_depends_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = make_stargan()
    torch.manual_seed(2)
    two, other = make_stargan(), make_stargan(seed=4)
    assert same_weights(one, two)
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_settings_rebuild_the_method() -> None:
    method = make_stargan(JOINT, lambda_r1=0.5, ema_decay=0.9)
    settings = dict(method.settings)
    assert settings.pop("_target_") == "stargan.methods.stargan.StarGAN"
    again = StarGAN(**settings)
    assert again.networks == method.networks
    assert (again.lambda_r1, again.ema_decay, again.labels) == (0.5, 0.9, JOINT)
    assert same_weights(again, method)


@pytest.mark.parametrize("weight", [10.0, 0.0])
def test_any_discriminator_will_do(weight: float) -> None:
    """One without layers for the quick penalty has it by double backward."""
    method = make_stargan(discriminator=MODERN_D, lambda_gp=weight, lambda_r1=0.5, n_critic=1)
    batch = make_batch(method)
    shared = {"fake": method.fakes(batch)["fake"].detach()}
    terms = method.discriminator_loss(batch, shared, r1=True)[1]
    assert ("D/gp" in terms) == bool(weight)
    image = batch.image.clone().requires_grad_()
    (slope,) = torch.autograd.grad(method.discriminator(image)[0].sum(), image)
    squares = slope.square().sum((1, 2, 3))
    torch.testing.assert_close(terms["D/r1"], squares.mean() / 2, rtol=1e-4, atol=1e-6)
    if weight:
        alpha = batch.draws["alpha"][:, None, None, None]
        between = (alpha * batch.image + (1 - alpha) * shared["fake"]).requires_grad_()
        (slope,) = torch.autograd.grad(method.discriminator(between)[0].sum(), between)
        norms = slope.square().sum((1, 2, 3)).sqrt()
        torch.testing.assert_close(terms["D/gp"], (norms - 1).square().mean(), rtol=1e-4, atol=1e-6)
    engine = fit(make_engine(method), 2)
    assert all(torch.isfinite(t) for t in engine.terms.values())


def test_the_modern_recipe_takes_a_discriminator_of_patches() -> None:
    method = make_modern(discriminator={**PAPER_D, "layers": 3})
    batch = make_batch(method)
    score, logits = method.discriminator(batch.image)
    assert score.shape == (6, 1, 4, 4)
    judged, _ = method.judge(batch.image, batch.label, batch.dataset)
    expected = score.mean((1, 2, 3)) + ((2 * batch.label - 1) * logits).sum(1)
    torch.testing.assert_close(judged, expected)


@pytest.mark.parametrize("name", ["wgan", "non_saturating", "least_squares", "hinge"])
def test_every_adversarial_loss_trains(name: str) -> None:
    engine = fit(make_engine(make_stargan(adversarial=name, n_critic=1)), 2)
    assert all(torch.isfinite(t) for t in engine.terms.values())
    scores = {"D/real", "D/fake", "D/rank"}
    assert {"D/adv", "D/gp", "D/cls", "G/adv", "G/cls", "G/rec"} | scores == set(engine.terms)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_critic": 0}, "n_critic"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"adversarial": "vanilla"}, "vanilla"),
        ({"betas": [0.5]}, "two numbers"),
        ({"image": {"size": [127, 127], "crop": {}}}, "124 or 128"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make_stargan(**changes)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(UserError, match="schedule=cosine"):
        make_engine(make_stargan(), schedule="cosine")
