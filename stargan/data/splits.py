"""Which splits a data set has, and which of its images are held out where nobody has split it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from stargan.contracts import LabeledImages
from stargan.errors import UserError
from stargan.labels import label_name

SPLITS = ("train", "val", "test")
TEST_SHARE = 0.1


def splits_with(val: bool) -> tuple[str, ...]:
    """The splits of a data set with or without a val split."""
    return SPLITS if val else ("train", "test")


def splits_of(images: LabeledImages) -> tuple[str, ...]:
    """The splits of the data set that ``images`` are one of, as their attribute ``splits`` says.

    Data sets that say nothing have a train and a test split.
    """
    return tuple(getattr(images, "splits", splits_with(val=False)))


def splits_drawn(count: int | Mapping[str, int]) -> tuple[str, ...]:
    """The splits of drawn images: val only where its number is given."""
    return splits_with(val=not isinstance(count, int) and bool(count.get("val", 0)))


def held_out(
    keys: Sequence[str], seed: int, where: str, kinds: Iterable[Sequence[int]] = ()
) -> list[bool]:
    """Which images are for testing: about a tenth, by a hash of each image's own name.

    Whether an image is held out depends on its name and not on which others there are: files that
    come or go move no other image between training and testing. The ending does not count, so that
    ``1.jpg`` and ``1.png`` stay together.

    Both sides get an image at least. Where no name falls into the tenth, the image with the
    smallest hash is held out, and it goes over to training when one with a smaller hash comes;
    where all do, the one with the largest is trained on. So a training image becomes a test
    image only where such a class loses its only test image, or gets a first other training image.

    Args:
        keys: names in the data set, with ``/`` between folders; the same on every machine.
        seed: another one holds out others.
        where: of the images, for messages.
        kinds: rows of images that have something in common, such as a label: of each kind of two
            or more one is held out at least, by the same rule.

    Raises:
        UserError: fewer than two images, which cannot be split.
    """
    if len(keys) < 2:
        raise UserError(f"{where} has {len(keys)} image: a train and a test split need two.")
    places = [(_place(key, seed), key) for key in keys]
    found = [place < TEST_SHARE for place, _ in places]
    if not any(found):
        found[places.index(min(places))] = True
    elif all(found):
        found[places.index(max(places))] = False
    drawn = list(found)
    for rows in kinds:
        # Each kind by itself: what another one needs must not move its images.
        if len(rows) > 1 and not any(drawn[row] for row in rows):
            found[min(rows, key=lambda row: places[row])] = True
    return found


def _place(key: str, seed: int) -> float:
    """A number in [0, 1) that depends on a name alone."""
    stem = os.path.splitext(label_name(key))[0]  # noqa: PTH122 (a name, not a path here)
    digest = sha256(f"{seed}\n{stem}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
