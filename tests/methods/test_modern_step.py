"""The modern recipe's losses and gradients against an independent reading, and mutants of them."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stargan.contracts import Batch
from stargan.labels import JointLabelSpace
from stargan.methods import stargan as paper_method
from stargan.methods import stargan_modern
from stargan.methods.stargan_modern import StarGANModern
from tests import reference_modern as plain
from tests.reference_step import Space, Step, copy_parameters
from tests.rig import JOINT, SINGLE, make_batch, make_modern

# All different, so that none can stand for another.
WEIGHTS = {
    "lambda_cls": 1.3,
    "lambda_cls_fake": 0.7,
    "lambda_colour": 11.0,
    "lambda_grey": 5.0,
    "lambda_sparse": 2.0,
    "lambda_rec": 3.0,
    "rec_every": 4,
    "lambda_r1": 0.6,
    "r1_every": 5,
}
SCORES = {"D/real", "D/fake", "D/rank"}


class Pair:
    """The method and the plain networks with the same weights, a batch, and what is known of it."""

    def __init__(self, labels: JointLabelSpace) -> None:
        self.method = make_modern(labels, **WEIGHTS)
        draws = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in self.method.parameters():  # Norms and biases begin at 0 and 1.
                p.add_(0.1 * torch.randn(p.shape, generator=draws))
        self.spaces = [
            Space(part.start, part.stop, space.categorical)
            for space, part in zip(labels.spaces, labels.slices, strict=True)
        ]
        self.generator = plain.ModernGenerator(labels.condition_size, 8, 16, 1)
        self.discriminator = plain.ModernDiscriminator(labels.size, 8, 16)
        copy_parameters(self.method.generator, self.generator)
        copy_parameters(self.method.discriminator, self.discriminator)
        self.batch = make_batch(self.method)
        assert not torch.equal(self.batch.label, self.batch.target)

    @property
    def draws(self) -> dict[str, Tensor]:
        return self.batch.draws

    def labelled(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch: Batch = self.batch
        return batch.image, batch.label, batch.dataset, batch.target

    def check(
        self, made: tuple[Tensor, dict[str, Tensor]], network: nn.Module, expected: Step
    ) -> None:
        """Terms, the loss and the gradients of a network."""
        loss, terms = made
        total = next(name for name in expected.losses if name.endswith("/total"))
        found = {name: term for name, term in terms.items() if name not in SCORES}
        found[total] = loss
        assert set(found) == set(expected.losses)
        for name, value in found.items():
            torch.testing.assert_close(value.detach(), expected.losses[name], rtol=1e-4, atol=1e-5)
        own = dict(network.named_parameters())
        gradients = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
        for name, mine, theirs in zip(own, gradients, expected.gradients.values(), strict=True):
            assert (mine is None) == (theirs is None), name
            if mine is not None and theirs is not None:
                scale = float(theirs.abs().max())
                torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3 * scale + 1e-7)


def warm_up(pair: Pair) -> None:
    expected = plain.classifier_step(
        pair.discriminator, *pair.labelled()[:3], pair.draws["augment/D"][:6], pair.spaces
    )
    pair.check(pair.method.classifier_loss(pair.batch, {}), pair.method.discriminator, expected)


def discriminator(pair: Pair, r1: bool) -> None:
    expected = plain.discriminator_step(
        pair.generator,
        pair.discriminator,
        *pair.labelled(),
        pair.draws["augment/D"],
        pair.draws["augment/r1"] if r1 else None,
        pair.spaces,
        WEIGHTS,
    )
    shared = {"fake": pair.method.fakes(pair.batch)["fake"].detach()}
    made = pair.method.discriminator_loss(pair.batch, shared, r1=r1)
    pair.check(made, pair.method.discriminator, expected)


def generator(pair: Pair, cycle: bool) -> None:
    expected = plain.generator_step(
        pair.generator,
        pair.discriminator,
        *pair.labelled(),
        pair.draws["augment/G"],
        cycle,
        pair.spaces,
        WEIGHTS,
    )
    made = pair.method.generator_loss(pair.batch, pair.method.fakes(pair.batch), cycle=cycle)
    pair.check(made, pair.method.generator, expected)


STEPS: dict[str, Callable[[Pair], None]] = {
    "warm-up": warm_up,
    "D": lambda pair: discriminator(pair, r1=False),
    "D with R1": lambda pair: discriminator(pair, r1=True),
    "G": lambda pair: generator(pair, cycle=False),
    "G with cycle": lambda pair: generator(pair, cycle=True),
}


@pytest.mark.parametrize("labels", [SINGLE, JOINT], ids=["single", "joint"])
@pytest.mark.parametrize("step", STEPS)
def test_losses_and_gradients_equal_an_independent_reading(
    step: str, labels: JointLabelSpace
) -> None:
    STEPS[step](Pair(labels))


def test_the_plain_networks_are_the_networks() -> None:
    pair = Pair(JOINT)
    image, _, dataset, target = pair.labelled()
    condition = JOINT.condition(target, dataset)
    with torch.no_grad():
        torch.testing.assert_close(
            pair.method.generator(image, condition), pair.generator(image, condition)
        )
        for mine, theirs in zip(
            pair.method.discriminator(image), pair.discriminator(image), strict=True
        ):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


# What is changed, in which function, and the step that has to see it.
MUTANTS = {
    "D is told the fakes' old labels": (
        *("discriminator_loss", "D"),
        *("torch.cat([batch.label, batch.target])", "torch.cat([batch.label, batch.label])"),
    ),
    "real and fake change places": (
        *("discriminator_loss", "D"),
        *("d_loss(score[:size], score[size:])", "d_loss(score[size:], score[:size])"),
    ),
    "D's domain loss is of the fakes": (
        *("discriminator_loss", "D"),
        *("domain_loss(logits[:size], batch.label", "domain_loss(logits[size:], batch.target"),
    ),
    "D's domain loss has no weight": (
        *("discriminator_loss", "D"),
        *('self.lambda_cls * terms["D/cls"]', 'terms["D/cls"]'),
    ),
    "fakes are not augmented": (
        *("discriminator_loss", "D"),
        'augment(torch.cat([batch.image, fake]), batch.draws["augment/D"])',
        'torch.cat([augment(batch.image, batch.draws["augment/D"][:size]), fake])',
    ),
    "real images are not augmented": (
        *("discriminator_loss", "D"),
        'augment(torch.cat([batch.image, fake]), batch.draws["augment/D"])',
        'torch.cat([batch.image, augment(fake, batch.draws["augment/D"][size:])])',
    ),
    "R1 has no lazy factor": (
        *("discriminator_loss", "D with R1"),
        *("self.r1_every * self.lambda_r1", "self.lambda_r1"),
    ),
    "R1 is of the fakes": (
        *("discriminator_loss", "D with R1"),
        *('augment(batch.image, batch.draws["augment/r1"])', "fake"),
    ),
    "R1 is of images that are not augmented": (
        *("discriminator_loss", "D with R1"),
        *('augment(batch.image, batch.draws["augment/r1"])', "batch.image"),
    ),
    "R1 is under the targets": (
        *("discriminator_loss", "D with R1"),
        *("partial(self.realness, batch.label,", "partial(self.realness, batch.target,"),
    ),
    "R1 is of the bare score": (
        *("realness", "D with R1"),
        *("self.judge(image, label, dataset)[0]", "self.discriminator(image)[0]"),
    ),
    "labels that are not set do not count": ("judge", "D", "(2 * label - 1)", "label"),
    "labels count the other way round": ("judge", "D", "(2 * label - 1)", "(1 - 2 * label)"),
    "labels of the other data set count": (
        *("judge", "D"),
        *("* (known & self.labels.known(dataset)).to(label)", ""),
    ),
    "G is judged under the old labels": (
        *("generator_loss", "G"),
        *("self.judge(seen, batch.target", "self.judge(seen, batch.label"),
    ),
    "G's classification is of the old labels": (
        *("generator_loss", "G"),
        *("domain_loss(logits, batch.target", "domain_loss(logits, batch.label"),
    ),
    "G's images are not augmented": (
        *("generator_loss", "G"),
        *('augment(fake, batch.draws["augment/G"])', "fake"),
    ),
    "G's classification has D's weight": (
        *("generator_loss", "G"),
        *("self.lambda_cls_fake", "self.lambda_cls"),
    ),
    "colour and grey change weights": (
        *("generator_loss", "G"),
        *('self.lambda_colour * terms["G/colour"]', 'self.lambda_colour * terms["G/grey"]'),
    ),
    "colour is the whole change": (
        *("generator_loss", "G"),
        *("(change - grey).square()", "change.square()"),
    ),
    "the change has no weight": (
        *("generator_loss", "G"),
        *('self.lambda_sparse * terms["G/change"]', '0 * terms["G/change"]'),
    ),
    "the cycle has no lazy factor": (
        *("generator_loss", "G with cycle"),
        *("self.rec_every * self.lambda_rec", "self.lambda_rec"),
    ),
    "the cycle goes to the wrong labels": (
        *("cycled", "G with cycle"),
        *("without_unknown(batch.label)", "without_unknown(batch.target)"),
    ),
    "the cycle is compared with the fake": (
        *("generator_loss", "G with cycle"),
        *("squared_reconstruction_loss(cycled, batch.image)", "(cycled - fake).square().mean()"),
    ),
    "the cycle does not reach the first pass": (
        *("cycled", "G with cycle"),
        *("self.generator(fake, self", "self.generator(fake.detach(), self"),
    ),
    "the cycle is of the absolute difference": (
        *("generator_loss", "G with cycle"),
        *(
            "squared_reconstruction_loss(cycled, batch.image)",
            "(cycled - batch.image).abs().mean()",
        ),
    ),
    "fakes are of the own labels": (
        *("fakes", "D"),
        *("self.labels.condition(batch.target", "self.labels.condition(batch.label"),
    ),
    "the warm-up learns the targets": (
        *("classifier_loss", "warm-up"),
        *("domain_loss(logits, batch.label", "domain_loss(logits, batch.target"),
    ),
    "the warm-up is not augmented": (
        *("classifier_loss", "warm-up"),
        *("augment(batch.image, draws)", "batch.image"),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, step, old, new = MUTANTS[name]
    inherited = function not in vars(StarGANModern)
    module: Any = paper_method if inherited else stargan_modern
    cls = paper_method.StarGAN if inherited else StarGANModern
    dataset = inspect.getsource(getattr(cls, function))
    assert dataset.count(old) == 1, "the mutant no longer fits the code"
    changed: Any = types.ModuleType(module.__name__)
    exec(inspect.getsource(module).replace(dataset, dataset.replace(old, new)), vars(changed))
    monkeypatch.setattr(cls, function, getattr(getattr(changed, cls.__name__), function))
    with pytest.raises(AssertionError):
        STEPS[step](Pair(JOINT))
