"""The batches of training, as the workers of the loader make them.

Apart from the data module, so that a worker that is spawned need not import Lightning.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from stargan.contracts import Batch, Feed
from stargan.data.draws import draw_numbers
from stargan.data.prepared import PreparedImages
from stargan.data.sampler import CROP, DRAWS, TARGETS, StepSampler
from stargan.errors import UserError
from stargan.imaging.tensors import to_float
from stargan.labels import JointLabelSpace
from stargan.labels.targets import settle


class StepBatches(Dataset[Batch | UserError]):
    """The batch of every training step, a function of the step and of what is given here.

    Args:
        datasets: the training images, in the order of the label spaces.
        labels: of all of them.
        sampler: which images make the batch of a step, and the numbers that seed it.
        feed: which targets and random numbers come with them.
        size: ``(height, width)`` that is cropped at a random place of each image; None: they are
            taken as they are.
    """

    def __init__(
        self,
        datasets: Sequence[PreparedImages],
        labels: JointLabelSpace,
        sampler: StepSampler,
        feed: Feed,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._size = size
        self._datasets = datasets
        self._labels = labels
        self._sampler = sampler
        self._feed = feed

    def __getitem__(self, step: int) -> Batch | UserError:
        """The batch, or what went wrong.

        Raised in a worker, an error would reach the user as a traceback inside a traceback.
        """
        try:
            return self._make(step)
        except UserError as error:
            return error

    def _make(self, step: int) -> Batch:
        requests = self._sampler.batch(step)
        found = [(r, *self._datasets[r.dataset].substitute(r.row)) for r in requests]
        pixels = [array[:, ::-1] if r.flip else array for r, _, array in found]
        if self._size is not None:
            rng = np.random.default_rng(self._sampler.key(CROP, step))
            pixels = [cropped(array, self._size, rng) for array in pixels]
        image, label, dataset = stack(
            pixels, [(r.dataset, i) for r, i, _ in found], self._datasets, self._labels
        )
        target, rule = label, self._feed.targets
        if rule is not None:
            rng = np.random.default_rng(self._sampler.key(TARGETS, step))
            target = rule(self._labels, label, dataset, rng)
            target = settle(self._labels, target, label, dataset, rng)
        draws = draw_numbers(self._feed.draws, len(dataset), self._sampler.key(DRAWS, step))
        return Batch(
            torch.from_numpy(image),
            torch.from_numpy(label),
            torch.from_numpy(dataset),
            torch.from_numpy(target),
            {name: torch.from_numpy(numbers) for name, numbers in draws.items()},
        )


def cropped(
    pixels: NDArray[np.uint8], size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """``(H, W, C)`` cropped to ``size`` at a random place."""
    (tall, wide), (height, width) = pixels.shape[:2], size
    top, left = rng.integers(tall - height + 1), rng.integers(wide - width + 1)
    return pixels[top : top + height, left : left + width]


def stack(
    pixels: Sequence[NDArray[np.uint8]],
    rows: Sequence[tuple[int, int]],
    datasets: Sequence[PreparedImages],
    labels: JointLabelSpace,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
    """``(dataset, index)`` rows and their pixels as images ``(B, C, H, W)``, labels, datasets."""
    height, width, channels = pixels[0].shape
    image = np.empty((len(pixels), channels, height, width), dtype=np.uint8)
    for place, array in zip(image, pixels, strict=True):
        place[...] = array.transpose(2, 0, 1)
    dataset = np.array([s for s, _ in rows], dtype=np.int64)
    index = np.array([i for _, i in rows], dtype=np.int64)
    label = np.zeros((len(rows), labels.size), dtype=np.float32)
    for number in np.unique(dataset):
        of = dataset == number
        label[of, labels.slices[number]] = datasets[number].images.labels.numpy()[index[of]]
    return image, label, dataset


def still(
    pixels: Sequence[NDArray[np.uint8]],
    rows: Sequence[tuple[int, int]],
    datasets: Sequence[PreparedImages],
    labels: JointLabelSpace,
) -> Batch:
    """A batch to look at: images as floats, the targets are the own labels, nothing random."""
    image, label, dataset = map(torch.from_numpy, stack(pixels, rows, datasets, labels))
    return Batch(to_float(image), label, dataset, label, {})


def as_it_is(batch: Any) -> Any:
    """Collate: ``StepBatches`` answers with a whole batch already."""
    return batch


class StepLoader:
    """Training batches, one per step.

    Not a ``DataLoader`` itself: Lightning would put its own sampler into one under DDP, which
    would break the order by (seed, step). Ranks are dealt with in ``StepSampler``.
    """

    def __init__(self, loader: DataLoader[Batch | UserError], steps: int) -> None:
        self._loader = loader
        self._steps = steps

    def __len__(self) -> int:
        """Steps from ``start_step`` on."""
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._loader:
            if isinstance(batch, UserError):
                raise batch
            yield batch


def count_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_shared_memory() -> int:
    """Bytes that batches on their way from workers may take."""
    try:
        return shutil.disk_usage("/dev/shm").free
    except OSError:  # Not on this platform: its shared memory is bounded by no such folder.
        return sys.maxsize
