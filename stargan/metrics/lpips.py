"""LPIPS with backbone weights from a file that the user has; nothing is downloaded.

Source: Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR
2018. The network and its linear weights are those that torchmetrics ships.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS

from stargan.errors import UserError

NAME = "LPIPS (AlexNet)"
SMALLEST = 64
"""Smaller images are enlarged: AlexNet's strides leave nothing of them."""


def lpips(
    path: str | Path, device: str | torch.device = "cpu"
) -> Callable[[Tensor, Tensor], Tensor]:
    """The distance of two batches of images ``(B, 3, H, W)`` in [-1, 1]: ``(B,)``.

    Args:
        path: torchvision's AlexNet weights, ``alexnet-owt-7be5be79.pth``.
        device: where it computes.

    Raises:
        UserError: no such file, or another one.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(
            f"lpips={path} does not exist: give torchvision's alexnet-owt-7be5be79.pth, or leave "
            "lpips= out to use the judge's features."
        )
    network = _LPIPS(net="alex", pnet_rand=True)  # random: not fetched
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        backbone = {
            # features.3.weight is slice2.3.weight there: only the slice has to be found.
            name: state[f"features.{name.partition('.')[2]}"]
            for name in network.net.state_dict()
        }
        network.net.load_state_dict(backbone)
    except Exception as error:  # Almost anything may come of a wrong file.
        raise UserError(f"lpips={path} is not torchvision's AlexNet weight file.") from error
    network = network.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def distance(a: Tensor, b: Tensor) -> Tensor:
        pair = [_large(image.to(device)) for image in (a, b)]
        return network(*pair).flatten()

    return distance


def _large(image: Tensor) -> Tensor:
    factor = SMALLEST / min(image.shape[-2:])
    if factor <= 1:
        return image
    size = [round(side * factor) for side in image.shape[-2:]]
    return torch.nn.functional.interpolate(image, size, mode="bilinear", align_corners=False)
