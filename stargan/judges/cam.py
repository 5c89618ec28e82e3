"""Class activation maps: where a classifier sees a label, and how well that finds it.

Zhou et al., "Learning deep features for discriminative localization", CVPR 2016: with global
average pooling before the one linear layer, ``M_c(x, y) = sum_k w_k^c f_k(x, y)`` is what each
place adds to the score of class c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from stargan import imaging
from stargan.errors import UserError
from stargan.imaging.regions import Box, box_of
from stargan.judges.judge import Judge

SHARE = 0.2
"""Of the map's maximum: what lies above it is the region (section 3.2 of the paper)."""
OPACITY = 0.7


def check_maps(judge: Judge) -> None:
    """Refuse a judge that has no class activation maps.

    Raises:
        UserError: its network does not end in global average pooling and one linear layer.
    """
    if not hasattr(judge.network, "maps") or not isinstance(
        getattr(judge.network, "head", None), nn.Linear
    ):
        raise UserError(
            f"{type(judge.network).__name__} has no class activation maps, as it does not end in "
            "global average pooling: train a judge with network=alexnet_gap or another that does."
        )


@torch.inference_mode()
def label_maps(judge: Judge, image: Tensor, relative: bool = False) -> Tensor:
    """The maps of all labels at the network's own resolution.

    Args:
        judge: a judge with maps.
        image: ``(B, 3, H, W)`` in [-1, 1] of any size.
        relative: of the classes of a categorical space, take away the mean of the maps of all.
            Softmax knows differences of logits only: the map of the winning class alone may be
            negative everywhere.

    Returns:
        ``(B, L, h, w)`` float32, signed. Unless relative, their mean over the places plus the bias
        of the linear layer is the logit.

    Raises:
        UserError: see ``check_maps``.
    """
    return logits_and_maps(judge, image, relative)[1]


@torch.inference_mode()
def logits_and_maps(judge: Judge, image: Tensor, relative: bool = False) -> tuple[Tensor, Tensor]:
    """Joint logits ``(B, L)`` and ``label_maps`` in one pass of the network."""
    check_maps(judge)
    network: Any = judge.network
    features = network.maps(judge.prepare(image)).float()
    maps = torch.einsum("bkhw,lk->blhw", features, network.head.weight.float())
    logits = maps.mean((2, 3)) + network.head.bias.float()
    if relative:
        for space, part in zip(judge.labels.spaces, judge.labels.slices, strict=True):
            if space.categorical:
                maps[:, part] -= maps[:, part].mean(1, keepdim=True)
    return logits, maps


def class_activation_map(
    judge: Judge, image: Tensor, label: Tensor | int, relative: bool = False
) -> Tensor:
    """The map of one label for each image.

    Args:
        judge: a judge with maps.
        image: ``(B, 3, H, W)`` in [-1, 1] of any size.
        label: index in the judge's joint labels, one for all images or ``(B,)``.
        relative: see ``label_maps``.

    Returns:
        ``(B, H, W)`` float32 at the image's size, signed, on the judge's device: what each place
        adds to the logit of the label.

    Raises:
        UserError: see ``check_maps``; an index that is no label.
    """
    index = torch.as_tensor(label, device=judge.device).long().expand(len(image))
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < judge.labels.size:
        raise UserError(f"label {label} is none of the judge's {judge.labels.size} labels.")
    maps = label_maps(judge, image, relative)
    chosen = maps[torch.arange(len(image), device=maps.device), index]
    return enlarge(chosen, (image.shape[-2], image.shape[-1]))


def enlarge(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps ``(B, h, w)`` at another size, bilinear."""
    return F.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def normalise(maps: Tensor, together: bool = False) -> Tensor:
    """Signed maps to [0, 1]: each map's evidence for the label as a share of its own maximum.

    What speaks against the label is 0. A map that is nowhere positive, or not finite, becomes 0
    everywhere: there is no evidence to show.

    Args:
        maps: ``(..., H, W)``.
        together: ``(N, ..., H, W)``: the maximum is that of N maps, which can then be compared,
            such as before and after a translation.
    """
    positive = maps.float().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).clamp_min(0)
    top = positive.amax((0, -2, -1) if together else (-2, -1), keepdim=True)
    return torch.where(top > 0, positive / top.clamp_min(torch.finfo(torch.float32).tiny), 0)


def overlay(image: Tensor | Image.Image, maps: Tensor) -> Image.Image:
    """An image with one map over it: the stronger, the more opaque and the warmer.

    Args:
        image: RGB, or ``(3, H, W)`` in [-1, 1].
        maps: ``(H, W)`` in [0, 1], see ``normalise``; 0 leaves the image as it is.
    """
    from matplotlib import colormaps

    picture = imaging.to_pil(image) if isinstance(image, Tensor) else image
    pixels = np.asarray(picture, dtype=np.float32)
    heat = maps.detach().cpu().clamp(0, 1).numpy()
    if heat.shape != pixels.shape[:2]:
        raise ValueError(f"a map of {heat.shape} on an image of {pixels.shape[:2]}")
    colour = np.asarray(colormaps["turbo"](heat))[..., :3] * 255
    weight = OPACITY * heat[..., None]
    mixed = pixels * (1 - weight) + colour * weight
    return Image.fromarray(mixed.round().astype(np.uint8))


def localise(maps: Tensor, share: float = SHARE) -> list[Box | None]:
    """The box of each map: of the largest connected part above a share of the map's maximum.

    Args:
        maps: ``(B, H, W)``, signed or in [0, 1].
        share: in [0, 1).

    Returns:
        One box per map; None where the map is nowhere positive.
    """
    return [_box(row, share) for row in normalise(maps).cpu().numpy()]


def _box(heat: NDArray[np.float32], share: float) -> Box | None:
    region = heat > share
    if not region.any():
        return None
    parts, _ = ndimage.label(region)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0  # What is outside of all.
    return box_of(parts == sizes.argmax())


def iou(one: Box | None, other: Box | None) -> float:
    """Intersection over union of two boxes; 0 where one is missing."""
    if one is None or other is None:
        return 0.0
    common = one.within(other).area
    return common / (one.area + other.area - common)
