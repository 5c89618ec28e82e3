"""How well a translator does on the embedded faces, where the truth is known.

The judge says whether the wanted label arrived and whether the others stayed; the regions of the
drawn faces say which pixels a label concerns, so that what changed elsewhere can be measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from stargan.contracts import RegionImages, Translate
from stargan.evaluation.judge import stack
from stargan.judge import Judge


@dataclass(frozen=True)
class LabelScore:
    """The figures of one label.

    Attributes:
        label: its name.
        right: share of translations on which the judge reads the wanted label (in an exclusive
            group: the whole group), in [0, 1].
        kept: share on which it reads all other labels as they were; 1 when there are none.
        outside: mean absolute change of the pixels that the label does not concern, on [0, 1].
        inside: the same of the pixels that it does.
        count: number of translations.
    """

    label: str
    right: float
    kept: float
    outside: float
    inside: float
    count: int


def score(
    translate: Translate,
    data: RegionImages,
    source: int,
    judge: Judge,
    size: tuple[int, int],
    count: int = 256,
    batch_size: int = 32,
) -> list[LabelScore]:
    """Translate held-out faces to every label and judge the results.

    An image that has the wanted label of an exclusive group already is left out for that label.

    Args:
        translate: the model.
        data: the test split.
        source: index of the data set in the model's label space.
        judge: a classifier of the same labels.
        size: the model's height and width.
        count: how many faces.
        batch_size: how many at a time.

    Returns:
        One row per label, in order.
    """
    space = data.space
    pixels = stack(data, size, count)
    label = data.labels[: len(pixels)]
    regions = torch.from_numpy(np.stack([data.regions(i) for i in range(len(pixels))]))
    rows = []
    for name in space.names:
        group = [space.index(n) for n in space.group_of(name)]
        others = [i for i in range(space.size) if i not in group]
        wanted = space.flip(label, name)
        use = torch.nonzero((wanted != label).any(1)).squeeze(1)
        right, kept, outside, inside = 0, 0, 0.0, 0.0
        for part in use.split(batch_size):
            image = pixels[part].float() / 127.5 - 1
            target = translate.labels.expand(wanted[part], source)
            index = torch.full((len(part),), source)
            fake = translate(image, target, index).float().cpu().clamp(-1, 1)
            read = judge.read(fake)
            right += int((read[:, group] == wanted[part][:, group]).all(1).sum())
            kept += int((read[:, others] == label[part][:, others]).all(1).sum())
            change = (fake - image).abs().mean(1) / 2
            mask = regions[part][:, group].any(1)
            outside += mean_per_image(change, ~mask)
            inside += mean_per_image(change, mask)
        n = max(len(use), 1)
        rows.append(LabelScore(name, right / n, kept / n, outside / n, inside / n, len(use)))
    return rows


def mean_per_image(change: torch.Tensor, mask: torch.Tensor) -> float:
    """Sum over images of the mean of ``change`` where ``mask``; both ``(B, H, W)``."""
    total = (change * mask).sum((1, 2)) / mask.sum((1, 2)).clamp_min(1)
    return float(total.sum())
