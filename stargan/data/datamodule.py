"""The one data module: any number of data sets in, batches with joint labels out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from stargan.contracts import Batch, LabeledImages, UserError
from stargan.data.prepared import PreparedImages
from stargan.data.sampler import Request, StepSampler, balanced_choice
from stargan.data.subset import Subset
from stargan.labels import JointLabelSpace, unknown_label

_CACHE_BYTES = 2**30


class _Requests(Dataset[Batch]):
    """Answers a list of requests with a whole batch, or with what went wrong."""

    def __init__(self, sources: Sequence[PreparedImages], labels: JointLabelSpace) -> None:
        self._sources = sources
        self._labels = labels

    def __getitems__(self, requests: list[Request]) -> Batch | UserError:
        try:
            found = [(r, *self._sources[r.source].substitute(r.row)) for r in requests]
        except UserError as error:
            # Raised in a worker it would reach the user as a traceback inside a traceback.
            return error
        pixels = [array[:, ::-1] if r.flip else array for r, _, array in found]
        rows = [(r.source, i) for r, i, _ in found]
        return _batch(pixels, rows, self._sources, self._labels)


def _batch(
    pixels: Sequence[NDArray[np.uint8]],
    rows: Sequence[tuple[int, int]],
    sources: Sequence[PreparedImages],
    labels: JointLabelSpace,
) -> Batch:
    """``(source, index)`` rows with their pixels as a batch."""
    stacked = torch.from_numpy(np.stack(pixels))
    image = stacked.permute(0, 3, 1, 2).contiguous().float().div_(127.5).sub_(1)
    label = torch.stack([labels.expand(sources[s].images.labels[i], s) for s, i in rows])
    return Batch(image, label.float(), torch.tensor([s for s, _ in rows], dtype=torch.int64))


def _as_it_is(batch: Any) -> Any:
    """Collate: ``_Requests`` answers with a whole batch already."""
    return batch


class StepLoader:
    """Training batches, one per step.

    Not a ``DataLoader`` itself: Lightning would put its own sampler into one under DDP, which
    would break the order by (seed, step). Ranks are dealt with in ``StepSampler``.
    """

    def __init__(self, loader: DataLoader[Batch], steps: int) -> None:
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


class DataModule(pl.LightningDataModule):
    """Data sets by name, prepared alike, in batches of joint labels.

    Args:
        sources: name to a callable that builds a data set (``contracts.LabeledImages``) given
            ``split="train"`` or ``split="test"``.
        image_size: side in pixels or (height, width).
        batch_size: images per batch and process, at least 2: targets are permutations of a
            batch's own labels.
        crop: side of the centre crop before resizing, one for all or by source name; None: the
            largest of the right shape.
        flip: probability of a horizontal flip in training.
        num_workers: processes that load images.
        seed: of order, flips and the fixed selection of ``validation_batch``.
        on_error: "raise", or "skip" unreadable images (another one takes the place).
        cache: keep prepared images in memory: True, False, or "auto" when all fit into 1 GiB.
        channels: 3 for RGB, 1 for grey.
        limit: only so many training images per source, spread over the labels; None: all.
        balance: draw rare labels as often as common ones.
        mixed: every batch takes its part from each source, see ``StepSampler``.
        max_steps: training steps in all; to be set before ``train_dataloader``.
        start_step: the first step, on a resume.
        period: discriminator steps per generator step, see ``StepSampler``.
        processes: how many share the images of an epoch.

    Attributes:
        labels: the joint label space, one space per source in order.
        train, test: ``PreparedImages`` by source name.
        crops: the crop by the name of the label space, as exports record it.

    Raises:
        UserError: an impossible argument (at once), or whatever the data sets refuse (in setup).
    """

    labels: JointLabelSpace
    train: dict[str, PreparedImages]
    test: dict[str, PreparedImages]
    crops: dict[str, int | None]

    def __init__(
        self,
        sources: Mapping[str, Callable[..., LabeledImages]],
        image_size: int | Sequence[int],
        batch_size: int = 16,
        crop: int | Mapping[str, int | None] | None = None,
        flip: float = 0.5,
        num_workers: int = 0,
        seed: int = 0,
        on_error: str = "raise",
        cache: bool | str = "auto",
        balance: bool = False,
        mixed: bool = False,
        limit: int | None = None,
        channels: int = 3,
        max_steps: int | None = None,
        start_step: int = 0,
        period: int = 1,
        processes: int = 1,
    ) -> None:
        super().__init__()
        if not sources:
            raise UserError("no data set is given: name at least one under data.sources.")
        size = (image_size,) * 2 if isinstance(image_size, int) else tuple(image_size)
        if len(size) != 2 or min(size) < 1:
            raise UserError(f"image_size={image_size} is neither a side nor (height, width).")
        if batch_size < 2:
            raise UserError(
                f"batch_size={batch_size}: at least 2 are needed, as target labels are a "
                "permutation of a batch's own labels."
            )
        if mixed and batch_size % len(sources):
            raise UserError(
                f"batch_size={batch_size} cannot be shared out evenly between "
                f"{len(sources)} data sets: choose a multiple of {len(sources)}."
            )
        if not 0 <= flip <= 1:
            raise UserError(f"flip={flip} is a probability: choose it from 0 to 1.")
        if num_workers < 0 or seed < 0:
            raise UserError(f"num_workers={num_workers} and seed={seed} must not be negative.")
        if on_error not in ("raise", "skip"):
            raise UserError(f"on_error={on_error} is unknown: choose raise or skip.")
        if cache not in (True, False, "auto"):
            raise UserError(f"cache={cache} is unknown: choose auto, true or false.")
        if limit is not None and limit < 2:
            raise UserError(f"limit={limit}: at least 2 training images are needed.")
        if channels not in (1, 3):
            raise UserError(f"channels={channels} is impossible: 3 for RGB, 1 for grey.")
        if isinstance(crop, Mapping):
            unknown = next((name for name in crop if name not in sources), None)
            if unknown is not None:
                raise UserError(f"crop is given for '{unknown}', no source: {', '.join(sources)}.")
        self._sources = dict(sources)
        self._crop = crop
        self.image_size = (int(size[0]), int(size[1]))
        self.batch_size = batch_size
        self.channels = channels
        self._flip = flip
        self._num_workers = num_workers
        self._seed = seed
        self._on_error = on_error
        self._cache = cache
        self._balance = balance
        self._mixed = mixed
        self._limit = limit
        self.max_steps = max_steps
        self.start_step = start_step
        self.period = period
        self.processes = processes
        self._ready = False

    def setup(self, stage: str | None = None) -> None:
        """Open all data sets; a second call does nothing."""
        if self._ready:
            return
        built = {
            split: {name: make(split=split) for name, make in self._sources.items()}
            for split in ("train", "test")
        }
        for name, images in built["train"].items():
            if images.space != built["test"][name].space:
                raise UserError(f"the train and test splits of '{name}' have different labels.")
        self.labels = JointLabelSpace([images.space for images in built["train"].values()])
        if self._limit is not None:
            for name, images in built["train"].items():
                chosen = islice(balanced_choice(images.labels, self._seed), self._limit)
                built["train"][name] = Subset(images, list(chosen))
        crops = {
            name: self._crop.get(name) if isinstance(self._crop, Mapping) else self._crop
            for name in self._sources
        }
        self.crops = {built["train"][name].space.name: crop for name, crop in crops.items()}
        count = sum(len(images) for split in built.values() for images in split.values())
        height, width = self.image_size
        fits = count * height * width * self.channels <= _CACHE_BYTES
        keep = fits if self._cache == "auto" else bool(self._cache)
        prepared = {
            split: {
                name: PreparedImages(
                    images,
                    self.image_size,
                    crops[name],
                    self._on_error == "skip",
                    keep,
                    self.channels,
                )
                for name, images in by_name.items()
            }
            for split, by_name in built.items()
        }
        self.train, self.test = prepared["train"], prepared["test"]
        self._ready = True

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which all processes together see about as many images as there are."""
        self.setup()
        count = sum(len(prepared) for prepared in self.train.values())
        return max(1, round(count / (self.batch_size * self.processes)))

    def train_dataloader(self) -> StepLoader:
        """Batches from ``start_step`` to ``max_steps`` for this process's rank.

        Raises:
            UserError: ``max_steps`` is not set.
        """
        if self.max_steps is None or self.max_steps < 1:
            raise UserError(f"max_steps={self.max_steps}: training needs a number of steps.")
        self.setup()
        sources = list(self.train.values())
        rank, world_size = self._place()
        sampler = StepSampler(
            [s.images.labels for s in sources],
            self.labels.spaces,
            self.batch_size,
            self.max_steps,
            self.start_step,
            self._seed,
            self._flip,
            self._balance,
            rank,
            world_size,
            self.period,
            self._mixed,
        )
        loader: DataLoader[Batch] = DataLoader(
            _Requests(sources, self.labels),
            batch_sampler=sampler,
            num_workers=self._num_workers,
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
        )
        return StepLoader(loader, self.max_steps - self.start_step)

    def validation_batch(self, count_per_source: int) -> Batch:
        """Always the same test images, as balanced over the labels as they can be.

        Returns:
            ``count_per_source`` rows of each source in turn, fewer where the split is smaller.
        """
        self.setup()
        pixels, rows = [], []
        for s, source in enumerate(self.test.values()):
            found = 0
            for i in balanced_choice(source.images.labels, self._seed):
                array = source.pixels(i)
                if array is None:
                    continue
                pixels.append(array)
                rows.append((s, i))
                found += 1
                if found == count_per_source:
                    break
            if not found:
                source.substitute(0)  # Says that nothing can be read.
        return _batch(pixels, rows, list(self.test.values()), self.labels)

    def test_batches(self, source: str, batch_size: int) -> Iterator[Batch]:
        """A source's test split in order; unreadable images are left out when they are skipped.

        The region of a label in row ``i`` of the whole is
        ``test[source].region(test_indices(source)[i], label)``.
        """
        prepared = self._test_source(source)
        number = list(self.test).index(source)
        sources = list(self.test.values())
        pixels: list[NDArray[np.uint8]] = []
        rows: list[tuple[int, int]] = []
        for i in range(len(prepared)):
            array = prepared.pixels(i)
            if array is not None:
                pixels.append(array)
                rows.append((number, i))
            if rows and (len(rows) == batch_size or i == len(prepared) - 1):
                yield _batch(pixels, rows, sources, self.labels)
                pixels, rows = [], []

    def test_indices(self, source: str) -> list[int]:
        """The indices of the images that ``test_batches`` gives, in the same order."""
        prepared = self._test_source(source)
        if self._on_error == "raise":
            return list(range(len(prepared)))
        return [i for i in range(len(prepared)) if prepared.pixels(i) is not None]

    @property
    def skipped(self) -> dict[str, int]:
        """Unreadable images met so far, by source name."""
        self.setup()
        return {name: self.train[name].skipped + self.test[name].skipped for name in self.train}

    def describe(self) -> list[str]:
        """What there is: each label's index and count by source and split, and what is missing."""
        self.setup()
        lines = []
        for (name, train), part in zip(self.train.items(), self.labels.slices, strict=True):
            test = self.test[name]
            height, width = self.image_size
            crop = self.crops[train.images.space.name]
            lines.append(
                f"{name}: {len(train):,} training and {len(test):,} test images, "
                f"{'largest centre crop' if crop is None else f'centre crop {crop}'}, "
                f"resized to {height} x {width}{', grey' if self.channels == 1 else ''}"
            )
            wide = max(len(n) for n in train.images.space.names)
            for i, label in enumerate(train.images.space.names):
                counts = [int(s.images.labels[:, i].sum()) for s in (train, test)]
                shown = f"{counts[0]:>9,} train  {counts[1]:>8,} test"
                lines.append(f"  {part.start + i:>3}  {label:<{wide}}  {shown}")
            for prepared in (train, test):
                notes = getattr(prepared.images, "notes", ())
                lines += [f"  {prepared.images.where}: {note}" for note in notes]
            if self.skipped[name]:
                lines.append(f"  {self.skipped[name]:,} unreadable images were skipped so far")
        return lines

    def _test_source(self, source: str) -> PreparedImages:
        self.setup()
        if source not in self.test:
            raise UserError(f"'{source}' is no source. {unknown_label(source, list(self.test))}")
        return self.test[source]

    def _place(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        if self.trainer is not None:
            return self.trainer.global_rank, self.trainer.world_size
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1
