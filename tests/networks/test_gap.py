"""Shapes, resolutions and sizes of the networks that end in global average pooling."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from stargan import networks
from stargan.errors import UserError
from stargan.networks.classifier import DEVIATION, MEAN, GAPClassifier, load_backbone

GAP = {
    "gap.AlexNetGAP": (1024, {224: 13, 227: 13}),
    "gap.AlexNetStarGAP": (1024, {224: 13, 227: 13}),
    "gap.AlexNetPlusCAM": (512, {227: 11, 55: 1}),
    "gap.VGGnetGAP": (1024, {224: 14}),
    "gap.GoogLeNetGAP": (1024, {224: 14}),
    "resnet.ResNet18": (512, {224: 7}),
}


def build(name: str, **settings: object) -> nn.Module:
    plain = {"_target_": f"stargan.networks.{name}", "label_size": 5, "image_size": 224}
    return networks.build({**plain, **settings})


@pytest.mark.parametrize("name", GAP)
def test_mapping_resolution_and_shapes(name: str) -> None:
    channels, sides = GAP[name]
    with torch.device("meta"):
        network = build(name).eval()
        for size, side in sides.items():
            image = torch.zeros(2, 3, size, size)
            assert network.maps(image).shape == (2, channels, side, side)
            assert network.features(image).shape == (2, channels)
            assert network(image).shape == (2, 5)
    assert isinstance(network.head, nn.Linear)
    assert network.head.weight.shape == (5, channels)


@pytest.mark.parametrize("name", [*GAP, "classifier.SmallClassifier"])
def test_logits_are_the_head_of_the_mean_of_the_maps(name: str) -> None:
    network = build(name, image_size=64, **({"width": 0.125} if "VGG" in name else {})).eval()
    assert isinstance(network, GAPClassifier)
    image = torch.rand(2, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        expected = network.head(network.maps(image).mean((2, 3)))
        torch.testing.assert_close(network(image), expected)


def test_the_authors_alexnet_has_the_sizes_of_its_file() -> None:
    """``deploy_alexnetplusCAM_imagenet.prototxt`` of github.com/zhoubolei/CAM, layer by layer."""
    with torch.device("meta"):
        network = build("gap.AlexNetPlusCAM", image_size=227, label_size=1000)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    weights = [
        *(96 * 3 * 11 * 11, 256 * 48 * 25, 384 * 256 * 9, 384 * 192 * 9, 384 * 192 * 9),
        *(512 * 192 * 9, 512 * 256 * 9, 1000 * 512),
    ]
    assert [m.weight.numel() for m in layers] == weights
    assert network.dropout.p == 0.5


@pytest.mark.parametrize("name", ["AlexNetGAP", "AlexNetStarGAP", "VGGnetGAP", "GoogLeNetGAP"])
def test_added_convolutions_in_two_groups_as_in_the_authors_files(name: str) -> None:
    with torch.device("meta"):
        one, two = (build(f"gap.{name}", groups=n) for n in (1, 2))
    halves = [w.numel() for w in two.trunk.added.parameters() if w.dim() == 4]
    assert [2 * n for n in halves] == [
        w.numel() for w in one.trunk.added.parameters() if w.dim() == 4
    ]
    with pytest.raises(UserError, match="groups=3 of the added convolutions is impossible"):
        build(f"gap.{name}", groups=3)


def test_the_extra_convolutions_are_the_only_difference() -> None:
    with torch.device("meta"):
        plain, star = build("gap.AlexNetGAP"), build("gap.AlexNetStarGAP")
    convs = [[m for m in n.modules() if isinstance(m, nn.Conv2d)] for n in (plain, star)]
    assert [len(c) for c in convs] == [6, 8]
    assert [c.kernel_size for c in convs[1][5:]] == [(3, 3)] * 3
    assert [c.out_channels for c in convs[1][5:]] == [512, 512, 1024]


def test_plain_alexnet_has_no_maps() -> None:
    network = build("gap.AlexNet", image_size=64).eval()
    assert not hasattr(network, "maps")
    image = torch.rand(2, 3, 64, 64)
    assert network.features(image).shape == (2, 4096)
    assert network(image).shape == (2, 5)


def imagenet(image: torch.Tensor) -> torch.Tensor:
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
    return ((image + 1) / 2 - mean) / deviation


def test_torchvisions_alexnet_fits_whole() -> None:
    theirs = torchvision.models.alexnet(num_classes=5).eval()
    ours = build("gap.AlexNet").eval()
    load_backbone(ours, theirs.state_dict())
    ours.head.load_state_dict(theirs.classifier[6].state_dict())
    image = torch.rand(1, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(imagenet(image)))


def test_torchvisions_resnet_fits_whole() -> None:
    theirs = torchvision.models.resnet18(num_classes=5).eval()
    ours = build("resnet.ResNet18", imagenet_scale=True).eval()
    load_backbone(ours, theirs.state_dict())
    ours.head.load_state_dict(theirs.fc.state_dict())
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(imagenet(image)))


def test_torchvisions_cut_networks_give_the_same_maps() -> None:
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    theirs = torchvision.models.vgg16_bn(num_classes=2).eval()
    ours = build("gap.VGGnetGAP").eval()
    load_backbone(ours, theirs.state_dict())
    with torch.no_grad():
        cut = theirs.features[:-1](imagenet(image))
        torch.testing.assert_close(ours.trunk[:2](image), cut)
    with pytest.raises(UserError, match="of the network that VGGnetGAP is made from"):
        load_backbone(ours, torchvision.models.alexnet(num_classes=2).state_dict())
    thin = build("gap.VGGnetGAP", width=0.25)
    with pytest.raises(UserError, match="another variant"):
        load_backbone(thin, theirs.state_dict())


@pytest.mark.parametrize(("stride", "side"), [(4, 2), (2, 4), (1, 8)])
def test_stems_of_the_resnet(stride: int, side: int) -> None:
    network = build("resnet.ResNet18", image_size=64, stem_stride=stride, channels=8).eval()
    assert network.maps(torch.rand(1, 3, 64, 64)).shape == (1, 64, side, side)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(UserError, match="image size 32 does not fit the AlexNet"):
        build("gap.AlexNetGAP", image_size=32)
    with pytest.raises(UserError, match="stem_stride=3"):
        build("resnet.ResNet18", stem_stride=3)
    with pytest.raises(UserError, match="width=0"):
        build("gap.VGGnetGAP", width=0)
