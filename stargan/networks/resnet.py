"""ResNet-18, the classifier of the paper's protocol (StarGAN, section 5.4), from torchvision.

He et al., "Deep residual learning for image recognition", CVPR 2016. It ends in global average
pooling already, so its class activation maps are exact without any change.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torchvision.models.resnet import BasicBlock

from stargan.errors import UserError
from stargan.networks.blocks import check_image_size
from stargan.networks.classifier import AsImageNet, GAPClassifier


class ResNet18(GAPClassifier):
    """Torchvision's ResNet-18 without its last two layers; maps of a 32nd of the side at stride 4.

    Args:
        label_size: number of logits.
        image_size: side of the images or (height, width), at least 32.
        channels: width of the first stage; published 64.
        stem_stride: 4 as published (7x7, stride 2, and max pooling); 2 without the pooling; 1 with
            a 3x3 convolution, for images of 32 to 64 pixels.
        imagenet_scale: bring the pixels to the scale that torchvision's weights expect.
        dropout: of the pooled features in training; published 0.
    """

    def __init__(
        self,
        label_size: int,
        image_size: int | Sequence[int] = 224,
        channels: int = 64,
        stem_stride: int = 4,
        imagenet_scale: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_image_size(image_size, 1, 32, "ResNet")
        if stem_stride not in (1, 2, 4):
            raise UserError(f"stem_stride={stem_stride} of the ResNet must be 1, 2 or 4.")
        kernel = 3 if stem_stride == 1 else 7
        stride = min(stem_stride, 2)
        # Torchvision's names, so that its weights fit.
        trunk = nn.Sequential()
        if imagenet_scale:
            trunk.add_module("scale", AsImageNet())
        stem = nn.Conv2d(3, channels, kernel, stride, kernel // 2, bias=False)
        trunk.add_module("conv1", stem)
        trunk.add_module("bn1", nn.BatchNorm2d(channels))
        trunk.add_module("relu", nn.ReLU(inplace=True))
        if stem_stride == 4:
            trunk.add_module("maxpool", nn.MaxPool2d(3, 2, 1))
        before = channels
        for i in range(4):
            after = channels * 2**i
            trunk.add_module(f"layer{i + 1}", stage(before, after, 1 if i == 0 else 2))
            before = after
        for module in trunk.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.trunk = trunk
        self.end(before, label_size, dropout)


def stage(before: int, after: int, stride: int) -> nn.Sequential:
    """Two residual blocks, the first of which may shrink."""
    shortcut: nn.Module | None = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(
            nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
        )
    return nn.Sequential(BasicBlock(before, after, stride, shortcut), BasicBlock(after, after))
