"""The mask vector chooses whose labels count (the paper's figure 7), on a toy of two data sets."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from stargan.contracts import Batch
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.methods.stargan_modern import StarGANModern

LABELS = JointLabelSpace([LabelSpace(["red"], name="left"), LabelSpace(["bright"], name="right")])
SIDE = 16
STEPS = 400


def draw(size: int, source: int, generator: torch.Generator) -> Batch:
    """The left half is red or blue, the right bright or dark; a source knows one of the two."""
    red, bright = (torch.randint(2, (size,), generator=generator).float() for _ in range(2))
    image = 0.1 * torch.randn(size, 3, SIDE, SIDE, generator=generator)
    image[:, 0, :, :8] += (1.2 * red - 0.6)[:, None, None]
    image[:, 2, :, :8] -= (1.2 * red - 0.6)[:, None, None]
    image[:, :, :, 8:] += (1.2 * bright - 0.6)[:, None, None, None]
    own = (red, bright)[source]
    label = LABELS.expand(own[:, None], source)
    return Batch(image.clamp(-1, 1), label, torch.full((size,), source))


@pytest.mark.slow
def test_a_label_works_under_its_own_mask_only() -> None:
    generator = torch.Generator().manual_seed(0)
    batches: Any = [draw(16, step % 2, generator) for step in range(STEPS)]
    method = StarGANModern(
        generator={
            "_target_": "stargan.networks.modern.Generator",
            "channels": 16,
            "width": 32,
            "blocks": 1,
        },
        discriminator={
            "_target_": "stargan.networks.modern.Discriminator",
            "channels": 16,
            "width": 32,
        },
        labels=LABELS.to_plain(),
        image={"size": [SIDE, SIDE], "crop": {"left": None, "right": None}},
        adversarial="non_saturating",
        warmup_steps=100,
        lambda_colour=0.0,
        lambda_grey=0.0,
        lambda_rec=3.0,
        lambda_r1=0.1,
        n_critic=1,
        generator_lr=1e-3,
        discriminator_lr=1e-3,
        betas=(0.5, 0.99),
        schedule="constant",
        max_steps=STEPS,
    )
    pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(method, DataLoader(batches, batch_size=None))

    image = draw(64, 0, generator).image

    def effect(space: int, mask: int) -> Tensor:
        """Mean change of the left and of the right half when a space's label goes from 0 to 1."""
        outputs = []
        for value in (0.0, 1.0):
            label = LABELS.expand(torch.full((64, 1), value), space)
            one_hot = torch.eye(2)[mask].expand(64, -1)
            with torch.inference_mode():
                condition = torch.cat([label, one_hot], dim=1)
                outputs.append(method.generator(image, condition))
        change = (outputs[1] - outputs[0]).abs().mean((0, 1, 2))
        return torch.stack([change[:8].mean(), change[8:].mean()])

    for space in (0, 1):
        right, wrong = effect(space, space), effect(space, 1 - space)
        own, other = space, 1 - space
        assert right[own] > 0.3, "under its own mask the label changes its half"
        assert right[own] > 4 * right[other], "and leaves the other half"
        assert right[own] > 1.25 * wrong[own], "under the wrong mask it does less"
