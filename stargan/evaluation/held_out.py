"""A test set in the labels of a model: which images, what they are asked to become.

Data and model meet by label names, so a folder with other classes, or labels in another order,
is either put right or refused; never silently mixed up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stargan import imaging
from stargan.contracts import CounterfactualImages
from stargan.data.datamodule import DataModule
from stargan.data.drawn.faces import is_drawn
from stargan.data.prepared import PreparedImages
from stargan.data.record import RECORD, count_seen, files_of, relabelled, trained_on
from stargan.errors import UserError
from stargan.labels import JointLabelSpace, LabelSpace, Match, match
from stargan.runs import run_folder

NEUTRAL = "neutral"
"""The class from which the paper translates expressions (section 5.4)."""
MOST_TOGETHER = 3
"""Of more exclusive groups and lone labels than this not all combinations are asked for unasked."""


@dataclass(frozen=True)
class Wish:
    """What an image is asked to become: one value of one label.

    Attributes:
        label: index of the label in its space.
        value: 1, or 0 for the removal of a label that stands alone.
    """

    label: int
    value: int


@dataclass(frozen=True)
class Combination:
    """What an image is asked to become: several things at once.

    A lone label is turned over. Of an exclusive group it is asked for another label, which
    one depends on the number of the image alone, and each is asked for about as often.

    Attributes:
        groups: exclusive groups and lone labels, by the indices of their labels.
    """

    groups: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Chunk:
    """Some images of a test set.

    Attributes:
        row: ``(B,)`` int64, indices into the split.
        image: ``(B, 3, H, W)`` in [-1, 1].
        label: ``(B, L)`` in {0, 1}, in the labels of the model's space.
    """

    row: Tensor
    image: Tensor
    label: Tensor


class TestSet:
    """One dataset of a data module, seen with the labels of one space of a model.

    Args:
        data: set up, of the model's image size.
        dataset: name of the dataset in ``data``.
        labels: the model's label spaces.
        count: at most so many test images, spread evenly over the split; None: all. The reference,
            training images to which translations are compared, has at most as many.
        split: ``test``, or ``val`` for what chooses something.
        together: which things are also asked for at once, see ``combinations_of``.

    Attributes:
        name: the dataset's name.
        space, index: the model's label space and its number.
        test, reference: the test and the training split.
        rows, labels: ``(N,)`` and ``(N, L)`` of the test images that are used.
        reference_rows, reference_labels: the same of the training images.
        combinations: what is asked for at once.
        knows_regions: whether it is known of some images what a label may change.
        notes: what the reader of a report should know.

    Raises:
        UserError: the data do not know a label that the model needs, or the user's boxes or masks
            cannot be read.
    """

    __test__ = False  # pytest: a name, not a test

    def __init__(
        self,
        data: DataModule,
        dataset: str,
        labels: JointLabelSpace,
        count: int | None = None,
        split: str = "test",
        together: bool | Sequence[str] = False,
    ) -> None:
        data.setup()
        self.name = dataset
        self.test = (data.val if split == "val" else data.test)[dataset]
        self.reference = data.train[dataset]
        own = self.test.images.space
        found = meet(own, labels, dataset)
        self.index = found.needed
        self.space = labels.spaces[self.index]
        self.combinations = combinations_of(self.space, together)
        self.notes: list[str] = []
        self.rows, self.labels = self._choose(self.test, found, count, split)
        about = self.test.about_regions()
        self.knows_regions = about is not None
        if about is not None and not is_drawn(self.test.images):
            self.notes.append(f"What a label of {dataset} concerns is {about}.")
        self.reference_rows, self.reference_labels = self._choose(
            self.reference, found, len(self.rows), "training"
        )

    def __len__(self) -> int:
        return len(self.rows)

    def seen_by(self, path: str | Path, who: str) -> str:
        """Whether what is tested, or what judges, was trained on test images: one sentence.

        Args:
            path: of the model or the judge, in its run folder or not.
            who: what it is called.

        Returns:
            Empty: it was not, or the images have no files.
        """
        here = list(files_of(self.test.images, self.rows.tolist()))
        place = Path(path).expanduser()
        trained = trained_on(run_folder(place) if place.exists() else None)
        if not here:
            return ""
        if trained is None:
            return (
                f"What {who} was trained on is not recorded beside it ({RECORD} of its run "
                "folder): whether these test images are among it is not known."
            )
        seen = count_seen(trained, here)
        if not seen:
            return ""
        return (
            f"{seen:,} of the {len(here):,} test images of {self.name} are images that {who} was "
            "trained on: the figures flatter, hold out others."
        )

    def relabelled_since(self, path: str | Path, who: str) -> str:
        """Whether test images have other labels than when a model or judge was trained: a sentence.

        Columns of an attribute file that changed places, or classes whose folders were renamed,
        have the same names: only what each image has tells.

        Args:
            path, who: see ``seen_by``.

        Returns:
            Empty: they have not, or it is not recorded.
        """
        place = Path(path).expanduser()
        folder = run_folder(place) if place.exists() else None
        others = relabelled(folder, self.test.images, self.rows.tolist(), self.name)
        if not others:
            return ""
        return (
            f"Test images of {self.name} have other labels now than when {who} was trained: "
            f"{others}. If they were not corrected, columns or classes have changed places, and "
            "the figures say nothing."
        )

    @property
    def wishes(self) -> list[Wish]:
        """Everything that images are asked for: a label of a group, or a lone label turned over."""
        found = []
        for i, name in enumerate(self.space.names):
            values = (1,) if len(self.space.group_of(name)) > 1 else (1, 0)
            found += [Wish(i, value) for value in values]
        return found

    @property
    def all_wishes(self) -> list[Wish | Combination]:
        """``wishes`` and then ``combinations``: what the column ``wish`` of records counts."""
        return [*self.wishes, *self.combinations]

    def wish_name(self, wish: Wish | Combination) -> str:
        """``Blond_Hair``, or ``not Male``; ``Hair + Male`` of a combination."""
        if isinstance(wish, Combination):
            groups = [[self.space.names[i] for i in group] for group in wish.groups]
            return " + ".join(map(group_name, groups))
        name = self.space.names[wish.label]
        return name if wish.value else f"not {name}"

    def group(self, wish: Wish | Combination) -> list[int]:
        """The labels that decide whether a wish came true: the exclusive group, or the label."""
        if isinstance(wish, Combination):
            return [i for group in wish.groups for i in group]
        names = self.space.group_of(self.space.names[wish.label])
        return [self.space.index(n) for n in names]

    @property
    def neutral(self) -> int | None:
        """The class from which the paper translates, where there is one."""
        names = [n.lower() for n in self.space.names]
        return names.index(NEUTRAL) if self.space.categorical and NEUTRAL in names else None

    def chunks(self, size: int, reference: bool = False) -> Iterator[tuple[int, int]]:
        """Beginning and end of each chunk of at most ``size`` images."""
        number = len(self.reference_rows if reference else self.rows)
        yield from ((start, min(start + size, number)) for start in range(0, number, size))

    def load(self, start: int, end: int, reference: bool = False) -> Chunk:
        """The images of a chunk; those that cannot be read are left out where data skip them."""
        split = self.reference if reference else self.test
        rows = (self.reference_rows if reference else self.rows)[start:end]
        labels = (self.reference_labels if reference else self.labels)[start:end]
        use = [k for k, i in enumerate(rows) if split.pixels(int(i)) is not None]
        return Chunk(rows[use], _stack(split, rows[use].tolist()), labels[use])

    def images(self, rows: Sequence[int]) -> Tensor:
        """Test images ``(B, 3, H, W)`` in [-1, 1] by their index; all of them can be read."""
        return _stack(self.test, rows)

    def region(self, row: int, group: Sequence[int]) -> Tensor | None:
        """``(H, W)`` bool: what the labels of a group may change; None where that is not known.

        Args:
            row: index of a test image.
            group: labels of the model's space; what one of them may change counts.
        """
        own = self.test.images.space
        names = [self.space.names[i] for i in group]
        found = [self.test.region(row, own.index(n)) for n in names if n in own.names]
        masks = [torch.from_numpy(region.pixels) for region in found if region is not None]
        return torch.stack(masks).any(0) if masks else None

    def truth(self, row: int, label: Tensor) -> Tensor | None:
        """The true image ``(3, H, W)`` of a test image under other labels; None where unknown."""
        dataset = self.test.images
        if not isinstance(dataset, CounterfactualImages) or dataset.space != self.space:
            return None
        drawn = dataset.counterfactual(row, label)
        return imaging.to_tensor(imaging.crop_resize(drawn, self.test.size))

    def _choose(
        self, split: PreparedImages, found: Match, count: int | None, words: str
    ) -> tuple[Tensor, Tensor]:
        labels = found.take(split.images.labels.float())
        use = torch.arange(len(labels))
        if self.space.categorical:
            use = torch.nonzero(labels.sum(1) > 0.5).squeeze(1)
            if len(use) < len(labels):
                self.notes.append(
                    f"{len(labels) - len(use):,} {words} images of {self.name} are of classes that "
                    "the model does not know: left out."
                )
            absent = [n for n, k in zip(self.space.names, labels.sum(0), strict=True) if not k]
            if absent:
                self.notes.append(
                    f"No {words} image of {self.name} is of the "
                    f"class{'es' * (len(absent) > 1)} {', '.join(absent)}."
                )
        known = ~labels[use].isnan().any(1)
        if not known.all():
            self.notes.append(
                f"{int((~known).sum()):,} {words} images of {self.name} have labels that are not "
                "known: left out."
            )
            use = use[known]
            if not len(use):
                raise UserError(
                    f"of no {words} image of '{self.name}' all labels are known: give the labels "
                    "that are missing."
                )
        if not len(use):
            raise UserError(
                f"no {words} image of '{self.name}' is of a class that the model knows."
            )
        if count is not None and count < len(use):
            # Evenly over the split, which may be sorted by class.
            use = use[torch.linspace(0, len(use) - 1, count).round().long()]
        return use, labels[use]


def meet(own: LabelSpace, labels: JointLabelSpace, dataset: str) -> Match:
    """Which of a model's label spaces a data set belongs to, and where its labels are in the data.

    Classes that the data lack are left out, all else must be there.

    Raises:
        UserError: none of the model's spaces fits, or several; shows both sides.
    """
    known = JointLabelSpace([own])
    return match(labels, known, "the model", f"the data set '{dataset}'", some_classes=True)


def wanted(
    space: LabelSpace, label: Tensor, wish: Wish | Combination, row: Tensor
) -> tuple[Tensor, Tensor]:
    """Who is asked, and for what.

    Args:
        space: of the labels.
        label: ``(B, L)``.
        wish: see ``Wish`` and ``Combination``.
        row: ``(B,)`` int64 numbers of the images, which decide a combination's labels.

    Returns:
        Indices of the rows that are not already as wished, and their target labels.
    """
    if isinstance(wish, Combination):
        return torch.arange(len(label)), _together(label, wish, row)
    target = space.flip(label, space.names[wish.label])
    ask = (label[:, wish.label] != wish.value) & (target[:, wish.label] == wish.value)
    rows = torch.nonzero(ask).squeeze(1)
    return rows, target[rows]


def _together(label: Tensor, wish: Combination, row: Tensor) -> Tensor:
    target = label.clone()
    # Scattered, for a data set may repeat its labels in some period.
    turn = (row * 2654435761) % 2**32 >> 16
    for group in map(list, wish.groups):
        part = label[:, group]
        if len(group) == 1:
            target[:, group] = 1 - part
            continue
        # So many places on from the label that is set; of none any one.
        some = part.amax(1) > 0.5
        step = torch.where(some, 1 + turn % (len(group) - 1), turn % len(group))
        chosen = (torch.where(some, part.argmax(1), 0) + step) % len(group)
        target[:, group] = torch.nn.functional.one_hot(chosen, len(group)).to(label)
    return target


def combinations_of(space: LabelSpace, together: bool | Sequence[str]) -> list[Combination]:
    """What is asked for at once: the paper's hair and gender, hair and age, and so on.

    Args:
        space: of the labels; classes of one problem have nothing to combine.
        together: True: any two or more of the exclusive groups and lone labels, where there are at
            most ``MOST_TOGETHER``; False: nothing; or names of labels, ``["Blond_Hair+Male"]``,
            each of which means its group. Names of other spaces are passed over.

    Raises:
        UserError: a combination of one thing, or of labels of several spaces.
    """
    things = list(dict.fromkeys(space.group_of(name) for name in space.names))
    if isinstance(together, bool):
        some = len(things) if together and len(things) <= MOST_TOGETHER else 1
        chosen = [c for n in range(2, some + 1) for c in combinations(things, n)]
    else:
        chosen = []
        for words in together:
            names = [name.strip() for name in str(words).split("+")]
            here = [name in space.names for name in names]
            if not any(here):
                continue
            parts = tuple(dict.fromkeys(space.group_of(n) for n in names if n in space.names))
            if not all(here) or len(parts) < 2:
                raise UserError(
                    f"together={words} must join labels of '{space.name}' that do not exclude each "
                    "other: together=[Blond_Hair+Male]."
                )
            chosen.append(parts)
    return [Combination(tuple(tuple(map(space.index, g)) for g in groups)) for groups in chosen]


def group_name(names: Sequence[str]) -> str:
    """What an exclusive group is called: the last word that its labels share, or all of them."""
    last = {name.rpartition("_")[2] for name in names}
    return last.pop() if len(last) == 1 else "/".join(names)


def _stack(split: PreparedImages, rows: Sequence[int]) -> Tensor:
    pixels = [p for p in map(split.pixels, rows) if p is not None]
    if not pixels:
        return torch.empty(0, 3, *split.size)
    image = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return imaging.to_float(image)
