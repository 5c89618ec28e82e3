"""MNIST and what shares its files: handwritten digits, 28 x 28, white on black.

The folder is torchvision's: ``ROOT/MNIST/raw/train-images-idx3-ubyte`` and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torchvision import datasets

from stargan.data.files import existing_folder
from stargan.errors import UserError
from stargan.labels import LabelSpace, unknown_label

KINDS = {
    "MNIST": datasets.MNIST,
    "FashionMNIST": datasets.FashionMNIST,
    "KMNIST": datasets.KMNIST,
}
FILES = ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")


class MNIST:
    """One split (``contracts.LabeledImages``).

    Args:
        root: the folder that holds ``MNIST/`` (or ``FashionMNIST/``, ``KMNIST/``); that folder
            itself and its ``raw/`` are understood too.
        split: "train" or "test".
        name: which data set, one of ``KINDS``.
        download: fetch what is missing from the internet, into ``root``.
        labels: the classes to keep, in this order, such as ``[3, 7]``; None: all ten.

    Raises:
        UserError: files missing, damaged or of different lengths, a failed download, an unknown
            name, split or class.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        name: str = "MNIST",
        download: bool = False,
        labels: Sequence[int | str] | None = None,
    ) -> None:
        if name not in KINDS:
            raise UserError(f"data.mnist.name={name} is unknown: choose {', '.join(KINDS)}.")
        if split not in ("train", "test"):
            raise UserError(f"{name} has no split '{split}': choose train or test.")
        base = find_root(root, name, download)
        raw = base / name / "raw"
        self.where = f"{raw} ({split})"
        try:
            found = KINDS[name](base, train=split == "train", download=download)
        except Exception as error:  # torchvision raises almost anything on missing or damaged files
            raise UserError(complaint(raw, name, download, error)) from error
        if len(found.data) != len(found.targets) or found.data.dim() != 3 or not len(found.data):
            raise UserError(f"the images and the labels in '{raw}' do not belong together.")
        classes = tuple(str(c).split(" - ")[0] for c in found.classes)
        names = classes if labels is None else tuple(str(n) for n in labels)
        unknown = next((n for n in names if n not in classes), None)
        if unknown is not None:
            raise UserError(unknown_label(unknown, list(classes)))
        self.space = LabelSpace(names, categorical=True, name=name.lower())
        if not 0 <= int(found.targets.min()) <= int(found.targets.max()) < len(classes):
            raise UserError(f"the labels in '{raw}' are not all between 0 and {len(classes) - 1}.")
        whole = torch.eye(len(classes))[found.targets][:, [classes.index(n) for n in names]]
        rows = torch.nonzero(whole.any(1)).squeeze(1)
        if not len(rows):
            raise UserError(f"'{raw}' ({split}) has no image of {', '.join(names)}.")
        self.labels = whole[rows]
        self._pixels = found.data[rows]
        self._prefix = f"{name.lower()}_{split}"

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Image.Image:
        """The image as RGB."""
        return Image.fromarray(self._pixels[index].numpy()).convert("RGB")

    def name(self, index: int) -> str:
        """Such as ``mnist_test_00017``."""
        return f"{self._prefix}_{index:05d}"


def find_root(root: str | Path, name: str, download: bool) -> Path:
    """The folder that holds the folder ``name``; a download makes it."""
    base = Path(root).expanduser()
    if download and not base.exists():
        return base
    base = existing_folder(base)
    if base.name == "raw" and base.parent.name == name:
        base = base.parent
    return base.parent if base.name == name and (base / "raw").is_dir() else base


def complaint(raw: Path, name: str, download: bool, error: Exception) -> str:
    """What is wrong with a data set that cannot be opened, and what to do."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".: ")
    missing = [f for f in FILES if not (raw / f).is_file()]
    if not missing:
        return f"the files in '{raw}' are damaged or cut short ({said}): replace them."
    if all((raw / f"{f}.gz").is_file() for f in missing):
        return f"the files in '{raw}' are still packed: unpack them with gunzip {raw}/*.gz."
    if download:
        return f"{name} cannot be downloaded to '{raw}' ({said}): put the files there by hand."
    return (
        f"'{raw}' lacks {missing[0]}: give the folder that holds {name}/raw/, or add "
        "data.download=true to fetch it from the internet."
    )
