"""The losses put together as one training step, against the plain reading of the paper."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from stargan.labels import JointLabelSpace, LabelSpace
from stargan.losses.adversarial import adversarial_loss
from stargan.losses.domain import domain_loss
from stargan.losses.gradient_penalty import gradient_penalty, piecewise_linear_gradient
from stargan.losses.reconstruction import reconstruction_loss
from stargan.networks.stargan import Discriminator, Generator
from tests.reference_step import (
    PaperDiscriminator,
    PaperGenerator,
    Space,
    Step,
    apply_gradients,
    copy_parameters,
    discriminator_step,
    generator_step,
)

HAIR = LabelSpace(["Black", "Blond", "Male"], groups=[["Black", "Blond"]], name="faces")
MOODS = LabelSpace(["angry", "happy"], categorical=True, name="moods")
SINGLE = (JointLabelSpace([HAIR]), [Space(0, 3, categorical=False)])
JOINT = (
    JointLabelSpace([HAIR, MOODS]),
    [Space(0, 3, categorical=False), Space(3, 5, categorical=True)],
)


def assert_same(losses: dict[str, Tensor], network: nn.Module, expected: Step) -> None:
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected.losses[name], rtol=1e-4, atol=1e-5)
    parameters = list(network.named_parameters())
    for (name, parameter), gradient in zip(parameters, expected.gradients.values(), strict=True):
        assert parameter.grad is not None, name
        assert gradient is not None, name
        assert (parameter.grad - gradient).norm() <= 1e-3 * gradient.norm() + 1e-6, name


@pytest.mark.parametrize("spaces", [SINGLE, JOINT], ids=["single", "joint"])
def test_two_turns_agree_with_the_paper(spaces: tuple[JointLabelSpace, list[Space]]) -> None:
    labels, plain = spaces
    torch.manual_seed(0)
    generator = Generator(16, labels.condition_size, channels=8, blocks=1)
    discriminator = Discriminator(16, labels.size, channels=8, layers=3)
    paper_g = PaperGenerator(labels.condition_size, channels=8, blocks=1)
    paper_d = PaperDiscriminator(16, labels.size, channels=8, layers=3)
    copy_parameters(generator, paper_g)
    copy_parameters(discriminator, paper_d)
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    paper_optimizer = torch.optim.SGD(paper_d.parameters(), lr=0.1)

    image, alpha = torch.rand(4, 3, 16, 16) * 2 - 1, torch.rand(4)
    faces = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1], [0, 1, 0]])
    dataset = torch.zeros(4, dtype=torch.long)
    label = labels.expand(faces, 0)
    if labels is JOINT[0]:
        dataset[2:] = 1
        label[2:] = labels.expand(torch.tensor([[1.0, 0], [0, 1]]), 1)
    target = torch.cat([label[[1, 0]], label[[3, 2]]])
    adversarial = adversarial_loss("wgan")

    # The turn of D: fake made once, with its graph; one pass for real and fake.
    fake = generator(image, labels.condition(target, dataset))
    score, logits = discriminator(torch.cat([image, fake.detach()]))
    real_score, fake_score = score.chunk(2)
    gradient_of = partial(piecewise_linear_gradient, discriminator.critic_layers)
    terms = {
        "D/adv": adversarial.d_loss(real_score, fake_score),
        "D/cls": domain_loss(logits[: len(image)], label, dataset, labels),
        "D/gp": gradient_penalty(gradient_of, image, fake, alpha),
    }
    (terms["D/adv"] + terms["D/cls"] + 10 * terms["D/gp"]).backward()
    expected = discriminator_step(paper_g, paper_d, image, label, dataset, target, alpha, plain)
    assert_same(terms, discriminator, expected)
    assert all(p.grad is None for p in generator.parameters())
    optimizer.step()
    apply_gradients(paper_d, expected, paper_optimizer)

    # The turn of G: the same fake and its graph, D as it is now, and frozen.
    discriminator.requires_grad_(False)
    score, logits = discriminator(fake)
    cycled = generator(fake, labels.condition(label, dataset))
    terms = {
        "G/adv": adversarial.g_loss(score),
        "G/cls": domain_loss(logits, target, dataset, labels),
        "G/rec": reconstruction_loss(cycled, image),
    }
    (terms["G/adv"] + terms["G/cls"] + 10 * terms["G/rec"]).backward()
    expected = generator_step(paper_g, paper_d, image, label, dataset, target, plain)
    assert_same(terms, generator, expected)
