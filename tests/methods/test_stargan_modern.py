"""The modern recipe: its phases, targets, terms, and half precision."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from stargan.labels import JointLabelSpace
from stargan.methods.augment import augment
from stargan.methods.stargan_modern import StarGANModern
from tests.methods.test_stargan import JOINT, SINGLE, make_batch


def make(labels: JointLabelSpace = SINGLE, **changes: Any) -> StarGANModern:
    settings: dict[str, Any] = {
        "generator": {
            "_target_": "stargan.networks.modern.Generator",
            "channels": 8,
            "width": 16,
            "blocks": 1,
        },
        "discriminator": {
            "_target_": "stargan.networks.modern.Discriminator",
            "channels": 8,
            "width": 16,
        },
        "labels": labels.to_plain(),
        "image": {"size": [32, 32], "crop": {s.name: None for s in labels.spaces}},
        "adversarial": "non_saturating",
        "lambda_r1": 0.1,
        "r1_every": 2,
        "rec_every": 2,
        "n_critic": 1,
        "warmup_steps": 2,
        "ema_decay": 0.99,
        "schedule": "late",
        "max_steps": 10,
        "seed": 3,
    }
    return StarGANModern(**{**settings, **changes})


class Watch(pl.Callback):
    """What moved at each step, and the names of its terms."""

    def __init__(self) -> None:
        self.moved: list[str] = []
        self.terms: list[set[str]] = []

    def on_train_batch_start(self, trainer: Any, module: Any, *_: Any) -> None:
        self.before = {k: v.clone() for k, v in module.state_dict().items()}

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        names = [k for k, v in module.state_dict().items() if not torch.equal(v, self.before[k])]
        self.moved.append("".join(sorted({name[0] for name in names})))
        self.terms.append(set(module.terms))


def fit(method: StarGANModern, steps: int, precision: Any = "32-true") -> Watch:
    watch = Watch()
    batches: Any = [make_batch(method.labels)] * steps
    pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[watch],
    ).fit(method, DataLoader(batches, batch_size=None))
    return watch


@pytest.mark.parametrize("labels", [SINGLE, JOINT], ids=["single", "joint"])
def test_classifier_first_then_both(labels: JointLabelSpace) -> None:
    watch = fit(make(labels), 5)
    # d: discriminator, g: generator, e: the average
    assert watch.moved == ["d", "d", "deg", "deg", "deg"]
    assert watch.terms[0] == {"D/cls"}
    always = {"D/adv", "D/cls", "G/adv", "G/cls", "G/colour", "G/grey", "G/change"}
    always |= {"D/real", "D/fake", "D/rank"}
    assert watch.terms[2] == always | {"D/r1", "G/rec"}
    assert watch.terms[3] == always


def test_hyperparameters_rebuild_the_method() -> None:
    method = make(JOINT)
    again = StarGANModern(**dict(method.hparams))
    assert again.networks == method.networks
    assert again.warmup_steps == 2
    pairs = zip(again.parameters(), method.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_half_of_the_targets_change_one_label() -> None:
    method = make(one_change=1.0)
    batch = make_batch(SINGLE, size=64)
    target = method.draw_targets(batch, method.draws())
    changed = target != batch.label
    kinds = changed[:, :3].any(1).int() + changed[:, 3].int() + changed[:, 4].int()
    assert (kinds == 1).all()
    mixed = make(one_change=0.0).draw_targets(batch, method.draws())
    assert sorted(mixed.tolist()) == sorted(batch.label.tolist())


def test_wrong_labels_lower_the_score() -> None:
    method = make()
    batch = make_batch(SINGLE)
    _, logits = method.discriminator(batch.image)
    agreeing = (logits > 0).float()
    best, *_ = method.judge(batch.image, agreeing, batch.source)
    worst, *_ = method.judge(batch.image, 1 - agreeing, batch.source)
    assert (best > worst).all()


def test_labels_of_the_other_data_set_do_not_count() -> None:
    method = make(JOINT)
    batch = make_batch(JOINT)
    score, *_ = method.judge(batch.image, batch.label, batch.source)
    known = JOINT.known(batch.source)
    noisy = torch.where(known, batch.label, torch.rand_like(batch.label))
    again, *_ = method.judge(batch.image, noisy, batch.source)
    torch.testing.assert_close(score, again)


def test_half_precision_uses_the_weights_of_this_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Autocast keeps casted weights; those from before D's step must not reach G's.
    method = make(discriminator_lr=0.05, warmup_steps=0)
    differences: list[float] = []
    original = method.generator_loss

    def check(batch: Any, target: Any, fake: Any, draws: Any) -> Any:
        seen = fake.detach()
        cached = method.discriminator(seen)[0]
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            torch.clear_autocast_cache()
            fresh = method.discriminator(seen)[0]
        differences.append(float((cached - fresh).abs().max()))
        return original(batch, target, fake, draws)

    monkeypatch.setattr(method, "generator_loss", check)
    watch = fit(method, 3, "bf16-mixed")
    assert differences == [0, 0, 0]
    assert watch.moved == ["deg"] * 3


def test_rates_fall_at_the_end_of_the_steps_or_of_the_time() -> None:
    method = make(max_steps=100)
    assert [method.rate_factor(s) for s in (0, 70, 100)] == pytest.approx([1, 1, 0])
    assert method.rate_factor(85) == pytest.approx(0.5)
    method.max_seconds, method.seconds = 100.0, 85.0
    assert method.rate_factor(10) == pytest.approx(0.5)


def test_augmentation_is_drawn_per_image_and_differentiable() -> None:
    image = (torch.rand(8, 3, 16, 24) * 2 - 1).requires_grad_()
    first = augment(image, torch.Generator().manual_seed(0))
    assert first.shape == image.shape
    assert torch.equal(first, augment(image, torch.Generator().manual_seed(0)))
    assert not torch.equal(first, augment(image, torch.Generator().manual_seed(1)))
    alone = augment(image[:1].expand(8, -1, -1, -1), torch.Generator().manual_seed(0))
    assert not torch.equal(alone[0], alone[1])
    first.sum().backward()
    assert image.grad is not None
    assert image.grad.any()
