"""A tiny model with random weights, as exported file and as checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from stargan import networks
from stargan.export import conditional, describe, reads, save_export
from stargan.export.description import without
from stargan.labels import JointLabelSpace, LabelSpace

HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair")
FACES = LabelSpace((*HAIR, "Male", "Young"), [HAIR], name="faces")
MOODS = LabelSpace(("happy", "sad", "neutral"), categorical=True, name="moods")


def settings(*spaces: LabelSpace, size: int = 32, crop: int | None = None) -> dict[str, Any]:
    labels = JointLabelSpace(spaces or (FACES,))
    tiny = {"image_size": size, "channels": 8}
    return describe(
        networks={
            "generator": {
                "_target_": "stargan.networks.stargan.Generator",
                "condition_size": labels.condition_size,
                "blocks": 1,
                **tiny,
            },
            "classifier": {
                "_target_": "stargan.networks.stargan.Discriminator",
                "label_size": labels.size,
                "layers": 3,
                **tiny,
            },
        },
        roles={"translate": conditional("generator"), "read": reads("classifier")},
        labels=labels,
        image={"size": [size, size], "crop": {s.name: crop for s in labels.spaces}},
        training={"method": "stargan", "steps": 0},
    )


def tiny_networks(plain: dict[str, Any], seed: int = 0) -> tuple[nn.Module, nn.Module]:
    configs = plain["networks"]
    generator, classifier = (networks.build(configs[n]) for n in ("generator", "classifier"))
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in (*generator.parameters(), *classifier.parameters()):
            p.normal_(std=0.2, generator=draws)
    return generator.eval(), classifier.eval()


def write_export(path: Path, plain: dict[str, Any], seed: int = 0, classifier: bool = True) -> Path:
    generator, discriminator = tiny_networks(plain, seed)
    description = plain if classifier else without(plain, "read")
    parts = {"generator": generator} | ({"classifier": discriminator} if classifier else {})
    save_export(path, parts, description)
    return path


def write_checkpoint(path: Path, plain: dict[str, Any], seed: int = 0, ema: int = -1) -> Path:
    generator, discriminator = tiny_networks(plain, seed)
    parts = {"generator": generator, "discriminator": discriminator}
    if ema >= 0:
        parts["ema"] = tiny_networks(plain, ema)[0]
    state = {f"{n}.{k}": v for n, net in parts.items() for k, v in net.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state, "hyper_parameters": {"export": plain}}, path)
    return path


def photo(height: int = 40, width: int = 36, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def write_judge(path: Path, *spaces: LabelSpace, size: int = 16) -> Path:
    labels = JointLabelSpace(spaces)
    network = {
        "_target_": "stargan.networks.classifier.SmallClassifier",
        "image_size": size,
        "label_size": labels.size,
        "channels": 4,
    }
    image = {"size": [size, size], "crop": {s.name: None for s in spaces}}
    about = describe(
        networks={"classifier": network},
        roles={"read": reads("classifier")},
        labels=labels,
        image=image,
        training={"method": "classifier"},
    )
    save_export(path, {"classifier": networks.build(network).eval()}, about)
    return path
