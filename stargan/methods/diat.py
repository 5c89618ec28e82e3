"""DIAT: one generator per target, which keeps who somebody is.

Li, Zuo and Zhang, "Deep identity-aware transfer of facial attributes", arXiv 1610.05586 (2016): a
discriminator that knows the images of the target domain, and an identity term on features. Its
enhancement network is left out. No code of it is public: what the paper leaves open, what is chosen
here, and StarGAN's comparison: see docs/comparison.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stargan.building import Packages
from stargan.contracts import Batch, Draw, Feed, Stratum
from stargan.errors import Plain, UserError
from stargan.export import by_target, open_parts
from stargan.labels import JointLabelSpace, parse_edits
from stargan.labels.targets import Edited
from stargan.losses.gradient_penalty import gradient_penalty, image_gradient
from stargan.losses.reconstruction import reconstruction_loss, squared_reconstruction_loss
from stargan.methods.base import SinglePurpose, score_terms
from stargan.methods.gan import GAN
from stargan.methods.phases import Shared, Terms

IDENTITY = {"squared": squared_reconstruction_loss, "absolute": reconstruction_loss}


class DIAT(GAN, SinglePurpose):
    """Images without the target label are translated; those that have it are D's real images.

    Args:
        target: the label that every image is to have, ``Blond_Hair``; or ``Male=0`` for one that
            stands alone to be taken away.
        inputs: a label that the images to be translated must have, such as ``neutral``; None: all
            that have not what the target asks for.
        generator: ``{"_target_": class, ...}`` without its sizes.
        discriminator: the same: an image to scores, with ``features``.
        features: a frozen network whose features say who somebody is: a judge of this package
            (run folder, ``.ckpt``, ``classifier.safetensors``), or any network from such a file,
            see ``building``; None: D's own features (DIAT-A).
        identity: how far features are apart: ``squared`` (the paper) or ``absolute``, on average.
        lambda_id: weight of the identity term.
        adversarial: name of the adversarial loss.
        lambda_gp: weight of the two-sided gradient penalty; 0: none.
        setting: for the record: which of the settings of ``conf/method/diat.yaml`` it is.
        others: see ``GAN`` and ``Method``.
    """

    # The frozen network is no part of the model: a checkpoint opens without it.
    forgotten: ClassVar[tuple[str, ...]] = ("features",)

    def __init__(
        self,
        *,
        generator: Plain,
        discriminator: Plain,
        target: str | None = None,
        inputs: str | None = None,
        features: str | None = None,
        identity: str = "squared",
        lambda_id: float = 1.0,
        adversarial: str | Plain = "non_saturating",
        lambda_gp: float = 0.0,
        n_critic: int = 1,
        generator_lr: float = 2e-4,
        discriminator_lr: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        ema_decay: float = 0.0,
        setting: str = "published",
        **others: Any,
    ) -> None:
        super().__init__(
            adversarial=adversarial,
            n_critic=n_critic,
            generator_lr=generator_lr,
            discriminator_lr=discriminator_lr,
            betas=betas,
            ema_decay=ema_decay,
            **others,
        )
        if identity not in IDENTITY:
            raise UserError(f"method.identity={identity} is unknown: choose squared or absolute.")
        self.label, self.value = aim(self.labels, target)
        self.strata = strata(self.labels, self.label, self.value, inputs)
        self.identity = IDENTITY[identity]
        self.lambda_id = lambda_id
        self.lambda_gp = lambda_gp
        self.generator = self.make("generator", generator)
        self.discriminator = self.make("discriminator", discriminator)
        if not hasattr(self.discriminator, "features"):
            raise UserError(
                f"'{discriminator['_target_']}' has no features(image): DIAT's identity term can "
                "be taken of them, use stargan.networks.stargan.Critic or give it that method."
            )
        self.frozen = None if features is None else FrozenFeatures(features, self.trust)
        self.start_ema()

    def feed(self) -> Feed:
        """Rows of the target domain, then as many to be translated, all with the target."""
        draws = {"alpha": Draw()} if self.lambda_gp else {}
        target = Edited({self.label: float(self.value)})
        return Feed(target, draws, self.strata, self.n_critic)

    # Losses -------------------------------------------------------------------------------------

    def fakes(self, batch: Batch) -> Shared:
        """The translations."""
        _, image = batch.image.chunk(2)
        return {"fake": self.generator(image)}

    def discriminator_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """Images that have the attribute against translated ones."""
        (real, _), fake = batch.image.chunk(2), shared["fake"]
        real_score, fake_score = self.discriminator(real), self.discriminator(fake)
        terms = {"D/adv": self.adversarial.d_loss(real_score, fake_score)}
        loss = terms["D/adv"]
        if self.lambda_gp:
            alpha, _ = batch.draws["alpha"].chunk(2)
            gradient = image_gradient(self.discriminator)
            terms["D/gp"] = gradient_penalty(gradient, real, fake, alpha)
            loss = loss + self.lambda_gp * terms["D/gp"]
        return loss, terms | score_terms(real_score, fake_score)

    def generator_loss(self, batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        """D taken for an image of the target domain; features as before."""
        (_, image), fake = batch.image.chunk(2), shared["fake"]
        terms = {"G/adv": self.adversarial.g_loss(self.discriminator(fake))}
        loss = terms["G/adv"]
        if self.lambda_id:
            terms["G/id"] = self.identity(self.features(fake), self.features(image))
            loss = loss + self.lambda_id * terms["G/id"]
        return loss, terms

    def features(self, image: Tensor) -> Tensor:
        """What says who somebody is, ``(B, ...)``."""
        network = self.discriminator if self.frozen is None else self.frozen
        return cast(Tensor, network.features(image))  # type: ignore[operator]

    # What it can do -----------------------------------------------------------------------------

    def exported(self) -> dict[str, nn.Module]:
        """The generator to ship."""
        return {"generator": self.best_generator}

    def rule(self) -> Plain:
        """Chosen by the target."""
        return by_target({self.label: {"on" if self.value else "off": "generator"}})


class FrozenFeatures(nn.Module):
    """The features of a network from a file, which nothing trains.

    Its tensors are buffers that no checkpoint holds, so it has no parameters and adds nothing to
    the weights of the method but a digest: training cannot go on with another network.

    Args:
        path: see ``DIAT``.
        trust: packages whose networks the file may name.

    Raises:
        UserError: nothing there, no classifier, or a network without ``features``.
    """

    def __init__(self, path: str, trust: Packages = ()) -> None:
        super().__init__()
        parts = open_parts(path, "classifier", trust)
        self.path = path
        self.size = parts.size
        self.network = parts.need("read")
        if not hasattr(self.network, "features"):
            raise UserError(f"method.features={path}: its network has no features(image).")
        found = hashlib.sha256(str(self.size).encode())
        for name, tensor in self.network.state_dict().items():
            found.update(name.encode())
            found.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
        for module in self.network.modules():
            for name, tensor in list(_own_tensors(module)):
                if name in module._parameters:
                    del module._parameters[name]
                module.register_buffer(name, tensor.detach(), persistent=False)
        self.digest = torch.frombuffer(bytearray(found.digest()), dtype=torch.uint8)

    def get_extra_state(self) -> Tensor:
        """The digest of the network, ``(32,)`` uint8."""
        return self.digest

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse a checkpoint of training with another network."""
        if not torch.equal(state.cpu(), self.digest):
            raise UserError(
                f"method.features={self.path} is not the network that this run began with: give "
                "that one."
            )

    def train(self, mode: bool = True) -> FrozenFeatures:
        """It stays as it is for evaluation."""
        return super().train(False)

    def features(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] of any size to ``(B, F)``; gradients flow into the image."""
        if tuple(image.shape[-2:]) != self.size:
            image = F.interpolate(image, self.size, mode="bilinear", antialias=True)
        return cast(Tensor, self.network.features(image))  # type: ignore[operator]


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of one module without those of its children."""
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def aim(labels: JointLabelSpace, target: str | None) -> tuple[str, int]:
    """The label and the value, 1 or 0, that a target asks for.

    Raises:
        UserError: none or several, unknown, a part of the way, or an exclusive label to be taken
            away.
    """
    example = f"method.target={labels.names[0]}"
    if target is None:
        raise UserError(f"which target? A model of DIAT has one: add {example}.")
    edits = parse_edits(str(target))
    (name, value), *more = edits.items()
    if more or value not in (0, 1):
        raise UserError(
            f"method.target={target}: a model of DIAT has one target, a label or LABEL=0: add "
            f"{example}."
        )
    number, inner = labels.locate(name)
    group = labels.spaces[number].group_of(inner)
    if not value and (len(group) > 1 or labels.spaces[number].categorical):
        raise UserError(
            f"method.target={target}: what is to come in the place of {name}? Name another label "
            f"of its group: {', '.join(group)}."
        )
    return name, int(value)


def strata(
    labels: JointLabelSpace, label: str, value: int, inputs: str | None
) -> tuple[Stratum, Stratum]:
    """The images of the target domain, and those that are translated.

    Raises:
        UserError: ``inputs`` is unknown, of another data set, or the target itself.
    """
    number, inner = labels.locate(label)
    real = Stratum(number, {inner: value})
    if inputs is None:
        return real, Stratum(number, {inner: 1 - value})
    of, name = labels.locate(inputs)
    if of != number or name == inner:
        raise UserError(
            f"method.inputs={inputs}: images of the target are not translated to it, nor are those "
            "of another data set: name another label of its own."
        )
    return real, Stratum(number, {inner: 1 - value, name: 1})
