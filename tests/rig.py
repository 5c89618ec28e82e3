"""What tests of training share: tiny methods, batches as the loader makes them, a way to train."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from stargan.contracts import Batch, Feed
from stargan.data.draws import draw_numbers
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.methods.base import Method
from stargan.methods.classifier import Classifier
from stargan.methods.cyclegan import CycleGAN
from stargan.methods.dcgan import DCGAN
from stargan.methods.diat import DIAT
from stargan.methods.icgan import IcGAN
from stargan.methods.stargan import StarGAN
from stargan.methods.stargan_modern import StarGANModern
from stargan.training.engine import Engine

HAIR = ["Black_Hair", "Blond_Hair", "Brown_Hair"]
ATTRIBUTES = LabelSpace([*HAIR, "Male", "Young"], [HAIR], name="celeba")
EXPRESSIONS = LabelSpace(["angry", "happy", "sad"], categorical=True, name="rafd")
SINGLE = JointLabelSpace([ATTRIBUTES])
JOINT = JointLabelSpace([ATTRIBUTES, EXPRESSIONS])

PAPER_G = {"_target_": "stargan.networks.stargan.Generator", "channels": 8, "blocks": 2}
PAPER_D = {"_target_": "stargan.networks.stargan.Discriminator", "channels": 8, "layers": None}
MODERN_G = {
    "_target_": "stargan.networks.modern.Generator",
    **{"channels": 8, "width": 16, "blocks": 1},
}
MODERN_D = {"_target_": "stargan.networks.modern.Discriminator", "channels": 8, "width": 16}
NOISE_G = {"_target_": "stargan.networks.dcgan.Generator", "channels": 4}
NOISE_D = {"_target_": "stargan.networks.dcgan.Discriminator", "channels": 4}
PAIR_G = {"_target_": "stargan.networks.cyclegan.Generator", "channels": 4, "blocks": 1}
PATCHES = {"_target_": "stargan.networks.cyclegan.Discriminator", "channels": 4, "layers": 2}
CRITIC = {"_target_": "stargan.networks.stargan.Critic", "channels": 4, "layers": 3}
ICGAN = "stargan.networks.icgan"
READER = {"_target_": "stargan.networks.classifier.SmallClassifier", "channels": 4}


# What has no default, as it depends on the data: of a method by its file in conf/method.
GIVEN: dict[str, dict[str, Any]] = {
    "cyclegan": {"pair": ["Male"]},
    "diat": {"target": "Male"},
}


def image_of(labels: JointLabelSpace, size: int, channels: int = 3) -> dict[str, Any]:
    crop = {space.name: None for space in labels.spaces}
    return {"size": [size, size], "crop": crop, "channels": channels}


def make_stargan(labels: JointLabelSpace = SINGLE, **changes: Any) -> StarGAN:
    settings: dict[str, Any] = {
        "generator": PAPER_G,
        "discriminator": PAPER_D,
        "labels": labels.to_plain(),
        "image": image_of(labels, 32),
        "seed": 3,
    }
    return StarGAN(**{**settings, **changes})


def make_modern(labels: JointLabelSpace = SINGLE, **changes: Any) -> StarGANModern:
    """With a warm-up of two steps, then G at every step, R1 and the cycle at every second."""
    settings: dict[str, Any] = {
        "generator": MODERN_G,
        "discriminator": MODERN_D,
        "labels": labels.to_plain(),
        "image": image_of(labels, 32),
        "adversarial": "non_saturating",
        "lambda_r1": 0.1,
        "r1_every": 2,
        "rec_every": 2,
        "n_critic": 1,
        "warmup_steps": 2,
        "ema_decay": 0.99,
        "seed": 3,
    }
    return StarGANModern(**{**settings, **changes})


def make_cyclegan(labels: JointLabelSpace = SINGLE, **changes: Any) -> CycleGAN:
    """Between images without and with the label Male."""
    settings: dict[str, Any] = {
        "generator": PAIR_G,
        "discriminator": PATCHES,
        "pair": ["Male"],
        "labels": labels.to_plain(),
        "image": image_of(labels, 32),
        "seed": 3,
    }
    return CycleGAN(**{**settings, **changes})


def make_diat(labels: JointLabelSpace = SINGLE, **changes: Any) -> DIAT:
    """To the label Male."""
    settings: dict[str, Any] = {
        "generator": PAIR_G,
        "discriminator": CRITIC,
        "target": "Male",
        "labels": labels.to_plain(),
        "image": image_of(labels, 32),
        "seed": 3,
    }
    return DIAT(**{**settings, **changes})


def make_icgan(labels: JointLabelSpace = SINGLE, size: int = 16, **changes: Any) -> IcGAN:
    """A tiny one."""
    settings: dict[str, Any] = {
        "generator": {"_target_": f"{ICGAN}.Generator", "noise_size": 6, "channels": 4},
        "discriminator": {"_target_": f"{ICGAN}.Discriminator", "channels": 4},
        "encoder": {"_target_": f"{ICGAN}.NoiseEncoder", "channels": 4},
        "label_encoder": {"_target_": f"{ICGAN}.LabelEncoder", "channels": 4, "features": 8},
        "labels": labels.to_plain(),
        "image": image_of(labels, size),
        "seed": 3,
    }
    return IcGAN(**{**settings, **changes})


def make_dcgan(size: int = 8, channels: int = 1, **changes: Any) -> DCGAN:
    labels = JointLabelSpace([LabelSpace(("a", "b"), categorical=True)])
    settings: dict[str, Any] = {
        "generator": NOISE_G,
        "discriminator": NOISE_D,
        "labels": labels.to_plain(),
        "image": image_of(labels, size, channels),
    }
    return DCGAN(**{**settings, **changes})


def make_classifier(*spaces: LabelSpace, **changes: Any) -> Classifier:
    labels = JointLabelSpace(spaces or (ATTRIBUTES,))
    settings: dict[str, Any] = {
        "classifier": READER,
        "labels": labels.to_plain(),
        "image": image_of(labels, 32),
    }
    return Classifier(**{**settings, **changes})


def complete(
    of: Method | JointLabelSpace,
    image: Tensor,
    label: Tensor,
    dataset: Tensor,
    *,
    seed: int = 0,
    step: int = 0,
) -> Batch:
    """A batch with the targets and numbers that a method asks of the loader.

    Of a label space alone: each image keeps its own labels.
    """
    labels, feed = (of.labels, of.feed()) if isinstance(of, Method) else (of, Feed())
    target = label
    if feed.targets is not None:
        rng = np.random.default_rng([seed, 1, step])
        target = torch.from_numpy(feed.targets(labels, label.numpy(), dataset.numpy(), rng))
    numbers = draw_numbers(feed.draws, len(image), [seed, 2, step])
    draws = {name: torch.from_numpy(one) for name, one in numbers.items()}
    return Batch(image, label, dataset, target, draws)


def make_batch(of: Method | JointLabelSpace, size: int = 6, seed: int = 0, step: int = 0) -> Batch:
    """Noise as images of the method's size (or of 32 pixels), rows of each data set in turn."""
    labels = of.labels if isinstance(of, Method) else of
    image = of.image if isinstance(of, Method) else image_of(of, 32)
    dataset = torch.arange(size) % len(labels.spaces)
    label = torch.zeros(size, labels.size)
    for i, s in enumerate(dataset.tolist()):
        space, first = labels.spaces[s], labels.slices[s].start
        label[i, first + i // 2 % min(3, space.size)] = 1
        for k in range(3, space.size):
            label[i, first + k] = float(i % (k - 1) == 0)
    rng = np.random.default_rng([seed, 0, step])
    pixels = rng.random((size, image["channels"], *image["size"]), dtype=np.float32)
    return complete(of, torch.from_numpy(pixels * 2 - 1), label, dataset, seed=seed, step=step)


def make_engine(method: Method, **settings: Any) -> Engine:
    return Engine(method, **{"max_steps": 10, **settings})


def fit(
    engine: Engine,
    batches: int | Iterable[Batch],
    *callbacks: pl.Callback,
    precision: Any = "32-true",
) -> Engine:
    """Train on batches, or on so many steps' own ones from the engine's step on."""
    if isinstance(batches, int):
        steps = range(engine.step, engine.step + batches)
        batches = [make_batch(engine.method, step=step) for step in steps]
    listed: Any = list(batches)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )
    trainer.fit(engine, DataLoader(listed, batch_size=None))
    return engine


class Watch(pl.Callback):
    """What each step moved, by the names of the method's networks, its terms and rates."""

    def __init__(self) -> None:
        self.moved: list[set[str]] = []
        self.terms: list[set[str]] = []
        self.rates: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: Any, module: Any, *_: Any) -> None:
        self.before = {k: v.clone() for k, v in module.state_dict().items()}

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        state = module.state_dict()
        moved = {k.split(".")[0] for k, v in state.items() if not torch.equal(v, self.before[k])}
        self.moved.append(moved)
        self.terms.append(set(module.terms))
        self.rates.append(module.learning_rates())

    def steps_of(self, network: str) -> list[int]:
        """The steps, counted from 1, that moved a network."""
        return [i + 1 for i, moved in enumerate(self.moved) if network in moved]


def same_weights(one: Any, two: Any) -> bool:
    """Whether two modules are equal bit for bit, buffers too."""
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


def shared_of(method: Method, phase: int, batch: Batch) -> dict[str, Tensor]:
    """What the updates of a phase have in common, with graph."""
    make = method.phases()[phase].shared
    return {} if make is None else make(batch)
