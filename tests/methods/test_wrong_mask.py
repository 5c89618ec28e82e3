"""The mask vector chooses whose labels count (the paper's figure 7), on a toy of two data sets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stargan.labels import JointLabelSpace, LabelSpace
from stargan.methods.stargan_modern import StarGANModern
from tests.rig import MODERN_D, MODERN_G, complete, fit, image_of, make_engine

LABELS = JointLabelSpace([LabelSpace(["red"], name="left"), LabelSpace(["bright"], name="right")])
SIDE = 16
STEPS = 400


def draw(size: int, dataset: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The left half is red or blue, the right bright or dark; a dataset knows one of the two.

    Images, joint labels, datasets.
    """
    red, bright = (torch.randint(2, (size,), generator=generator).float() for _ in range(2))
    image = 0.1 * torch.randn(size, 3, SIDE, SIDE, generator=generator)
    image[:, 0, :, :8] += (1.2 * red - 0.6)[:, None, None]
    image[:, 2, :, :8] -= (1.2 * red - 0.6)[:, None, None]
    image[:, :, :, 8:] += (1.2 * bright - 0.6)[:, None, None, None]
    own = (red, bright)[dataset]
    label = LABELS.expand(own[:, None], dataset)
    return image.clamp(-1, 1), label, torch.full((size,), dataset)


@pytest.mark.slow
def test_a_label_works_under_its_own_mask_only() -> None:
    generator = torch.Generator().manual_seed(0)
    method = StarGANModern(
        generator={**MODERN_G, "channels": 16, "width": 32},
        discriminator={**MODERN_D, "channels": 16, "width": 32},
        labels=LABELS.to_plain(),
        image=image_of(LABELS, SIDE),
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
    )
    batches = [complete(method, *draw(16, i % 2, generator), step=i) for i in range(STEPS)]
    fit(make_engine(method, max_steps=STEPS), batches)

    image, _, _ = draw(64, 0, generator)

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
