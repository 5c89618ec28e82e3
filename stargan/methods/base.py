"""What every method says of itself: its networks, how they are trained, what they can do.

A method is a plain ``nn.Module``. It knows no trainer, no optimizer and no step: its phases are run
by ``stargan.training.engine.Engine``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from stargan import networks
from stargan.building import Packages
from stargan.contracts import Feed
from stargan.errors import Plain, UserError
from stargan.export import conditional, describe, reads, samples
from stargan.export.rules import make_rule
from stargan.labels import JointLabelSpace
from stargan.losses.adversarial import Scale
from stargan.methods.phases import Group, Phase, Terms
from stargan.metrics.convergence import ranking_accuracy
from stargan.networks.averaging import start_average


class Method(nn.Module):
    """Base of everything that is trained.

    Subclasses build their networks with ``make`` and implement ``groups``, ``phases`` and
    ``exported``; ``feed`` where they need targets or random numbers.

    Args:
        labels: ``JointLabelSpace.to_plain()``.
        image: ``{"size": [height, width], "crop": {data set: pixels or None}, "channels": 3}``.
        training: where the model comes from, for the exported file.
        seed: of the networks' fresh weights.
        trust: packages whose classes may be named by files that the method opens, see ``building``.

    Attributes:
        settings: what the method was made with, plain data: it rebuilds the method.
        networks: descriptions of the networks that ``make`` made, by attribute.
    """

    product: ClassVar[str] = "generator.safetensors"
    """The exported file in the run folder."""
    kind: ClassVar[str] = "translator"
    """What the exported file is: ``translator``, ``sampler`` or ``classifier``."""
    channels: ClassVar[tuple[int, ...]] = (3,)
    """Images of how many channels the method can take."""
    joint: ClassVar[bool] = True
    """Whether it can be trained on several label spaces together."""
    forgotten: ClassVar[tuple[str, ...]] = ()
    """Settings that a checkpoint does not keep: what training started from."""
    takes_unknown: ClassVar[bool] = False
    """Whether labels of a batch may be NaN, not known: all losses leave them out."""
    scale: Scale | None = None
    """What the values of the adversarial loss mean, for the monitors; None: nothing."""
    n_critic: int = 1
    """Discriminator steps per generator step, for the monitors."""

    settings: Plain

    def __new__(cls, *arguments: Any, **settings: Any) -> Method:
        """Keeps the settings, so that no subclass has to."""
        made = super().__new__(cls)
        # Whom to trust is not for a file to say.
        kept = {k: v for k, v in settings.items() if k not in (*cls.forgotten, "trust")}
        target = f"{cls.__module__}.{cls.__qualname__}"
        object.__setattr__(made, "settings", {"_target_": target, **kept})
        return made

    def __init__(
        self,
        *,
        labels: list[Plain],
        image: Plain,
        training: Plain | None = None,
        seed: int = 0,
        trust: Packages = (),
    ) -> None:
        super().__init__()
        self.trust = trust
        self.labels = JointLabelSpace.from_plain(labels)
        if len(self.labels.spaces) > 1 and not self.joint:
            names = ", ".join(space.name for space in self.labels.spaces)
            raise UserError(
                f"{type(self).__name__} knows no mask vector and takes one data set, not {names}: "
                "choose one of them, or method=stargan."
            )
        self.image = image
        self.facts = training or {}
        self.seed = seed
        self.networks: dict[str, Plain] = {}

    def make(self, attribute: str, network: Plain, **sizes: Any) -> nn.Module:
        """Build a network from its description and note it; each has fresh weights of its own.

        Args:
            attribute: where the method keeps it.
            network: ``{"_target_": class, ...}`` without what the data decide.
            sizes: what the data decide, such as ``condition_size``; the image size is added.
        """
        described = {**network, "image_size": list(self.image["size"]), **sizes}
        made = networks.build(described, self.seed + len(self.networks))
        self.networks[attribute] = described
        return made

    def average(self, attribute: str, of: str) -> nn.Module:
        """A running average of a network, see ``Group.averages``; made after all networks."""
        self.networks[attribute] = self.networks[of]
        return start_average(getattr(self, of))

    # What a subclass writes -----------------------------------------------------------------------

    def groups(self) -> dict[str, Group]:
        """The networks that step together, by the prefix of their terms."""
        raise NotImplementedError

    def phases(self) -> tuple[Phase, ...]:
        """What is done one after the other; most methods have one phase."""
        raise NotImplementedError

    def feed(self) -> Feed:
        """What the method asks of the loader."""
        return Feed()

    def exported(self) -> dict[str, nn.Module]:
        """The networks of the exported file, by the prefix of their tensors."""
        raise NotImplementedError

    def roles(self) -> dict[str, Plain]:
        """What the exported networks do, see ``stargan.export.describe``."""
        raise NotImplementedError

    def per_process(self) -> dict[str, Tensor]:
        """Tensors beside the weights that training needs and that differ between processes.

        Each process has its own in a checkpoint; they are put back in place.
        """
        return {}

    # What others use ------------------------------------------------------------------------------

    def description(self, facts: Plain | None = None) -> Plain:
        """What an exported file says of itself, see ``stargan.export``.

        Args:
            facts: what training has done.
        """
        return describe(
            networks={name: self.networks[key] for name, key in self.prefixes().items()},
            roles=self.roles(),
            labels=self.labels,
            image=self.image,
            training={**self.facts, "method": self.settings["_target_"], **(facts or {})},
        )

    def prefixes(self) -> dict[str, str]:
        """Names of the exported networks, and the attributes that hold them."""
        found = {}
        for name, network in self.exported().items():
            found[name] = next(key for key in self.networks if getattr(self, key) is network)
        return found

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Inside, networks are in evaluation mode; afterwards each is in its own again."""
    modes = [network.training for network in networks]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for network, training in zip(networks, modes, strict=True):
            network.train(training)


class Translation(Method):
    """A method that translates images, conditioned on labels."""

    def roles(self) -> dict[str, Plain]:
        """One generator for every change; a classifier reads a photo's own labels."""
        read = {"read": reads("classifier")} if "classifier" in self.exported() else {}
        return {"translate": conditional("generator"), **read}

    def translate(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        """See ``contracts.Translate``; everything on the device of the weights."""
        raise NotImplementedError

    def can(self, own: Tensor, target: Tensor) -> Tensor:
        """See ``contracts.Chooses``: every change."""
        return torch.ones(len(own), dtype=torch.bool)


class SinglePurpose(Translation):
    """A method whose networks, image to image, make one change each; some have no network.

    Subclasses implement ``exported`` and ``rule``.
    """

    def rule(self) -> Plain:
        """What each exported network is for, see ``stargan.export.rules``."""
        raise NotImplementedError

    def roles(self) -> dict[str, Plain]:
        """The changes that there are networks for."""
        return {"translate": self.rule()}

    @torch.inference_mode()
    def translate(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        """By the network of each row's change. Raises ``UserError`` where there is none."""
        rule = make_rule(self.rule(), self.labels, self.exported())
        translated: Tensor = rule(image, own, target, dataset)
        return translated.clamp(-1, 1)

    def can(self, own: Tensor, target: Tensor) -> Tensor:
        """See ``contracts.Chooses``."""
        return make_rule(self.rule(), self.labels).can(own, target)


class Sampling(Method):
    """A method that makes images of noise ``(B, Z)`` alone."""

    kind: ClassVar[str] = "sampler"
    channels: ClassVar[tuple[int, ...]] = (1, 3)
    noise_size: int
    """Length of a noise vector."""

    def roles(self) -> dict[str, Plain]:
        """The generator makes images."""
        return {"sample": samples("generator")}

    def sample(self, noise: Tensor) -> Tensor:
        """Noise ``(B, Z)`` to images ``(B, C, H, W)`` in [-1, 1], each by itself."""
        raise NotImplementedError


def check_betas(betas: Sequence[float]) -> tuple[float, float]:
    """Adam's betas as a pair. Raises ``UserError`` where they are none."""
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise UserError(f"betas={list(betas)} must be two numbers in [0, 1): [0.5,0.999].")
    return float(betas[0]), float(betas[1])


def score_terms(real_score: Tensor, fake_score: Tensor) -> Terms:
    """What D says of real and fake images, for the monitors; not part of any loss.

    ``D/real`` and ``D/fake`` are the mean scores, ``D/rank`` is how well D ranks them
    (``metrics.convergence.ranking_accuracy``).
    """
    real, fake = real_score.detach(), fake_score.detach()
    return {
        "D/real": real.float().mean(),
        "D/fake": fake.float().mean(),
        "D/rank": ranking_accuracy(real, fake),
    }
