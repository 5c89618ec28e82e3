"""The one data module: any number of data sets in, batches with joint labels out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from stargan.contracts import Batch, Feed, LabeledImages
from stargan.data.batches import (
    StepBatches,
    StepLoader,
    as_it_is,
    count_cores,
    free_shared_memory,
    still,
)
from stargan.data.image_folder import FileImages
from stargan.data.prepared import PreparedImages
from stargan.data.sampler import (
    StepSampler,
    balanced_choice,
    batches_per_epoch,
    stratum_rows,
)
from stargan.data.splits import SPLITS, splits_of
from stargan.data.subset import Subset
from stargan.errors import Plain, UserError
from stargan.labels import JointLabelSpace, unknown_label

_CACHE_BYTES = 2**30
_MOST_WORKERS = 8
_WAITING = 2  # Batches that wait per worker.


class DataModule(pl.LightningDataModule):
    """Data sets by name, prepared alike, in batches of joint labels.

    Args:
        datasets: name to a callable that builds a data set (``contracts.LabeledImages``) given
            ``split="train"`` or ``split="test"``, and ``split="val"`` where the training images
            have it in their attribute ``splits``.
        image_size: side in pixels or (height, width).
        batch_size: images per batch and process; with ``feed.strata`` of each stratum.
        crop: side of the centre crop before resizing, one for all or by dataset name; None: the
            largest of the right shape.
        flip: probability of a horizontal flip in training.
        num_workers: processes that load images; "auto": see ``count_workers``.
        seed: of order, flips and the fixed selection of ``validation_batch``.
        on_error: "raise", or "skip" unreadable images (another one takes the place).
        cache: keep prepared images in memory: True, False, or "auto" when all fit into 1 GiB.
        channels: 3 for RGB, 1 for grey.
        limit: only so many training images per dataset, spread over the labels; None: all.
        balance: draw rare labels as often as common ones.
        mixed: every batch takes its part from each dataset, see ``StepSampler``.
        partial: the last batch of an epoch has what is left of it, see ``StepSampler``.
        load_scale: training images are resized to so many times the size, of which ``image_size``
            is cropped at a random place; 1: no random crop.
        max_steps: training steps in all; to be set before ``train_dataloader``.
        start_step: the first step, on a resume.
        processes: how many share the images of an epoch.

    Attributes:
        feed: what comes with the images of a batch, and from which strata they are; to be set
            before ``train_dataloader``, then ``check_feed`` says whether the data can give it.
        attempt: how often the run has gone back to an earlier step: each time other images, flips,
            targets and random numbers come from the same seed.
        start_method: how workers are started: fork, spawn, forkserver; None: as the platform does.
        labels: the joint label space, one space per dataset in order.
        train, test: ``PreparedImages`` by dataset name.
        val: likewise, of the datasets that have such a split.
        crops: the crop by the name of the label space, as exports record it.

    Raises:
        UserError: an impossible argument (at once), or whatever the data sets refuse (in setup).
    """

    labels: JointLabelSpace
    train: dict[str, PreparedImages]
    val: dict[str, PreparedImages]
    test: dict[str, PreparedImages]
    crops: dict[str, int | None]

    def __init__(
        self,
        datasets: Mapping[str, Callable[..., LabeledImages]],
        image_size: int | Sequence[int],
        batch_size: int = 16,
        crop: int | Mapping[str, int | None] | None = None,
        flip: float = 0.5,
        num_workers: int | str = "auto",
        seed: int = 0,
        on_error: str = "raise",
        cache: bool | str = "auto",
        balance: bool = False,
        mixed: bool = False,
        limit: int | None = None,
        channels: int = 3,
        load_scale: float = 1.0,
        partial: bool = False,
        max_steps: int | None = None,
        start_step: int = 0,
        processes: int = 1,
    ) -> None:
        super().__init__()
        if not datasets:
            raise UserError("no data set is given: name at least one under data.datasets.")
        size = (image_size,) * 2 if isinstance(image_size, int) else tuple(image_size)
        if len(size) != 2 or min(size) < 1:
            raise UserError(f"image_size={image_size} is neither a side nor (height, width).")
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size}: a batch has at least 1 image.")
        if mixed and batch_size % len(datasets):
            raise UserError(
                f"batch_size={batch_size} cannot be shared out evenly between "
                f"{len(datasets)} data sets: choose a multiple of {len(datasets)}."
            )
        if partial and (len(datasets) > 1 or balance or mixed):
            raise UserError(
                "data.partial=true has no meaning for several data sets or balanced draws, which "
                "have no epochs: leave it out."
            )
        if not 0 <= flip <= 1:
            raise UserError(f"flip={flip} is a probability: choose it from 0 to 1.")
        if num_workers != "auto" and (not isinstance(num_workers, int) or num_workers < 0):
            raise UserError(
                f"num_workers={num_workers} is impossible: choose auto or a number from 0."
            )
        if seed < 0:
            raise UserError(f"seed={seed} must not be negative.")
        if on_error not in ("raise", "skip"):
            raise UserError(f"on_error={on_error} is unknown: choose raise or skip.")
        if cache not in (True, False, "auto"):
            raise UserError(f"cache={cache} is unknown: choose auto, true or false.")
        if limit is not None and limit < 2:
            raise UserError(f"limit={limit}: at least 2 training images are needed.")
        if channels not in (1, 3):
            raise UserError(f"channels={channels} is impossible: 3 for RGB, 1 for grey.")
        if not isinstance(load_scale, int | float) or not 1 <= load_scale <= 4:
            raise UserError(f"load_scale={load_scale} is impossible: choose it from 1 to 4.")
        if isinstance(crop, Mapping):
            unknown = next((name for name in crop if name not in datasets), None)
            if unknown is not None:
                raise UserError(f"crop is given for '{unknown}', none of {', '.join(datasets)}.")
        self._datasets = dict(datasets)
        self._crop = crop
        self.image_size = (int(size[0]), int(size[1]))
        self.batch_size = batch_size
        self.channels = channels
        self._load_size = (round(size[0] * load_scale), round(size[1] * load_scale))
        self._flip = flip
        self._num_workers = num_workers
        self._seed = seed
        self._on_error = on_error
        self._cache = cache
        self._balance = balance
        self._mixed = mixed
        self._limit = limit
        self._partial = partial
        self.max_steps = max_steps
        self.start_step = start_step
        self.processes = processes
        self.feed = Feed()
        self.attempt = 0
        self.start_method: str | None = None
        self._fits = False
        self._ready = False

    def setup(self, stage: str | None = None) -> None:
        """Open all data sets; a second call does nothing."""
        if self._ready:
            return
        built: dict[str, dict[str, LabeledImages]] = {split: {} for split in SPLITS}
        for name, make in self._datasets.items():
            built["train"][name] = make(split="train")
            for split in ("val", "test"):
                if split == "test" or split in splits_of(built["train"][name]):
                    images = make(split=split)
                    if images.space != built["train"][name].space:
                        raise UserError(
                            f"the train and {split} splits of '{name}' have different labels."
                        )
                    built[split][name] = images
        self.labels = JointLabelSpace([images.space for images in built["train"].values()])
        for name in self._datasets:
            agree_on_bits([split[name] for split in built.values() if name in split])
        if self._limit is not None:
            for name, images in built["train"].items():
                chosen = islice(balanced_choice(images.labels, self._seed), self._limit)
                built["train"][name] = Subset(images, list(chosen))
        crops = {
            name: self._crop.get(name) if isinstance(self._crop, Mapping) else self._crop
            for name in self._datasets
        }
        self.crops = {built["train"][name].space.name: crop for name, crop in crops.items()}
        count = sum(len(images) for split in built.values() for images in split.values())
        height, width = self.image_size
        trained = sum(map(len, built["train"].values()))
        larger = trained * self._load_size[0] * self._load_size[1]
        if self._load_size == self.image_size:
            larger = 0
        fits = (count * height * width + larger) * self.channels <= _CACHE_BYTES
        keep = fits if self._cache == "auto" else bool(self._cache)
        self._fits = keep and fits
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
        self.train, self.val, self.test = (prepared[split] for split in SPLITS)
        self._loaded = self.train
        if self._load_size != self.image_size:
            self._loaded = {
                name: PreparedImages(
                    images,
                    self._load_size,
                    crops[name],
                    self._on_error == "skip",
                    keep,
                    self.channels,
                )
                for name, images in built["train"].items()
            }
        self._ready = True

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which all processes together see about as many images as there are.

        With ``feed.strata`` as there are in the strata.
        """
        self.setup()
        count, per_step = sum(map(len, self.train.values())), self.batch_size
        if self.feed.strata:
            tables = [s.images.labels for s in self.train.values()]
            strata = [stratum_rows(s, tables, self.labels.spaces) for s in self.feed.strata]
            count, per_step = sum(map(len, strata)), self.batch_size * len(strata)
        if self._partial:
            return batches_per_epoch(count, per_step, self.processes)
        return max(1, round(count / (per_step * self.processes)))

    def check_feed(self) -> None:
        """Whether batches can be made as ``feed`` wants them; ``train_dataloader`` asks too.

        Raises:
            UserError: a stratum that does not exist or has no images, or fewer rows of a data set
                in a batch than the rule of the targets needs (its ``smallest_batch``).
        """
        self.setup()
        self._sampler(0, 1)
        least = getattr(self.feed.targets, "smallest_batch", 1)
        if self._partial and self.feed.strata:
            raise UserError(
                "data.partial=true has no meaning for this method, whose batches take images of "
                "several kinds: leave it out."
            )
        if self.feed.strata:
            of = [stratum.dataset for stratum in self.feed.strata]
            rows = self.batch_size * min(of.count(dataset) for dataset in of)
        else:
            rows = self.batch_size // (len(self._datasets) if self._mixed else 1)
        if rows < least:
            raise UserError(
                f"batch_size={self.batch_size} gives {rows} of a data set in a batch: at least "
                f"{least} are needed, as target labels are taken from a batch's own labels."
            )

    def count_workers(self) -> int:
        """How many processes load the images of this one.

        For ``num_workers="auto"``: none where the images fit into memory and are kept there; else
        this process's share of the node's cores, one of which stays for training itself, at most 8
        and no more than shared memory has room for (containers have little of it).
        """
        if isinstance(self._num_workers, int):
            return self._num_workers
        self.setup()
        if self._fits:
            return 0
        beside = os.environ.get("LOCAL_WORLD_SIZE")  # torchrun tells
        here = self.trainer.num_devices if self.trainer is not None else self.processes
        share = count_cores() // max(1, int(beside) if beside else min(here, self.processes))
        height, width = self.image_size
        rows = self.batch_size * max(1, len(self.feed.strata))
        batch = rows * height * width * self.channels
        return max(0, min(_MOST_WORKERS, share - 1, free_shared_memory() // (2 * _WAITING * batch)))

    def train_dataloader(self) -> StepLoader:
        """Batches from ``start_step`` to ``max_steps`` for this process's rank.

        Images are uint8 on their way to the device, see ``Batch`` and ``images.to_float``.

        Raises:
            UserError: ``max_steps`` is not set, or what ``check_feed`` raises.
        """
        if self.max_steps is None or self.max_steps < 1:
            raise UserError(f"max_steps={self.max_steps}: training needs a number of steps.")
        self.check_feed()
        workers = self.count_workers()
        batches = StepBatches(
            list(self._loaded.values()),
            self.labels,
            self._sampler(*self._place()),
            self.feed,
            self.image_size if self._load_size != self.image_size else None,
        )
        # One pass over it is the whole training, so workers stay as long as they are needed.
        loader: DataLoader[Batch | UserError] = DataLoader(
            batches,
            batch_size=None,
            sampler=range(self.start_step, self.max_steps),
            num_workers=workers,
            collate_fn=as_it_is,
            pin_memory=torch.cuda.is_available(),
            prefetch_factor=_WAITING if workers else None,
            multiprocessing_context=self.start_method if workers else None,
        )
        return StepLoader(loader, self.max_steps - self.start_step)

    def _sampler(self, rank: int, world_size: int) -> StepSampler:
        return StepSampler(
            [s.images.labels for s in self.train.values()],
            self.labels.spaces,
            self.batch_size,
            self.max_steps or 0,
            self.start_step,
            self._seed,
            self._flip,
            self._balance,
            rank,
            world_size,
            self.feed.period,
            self._mixed,
            self.feed.strata,
            self.attempt,
            self._partial,
        )

    def validation_batch(self, count_per_dataset: int) -> Batch:
        """Always the same test images, as balanced over the labels as they can be.

        Images of which a label is not known come only where there are no others, and have it as
        not set.

        Returns:
            ``count_per_dataset`` rows of each dataset in turn, fewer where the split is smaller.
        """
        self.setup()
        pixels, rows = [], []
        for s, dataset in enumerate(self.test.values()):
            found = 0
            known = ~dataset.images.labels.isnan().any(1)
            order = list(balanced_choice(dataset.images.labels, self._seed))
            for i in [i for i in order if known[i]] or order:
                array = dataset.pixels(i)
                if array is None:
                    continue
                pixels.append(array)
                rows.append((s, i))
                found += 1
                if found == count_per_dataset:
                    break
            if not found:
                dataset.substitute(0)  # Says that nothing can be read.
        batch = still(pixels, rows, list(self.test.values()), self.labels)
        label, _ = self.labels.without_unknown(batch.label)
        return batch._replace(label=label, target=label)

    def unknown(self) -> dict[str, int]:
        """How many training labels are not known, by dataset; those that have some."""
        self.setup()
        found = {name: int(s.images.labels.isnan().sum()) for name, s in self.train.items()}
        return {name: count for name, count in found.items() if count}

    def selection(self, dataset: str) -> tuple[str, PreparedImages]:
        """The split whose images may choose the best step of a run, and its images.

        Returns:
            "val" where the dataset has such a split, otherwise "test", whose figures flatter the
            step that they have chosen.
        """
        split = "val" if dataset in self.val else "test"
        return split, self._split(dataset, split)

    def test_batches(self, dataset: str, batch_size: int) -> Iterator[Batch]:
        """A dataset's test split in order, see ``batches``."""
        return self.batches(dataset, "test", batch_size)

    def batches(self, dataset: str, split: str, batch_size: int) -> Iterator[Batch]:
        """A split of a dataset in order; unreadable images are left out when they are skipped.

        Images are floats in [-1, 1], the targets are the own labels, and there are no draws. The
        region of a label in row ``i`` of the whole is
        ``test[dataset].region(indices(dataset, "test")[i], label)``.

        Raises:
            UserError: no such dataset, or it has no such split.
        """
        prepared = self._split(dataset, split)
        number = list(self.train).index(dataset)
        # The others are not asked for anything.
        datasets = [prepared] * len(self.train)
        pixels: list[NDArray[np.uint8]] = []
        rows: list[tuple[int, int]] = []
        for i in range(len(prepared)):
            array = prepared.pixels(i)
            if array is not None:
                pixels.append(array)
                rows.append((number, i))
            if rows and (len(rows) == batch_size or i == len(prepared) - 1):
                yield still(pixels, rows, datasets, self.labels)
                pixels, rows = [], []

    def test_indices(self, dataset: str) -> list[int]:
        """The indices of the images that ``test_batches`` gives, in the same order."""
        return self.indices(dataset, "test")

    def indices(self, dataset: str, split: str) -> list[int]:
        """The indices of the images that ``batches`` gives, in the same order."""
        prepared = self._split(dataset, split)
        if self._on_error == "raise":
            return list(range(len(prepared)))
        return [i for i in range(len(prepared)) if prepared.pixels(i) is not None]

    @property
    def skipped(self) -> dict[str, int]:
        """Unreadable images met so far, by dataset name."""
        self.setup()
        return {
            name: max(self.train[name].skipped, self._loaded[name].skipped)
            + sum(split[name].skipped for split in (self.val, self.test) if name in split)
            for name in self.train
        }

    def describe(self) -> list[str]:
        """What there is: each label's index and count by dataset and split, and what is missing."""
        self.setup()
        lines = []
        for (name, train), part in zip(self.train.items(), self.labels.slices, strict=True):
            splits = {
                s: by[name] for s, by in zip(SPLITS, self._splits(), strict=True) if name in by
            }
            test, val = splits["test"], splits.get("val")
            height, width = self.image_size
            crop = self.crops[train.images.space.name]
            counts = [f"{len(train):,} training"]
            counts += [f"{len(val):,} validation"] if val is not None else []
            lines.append(
                f"{name}: {', '.join(counts)} and {len(test):,} test images, "
                f"{'largest centre crop' if crop is None else f'centre crop {crop}'}, "
                f"resized to {height} x {width}{', grey' if self.channels == 1 else ''}"
            )
            wide = max(len(n) for n in train.images.space.names)
            for i, label in enumerate(train.images.space.names):
                shown = "  ".join(
                    f"{int(s.images.labels[:, i].nansum()):>{9 if split == 'train' else 8},} "
                    f"{split}{_of_unknown(s.images.labels[:, i])}"
                    for split, s in splits.items()
                )
                lines.append(f"  {part.start + i:>3}  {label:<{wide}}  {shown}")
            said: set[str] = set()
            for prepared in splits.values():
                notes = [n for n in getattr(prepared.images, "notes", ()) if n not in said]
                # What is said of all the files is said once.
                said.update(notes)
                lines += [f"  {prepared.images.where}: {note}" for note in notes]
            if self.skipped[name]:
                lines.append(f"  {self.skipped[name]:,} unreadable images were skipped so far")
        return lines

    def identity(self) -> Plain:
        """What the data are: images of another identity make another run. Plain data.

        How the images are prepared; by dataset and split how many there are, how many have each
        label, and digests of their names and of their labels, in order. No path.
        """
        self.setup()
        settings = {
            "size": list(self.image_size),
            "channels": self.channels,
            "crop": dict(self.crops),
            "flip": self._flip,
            "balance": self._balance,
            "mixed": self._mixed,
            "limit": self._limit,
        }
        files: Plain = {name: {} for name in self.train}
        for split, by_name in zip(SPLITS, self._splits(), strict=True):
            for name, prepared in by_name.items():
                files[name][split] = _fingerprint(prepared.images)
        return {"labels": self.labels.to_plain(), "image": settings, "files": files}

    def _splits(self) -> tuple[dict[str, PreparedImages], ...]:
        self.setup()
        return self.train, self.val, self.test

    def _split(self, dataset: str, split: str) -> PreparedImages:
        by_split = dict(zip(SPLITS, self._splits(), strict=True))
        if dataset not in self.train:
            raise UserError(
                f"'{dataset}' is no dataset. {unknown_label(dataset, list(self.train))}"
            )
        if dataset not in by_split.get(split, {}):
            known = [s for s, by_name in by_split.items() if dataset in by_name]
            raise UserError(f"'{dataset}' has no split '{split}': choose {', '.join(known)}.")
        return by_split[split][dataset]

    def _place(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        if self.trainer is not None:
            return self.trainer.global_rank, self.trainer.world_size
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1


def agree_on_bits(splits: Sequence[LabeledImages]) -> None:
    """Let the files of all splits of a data set be scaled by the same bits in use, and say so."""
    files = [images for images in splits if isinstance(images, FileImages)]
    bits = max((images.sampled_bits() for images in files), default=0)
    for images in files:
        images.bits = bits
        if bits not in (0, 16):
            images.notes += (f"images of more than 8 bits use {bits}: they are scaled by these.",)


def _fingerprint(images: LabeledImages) -> Plain:
    """The names and labels of a split's images, see ``DataModule.identity``."""
    names = "\n".join(images.name(i) for i in range(len(images)))
    table = images.labels.float().contiguous()
    digests = {
        "names": names.encode("utf-8", "surrogatepass"),
        # Unknown labels have one form.
        "labels": torch.where(table.isnan(), -1.0, table).numpy().tobytes(),
    }
    return {
        "count": len(images),
        "set": dict(zip(images.space.names, table.nansum(0).int().tolist(), strict=True)),
        **{key: sha256(data).hexdigest()[:16] for key, data in digests.items()},
    }


def _of_unknown(column: Tensor) -> str:
    """`` (12 unknown)``, or nothing."""
    count = int(column.isnan().sum())
    return f" ({count:,} unknown)" if count else ""
