"""The check of the mask vector (Choi et al., StarGAN, CVPR 2018, figure 7).

A joint model gets the label of one data set with the mask of another: the label must then count as
unknown, and what the generator changes is what the other data set's labels, all zero, ask for. The
paper's example: an expression with the mask of CelebA makes faces older and keeps the expression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stargan.errors import UserError
from stargan.export import Model
from stargan.export.rules import Conditional
from stargan.metrics.bootstrap import Estimate, mean_interval


class Masked(NamedTuple):
    """Faces under one label, with its own mask and with the other's.

    Attributes:
        label: its name.
        right, wrong: ``(B, 3, H, W)`` in [-1, 1].
    """

    label: str
    right: Tensor
    wrong: Tensor


@dataclass(frozen=True)
class MaskRow:
    """What the judge reads under one label.

    Attributes:
        label: its name.
        read: share on which the label is read, under the right and under the wrong mask.
        changed: share on which a label of the other data set is read otherwise than before.
    """

    label: str
    read: tuple[Estimate, Estimate]
    changed: tuple[Estimate, Estimate]


def with_masks(
    model: Model, image: Tensor, labels: int, mask: int, names: tuple[str, ...] = ()
) -> list[Masked]:
    """Images under each label of a space, with its mask and with that of another space.

    Args:
        model: a joint one with one conditional generator.
        image: ``(B, 3, H, W)`` in [-1, 1].
        labels: number of the label space whose labels are asked for, one at a time.
        mask: number of the space whose mask is the wrong one.
        names: only these labels; empty: all.

    Raises:
        UserError: a model without mask vector.
    """
    rule = model.rule
    spaces = model.labels.spaces
    if len(spaces) < 2 or not isinstance(rule, Conditional) or not rule.networks:
        raise UserError(
            "the check of the mask vector needs a joint model with one generator, opened from its "
            "run folder or .safetensors: train one with experiment=joint."
        )
    if labels == mask or not 0 <= max(labels, mask) < len(spaces):
        raise ValueError(f"spaces {labels} and {mask} of {len(spaces)}")
    generator = rule.networks[rule.names[0]]
    found = []
    for name in names or spaces[labels].names:
        label = model.labels.expand(spaces[labels].encode([name]), labels)
        pair = []
        for number in (labels, mask):
            # By hand: ``JointLabelSpace.condition`` would clear labels that the mask hides.
            one_hot = torch.nn.functional.one_hot(torch.tensor(number), len(spaces)).float()
            condition = torch.cat([label, one_hot]).expand(len(image), -1)
            with torch.inference_mode():
                made = generator(image.to(model.device), condition.to(model.device))
            pair.append(made.float().clamp(-1, 1).cpu())
        found.append(Masked(name, *pair))
    return found


Read = Callable[[Tensor], Tensor]
"""Images to labels ``(B, L)`` of 0 and 1, in the order of a space."""


def mask_figures(
    masked: list[Masked], image: Tensor, names: tuple[str, ...], read: Read, others: Read
) -> list[MaskRow]:
    """What a judge reads of the translations.

    Args:
        masked: see ``with_masks``.
        image: the inputs.
        names: the labels that ``read`` reads, in its order.
        read: the labels that were asked for.
        others: the labels of the space of the wrong mask.
    """
    before = others(image)
    rows = []
    for label, *pair in masked:
        place = names.index(label)
        said = [mean_interval((read(made)[:, place] > 0.5).double()) for made in pair]
        other = [mean_interval((others(made) != before).any(1).double()) for made in pair]
        rows.append(MaskRow(label, (said[0], said[1]), (other[0], other[1])))
    return rows
