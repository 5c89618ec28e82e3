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

from stargan.errors import Plain, UserError
from stargan.evaluation.held_out import TestSet
from stargan.evaluation.measure import Instruments, rounded
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


PICTURED = 128
"""Of so many faces the check takes its figures."""


@dataclass(frozen=True)
class MaskCheck:
    """Labels of one data set on faces of another, with their own mask and with that of the faces.

    Attributes:
        faces, labels: data sets.
        rows: the figures, of ``count`` faces.
        image: ``(N, 3, H, W)``, the first inputs, for pictures.
        masked: what was made of them.
    """

    faces: str
    labels: str
    rows: list[MaskRow]
    count: int
    image: Tensor
    masked: list[Masked]

    def to_plain(self) -> Plain:
        """For report.json."""
        rows = [
            {
                "label": row.label,
                "read": [e.to_plain() for e in row.read],
                "others_changed": [e.to_plain() for e in row.changed],
            }
            for row in self.rows
        ]
        return {"faces": self.faces, "labels": self.labels, "images": self.count, "rows": rows}


def check_masks(
    model: Model,
    seen: tuple[TestSet, Instruments],
    asked: tuple[TestSet, Instruments],
    pictures: int,
) -> MaskCheck:
    """The paper's figure 7 of a joint model.

    Args:
        model: a joint one with one conditional generator.
        seen: the faces, whose mask is the wrong one, and who reads their labels.
        asked: whose labels are asked for, one at a time but for the neutral one, and who reads
            them.
        pictures: images to show.

    Raises:
        UserError: a model without mask vector.
    """
    (faces, others), (labels, reader) = seen, asked
    # Scattered: the images of a class stand together.
    scattered = torch.randperm(len(faces), generator=torch.Generator().manual_seed(0))
    image = faces.images(faces.rows[scattered[:PICTURED].sort().values].tolist())
    names = tuple(n for i, n in enumerate(labels.space.names) if i != labels.neutral)
    masked = with_masks(model, image, labels.index, faces.index, names)
    rows = mask_figures(
        masked,
        image,
        labels.space.names,
        lambda made: labels.space.read(reader.read(rounded(made))["logits"]),
        lambda made: faces.space.read(others.read(rounded(made))["logits"]),
    )
    shown = [m._replace(right=m.right[:pictures], wrong=m.wrong[:pictures]) for m in masked]
    return MaskCheck(faces.name, labels.name, rows, len(image), image[:pictures], shown)


def mask_generator(model: Model) -> torch.nn.Module:
    """The generator of a joint model, which is told labels and mask.

    Raises:
        UserError: a model without mask vector, or one whose file holds a graph.
    """
    rule = model.rule
    if len(model.labels.spaces) < 2 or not isinstance(rule, Conditional) or not rule.networks:
        raise UserError(
            "the check of the mask vector needs a joint model with one generator, opened from its "
            "run folder or .safetensors: train one with experiment=joint."
        )
    return rule.networks[rule.names[0]]


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
    generator, spaces = mask_generator(model), model.labels.spaces
    if labels == mask or not 0 <= max(labels, mask) < len(spaces):
        raise ValueError(f"spaces {labels} and {mask} of {len(spaces)}")
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
