"""IcGAN: its losses against an independent reading, its phases, and what it answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stargan import configs
from stargan.contracts import Batch
from stargan.errors import UserError
from stargan.export.rules import make_rule
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.labels.targets import Mismatched
from stargan.methods.icgan import IcGAN
from stargan.training import checkpoints
from stargan.training.engine import Engine
from tests import reference_icgan as reference
from tests.rig import (
    EXPRESSIONS,
    JOINT,
    SINGLE,
    Watch,
    fit,
    make_batch,
    make_engine,
    make_icgan,
    same_weights,
)

MOODS = JointLabelSpace([EXPRESSIONS])


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def same_gradients(loss: Tensor, network: nn.Module, expected: dict[str, Tensor]) -> None:
    names, parameters = zip(*network.named_parameters(), strict=True)
    found = dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))
    largest = max(float(g.abs().max()) for g in expected.values())
    assert largest > 0
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5 * largest)


def composed(*words: str) -> dict[str, Any]:
    return configs.compose("train", ["experiment=icgan", "data.root=nowhere", *words])


def published(**changes: Any) -> IcGAN:
    config = composed()
    left_out = ("schedule", "precision", "max_steps", "batch_size", "settings")
    settings = {k: v for k, v in config["method"].items() if k not in left_out}
    labels = JointLabelSpace([LabelSpace(config["labels"], name="celeba")])
    image = {"size": [64, 64], "crop": {"celeba": 138}, "channels": 3}
    made = checkpoints.build_method(
        {**settings, "labels": labels.to_plain(), "image": image, **changes}
    )
    assert isinstance(made, IcGAN)
    return made


# Settings -----------------------------------------------------------------------------------------


def test_published_settings_are_the_defaults() -> None:
    engine = Engine(published(), max_steps=1000)
    counts = {k: sum(p.numel() for p in engine.parameters_of(k)) for k in engine.groups}
    assert counts == {"G": 3_725_123, "D": 2_803_393, "Ez": 18_278_244, "Ey": 3_186_962}
    told = {k: (g.lr, g.betas) for k, g in engine.groups.items()}
    assert told["G"] == told["D"] == (2e-4, (0.5, 0.999))
    assert told["Ez"] == told["Ey"] == (1e-4, (0.1, 0.999))
    config = composed()
    assert (config["data"]["batch_size"], config["data"]["image_size"]) == (64, 64)
    assert len(config["labels"]) == 18
    # 25 epochs and 15, of 182,638 images.
    assert config["trainer"]["max_steps"] == 40 * 2854
    assert config["method"]["cgan_share"] == 25 / 40


def test_the_comparison_of_stargan_is_one_override() -> None:
    config = composed("method.setting=comparison")
    method = config["method"]
    assert (config["data"]["image_size"], config["data"]["batch_size"]) == (128, 16)
    assert method["n_critic"] == 5
    assert method["generator_lr"] == method["discriminator_lr"] == 1e-4
    assert method["betas"] == method["encoder_betas"] == [0.5, 0.999]
    # Each can be set, too.
    config = composed("method.setting=comparison", "n_critic=2")
    assert config["method"]["n_critic"] == 2
    with pytest.raises(UserError, match="Did you mean"):
        composed("method.setting=comparisn")


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(UserError, match="takes one data set, not celeba, rafd"):
        make_icgan(JOINT)
    with pytest.raises(UserError, match="one class, happy"):
        make_icgan(JointLabelSpace([LabelSpace(["happy"], categorical=True, name="moods")]))
    with pytest.raises(UserError, match="cgan_share=1"):
        make_icgan(cgan_share=1.0)
    with pytest.raises(UserError, match="statistics_steps=-1"):
        make_icgan(statistics_steps=-1)


# Losses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [SINGLE, MOODS], ids=["attributes", "expressions"])
def test_the_losses_of_the_gan(labels: JointLabelSpace) -> None:
    method = make_icgan(labels).double()
    batch = doubled(make_batch(method))
    noise = batch.draws["noise"]
    d, g = reference.weights_of(method.discriminator), reference.weights_of(method.generator)
    shared = method.fakes(batch)
    close(shared["fake"], reference.generate(g, noise, reference.plus_minus(batch.label)))

    loss, terms = method.discriminator_loss(batch, {"fake": shared["fake"].detach()})
    expected = reference.discriminator_loss(
        d, batch.image, batch.label, batch.target, shared["fake"]
    )
    close(loss, expected)
    same_gradients(loss, method.discriminator, reference.gradients(expected, d))
    assert set(terms) == {"D/adv", "D/real", "D/fake", "D/wrong", "D/rank"}

    loss, terms = method.generator_loss(batch, shared)
    expected = reference.generator_loss(g, d, noise, batch.label)
    close(loss, expected)
    same_gradients(loss, method.generator, reference.gradients(expected, g))
    assert set(terms) == {"G/adv"}


@pytest.mark.parametrize("labels", [SINGLE, MOODS], ids=["attributes", "expressions"])
def test_the_losses_of_the_encoders(labels: JointLabelSpace) -> None:
    method = make_icgan(labels).double()
    batch = doubled(make_batch(method))
    noise = batch.draws["noise"]
    method.generator.eval()
    fake = method.pairs(batch)["fake"].detach()
    z, y = reference.weights_of(method.encoder), reference.weights_of(method.label_encoder)

    loss, terms = method.noise_loss(batch, {"fake": fake})
    expected = reference.noise_loss(z, fake, noise)
    close(loss, expected)
    same_gradients(loss, method.encoder, reference.gradients(expected, z))
    assert set(terms) == {"Ez/mse"}

    loss, terms = method.label_loss(batch, {"fake": fake})
    expected = reference.label_loss(y, batch.image, batch.label)
    close(loss, expected)
    same_gradients(loss, method.label_encoder, reference.gradients(expected, y))
    assert set(terms) == {"Ey/mse"}


def doubled(batch: Batch) -> Batch:
    draws = {name: one.double() for name, one in batch.draws.items()}
    floats = {k: getattr(batch, k).double() for k in ("image", "label", "target")}
    return batch._replace(**floats, draws=draws)


# Wrong labels -------------------------------------------------------------------------------------


def wrong(labels: JointLabelSpace, label: Any, seed: int = 0) -> Any:
    given = np.asarray(label, dtype=np.float32)
    dataset = np.zeros(len(given), dtype=np.int64)
    return Mismatched()(labels, given, dataset, np.random.default_rng(seed))


def test_wrong_labels_are_those_of_another_image_and_differ() -> None:
    labels = JointLabelSpace([LabelSpace(["a", "b", "c"])])
    label = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]] * 8, dtype=np.float32)
    seen = set()
    for seed in range(40):
        found = wrong(labels, label, seed)
        assert (found != label).any(1).all()
        there = {tuple(row) for row in label.tolist()}
        assert {tuple(row) for row in found.tolist()} <= there
        seen |= {(tuple(a), tuple(b)) for a, b in zip(label.tolist(), found.tolist(), strict=True)}
    assert len(seen) == 3 * 2, "every other label comes"
    assert np.array_equal(wrong(labels, label, 1), wrong(labels, label, 1))
    assert not np.array_equal(wrong(labels, label, 1), wrong(labels, label, 2))


def test_rows_are_as_likely_as_each_other() -> None:
    """As in the authors' code, which draws images: frequent labels come more often."""
    labels = JointLabelSpace([LabelSpace(["a", "b"])])
    label = [[1, 0]] + [[0, 1]] * 3 + [[0, 0]]
    found = [tuple(wrong(labels, label, seed)[0]) for seed in range(400)]
    assert found.count((0, 1)) == pytest.approx(300, abs=40)


def test_where_all_labels_are_the_same_one_thing_changes() -> None:
    for labels, label in (
        (JointLabelSpace([LabelSpace(["a", "b"])]), [[1, 0]] * 3),
        (JointLabelSpace([LabelSpace(["x", "y", "z"], categorical=True)]), [[0, 1, 0]] * 3),
    ):
        found = wrong(labels, label)
        assert (found != np.asarray(label)).any(1).all()
        if labels.spaces[0].categorical:
            assert found.sum(1).tolist() == [1, 1, 1]


# Phases -------------------------------------------------------------------------------------------

LONG = {"cgan_share": 0.5, "statistics_steps": 2}
"""Of 40 steps: 20 of the GAN, 2 of the statistics, 18 of the encoders."""


def test_phases_move_what_is_theirs() -> None:
    watch = Watch()
    engine = fit(make_engine(make_icgan(**LONG), max_steps=40), 25, watch)
    assert [p.name for p in engine.phases] == ["cgan", "statistics", "encoders"]
    assert engine.counts == {"G": 20, "D": 20, "Ez": 3, "Ey": 3}
    assert all(moved == {"generator", "discriminator"} for moved in watch.moved[:20])
    # Two passes of G alone: its running statistics.
    assert all(moved == {"generator"} for moved in watch.moved[20:22])
    assert all(moved == {"encoder", "label_encoder"} for moved in watch.moved[22:])
    assert watch.terms[19] == {"D/adv", "D/real", "D/fake", "D/wrong", "D/rank", "G/adv"}
    assert watch.terms[20] == set()
    assert watch.terms[22] == {"Ez/mse", "Ey/mse"}
    assert watch.rates[-1]["Ez"] == pytest.approx(1e-4)


class Statistics(pl.Callback):
    """G's parameters, running statistics and fakes after each step."""

    def __init__(self) -> None:
        self.weights: list[Tensor] = []
        self.means: list[Tensor] = []
        self.passes: list[int] = []
        self.modes: list[bool] = []
        self.fakes: list[Tensor] = []

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        generator = module.method.generator
        state = generator.state_dict()
        self.weights.append(torch.cat([p.detach().flatten() for p in generator.parameters()]))
        self.means.append(torch.cat([v for k, v in state.items() if "running" in k]))
        self.passes.append(int(next(v for k, v in state.items() if "num_batches" in k)))
        self.modes.append(generator.training)
        self.fakes.append(module.fake)


def test_the_statistics_are_renewed_once_between_the_two() -> None:
    method, seen = make_icgan(**LONG), Statistics()
    fit(make_engine(method, max_steps=40), 25, seen)
    assert seen.passes == [*range(1, 23), 22, 22, 22]
    assert seen.modes == [True] * 22 + [False] * 3
    for i in (20, 21):
        assert torch.equal(seen.weights[i], seen.weights[19])
        assert not torch.equal(seen.means[i], seen.means[i - 1])
    assert all(torch.equal(one, seen.means[21]) for one in seen.means[22:])
    # The encoders are shown what G makes in evaluation mode, which is what it makes for users.
    batch = make_batch(method, step=24)
    method.generator.eval()
    with torch.no_grad():
        close(seen.fakes[24], method.pairs(batch)["fake"])
    method.generator.train()
    with torch.no_grad():
        assert not torch.allclose(seen.fakes[24], method.pairs(batch)["fake"], atol=1e-3)


def test_the_published_hundred_passes_and_short_runs() -> None:
    for steps, statistics in ((114_160, 100), (2000, 100), (200, 10), (5, 0)):
        engine = make_engine(make_icgan(), max_steps=steps)
        until = engine.phases[1].until
        assert until is not None
        assert until.steps is not None
        assert min(until.steps, int(until.share * steps)) == statistics


def test_an_average_is_what_the_encoders_learn_to_invert() -> None:
    method = make_icgan(ema_decay=0.9, **LONG)
    watch = Watch()
    engine = fit(make_engine(method, max_steps=40), 24, watch)
    assert watch.moved[20] == {"ema"}, "the statistics of what is shipped"
    assert method.ema is not None
    assert not method.ema.training
    assert method.exported()["generator"] is method.ema
    assert engine.translates


@pytest.mark.parametrize("stops", [(20,), (21,), (22,), (19, 23)])
def test_a_run_goes_on_exactly_across_its_phases(stops: tuple[int, ...]) -> None:
    """Stopped at a border, before and behind it: bit for bit the same run."""
    whole = fit(make_engine(make_icgan(**LONG), max_steps=40), 26)
    engine = fit(make_engine(make_icgan(**LONG), max_steps=40), stops[0])
    for stop in (*stops[1:], 26):
        engine = go_on(engine, stop)
    assert same_weights(whole, engine)
    times = {"seconds": 0, "phase_began": 0}
    assert engine.state() | times == whole.state() | times
    moments = zip(whole.trainer.optimizers, engine.trainer.optimizers, strict=True)
    for one, other in moments:
        pairs = zip(one.state.values(), other.state.values(), strict=True)
        assert all(torch.equal(a["exp_avg_sq"], b["exp_avg_sq"]) for a, b in pairs)


def go_on(engine: Engine, until: int) -> Engine:
    """A run from where another one stopped, with all that a checkpoint has."""
    optimizers = engine.trainer.optimizers
    moments = {"optimizer_states": [one.state_dict() for one in optimizers]}
    fresh = make_engine(make_icgan(**{**LONG, "seed": 9}), max_steps=40)
    fresh.load_state_dict(engine.state_dict())
    fresh.restore(engine.state())
    return fit(fresh, until - fresh.step, checkpoints.Resume(moments))


# What it answers ----------------------------------------------------------------------------------


def test_translations_are_those_of_the_rule_and_leave_no_trace() -> None:
    method = make_icgan()
    fit(make_engine(method), 6)
    method.train()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    batch = make_batch(method)
    whole = method.translate(batch.image, batch.label, batch.target, batch.dataset)
    assert all(m.training for m in method.modules())
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())
    method.eval()
    networks = method.exported()
    rule = make_rule(method.roles()["translate"], method.labels, networks)
    with torch.no_grad():
        close(whole, rule(batch.image, batch.label, batch.target, batch.dataset).clamp(-1, 1))
        # An image does not depend on its neighbours.
        one = method.translate(*(t[:1] for t in (batch.image, batch.label, batch.target)), batch[2])
    torch.testing.assert_close(one, whole[:1], rtol=1e-3, atol=1e-4)


def test_it_translates_once_the_encoder_has_moved() -> None:
    seen: list[bool] = []

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            seen.append(module.translates)

    engine = make_engine(make_icgan(**LONG), max_steps=40)
    assert engine.untrained() == ["encoder", "generator", "classifier"]
    fit(engine, 24, Look())
    assert seen == [False] * 22 + [True] * 2


def test_the_label_encoder_reads() -> None:
    """Shown three colours, it says which is which after some steps, as probabilities too."""
    labels = JointLabelSpace([LabelSpace(["red", "green", "blue"], categorical=True)])
    method = make_icgan(labels, encoder_lr=1e-2, cgan_share=0.01, statistics_steps=0)
    batches = []
    for step in range(60):
        batch = make_batch(method, size=12, step=step)
        label = torch.eye(3)[torch.arange(12) % 3]
        colour = (2 * label - 1)[:, :, None, None]
        image = (0.7 * colour + 0.1 * batch.image).clamp(-1, 1)
        batches.append(batch._replace(image=image, label=label))
    fit(make_engine(method, max_steps=60), batches)
    method.eval()
    logits = method.label_encoder(batches[0].image)
    assert torch.equal(labels.spaces[0].read(logits), batches[0].label)
    assert logits.sigmoid()[batches[0].label > 0].mean() > 0.8
