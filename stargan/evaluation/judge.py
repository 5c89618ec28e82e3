"""A judge of the embedded faces: a small classifier trained on real drawn faces.

It takes no part in training a translator, and it is tried on people that it has never seen.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from stargan import images
from stargan.contracts import LabeledImages
from stargan.data.synthetic_faces import default_cache
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.losses.domain import domain_loss
from stargan.networks.classifier import SmallClassifier

EPOCHS = 10
BATCH = 64


class Judge:
    """Reads the labels of images. ``space`` is the label space that it knows."""

    def __init__(self, network: SmallClassifier, space: LabelSpace) -> None:
        self.network = network.eval()
        self.space = space

    @torch.inference_mode()
    def read(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to labels ``(B, L)`` in {0, 1}."""
        return self.space.read(self.network(image))

    def accuracy(self, image: Tensor, label: Tensor) -> dict[str, float]:
        """Share of images on which each label is read right."""
        read = torch.cat([self.read(part) for part in image.split(256)])
        right = (read == label).float().mean(0)
        return dict(zip(self.space.names, right.tolist(), strict=True))


def stack(data: LabeledImages, size: tuple[int, int], count: int | None = None) -> Tensor:
    """The first images of a data set as ``(N, 3, H, W)`` uint8."""
    number = len(data) if count is None else min(count, len(data))
    rows = [images.crop_resize(data.load(i), size) for i in range(number)]
    return torch.stack([images.to_uint8(images.to_tensor(row)) for row in rows])


def train_judge(
    data: LabeledImages,
    size: tuple[int, int],
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Judge:
    """A classifier trained on one split of a data set.

    Args:
        data: real images.
        size: height and width at which it will judge.
        seed: initialisation and order.
        progress: told the share that is done, in [0, 1].
    """
    pixels, label = stack(data, size), data.labels
    labels = JointLabelSpace([data.space])
    batches = max(1, len(pixels) // BATCH)
    done = 0
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = SmallClassifier(data.space.size)
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 4e-3, total_steps=EPOCHS * batches
        )
        for _ in range(EPOCHS):
            # The incomplete last batch is left out: batch norm would see too few images.
            for rows in torch.randperm(len(pixels)).split(BATCH)[:batches]:
                image = pixels[rows].float() / 127.5 - 1
                flipped = torch.rand(len(rows)) < 0.5
                image[flipped] = image[flipped].flip(-1)
                # Translated images are not pixel-clean: a little light and grain.
                image = image * (0.9 + 0.2 * torch.rand(len(rows), 1, 1, 1))
                image = image + 0.03 * torch.randn_like(image)
                source = torch.zeros(len(rows), dtype=torch.long)
                # Per label, so that the rate means the same for one label and for many.
                scale = 1 if data.space.categorical else data.space.size
                loss = domain_loss(network(image), label[rows], source, labels) / scale
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                done += 1
                if progress is not None:
                    progress(done / (EPOCHS * batches))
    return Judge(network, data.space)


def cached_judge(
    data: LabeledImages,
    size: tuple[int, int],
    identity: str,
    progress: Callable[[float], None] | None = None,
) -> Judge:
    """The judge of a data set, trained once and kept.

    Args:
        data: the training split.
        size: height and width.
        identity: what the data are, so that other data get another judge.
    """
    about = json.dumps([identity, data.space.to_plain(), len(data), list(size), EPOCHS, BATCH])
    key = hashlib.sha256(about.encode()).hexdigest()[:16]
    path = default_cache() / f"judge_{data.space.name}_{key}.safetensors"
    if path.is_file():
        network = SmallClassifier(data.space.size)
        try:
            network.load_state_dict(load_file(path))
            return Judge(network, data.space)
        except (SafetensorError, RuntimeError):
            path.unlink()  # torn or from another version: train it again
    judge = train_judge(data, size, progress=progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    save_file(judge.network.state_dict(), part)
    part.replace(path)
    return judge
