"""The method of the paper: one step against an independent reading, turns, schedules, average."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from stargan.contracts import Batch, UserError
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.methods.base import frozen
from stargan.methods.stargan import StarGAN
from tests import reference_step as paper

HAIR = ["Black_Hair", "Blond_Hair", "Brown_Hair"]
ATTRIBUTES = LabelSpace([*HAIR, "Male", "Young"], [HAIR], name="celeba")
EXPRESSIONS = LabelSpace(["angry", "happy", "sad"], categorical=True, name="rafd")
SINGLE = JointLabelSpace([ATTRIBUTES])
JOINT = JointLabelSpace([ATTRIBUTES, EXPRESSIONS])


def make(labels: JointLabelSpace, **changes: Any) -> StarGAN:
    settings: dict[str, Any] = {
        "generator": {"_target_": "stargan.networks.stargan.Generator", "channels": 8, "blocks": 2},
        "discriminator": {
            "_target_": "stargan.networks.stargan.Discriminator",
            "channels": 8,
            "layers": None,
        },
        "labels": labels.to_plain(),
        "image": {"size": [32, 32], "crop": {s.name: None for s in labels.spaces}},
        "max_steps": 10,
        "seed": 3,
    }
    return StarGAN(**{**settings, **changes})


def make_batch(labels: JointLabelSpace, size: int = 6, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    source = torch.arange(size) % len(labels.spaces)
    rows = []
    for i, s in enumerate(source.tolist()):
        own = torch.zeros(labels.spaces[s].size)
        own[i // 2 % 3] = 1
        if s == 0:
            own[3:] = torch.tensor([float(i % 2 == 0), float(i % 3 == 0)])
        rows.append(labels.expand(own, s))
    image = torch.rand(size, 3, 32, 32, generator=generator) * 2 - 1
    return Batch(image, torch.stack(rows), source)


def fit(method: StarGAN, steps: int, callbacks: list[pl.Callback] | None = None) -> None:
    batches: Any = [make_batch(method.labels)] * steps
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks or [],
    )
    trainer.fit(method, DataLoader(batches, batch_size=None))


@pytest.mark.parametrize("labels", [SINGLE, JOINT], ids=["single", "joint"])
def test_one_step_equals_an_independent_reading_of_the_paper(labels: JointLabelSpace) -> None:
    method = make(labels)
    batch = make_batch(labels)
    spaces = [
        paper.Space(part.start, part.stop, space.categorical)
        for space, part in zip(labels.spaces, labels.slices, strict=True)
    ]
    generator = paper.PaperGenerator(labels.condition_size, 8, 2)
    discriminator = paper.PaperDiscriminator(32, labels.size, 8, 5)
    paper.copy_parameters(method.generator, generator)
    paper.copy_parameters(method.discriminator, discriminator)

    draws = method.draws()
    target = method.draw_targets(batch, draws)
    alpha = torch.rand(len(batch.image), generator=copy_of(draws))
    fake = method.generator(batch.image, labels.condition(target, batch.source))
    d_loss, d_terms = method.discriminator_loss(batch, target, fake.detach(), draws)
    d_loss.backward()
    expected = paper.discriminator_step(
        generator, discriminator, batch.image, batch.label, batch.source, target, alpha, spaces
    )
    compare({**d_terms, "D/total": d_loss}, method.discriminator, expected)

    method.zero_grad()
    with frozen(method.discriminator):
        g_loss, g_terms = method.generator_loss(batch, target, fake, draws)
        g_loss.backward()
    assert all(p.grad is None for p in method.discriminator.parameters()), "D is frozen"
    expected = paper.generator_step(
        generator, discriminator, batch.image, batch.label, batch.source, target, spaces
    )
    compare({**g_terms, "G/total": g_loss}, method.generator, expected)


def copy_of(draws: torch.Generator) -> torch.Generator:
    copy = torch.Generator()
    copy.set_state(draws.get_state())
    return copy


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


class Watch(pl.Callback):
    """Which steps moved G."""

    def __init__(self) -> None:
        self.moved: list[int] = []

    def on_train_batch_start(self, trainer: Any, module: Any, *_: Any) -> None:
        self.before = [p.detach().clone() for p in module.generator.parameters()]

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        after = module.generator.parameters()
        if any(not torch.equal(a, b) for a, b in zip(self.before, after, strict=True)):
            self.moved.append(module.step)


def test_steps_are_discriminator_steps_and_g_moves_on_every_nth() -> None:
    method, watch = make(SINGLE, n_critic=3), Watch()
    fit(method, 8, [watch])
    assert method.step == 8
    assert watch.moved == [3, 6]


def test_generator_turn_reuses_the_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    method = make(SINGLE, n_critic=2)
    calls: list[bool] = []
    forward = method.generator.forward

    def count(*arguments: Tensor) -> Tensor:
        calls.append(torch.is_grad_enabled())
        return forward(*arguments)

    monkeypatch.setattr(method.generator, "forward", count)
    fit(method, 2)
    # First step: fakes for D alone, no graph. Second: fakes for both, then the cycle.
    assert calls == [False, True, True]


def test_schedules() -> None:
    paper_rate = make(SINGLE, schedule="paper", max_steps=200_000).rate_factor
    assert [paper_rate(s) for s in (0, 99_999, 150_000, 200_000)] == [1, 1, 0.5, 0]
    official = make(SINGLE, schedule="official", max_steps=200_000).rate_factor
    assert official(100_000) == 1
    assert official(200_000) == pytest.approx(0.999)
    assert make(SINGLE, schedule="constant").rate_factor(10**9) == 1


def test_rates_reach_the_optimizers() -> None:
    method = make(SINGLE, schedule="paper", max_steps=4, n_critic=1)
    rates: list[float] = []

    class Rates(pl.Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            rates.append(trainer.optimizers[1].param_groups[0]["lr"])

    fit(method, 4, [Rates()])
    assert rates == pytest.approx([1e-4, 1e-4, 1e-4, 0.5e-4])


def test_average_moves_towards_g_the_right_way_round() -> None:
    method = make(SINGLE, ema_decay=0.9)
    assert method.ema is not None
    with torch.no_grad():
        for p in method.ema.parameters():
            p.zero_()
        for p in method.generator.parameters():
            p.fill_(1)
    method.step = 10_000
    method.update_ema()
    assert all(torch.allclose(p, torch.tensor(0.1)) for p in method.ema.parameters())
    assert not any(p.requires_grad for p in method.ema.parameters())
    assert method.best_generator is method.ema


def test_paper_has_no_average() -> None:
    method = make(SINGLE)
    assert method.ema is None
    assert method.best_generator is method.generator


def test_no_mixing_across_the_batch() -> None:
    method = make(SINGLE)
    batch = make_batch(SINGLE)
    given = (batch.image, batch.label, batch.label.flip(0), batch.source)
    together = method.translate(*given)
    alone = torch.cat([method.translate(*(t[i : i + 1] for t in given)) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_every_parameter_gets_a_gradient() -> None:
    method = make(JOINT)
    batch = make_batch(JOINT)
    draws = method.draws()
    target = method.draw_targets(batch, draws)
    fake = method.generator(batch.image, JOINT.condition(target, batch.source))
    method.discriminator_loss(batch, target, fake.detach(), draws)[0].backward()
    method.generator_loss(batch, target, fake, draws)[0].backward()
    silent = [n for n, p in method.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_randomness_is_a_function_of_seed_and_step() -> None:
    method = make(SINGLE)
    first = torch.rand(3, generator=method.draws())
    assert torch.equal(first, torch.rand(3, generator=method.draws()))
    method.step += 1
    assert not torch.equal(first, torch.rand(3, generator=method.draws()))


def test_initialisation_depends_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = make(SINGLE)
    torch.manual_seed(2)
    two, other = make(SINGLE), make(SINGLE, seed=4)
    pairs = list(zip(one.parameters(), two.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


@pytest.mark.parametrize("name", ["wgan", "non_saturating", "least_squares", "hinge"])
def test_every_adversarial_loss_trains(name: str) -> None:
    method = make(SINGLE, adversarial=name, n_critic=1)
    fit(method, 2)
    assert all(torch.isfinite(t) for t in method.terms.values())
    scores = {"D/real", "D/fake", "D/rank"}
    assert {"D/adv", "D/gp", "D/cls", "G/adv", "G/cls", "G/rec"} | scores == set(method.terms)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_critic": 0}, "n_critic"),
        ({"schedule": "cosine"}, "schedule=cosine"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"adversarial": "vanilla"}, "vanilla"),
        ({"image": {"size": [127, 127], "crop": {}}}, "124 or 128"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make(SINGLE, **changes)
