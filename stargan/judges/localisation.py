"""How well class activation maps find what a label is about, on data whose regions are known.

The protocol of Zhou et al., CVPR 2016, section 3.2: the region above 20 % of a map's maximum, the
box of its largest connected component, right when its intersection over union with the true box is
at least one half; with one of them where there are several (ILSVRC's rule, Russakovsky et al., IJCV
2015). True boxes are the user's, or the smallest one around the label's region: the user's mask, or
all pixels that the label may change (of embedded faces: those that differ when the person is drawn
with the other labels of the group, see ``SyntheticFaces.regions``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stargan.contracts import RegionImages
from stargan.data.datamodule import DataModule
from stargan.errors import UserError
from stargan.judges import cam
from stargan.judges.judge import Judge

RIGHT = 0.5
TOP = 5


@dataclass(frozen=True)
class Case:
    """One image and one of its labels that is set.

    Attributes:
        index: of the image in its data set.
        label: the label's name.
        rank: place of the label among those of its exclusive group by logit, 0 the first; of a
            label that stands alone 0 if its logit is above zero, else 1.
        choices: number of labels in the group.
        overlap: intersection over union of the found and the true box, the best of several.
        hit: whether the map's maximum lies within the region.
        inside: share of the map's positive evidence that lies within the region (the energy-based
            pointing game of Wang et al., "Score-CAM", CVPR workshops 2020).
        area: share of the image that the region takes: how often chance hits, and what a map that
            is the same everywhere has inside.
    """

    index: int
    label: str
    rank: int
    choices: int
    overlap: float
    hit: bool
    inside: float
    area: float


class Located(NamedTuple):
    """What ``locate_labels`` finds, and what it has to leave out.

    Attributes:
        cases: every set label of an image whose region is in the picture.
        unknown: images that have labels, but not the region of any of them.
        cut: regions of which nothing is in the picture: the crop cut them away, or the mask is
            empty.
    """

    cases: list[Case]
    unknown: int
    cut: int


@dataclass(frozen=True)
class Localisation:
    """The figures of some cases, as shares in [0, 1]; ``top5`` figures are None below six labels.

    Attributes:
        title: of which label or group.
        count: number of cases.
        top1, top5: classification error.
        located1, located5: localisation error: the class is wrong (not among the five) or its box
            overlaps too little.
        known: localisation error when the class is given.
        overlap: mean intersection over union.
        hit: how often the map's maximum lies within the region.
        inside: mean share of the positive evidence within the region.
        area: mean share of the image that the region takes.
    """

    title: str
    count: int
    top1: float
    top5: float | None
    located1: float
    located5: float | None
    known: float
    overlap: float
    hit: float
    inside: float
    area: float


def locate_labels(
    judge: Judge,
    data: DataModule,
    name: str,
    share: float = cam.SHARE,
    batch_size: int = 32,
    progress: Callable[[int], None] = lambda count: None,
) -> Located:
    """Every set label of every test image of a data set: is it read, is its region found?

    Args:
        judge: with maps.
        data: set up.
        name: of the data set.
        share: of a map's maximum, above which its region lies.
        batch_size: images at once.
        progress: told the number of images that are done.

    Raises:
        UserError: the judge has no maps or other labels, the regions are not known, or the user's
            boxes or masks do not fit the images.
    """
    cam.check_maps(judge)
    number = list(data.test).index(name)
    space = data.labels.spaces[number]
    columns = judge.match(space, needs="the data").places
    prepared = data.test[name]
    if prepared.about_regions() is None:
        own_files = isinstance(prepared.images, RegionImages)
        files = f"add data.{name}.regions=PATH of boxes or masks, or " if own_files else ""
        raise UserError(
            f"'{name}' does not say where its labels are: {files}take data whose regions are "
            "known, as data=attributes."
        )
    indices = data.test_indices(name)
    cases: list[Case] = []
    done = unknown = cut = 0
    for batch in data.test_batches(name, batch_size):
        joint, maps = (t.cpu() for t in cam.logits_and_maps(judge, batch.image, relative=True))
        logits = joint[:, columns]
        size = (batch.image.shape[-2], batch.image.shape[-1])
        truth = batch.label[:, data.labels.slices[number]]
        for row, index in enumerate(indices[done : done + len(truth)]):
            own_labels = torch.nonzero(truth[row] > 0.5).flatten().tolist()
            regions = {i: prepared.region(index, i) for i in own_labels}
            unknown += bool(own_labels) and all(r is None for r in regions.values())
            for i, region in regions.items():
                if region is None:
                    continue
                if not region.boxes:
                    cut += 1
                    continue
                heat = cam.enlarge(maps[row, columns[i]][None], size)
                label = space.names[i]
                group = [space.index(n) for n in space.group_of(label)]
                rank = (
                    int((logits[row, group] > logits[row, i]).sum())
                    if len(group) > 1
                    else int(logits[row, i] <= 0)
                )
                y, x = divmod(int(heat.argmax()), size[1])
                found = cam.localise(heat, share)[0]
                cases.append(
                    Case(
                        index=index,
                        label=label,
                        rank=rank,
                        choices=len(group),
                        overlap=max(cam.iou(found, box) for box in region.boxes),
                        hit=bool(heat.max() > 0 and region.pixels[y, x]),
                        inside=_inside(heat[0], region.pixels),
                        area=float(region.pixels.mean()),
                    )
                )
        done += len(truth)
        progress(done)
    return Located(cases, unknown, cut)


def _inside(heat: Tensor, pixels: NDArray[np.bool_]) -> float:
    """Share of what is positive in ``(H, W)`` that lies on the pixels; 0 of nothing."""
    positive = heat.clamp_min(0)
    whole = float(positive.sum())
    return float(positive[torch.from_numpy(pixels)].sum()) / whole if whole > 0 else 0.0


def summarise(title: str, cases: list[Case]) -> Localisation:
    """The figures of some cases.

    Raises:
        ValueError: no case.
    """
    if not cases:
        raise ValueError(f"no image of {title}")
    rank = torch.tensor([c.rank for c in cases])
    right = torch.tensor([c.overlap for c in cases]) >= RIGHT
    many = all(c.choices > TOP for c in cases)

    def error(good: Tensor) -> float:
        return 1 - float(good.float().mean())

    return Localisation(
        title=title,
        count=len(cases),
        top1=error(rank == 0),
        top5=error(rank < TOP) if many else None,
        located1=error((rank == 0) & right),
        located5=error((rank < TOP) & right) if many else None,
        known=error(right),
        overlap=sum(c.overlap for c in cases) / len(cases),
        hit=sum(c.hit for c in cases) / len(cases),
        inside=sum(c.inside for c in cases) / len(cases),
        area=sum(c.area for c in cases) / len(cases),
    )


def by_label(cases: list[Case], names: tuple[str, ...]) -> list[Localisation]:
    """The figures of each label that some image has, and of all together."""
    found = [(name, [c for c in cases if c.label == name]) for name in names]
    rows = [summarise(name, some) for name, some in found if some]
    return [*rows, summarise("all", cases)] if len(rows) > 1 else rows


HEADS = (
    *("label", "images", "top-1 error", "top-5 error", "top-1 loc. error", "top-5 loc. error"),
    *("loc. error, class known", "mean IoU", "peak inside", "evidence inside"),
    "area of the region",
)


def cells(row: Localisation) -> list[str]:
    """A row of a table under ``HEADS``."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    return [
        *(row.title, str(row.count), share(row.top1), share(row.top5)),
        *(share(row.located1), share(row.located5), share(row.known)),
        *(f"{row.overlap:.2f}", share(row.hit), share(row.inside), share(row.area)),
    ]
