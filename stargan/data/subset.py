"""Some rows and some labels of another data set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image

from stargan.contracts import LabeledImages, RegionImages
from stargan.data.splits import splits_of
from stargan.imaging.regions import Region
from stargan.labels import LabelSpace


class Subset:
    """A data set without its other rows.

    Args:
        images: the whole.
        rows: which images, in this order.
    """

    def __init__(self, images: LabeledImages, rows: Sequence[int]) -> None:
        self.whole = images
        self.rows = list(rows)
        self.space = images.space
        self.labels = images.labels[self.rows]
        self.where = images.where
        self.notes: tuple[str, ...] = tuple(getattr(images, "notes", ()))
        self.splits = splits_of(images)

    def __len__(self) -> int:
        return len(self.rows)

    def load(self, index: int) -> Image.Image:
        """See ``LabeledImages``."""
        return self.whole.load(self.rows[index])

    def name(self, index: int) -> str:
        """See ``LabeledImages``."""
        return self.whole.name(self.rows[index])


def origin(images: LabeledImages, row: int) -> tuple[LabeledImages, int]:
    """The data set and the row that an image comes from, through subsets."""
    while isinstance(images, Subset):
        row = images.rows[row]
        images = images.whole
    return images, row


class ChosenLabels(Subset):
    """Drawn faces that know only some of their labels.

    Of a categorical space the images of other classes are left out; of a binary one all stay.

    Args:
        images: all of them.
        names: the labels to keep, in this order.

    Raises:
        UserError: an unknown label, or one twice.
    """

    def __init__(self, images: RegionImages, names: Sequence[str]) -> None:
        space = images.space
        self.columns = [space.index(str(name)) for name in names]
        labels = images.labels[:, self.columns]
        rows = torch.nonzero(labels.any(1)).squeeze(1) if space.categorical else range(len(images))
        super().__init__(images, [int(i) for i in rows])
        groups = [[n for n in group if n in names] for group in space.groups]
        self.space = LabelSpace(names, groups, space.categorical, space.name)
        self.labels = labels[self.rows]
        self.faces = images

    def about_regions(self) -> str | None:
        """See ``RegionImages``."""
        return self.faces.about_regions()

    def region(self, index: int, label: int) -> Region | None:
        """See ``RegionImages``."""
        return self.faces.region(self.rows[index], self.columns[label])
