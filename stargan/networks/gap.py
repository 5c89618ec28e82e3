"""The networks of "Learning deep features for discriminative localization", cut and extended.

Zhou et al., CVPR 2016, section 3: the layers after the last convolutions with a map of 13x13 or
14x14 go, a 3x3 convolution with 1,024 units comes, then global average pooling and one linear
layer. Torchvision's definitions and names, so that its weights fit; inputs are brought to the
mean and deviation that those weights expect.

``AlexNet`` is the uncut network, to compare the classification with. It has no maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torchvision.models.alexnet import AlexNet as WholeAlexNet
from torchvision.models.googlenet import GoogLeNet
from torchvision.models.vgg import cfgs as vgg_widths
from torchvision.models.vgg import make_layers

from stargan.errors import UserError
from stargan.networks.blocks import check_image_size
from stargan.networks.classifier import AsImageNet, GAPClassifier

UNITS = 1024
"""Maps of the added convolution: table 1's networks all have as many."""


def added(*widths: int, groups: int = 1) -> nn.Sequential:
    """3x3 convolutions with ReLU from the first width to the last.

    Args:
        groups: of each of them. The paper speaks of none; the authors' files
            (github.com/zhoubolei/CAM, ``CAM_conv`` of their GoogLeNet and VGG) have 2.
    """
    if groups not in (1, 2):
        raise UserError(f"groups={groups} of the added convolutions is impossible: 1 or 2.")
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1, groups=groups), nn.ReLU(inplace=True)]
    made = nn.Sequential(*layers)
    _he(made)
    return made


class AlexNetGAP(GAPClassifier):
    """AlexNet without what comes after conv5: 13x13 maps at 224 and 227 pixels.

    Args:
        label_size: number of logits.
        image_size: side of the images or (height, width), at least 48.
        dropout: of the pooled maps in training.
        groups: see ``added``.
    """

    extra: tuple[int, ...] = ()

    def __init__(
        self,
        label_size: int,
        image_size: int | Sequence[int] = 224,
        dropout: float = 0.5,
        groups: int = 1,
    ) -> None:
        super().__init__()
        check_image_size(image_size, 1, 48, "AlexNet")
        features = WholeAlexNet(num_classes=1).features[:12]
        _he(features)
        self.trunk = nn.Sequential()
        self.trunk.add_module("scale", AsImageNet())
        self.trunk.add_module("features", features)
        self.trunk.add_module("added", added(256, *self.extra, UNITS, groups=groups))
        self.end(UNITS, label_size, dropout)


class AlexNetStarGAP(AlexNetGAP):
    """AlexNet*-GAP: two more convolutions (512 units) win back what the cut costs.

    The paper adds "two convolutional layers just before GAP" without their sizes; the widths are
    those of the authors' published model.
    """

    extra = (512, 512)


class AlexNetPlusCAM(GAPClassifier):
    """The authors' published AlexNet, ``deploy_alexnetplusCAM_imagenet.prototxt`` of their code.

    Not the paper's words, which have 13x13 maps and 1,024 units: conv5 has 384 maps, a pooling of
    stride 1 follows, then two convolutions of 512, all of them but conv1 and conv3 in two groups,
    responses are normalised after conv1 and conv2, and the maps are 11x11 at 227 pixels.

    Args:
        label_size: number of logits.
        image_size: side of the images or (height, width), at least 55.
        dropout: of the pooled maps in training.
    """

    def __init__(
        self, label_size: int, image_size: int | Sequence[int] = 227, dropout: float = 0.5
    ) -> None:
        super().__init__()
        # Below that nothing is left by the poolings.
        check_image_size(image_size, 1, 55, "AlexNet")

        def pool(stride: int) -> nn.Module:
            return nn.MaxPool2d(3, stride, ceil_mode=True)

        def relu() -> nn.Module:
            return nn.ReLU(inplace=True)

        def normalised() -> nn.Module:
            return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

        features = nn.Sequential(
            *(nn.Conv2d(3, 96, 11, 4), relu(), pool(2), normalised()),
            *(nn.Conv2d(96, 256, 5, padding=2, groups=2), relu(), pool(2), normalised()),
            *(nn.Conv2d(256, 384, 3, padding=1), relu()),
            *(nn.Conv2d(384, 384, 3, padding=1, groups=2), relu()),
            *(nn.Conv2d(384, 384, 3, padding=1, groups=2), relu(), pool(1)),
        )
        _he(features)
        self.trunk = nn.Sequential()
        self.trunk.add_module("scale", AsImageNet())
        self.trunk.add_module("features", features)
        self.trunk.add_module("added", added(384, 512, 512, groups=2))
        self.end(512, label_size, dropout)


class VGGnetGAP(GAPClassifier):
    """VGG-16 without what comes after conv5-3: 14x14 maps at 224 pixels.

    Args:
        label_size: number of logits.
        image_size: side of the images or (height, width), at least 32.
        width: share of the channels of each convolution of VGG; published 1.
        batch_norm: torchvision's variant with batch norm, which learns from scratch where the
            published network needs pretrained weights.
        dropout: of the pooled maps in training.
        groups: see ``added``.
    """

    def __init__(
        self,
        label_size: int,
        image_size: int | Sequence[int] = 224,
        width: float = 1.0,
        batch_norm: bool = True,
        dropout: float = 0.5,
        groups: int = 1,
    ) -> None:
        super().__init__()
        check_image_size(image_size, 1, 32, "VGGnet")
        if not 1 / 64 <= width <= 4:
            raise UserError(f"width={width} of the VGGnet must lie in [1/64, 4].")
        widths = [w if isinstance(w, str) else round(w * width) for w in vgg_widths["D"][:-1]]
        features = make_layers(widths, batch_norm)
        _he(features)
        self.trunk = nn.Sequential()
        self.trunk.add_module("scale", AsImageNet())
        self.trunk.add_module("features", features)
        self.trunk.add_module("added", added(round(512 * width), UNITS, groups=groups))
        self.end(UNITS, label_size, dropout)


class GoogLeNetGAP(GAPClassifier):
    """GoogLeNet without what comes after inception 4e: 14x14 maps at 224 pixels.

    Args:
        label_size: number of logits.
        image_size: side of the images or (height, width), at least 32.
        dropout: of the pooled maps in training; the authors' GoogLeNet-GAP has none.
        groups: see ``added``.
    """

    LAYERS = (
        *("conv1", "maxpool1", "conv2", "conv3", "maxpool2", "inception3a", "inception3b"),
        *("maxpool3", "inception4a", "inception4b", "inception4c", "inception4d", "inception4e"),
    )

    def __init__(
        self,
        label_size: int,
        image_size: int | Sequence[int] = 224,
        dropout: float = 0.0,
        groups: int = 1,
    ) -> None:
        super().__init__()
        check_image_size(image_size, 1, 32, "GoogLeNet")
        whole = GoogLeNet(num_classes=1, aux_logits=False, init_weights=False)
        self.trunk = nn.Sequential()
        self.trunk.add_module("scale", AsImageNet())
        for name in self.LAYERS:
            self.trunk.add_module(name, getattr(whole, name))
        _he(self.trunk)
        self.trunk.add_module("added", added(832, UNITS, groups=groups))
        self.end(UNITS, label_size, dropout)


class AlexNet(nn.Module):
    """The whole AlexNet, with its fully connected layers: no maps.

    Args:
        label_size: number of logits.
        image_size: side of the images or (height, width), at least 64.
        dropout: of the fully connected layers in training.
    """

    def __init__(
        self, label_size: int, image_size: int | Sequence[int] = 224, dropout: float = 0.5
    ) -> None:
        super().__init__()
        check_image_size(image_size, 1, 64, "AlexNet")
        whole = WholeAlexNet(num_classes=label_size, dropout=dropout)
        _he(whole.features)
        self.trunk = nn.Sequential()
        self.trunk.add_module("scale", AsImageNet())
        self.trunk.add_module("features", whole.features)
        self.trunk.add_module("avgpool", whole.avgpool)
        # All but torchvision's last layer, which is our head.
        self.trunk.add_module("flatten", nn.Flatten())
        self.trunk.add_module("classifier", whole.classifier[:6])
        self.head = nn.Linear(4096, label_size)

    def features(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to ``(B, 4096)``."""
        features: Tensor = self.trunk(image)
        return features

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(B, label_size)``."""
        logits: Tensor = self.head(self.features(image))
        return logits


def _he(layers: nn.Module) -> None:
    """He's initialisation: torchvision's own of AlexNet hardly learns from scratch."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
