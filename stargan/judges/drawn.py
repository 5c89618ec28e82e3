"""The judge of the embedded faces: a small classifier trained once on real drawn faces, and kept.

It takes no part in training a translator, and it is tried on people that it has never seen.
Judges of other data are trained with ``stargan train experiment=*_classifier``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from stargan import imaging, networks
from stargan.contracts import LabeledImages
from stargan.data.datamodule import DataModule
from stargan.data.drawn.faces import default_cache
from stargan.errors import Plain, UserError
from stargan.export import describe, reads, save_export
from stargan.judges.judge import Judge, open_judge
from stargan.labels import JointLabelSpace
from stargan.losses.domain import domain_loss
from stargan.methods.augment import AUGMENT_DRAWS
from stargan.methods.classifier import augmented
from stargan.metrics.classification import reading
from stargan.progress import Progress

SIZE = (32, 32)
EPOCHS = 10
BATCH = 64
AUGMENT = 0.3


def stack(data: LabeledImages, size: tuple[int, int], count: int | None = None) -> Tensor:
    """The first images of a data set as ``(N, 3, H, W)`` uint8."""
    number = len(data) if count is None else min(count, len(data))
    rows = [imaging.crop_resize(data.load(i), size) for i in range(number)]
    return torch.stack([imaging.to_uint8(imaging.to_tensor(row)) for row in rows])


def accuracy(judge: Judge, image: Tensor, label: Tensor) -> dict[str, float]:
    """How well a judge of one label space reads real images, see ``Reading.accuracy``."""
    read = torch.cat([judge.read(part) for part in image.split(256)])
    return reading(read, label, judge.labels.spaces[0]).accuracy


def train_judge(
    data: LabeledImages,
    size: tuple[int, int],
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Judge:
    """A classifier trained on one split of a data set.

    Args:
        data: real images.
        size: height and width of the images that it will be shown; it looks at them at 32 pixels,
            so that judging costs the same at any size.
        seed: initialisation and order.
        progress: told the share that is done, in [0, 1].
    """
    pixels, label = stack(data, size), data.labels
    labels = JointLabelSpace([data.space])
    network = networks.build(description(labels), seed).train()
    judge = Judge(network, labels, SIZE, {data.space.name: None}, {"data": data.where})
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    batches = max(1, len(pixels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=EPOCHS * batches)
    draws = torch.Generator().manual_seed(seed)
    done = 0
    network.train()
    # Dropout draws from the global generator.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for _ in range(EPOCHS):
            # The incomplete last batch is left out: batch norm would see too few images.
            for rows in torch.randperm(len(pixels), generator=draws).split(BATCH)[:batches]:
                image = judge.prepare(imaging.to_float(pixels[rows]))
                flipped = torch.rand(len(rows), generator=draws) < 0.5
                image[flipped] = image[flipped].flip(-1)
                changes = torch.rand(len(rows), AUGMENT_DRAWS, generator=draws)
                grain = torch.randn(image.shape, generator=draws)
                image = augmented(image, AUGMENT, changes, grain)
                dataset = torch.zeros(len(rows), dtype=torch.long)
                loss = domain_loss(network(image), label[rows], dataset, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                done += 1
                if progress is not None:
                    progress(done / (EPOCHS * batches))
    network.eval().requires_grad_(False)
    return judge


def description(labels: JointLabelSpace) -> Plain:
    """The network of a judge of these labels."""
    return {
        "_target_": "stargan.networks.classifier.SmallClassifier",
        "image_size": list(SIZE),
        "label_size": labels.size,
    }


def cached_judge(
    data: LabeledImages,
    size: tuple[int, int],
    identity: str,
    progress: Callable[[float], None] | None = None,
) -> Judge:
    """The judge of a data set, trained once and kept as a file that ``open_judge`` opens too.

    Args:
        data: the training split.
        size: height and width.
        identity: what the data are, so that other data get another judge.
    """
    path = judge_file(data, size, identity)
    if path.is_file():
        try:
            return open_judge(path)
        except UserError:
            path.unlink()  # torn or from another version: train it again
    judge = train_judge(data, size, progress=progress)
    name = "classifier"
    about = describe(
        networks={name: description(judge.labels)},
        roles={"read": reads(name)},
        labels=judge.labels,
        image={"size": list(judge.size), "crop": judge.crops},
        training=judge.training,
    )
    save_export(path, {name: judge.network}, about)
    return judge


def judge_file(data: LabeledImages, size: tuple[int, int], identity: str) -> Path:
    """Where the judge of a data set is kept; see ``cached_judge``."""
    labels = JointLabelSpace([data.space])
    about = [identity, labels.to_plain(), len(data), list(size), description(labels)]
    text = json.dumps([*about, EPOCHS, BATCH, AUGMENT])
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return default_cache() / f"judge_{data.space.name}_{key}.safetensors"


def judge_of_faces(
    data: DataModule, dataset: str, settings: Mapping[str, Any], console: Console
) -> Judge:
    """The judge of a dataset of embedded faces, with a progress bar if it must be trained.

    Args:
        data: set up.
        dataset: which of its datasets.
        settings: how the dataset is made, as ``conf/data`` has it.
        console: for the bar.
    """
    # Labels and size are in the file's name anyway, and depend on who asks.
    made = {k: v for k, v in settings.items() if k not in ("labels", "size", "crop")}
    with Progress(f"training the judge of {dataset}", 100, "%", console) as progress:
        return cached_judge(
            data.train[dataset].images,
            data.image_size,
            str(sorted(made.items())),
            lambda share: progress.reach(100 * share),
        )
