"""The modern recipe: its phases, targets, terms, and half precision.

Its losses are compared with an independent reading in ``test_modern_step.py``.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from stargan.labels import JointLabelSpace
from stargan.methods.augment import AUGMENT_DRAWS, augment
from stargan.methods.stargan_modern import StarGANModern
from tests.rig import JOINT, SINGLE, Watch, fit, make_batch, make_engine, make_modern, same_weights


@pytest.mark.parametrize("labels", [SINGLE, JOINT], ids=["single", "joint"])
def test_classifier_first_then_both(labels: JointLabelSpace) -> None:
    watch = Watch()
    fit(make_engine(make_modern(labels)), 5, watch)
    both = {"discriminator", "generator", "ema"}
    assert watch.moved == [{"discriminator"}] * 2 + [both] * 3
    assert watch.terms[:2] == [{"D/cls"}] * 2
    always = {"D/adv", "D/cls", "G/adv", "G/cls", "G/colour", "G/grey", "G/change"}
    always |= {"D/real", "D/fake", "D/rank"}
    # R1 by D's own steps, which the warm-up has counted too; the cycle by G's.
    assert watch.terms[2:] == [always | {"D/r1", "G/rec"}, always, always | {"D/r1", "G/rec"}]


def test_the_warm_up_is_short_in_a_short_run_and_has_a_rate_of_its_own() -> None:
    watch = Watch()
    method = make_modern(warmup_steps=1500, warmup_lr=0.5, discriminator_lr=1e-4)
    fit(make_engine(method, max_steps=12), 5, watch)
    assert watch.steps_of("generator") == [4, 5], "a quarter of the run at most"
    # The rate rises over fifty steps, from the first one on.
    assert [r["D"] for r in watch.rates] == pytest.approx([0.01, 0.02, 0.03, 1e-4, 1e-4])


def test_settings_rebuild_the_method() -> None:
    method = make_modern(JOINT)
    settings = dict(method.settings)
    assert settings.pop("_target_") == "stargan.methods.stargan_modern.StarGANModern"
    again = StarGANModern(**settings)
    assert again.networks == method.networks
    assert again.warmup_steps == 2
    assert same_weights(again, method)


def test_half_of_the_targets_change_one_label() -> None:
    batch = make_batch(make_modern(one_change=1.0), size=64)
    changed = batch.target != batch.label
    kinds = changed[:, :3].any(1).int() + changed[:, 3].int() + changed[:, 4].int()
    assert (kinds == 1).all()
    mixed = make_batch(make_modern(one_change=0.0), size=64)
    assert sorted(mixed.target.tolist()) == sorted(mixed.label.tolist())


def test_wrong_labels_lower_the_score() -> None:
    method = make_modern()
    batch = make_batch(method)
    _, logits = method.discriminator(batch.image)
    agreeing = (logits > 0).float()
    best, _ = method.judge(batch.image, agreeing, batch.dataset)
    worst, _ = method.judge(batch.image, 1 - agreeing, batch.dataset)
    assert (best > worst).all()


def test_labels_of_the_other_data_set_do_not_count() -> None:
    method = make_modern(JOINT)
    batch = make_batch(method)
    score, _ = method.judge(batch.image, batch.label, batch.dataset)
    known = JOINT.known(batch.dataset)
    noisy = torch.where(known, batch.label, torch.rand_like(batch.label))
    again, _ = method.judge(batch.image, noisy, batch.dataset)
    torch.testing.assert_close(score, again)


def test_half_precision_uses_the_weights_of_this_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Autocast keeps casted weights; those from before D's step must not reach G's.
    method = make_modern(discriminator_lr=0.05, warmup_steps=0)
    differences: list[float] = []
    original = method.generator_loss

    def check(batch: Any, shared: Any, cycle: bool = False) -> Any:
        seen = shared["fake"].detach()
        cached = method.discriminator(seen)[0]
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            torch.clear_autocast_cache()
            fresh = method.discriminator(seen)[0]
        differences.append(float((cached - fresh).abs().max()))
        return original(batch, shared, cycle)

    monkeypatch.setattr(method, "generator_loss", check)
    watch = Watch()
    fit(make_engine(method), 3, watch, precision="bf16-mixed")
    assert differences == [0, 0, 0]
    assert watch.moved == [{"discriminator", "generator", "ema"}] * 3


def numbers(seed: int, rows: int = 8) -> torch.Tensor:
    return torch.rand(rows, AUGMENT_DRAWS, generator=torch.Generator().manual_seed(seed))


def test_augmentation_is_of_its_numbers_per_image_and_differentiable() -> None:
    image = (torch.rand(8, 3, 16, 24) * 2 - 1).requires_grad_()
    first = augment(image, numbers(0))
    assert first.shape == image.shape
    assert torch.equal(first, augment(image, numbers(0)))
    assert not torch.equal(first, augment(image, numbers(1)))
    alone = augment(image[:1].expand(8, -1, -1, -1), numbers(0))
    assert not torch.equal(alone[0], alone[1])
    first.sum().backward()
    assert image.grad is not None
    assert image.grad.any()


def test_augmentation_in_the_middle_of_its_numbers_changes_nothing() -> None:
    image = torch.rand(2, 3, 16, 24) * 2 - 1
    torch.testing.assert_close(augment(image, torch.full((2, AUGMENT_DRAWS), 0.5)), image)


@pytest.mark.parametrize(("number", "least", "most"), [(0, 0.5, 1.5), (1, 0.7, 1.3)])
def test_saturation_and_contrast_reach_their_bounds(number: int, least: float, most: float) -> None:
    image = torch.rand(2, 3, 16, 24) * 2 - 1
    middle = image.mean(1, keepdim=True) if number == 0 else image.mean((1, 2, 3), keepdim=True)
    for value, factor in ((0.0, least), (1.0, most)):
        draws = torch.full((2, AUGMENT_DRAWS), 0.5)
        draws[:, number] = value
        torch.testing.assert_close(augment(image, draws), middle + factor * (image - middle))


def test_brightness_and_shifts_reach_their_bounds() -> None:
    image = torch.rand(1, 3, 16, 24) * 2 - 1
    draws = torch.full((1, AUGMENT_DRAWS), 0.5)
    draws[:, 2] = 0.0
    torch.testing.assert_close(augment(image, draws), image - 0.25)
    draws[:, 2] = 0.5
    draws[:, 3], draws[:, 4] = 0.0, 0.999999
    shifted = augment(image, draws)
    # Two rows down and three columns up: an eighth of each side, zeros from outside.
    torch.testing.assert_close(shifted[:, :, 2:, :-3], image[:, :, :-2, 3:])
    assert not shifted[:, :, :2].any()
    assert not shifted[:, :, :, -3:].any()
