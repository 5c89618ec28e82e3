"""CycleGAN: its losses against an independent reading, its pools, its domains."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stargan.contracts import Stratum
from stargan.errors import UserError
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.methods.cyclegan import CycleGAN, Pool, domains
from tests import reference_pairs as paper
from tests.reference_step import copy_parameters
from tests.rig import (
    ATTRIBUTES,
    JOINT,
    SINGLE,
    Watch,
    fit,
    make_batch,
    make_cyclegan,
    make_engine,
    same_weights,
)

COMPARISON: dict[str, Any] = {
    "discriminator": {"_target_": "stargan.networks.stargan.Critic", "channels": 4, "layers": 3},
    "adversarial": "wgan",
    "lambda_adv": 1.0,
    "lambda_idt": 0.0,
    "lambda_gp": 10.0,
    "pool": 0,
    "n_critic": 5,
}


def readings(method: CycleGAN) -> list[nn.Module]:
    """G, F, D_X and D_Y of the paper with the method's weights."""
    critic = hasattr(method.discriminator_a, "critic_layers")
    made: list[nn.Module] = []
    for name in ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b"):
        plain = (
            paper.PaperGenerator(4, 1) if name.startswith("generator")
            else paper.PaperCritic(4, 3) if critic else paper.PaperPatches(4, 2)
        )  # fmt: skip
        made.append(plain.double())
        copy_parameters(getattr(method, name), plain)
    return made


def compare(method: nn.Module, names: list[str], plain: list[nn.Module]) -> None:
    for name, one in zip(names, plain, strict=True):
        pairs = zip(getattr(method, name).parameters(), one.parameters(), strict=True)
        for i, (ours, theirs) in enumerate(pairs):
            assert (ours.grad is None) == (theirs.grad is None)
            if ours.grad is not None and theirs.grad is not None:
                scale = max(float(theirs.grad.abs().max()), 1e-3)
                difference = float((ours.grad - theirs.grad).abs().max())
                assert difference < 1e-9 * scale + 1e-11, (name, i, difference, scale)


@pytest.mark.parametrize(
    "changes",
    [{}, {"lambda_idt": 0.0}, COMPARISON, {**COMPARISON, "discriminator": None}],
    ids=["published", "without identity", "comparison", "wgan on patches"],
)
def test_losses_and_gradients_are_the_paper_s(changes: dict[str, Any]) -> None:
    changes = {k: v for k, v in changes.items() if v is not None}
    method = make_cyclegan(**changes).double()
    with torch.no_grad():  # Zero biases would hide what they do.
        for p in method.parameters():
            p.add_(0.05 * torch.randn_like(p))
    g, f, d_x, d_y = readings(method)
    batch = make_batch(method, size=4)
    batch = batch._replace(
        image=batch.image.double(), draws={k: v.double() for k, v in batch.draws.items()}
    )
    x, y = batch.image[:2], batch.image[2:]
    shared = method.fakes(batch)
    least_squares = changes.get("adversarial") != "wgan"

    loss, terms = method.generator_loss(batch, shared)
    loss.backward()
    wanted = paper.cyclegan_g(g, f, d_x, d_y, x, y, method.lambda_idt, least_squares)
    for one in (d_x, d_y):
        one.requires_grad_(False)
    wanted.backward()
    torch.testing.assert_close(loss, wanted)
    compare(method, ["generator_ab", "generator_ba"], [g, f])
    assert ("G/idt_a" in terms) == bool(method.lambda_idt)

    method.zero_grad()
    for one in (d_x, d_y):
        one.requires_grad_(True).zero_grad()
    bare = {k: v.detach() for k, v in shared.items()}
    loss, terms = method.discriminator_loss(batch, bare)
    loss.backward()
    alpha = None
    if method.lambda_gp:
        alpha = batch.draws["alpha"][:2], batch.draws["alpha"][2:]
    wanted = paper.cyclegan_d(d_x, d_y, x, y, f(y).detach(), g(x).detach(), alpha)
    wanted.backward()
    torch.testing.assert_close(loss, wanted)
    compare(method, ["discriminator_a", "discriminator_b"], [d_x, d_y])
    assert {"D/adv", "D/real", "D/fake", "D/rank"} <= set(terms)


def test_g_steps_first_and_both_generators_share_an_adam() -> None:
    watch = Watch()
    method = make_cyclegan()
    assert [u.group for u in method.phases()[0].updates] == ["G", "D"]
    fit(make_engine(method), 2, watch)
    every = {"generator_ab", "generator_ba", "discriminator_a", "discriminator_b"}
    assert all(every <= moved for moved in watch.moved)


def test_in_the_comparison_d_steps_first_and_five_times_as_often() -> None:
    watch = Watch()
    method = make_cyclegan(**COMPARISON)
    assert [(u.group, u.every) for u in method.phases()[0].updates] == [("D", 1), ("G", 5)]
    fit(make_engine(method), 10, watch)
    assert watch.steps_of("generator_ab") == [5, 10] == watch.steps_of("generator_ba")
    assert watch.steps_of("discriminator_a") == list(range(1, 11))


def test_the_pool_is_that_of_the_authors_code() -> None:
    draws = torch.Generator().manual_seed(5)
    ours, theirs = Pool(7, (1, 2, 2)), paper.Pool(7)
    for _ in range(20):
        images = torch.rand(3, 1, 2, 2, generator=draws)
        numbers = torch.rand(3, 2, generator=draws)
        assert torch.equal(ours(images, numbers), theirs.query(images, numbers.tolist()))
    assert int(ours.count) == 7
    assert torch.equal(ours.images, torch.stack(theirs.images))


def test_d_sees_the_pool_and_g_the_new_fakes() -> None:
    method = make_cyclegan(pool=1)
    first, second = (make_batch(method, size=2, step=s) for s in (0, 1))
    second.draws["pool"][:] = 0.9
    old = method.fakes(first)
    new = method.fakes(second)
    assert torch.equal(new["seen_a"], old["fake_a"])
    assert not torch.equal(new["fake_a"], old["fake_a"])
    given = {k: v.detach() for k, v in new.items()}
    of_pool, _ = method.discriminator_loss(second, given)
    without, _ = method.discriminator_loss(
        second, {k: v for k, v in given.items() if k.startswith("fake")}
    )
    assert not torch.equal(of_pool, without)


def test_pools_are_no_weights_but_come_back() -> None:
    method = make_cyclegan()
    assert not [name for name in method.state_dict() if "pool" in name]
    assert set(method.per_process()) == {
        *("pool_a.images", "pool_a.count", "pool_b.images", "pool_b.count")
    }
    assert make_cyclegan(pool=0).per_process() == {}


# Domains --------------------------------------------------------------------------------------


TWO = JointLabelSpace([LabelSpace(["A", "B"], categorical=True)])
LONE = JointLabelSpace([LabelSpace(["Male"])])


@pytest.mark.parametrize(
    ("labels", "pair", "where", "changes"),
    [
        (SINGLE, ["Male"], ({"Male": 0}, {"Male": 1}), [{"label": "Male", "on": "x", "off": "y"}]),
        (SINGLE, "Male", ({"Male": 0}, {"Male": 1}), [{"label": "Male", "on": "x", "off": "y"}]),
        (LONE, None, ({"Male": 0}, {"Male": 1}), [{"label": "Male", "on": "x", "off": "y"}]),
        (
            *(SINGLE, ["Black_Hair", "Blond_Hair"]),
            ({"Black_Hair": 1}, {"Blond_Hair": 1}),
            [
                {"from": "Black_Hair", "to": "Blond_Hair", "network": "x"},
                {"from": "Blond_Hair", "to": "Black_Hair", "network": "y"},
            ],
        ),
        (
            *(TWO, None, ({"A": 1}, {"B": 1})),
            [{"label": "B", "on": "x"}, {"label": "A", "on": "y"}],
        ),
    ],
)
def test_domains(labels: Any, pair: Any, where: Any, changes: Any) -> None:
    found = domains(labels, pair)
    assert found.strata == (Stratum(0, where[0]), Stratum(0, where[1]))
    assert found.changes("x", "y") == changes


def test_domains_of_the_second_data_set() -> None:
    found = domains(JOINT, ["angry", "sad"])
    assert [s.dataset for s in found.strata] == [1, 1]


@pytest.mark.parametrize(
    ("labels", "pair", "words"),
    [
        (SINGLE, None, "which two domains"),
        (JOINT, None, "which two domains"),
        (JointLabelSpace([LabelSpace(["Male", "Young"])]), None, "which label of Male, Young"),
        (SINGLE, ["Male", "Young"], "do not exclude each other"),
        (JOINT, ["Male", "sad"], "do not exclude each other"),
        (SINGLE, ["Male", "Male"], "is no pair"),
        (SINGLE, [], "is no pair"),
        (SINGLE, ["Mal"], "Did you mean 'Male'"),
        (JOINT, ["sad"], "name the other one too"),
    ],
)
def test_impossible_domains_are_refused(labels: Any, pair: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        domains(labels, pair)


def test_translations_go_by_what_changes() -> None:
    method = make_cyclegan()
    own = torch.zeros(3, 5)
    own[1, 3] = 1
    target = own.clone()
    target[:2, 3] = 1 - own[:2, 3]
    image = torch.rand(3, 3, 32, 32) * 2 - 1
    made = method.translate(image, own, target, torch.zeros(3, dtype=torch.long))
    with torch.inference_mode():
        wanted: list[Tensor] = [method.generator_ab(image[:1]), method.generator_ba(image[1:2])]
    torch.testing.assert_close(made[:2], torch.cat(wanted))
    assert torch.equal(made[2], image[2])
    target[2, 4] = 1
    assert method.can(own, target).tolist() == [True, True, False]
    with pytest.raises(UserError, match="no network for the change Young on"):
        method.translate(image, own, target, torch.zeros(3, dtype=torch.long))


@pytest.mark.parametrize(
    ("changes", "words"), [({"n_critic": 0}, "n_critic"), ({"pool": -1}, "pool")]
)
def test_bad_settings_are_refused(changes: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make_cyclegan(**changes)


def test_the_settings_rebuild_the_method() -> None:
    method = make_cyclegan(trust=("mylab",))
    assert "trust" not in method.settings, "a file does not say whom to trust"
    settings = {k: v for k, v in method.settings.items() if k != "_target_"}
    assert same_weights(CycleGAN(**settings), method)
    assert ATTRIBUTES.names == method.labels.names
