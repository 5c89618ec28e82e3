"""Class activation maps: where a classifier that ends in global average pooling sees a label.

Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016, equation
(2): ``M_c(x, y) = sum_k w_k^c f_k(x, y)``.
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from stargan import images
from stargan.contracts import UserError
from stargan.judge import Judge


@torch.inference_mode()
def class_activation_map(judge: Judge, image: Tensor, label: Tensor | int) -> Tensor:
    """Where the judge sees a label, raw and signed.

    Args:
        judge: its network has ``maps`` and ``head``.
        image: ``(B, 3, H, W)`` in [-1, 1] of any size.
        label: index in the judge's joint labels, one for all or ``(B,)``.

    Returns:
        ``(B, H, W)`` float32 on the judge's device, at the size of the images.

    Raises:
        UserError: the network does not end in global average pooling.
    """
    network: Any = judge.network
    if not hasattr(network, "maps") or not hasattr(network, "head"):
        raise UserError(
            f"{type(network).__name__} has no class activation maps: it does not end in global "
            "average pooling, train a classifier that does."
        )
    maps: Tensor = network.maps(judge.prepare(image)).float()
    index = torch.as_tensor(label, device=maps.device).expand(len(maps))
    weights = network.head.weight.float()[index]
    heat = torch.einsum("bk,bkhw->bhw", weights, maps)
    return F.interpolate(heat[:, None], image.shape[-2:], mode="bilinear", align_corners=False)[
        :, 0
    ]


def normalise(heat: Tensor) -> Tensor:
    """``(..., H, W)`` raw maps to [0, 1], each for itself: evidence against the label is 0.

    A map that is nowhere positive is 0 everywhere.
    """
    positive = heat.clamp(min=0)
    largest = positive.amax((-2, -1), keepdim=True)
    return positive / largest.clamp(min=torch.finfo(heat.dtype).tiny)


def overlay(image: Tensor, heat: Tensor) -> Image.Image:
    """A picture under its map.

    Args:
        image: ``(3, H, W)`` in [-1, 1].
        heat: ``(H, W)`` in [0, 1].
    """
    picture = np.asarray(images.to_pil(image), dtype=np.float32)
    value = heat.clamp(0, 1).cpu().numpy()
    colour = mpl.colormaps["inferno"](value)[..., :3] * 255
    share = 0.65 * value[..., None]
    return Image.fromarray((picture * (1 - share) + colour * share).round().astype(np.uint8))
