"""Classifiers that end in global average pooling, so that they can say where they look.

Zhou et al., "Learning deep features for discriminative localization", CVPR 2016, section 2: the
class score is ``sum_k w_k mean(f_k) + bias``, so ``sum_k w_k f_k(x, y)`` is the part that each
place has in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.networks.blocks import check_image_size

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in [0, 1], as torchvision's weights expect them."""


class AsImageNet(nn.Module):
    """Pixels in [-1, 1] to the scale on which ImageNet's networks were trained."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        deviation = torch.tensor(DEVIATION)[:, None, None]
        # (x / 2 + 1/2 - mean) / deviation. Constants: no weights, so not in the state.
        self.register_buffer("scale", 0.5 / deviation, persistent=False)
        shift = (0.5 - torch.tensor(MEAN)[:, None, None]) / deviation
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to the same shape."""
        return image * self.scale + self.shift


class GAPClassifier(nn.Module):
    """Convolutions, global average pooling, one linear layer.

    Subclasses set ``trunk``, which turns an image into maps, and call ``end``.

    Attributes:
        trunk: ``(B, 3, H, W)`` to maps ``(B, K, h, w)``.
        head: the linear layer, ``K`` to the number of labels.
    """

    trunk: nn.Module
    head: nn.Linear

    def end(self, channels: int, label_size: int, dropout: float) -> None:
        """Make the layers after the trunk.

        Args:
            channels: ``K``, maps of the trunk.
            label_size: number of logits.
            dropout: share of the pooled maps that is left out in training.
        """
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, label_size)

    def maps(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to the last maps ``(B, K, h, w)``."""
        maps: Tensor = self.trunk(image)
        return maps

    def features(self, image: Tensor) -> Tensor:
        """``(B, K)``: the mean of each map, what the linear layer sees."""
        return self.maps(image).mean((2, 3))

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(B, label_size)``; in evaluation ``head(features(image))``."""
        logits: Tensor = self.head(self.dropout(self.features(image)))
        return logits


def load_backbone(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Weights by torchvision's names into the part of a network that is torchvision's.

    What was cut off is passed over. What was added takes its weights where the state has them, as
    that of a judge with the same network; else it keeps its own, as the last layer always does.

    Args:
        network: one of this package whose ``trunk`` has torchvision's names.
        state: torchvision's state dict of the whole network, or that of another ``trunk``.

    Raises:
        UserError: a weight that the network needs is missing or has another shape.
    """
    trunk = getattr(network, "trunk", nn.Module())
    own = trunk.state_dict()
    added = {name for name in own if name.startswith("added.")}
    if any(name not in state or state[name].shape != own[name].shape for name in added):
        for name in added:
            del own[name]
    title = type(network).__name__
    for name, value in own.items():
        if name not in state:
            raise UserError(
                f"the weights have no '{name}', so they are not of the network that {title} is "
                "made from: give weights of that network."
            )
        if state[name].shape != value.shape:
            shapes = f"{tuple(state[name].shape)}, not {tuple(value.shape)}"
            raise UserError(
                f"the weights' '{name}' has shape {shapes}: they are of another variant of the "
                f"network that {title} is made from."
            )
    trunk.load_state_dict({name: state[name] for name in own}, strict=False)


class SmallClassifier(GAPClassifier):
    """Four convolutions: enough to read the labels of the embedded faces at 32 px, in a minute.

    Args:
        label_size: number of logits.
        image_size: side of the images or (height, width), at least 16.
        channels: width of the first convolution; the others have two and four times as many.
        dropout: see ``GAPClassifier.end``.
    """

    def __init__(
        self,
        label_size: int,
        image_size: int | Sequence[int] = 32,
        channels: int = 32,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        check_image_size(image_size, 1, 16, "small classifier")
        layers: list[nn.Module] = []
        widths = [3, channels, 2 * channels, 4 * channels, 4 * channels]
        for i, (before, after) in enumerate(pairwise(widths)):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
            if i < 2:  # Maps of a quarter of the side: fine enough to show an eye.
                layers.append(nn.MaxPool2d(2))
        self.trunk = nn.Sequential(*layers)
        self.end(widths[-1], label_size, dropout)
