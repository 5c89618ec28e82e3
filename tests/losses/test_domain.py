from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from stargan.labels import JointLabelSpace, LabelSpace
from stargan.losses.domain import domain_loss
from tests.reference_step import Space, classification

FACES = LabelSpace(["Black_Hair", "Male", "Young"], name="faces")
MOODS = LabelSpace(["angry", "happy"], categorical=True, name="moods")
JOINT = JointLabelSpace([FACES, MOODS])
PLAIN = [Space(0, 3, categorical=False), Space(3, 5, categorical=True)]


def mixed_batch() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    logits = torch.randn(4, 5)
    dataset = torch.tensor([0, 1, 0, 1])
    label = torch.zeros(4, 5)
    label[0, [0, 2]] = 1
    label[1, 4] = 1
    label[2, 1] = 1
    label[3, 3] = 1
    return logits, label, dataset


def test_binary_space_is_summed_over_labels_and_divided_by_rows() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, -1.0]])
    label = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    second = math.log(1 + math.exp(2)) + math.log(2) + math.log(1 + math.exp(-1))
    expected = (3 * math.log(2) + second) / 2
    loss = domain_loss(logits, label, torch.zeros(2, dtype=torch.long), JointLabelSpace([FACES]))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_categorical_space_takes_softmax() -> None:
    logits = torch.tensor([[1.0, 3.0]])
    space = JointLabelSpace([MOODS])
    loss = domain_loss(logits, torch.tensor([[1.0, 0.0]]), torch.zeros(1, dtype=torch.long), space)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(2)), rel=1e-6)


def test_mixed_batch_agrees_with_a_plain_reading_of_the_paper() -> None:
    logits, label, dataset = mixed_batch()
    expected = classification(logits, label, dataset, PLAIN)
    torch.testing.assert_close(domain_loss(logits, label, dataset, JOINT), expected)


def test_mixed_batch_is_the_mean_of_its_parts_by_rows() -> None:
    logits, label, dataset = mixed_batch()
    rows = torch.tensor([0, 1, 3])  # one face, two moods
    whole = domain_loss(logits[rows], label[rows], dataset[rows], JOINT)
    parts = [domain_loss(logits[[i]], label[[i]], dataset[[i]], JOINT) for i in (0, 1, 3)]
    torch.testing.assert_close(whole, torch.stack(parts).mean())


def test_only_the_slice_of_the_rows_own_source_counts() -> None:
    logits, label, dataset = mixed_batch()
    logits.requires_grad_()
    domain_loss(logits, label, dataset, JOINT).backward()
    assert logits.grad is not None
    known = JOINT.known(dataset)
    assert (logits.grad[known] != 0).all()
    assert (logits.grad[~known] == 0).all()


def test_labels_outside_the_source_are_ignored() -> None:
    logits, label, dataset = mixed_batch()
    spoiled = torch.where(JOINT.known(dataset), label, torch.tensor(1.0))
    torch.testing.assert_close(
        domain_loss(logits, spoiled, dataset, JOINT), domain_loss(logits, label, dataset, JOINT)
    )


@pytest.mark.parametrize("autocast", [True, False])
def test_half_precision_logits_give_an_fp32_loss(autocast: bool) -> None:
    logits, label, dataset = mixed_batch()
    half = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = domain_loss(half, label.bfloat16(), dataset, JOINT)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, domain_loss(half.float(), label, dataset, JOINT))


def test_labels_may_come_in_another_precision() -> None:
    """Half labels beside fp32 logits, as a mixed-precision batch has them; fp64 stays fp64."""
    logits, label, dataset = mixed_batch()
    expected = domain_loss(logits, label, dataset, JOINT)
    assert torch.equal(domain_loss(logits, label.bfloat16(), dataset, JOINT), expected)
    assert domain_loss(logits.double(), label.double(), dataset, JOINT).dtype == torch.float64


def test_what_is_not_known_counts_for_nothing() -> None:
    logits, label, dataset = mixed_batch()
    # A class is known wholly or not at all; each attribute by itself.
    label[1, 3], label[0, 1] = math.nan, math.nan
    face = sum(
        math.log1p(math.exp(-x if known else x))
        for x, known in zip(logits[0, [0, 2]].tolist(), (True, True), strict=True)
    )
    rest = domain_loss(logits[2:], label[2:], dataset[2:], JOINT)
    expected = (face + 0 + 2 * rest.item()) / 4
    loss = domain_loss(logits.requires_grad_(), label, dataset, JOINT)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[1] == 0).all()
    assert logits.grad[0, 1] == 0
