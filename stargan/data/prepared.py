"""Images of one dataset as the networks see them: cropped, resized, kept in memory if they fit."""

from __future__ import annotations

import logging
import mmap
import os
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stargan.contracts import LabeledImages, RegionImages
from stargan.errors import UnreadableImageError, UserError
from stargan.imaging.framing import crop_resize
from stargan.imaging.regions import Region

_log = logging.getLogger(__name__)
_KEPT, _UNREADABLE = 1, 2


class PreparedImages:
    """One split of one dataset, cropped and resized, kept in memory as far as allowed.

    Args:
        images: the data set.
        size: (height, width) of what comes out.
        crop: side of the centre crop; None: the largest of the right shape.
        skip: leave out unreadable images rather than raise.
        keep: keep every prepared image, 8 bits per channel. Flips come later, so that a kept
            image is the same as a fresh one.
        channels: 3 for RGB, 1 for grey (luma, ITU-R 601).
    """

    def __init__(
        self,
        images: LabeledImages,
        size: tuple[int, int],
        crop: int | None,
        skip: bool = False,
        keep: bool = False,
        channels: int = 3,
    ) -> None:
        self.images = images
        self.size = size
        self.channels = channels
        self._crop = crop
        self._skip = skip
        self._kept: NDArray[np.uint8] | None = None
        self._file: Path | None = None
        if keep:
            # Anonymous memory is shared with forked workers and, unlike torch's shared tensors,
            # does not count against the small /dev/shm of containers. Unused pages cost nothing.
            self._kept = self._as_images(mmap.mmap(-1, self._bytes))
        self._state = torch.zeros(len(images), dtype=torch.uint8).share_memory_()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def _bytes(self) -> int:
        return len(self.images) * self.size[0] * self.size[1] * self.channels

    def _as_images(self, memory: mmap.mmap) -> NDArray[np.uint8]:
        shape = (len(self.images), *self.size, self.channels)
        return np.frombuffer(memory, dtype=np.uint8).reshape(shape)

    def __getstate__(self) -> dict[str, Any]:
        # Workers that are spawned instead of forked (macOS, Windows, Python 3.14) inherit no
        # memory, so what is kept moves to a file that all of them map.
        if self._kept is not None and self._file is None:
            self._move_to_file(self._kept)
        return {**self.__dict__, "_kept": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._file is not None:
            # Gone where this object is opened after the one that it was made from: kept no more.
            with suppress(OSError):
                self._kept = self._map(self._file)

    def _move_to_file(self, kept: NDArray[np.uint8]) -> None:
        """Keep the images in a temporary file from now on, or in memory if there is no room."""
        path = None
        try:
            descriptor, name = tempfile.mkstemp(prefix="stargan-", suffix=".images")
            path = Path(name)
            try:
                # The room is taken at once: a full disk would end the process at a later write.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(descriptor, 0, self._bytes)
                else:
                    os.truncate(descriptor, self._bytes)
            finally:
                os.close(descriptor)
            moved = self._map(path)
        except OSError as error:
            if path is not None:
                path.unlink(missing_ok=True)
            _log.warning(
                "the images cannot be shared with the workers (%s in %s): each loads them anew.",
                error.strerror or error,
                tempfile.gettempdir(),
            )
            return
        # A state of its own too: workers forked before go on writing into the old memory.
        state = self._state.clone()
        done = np.flatnonzero(state.numpy() == _KEPT)
        moved[done] = kept[done]
        self._kept, self._state, self._file = moved, state.share_memory_(), path
        weakref.finalize(self, _remove, path, os.getpid())

    def _map(self, path: Path) -> NDArray[np.uint8]:
        with path.open("r+b") as file:
            return self._as_images(mmap.mmap(file.fileno(), self._bytes))

    @property
    def skipped(self) -> int:
        """How many unreadable images have been met so far, in workers too."""
        return int((self._state == _UNREADABLE).sum())

    def pixels(self, index: int) -> NDArray[np.uint8] | None:
        """``(H, W, C)`` uint8, or None for an unreadable image that is to be skipped.

        Raises:
            UnreadableImageError: unless they are skipped; names the image.
            UserError: smaller than the crop.
        """
        if self._kept is not None and self._state[index] == _KEPT:
            return self._kept[index]
        if self._skip and self._state[index] == _UNREADABLE:
            return None
        try:
            image = self.images.load(index)
        except UserError as error:
            if not self._skip:
                raise UnreadableImageError(
                    f"{str(error).rstrip('.')}, or leave such images out: data.on_error=skip."
                ) from error
            self._state[index] = _UNREADABLE
            _log.warning("%s; another image takes its place.", str(error).rstrip("."))
            return None
        try:
            resized = crop_resize(image, self.size, self._crop)
        except UserError as error:
            name, where = self.images.name(index), self.images.where
            raise UserError(f"image '{name}' of {where}: {error}") from error
        grey = self.channels == 1
        array = np.asarray(resized.convert("L"))[:, :, None] if grey else np.asarray(resized)
        if self._kept is not None:
            self._kept[index] = array
            self._state[index] = _KEPT
        return array

    def substitute(self, index: int) -> tuple[int, NDArray[np.uint8]]:
        """The image, or the next readable one, and which it is.

        Raises:
            UserError: not one image can be read.
        """
        for step in range(len(self)):
            i = (index + step) % len(self)
            array = self.pixels(i)
            if array is not None:
                return i, array
        raise UserError(f"not one image of {self.images.where} can be read: replace them.")

    def region(self, index: int, label: int) -> Region | None:
        """Where a label is, cropped and resized as the image; None where that is not known."""
        if not isinstance(self.images, RegionImages):
            return None
        region = self.images.region(index, label)
        return None if region is None else region.framed(self.size, self._crop)

    def about_regions(self) -> str | None:
        """See ``RegionImages``; None too of data sets that know of no regions at all."""
        return self.images.about_regions() if isinstance(self.images, RegionImages) else None


def _remove(path: Path, owner: int) -> None:
    """Delete the file of kept images; forked workers, which have a copy of its owner, do not."""
    if os.getpid() == owner:
        with suppress(OSError):  # Windows keeps what is still mapped.
            path.unlink()
