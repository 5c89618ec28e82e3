"""Reads the labels of images: a trained classifier. No Lightning, no Hydra.

::

    judge = open_judge("runs/celeba_classifier/.../classifier.safetensors")
    judge.read(image, dataset=0)      # (B, 5) in {0, 1}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stargan.building import Packages
from stargan.errors import Plain
from stargan.export import find_device, open_parts
from stargan.labels import JointLabelSpace, LabelSpace, Match, match


@dataclass(eq=False)
class Judge:
    """A classifier that takes no part in training what it judges.

    Attributes:
        network: ``forward(image) -> (B, L)`` and ``features(image) -> (B, F)``, in evaluation mode.
        labels: what the logits mean.
        size: ``(height, width)`` at which the network sees every image.
        crops: the centre crop of its training images for each label space, in pixels or None.
        training: where it comes from.
    """

    network: nn.Module
    labels: JointLabelSpace
    size: tuple[int, int]
    crops: dict[str, int | None] = field(default_factory=dict)
    training: Plain = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.network.eval()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def prepare(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] of any size, as the network takes it, on its device."""
        image = image.to(self.device, torch.float32)
        if tuple(image.shape[-2:]) == self.size:
            return image
        return F.interpolate(image, self.size, mode="bilinear", antialias=True)

    @torch.inference_mode()
    def logits(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] of any size to joint logits ``(B, L)``."""
        logits: Tensor = self.network(self.prepare(image))
        return logits

    @torch.inference_mode()
    def features(self, image: Tensor) -> Tensor:
        """``(B, F)`` float32: what the last linear layer sees of images of any size."""
        network: Any = self.network
        features: Tensor = network.features(self.prepare(image))
        return features.float()

    def read(self, image: Tensor, dataset: int = 0) -> Tensor:
        """The labels of images.

        Args:
            image: ``(B, 3, H, W)`` in [-1, 1] of any size.
            dataset: which of the judge's label spaces.

        Returns:
            ``(B, size of that space)`` in {0, 1}, always possible labels.
        """
        return self.labels.spaces[dataset].read(self.logits(image)[:, self.labels.slices[dataset]])

    def match(self, space: LabelSpace, name: str = "the judge", needs: str = "the model") -> Match:
        """Where the labels of a model or of data are among the judge's own: by name.

        Args:
            space: of the labels.
            name: what the judge is called, for messages.
            needs: whose labels they are, for messages.

        Raises:
            UserError: the judge does not read all of them; shows both sides.
        """
        return match(JointLabelSpace([space]), self.labels, needs, name)

    def column(self, space: LabelSpace, label: str) -> int:
        """The judge's own number of one label of another label space.

        Of several spaces of the judge that have it, the one named like the other space.

        Raises:
            UserError: none has it, or several and none of that name.
        """
        space.index(label)
        return self.match(LabelSpace([label], name=space.name)).places[0]


class Reader(nn.Module):
    """A judge as what reads the labels of a model that cannot: image to its joint logits.

    Args:
        judge: which sees images at its own size.
        labels: the model's.

    Raises:
        UserError: the judge does not read all of them.
    """

    def __init__(self, judge: Judge, labels: JointLabelSpace) -> None:
        super().__init__()
        self.judge = judge
        self.columns = [place for space in labels.spaces for place in judge.match(space).places]

    def forward(self, image: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-1, 1] to logits ``(B, L)``."""
        return self.judge.logits(image)[:, self.columns]


def open_judge(path: str | Path, device: str | torch.device = "cpu", trust: Packages = ()) -> Judge:
    """Open a trained classifier.

    Args:
        path: a run folder, ``.ckpt`` or ``classifier.safetensors``.
        device: ``cpu``, ``cuda``, ``mps``, or ``auto`` for the best there is.
        trust: packages whose networks the file may name, see ``building``.

    Raises:
        UserError: nothing there, not a classifier, damaged, of another format; says which.
    """
    place = find_device(device)
    parts = open_parts(path, "classifier", trust)
    network = parts.need("read").to(place)
    return Judge(network, parts.labels, parts.size, parts.framing.crops, parts.training)
