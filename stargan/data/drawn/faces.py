"""The embedded faces: drawn people with exact labels, regions and counterfactuals.

They stand in for CelebA ("attributes") and RaFD ("expressions"), whose licences do not allow
shipping: a first training run needs no download, and tests and reports have a known truth.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from stargan.contracts import LabeledImages, RegionImages
from stargan.data.drawn.drawing import draw_face
from stargan.data.drawn.person import EXPRESSIONS, HAIR_COLOURS, Look, Person, draw_person
from stargan.data.splits import splits_drawn
from stargan.data.subset import ChosenLabels
from stargan.errors import UserError
from stargan.imaging.regions import Region
from stargan.labels import LabelSpace
from stargan.progress import Progress
from stargan.writing import whole

SPACES = {
    "attributes": LabelSpace(
        (*HAIR_COLOURS, "Male", "Young"), groups=(HAIR_COLOURS,), name="attributes"
    ),
    "expressions": LabelSpace(EXPRESSIONS, categorical=True, name="expressions"),
}
_SPLITS = ("train", "test", "val")  # In this order: it seeds the drawings.
_QUIET_SECONDS = 1.5  # Work that takes less needs no progress bar.


class SyntheticFaces:
    """Drawn faces, a function of (seed, split, kind, index); drawn once and kept on disk.

    The splits show different people. Face ``i`` does not depend on ``count``.

    Args:
        split: "train", "test" or "val".
        kind: "attributes" (hair colours, Male, Young; photos from the wild, any expression) or
            "expressions" (eight classes in equal numbers; a studio, any hair, sex and age).
        size: side in pixels, or (height, width).
        count: how many, one number or one per split, of which val may be missing or 0.
        seed: another seed, other people.
        cache_dir: where the drawings are kept; by default ``$STARGAN_CACHE``, else
            ``$XDG_CACHE_HOME/stargan``, else ``~/.cache/stargan``.

    Raises:
        UserError: an unknown split or kind, an impossible size, count or seed, or a cache folder
            that cannot be written.
    """

    def __init__(
        self,
        split: str,
        kind: str = "attributes",
        size: int | tuple[int, int] = 128,
        count: int | Mapping[str, int] = 4000,
        seed: int = 0,
        cache_dir: str | Path | None = None,
    ) -> None:
        if split not in _SPLITS:
            raise UserError(f"drawn faces have no split '{split}': choose {', '.join(_SPLITS)}.")
        if kind not in SPACES:
            raise UserError(f"unknown kind of drawn faces '{kind}': choose {' or '.join(SPACES)}.")
        height, width = (size, size) if isinstance(size, int) else (int(s) for s in size)
        number = count if isinstance(count, int) else count.get(split, 0)
        if min(height, width) < 16:
            raise UserError(f"drawn faces of {height}x{width} pixels show nothing: use 16 or more.")
        if number < 1 or seed < 0:
            raise UserError(
                f"drawn faces need a count of at least 1 and a seed of at least 0, "
                f"not {number} ({split}) and {seed}."
            )
        self.kind, self.split, self.seed = kind, split, seed
        self.size = (height, width)
        self.space = SPACES[kind]
        self.splits = splits_drawn(count)
        self.where = f"drawn faces ({kind}, {split})"
        self._count = number
        folder = Path(cache_dir).expanduser() if cache_dir is not None else default_cache()
        self._stem = folder / (
            f"faces-{_drawing_version()}-{kind}-{split}-{height}x{width}-{number}-{seed}"
        )
        self._pictures: NDArray[Any] | None = None
        self._masks: NDArray[Any] | None = None
        self.labels = torch.from_numpy(self._picture_table()["label"].astype(np.float32))

    def __len__(self) -> int:
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        # Workers open the files themselves: pickling would copy them through a pipe.
        return {**self.__dict__, "_pictures": None, "_masks": None}

    def load(self, index: int) -> Image.Image:
        """Face ``index`` as RGB."""
        return Image.fromarray(np.array(self._picture_table()["image"][index]))

    def name(self, index: int) -> str:
        """Such as ``attributes_test_00017``."""
        return f"{self.kind}_{self.split}_{index:05d}"

    def counterfactual(self, index: int, label: Tensor) -> Image.Image:
        """The same person in the same shot with other labels: the true answer to an edit.

        Args:
            label: ``(L,)``; values from 0.5 are set.

        Raises:
            UserError: an impossible label, or no hair colour at all.
        """
        self.space.check(label)
        person, look = self._who(index)
        chosen = [n for n, v in zip(self.space.names, label.tolist(), strict=True) if v >= 0.5]
        if self.kind == "expressions":
            if not chosen:
                raise UserError("no expression is set in the label: choose one.")
            return draw_face(person, replace(look, expression=chosen[0]), self.size)
        hair = next((n for n in chosen if n in HAIR_COLOURS), None)
        if hair is None:
            raise UserError(
                f"no hair colour is set in the label: choose {', '.join(HAIR_COLOURS)}."
            )
        look = replace(look, hair=hair, male="Male" in chosen, young="Young" in chosen)
        return draw_face(person, look, self.size)

    def regions(self, index: int) -> NDArray[np.bool_]:
        """``(L, H, W)`` bool: the pixels that each label may change.

        The person is drawn with every value of the label (every member of an exclusive group),
        all else equal; the pixels that differ, widened by 1/32 of the side, are the region. The
        first call draws and keeps the regions of the whole split.
        """
        if self._masks is None:
            self._masks = self._cached(
                "regions",
                np.dtype((np.uint8, (self._mask_groups(), self._mask_bytes()))),
                self._mask_row,
            )
        height, width = self.size
        bits = np.unpackbits(self._masks[index], axis=1, count=height * width)
        masks = bits.astype(bool).reshape(-1, height, width)
        if self.kind == "expressions":
            return masks.repeat(len(EXPRESSIONS), axis=0)
        return masks[[0] * len(HAIR_COLOURS) + [1, 2]]

    def region(self, index: int, label: int) -> Region:
        """One of ``regions``, with the smallest box around it."""
        return Region.of_mask(self.regions(index)[label])

    def about_regions(self) -> str:
        """See ``RegionImages``."""
        return "all pixels that the label may change"

    def _who(self, index: int) -> tuple[Person, Look]:
        if not 0 <= index < self._count:
            raise IndexError(index)
        key = [self.seed, _SPLITS.index(self.split), list(SPACES).index(self.kind), index]
        person, look = draw_person(np.random.default_rng(key), self.kind)
        if self.kind == "expressions":
            look = replace(look, expression=EXPRESSIONS[index % len(EXPRESSIONS)])
        return person, look

    def _picture_table(self) -> NDArray[Any]:
        if self._pictures is None:
            height, width = self.size
            row = np.dtype(
                [("image", np.uint8, (height, width, 3)), ("label", np.uint8, (self.space.size,))]
            )
            self._pictures = self._cached("pictures", row, self._picture_row)
        return self._pictures

    def _picture_row(self, index: int) -> tuple[NDArray[np.uint8], list[bool]]:
        person, look = self._who(index)
        if self.kind == "expressions":
            label = [e == look.expression for e in EXPRESSIONS]
        else:
            label = [*(h == look.hair for h in HAIR_COLOURS), look.male, look.young]
        return np.asarray(draw_face(person, look, self.size)), label

    def _mask_groups(self) -> int:
        """Regions stored: labels of an exclusive group share one."""
        return 1 if self.kind == "expressions" else 3

    def _mask_bytes(self) -> int:
        return -(-self.size[0] * self.size[1] // 8)

    def _mask_row(self, index: int) -> NDArray[np.uint8]:
        person, look = self._who(index)
        if self.kind == "expressions":
            groups = [[replace(look, expression=e) for e in EXPRESSIONS]]
        else:
            groups = [
                [replace(look, hair=hair) for hair in HAIR_COLOURS],
                [look, replace(look, male=not look.male)],
                [look, replace(look, young=not look.young)],
            ]
        drawn: dict[Look, NDArray[np.uint8]] = {}
        widen = ImageFilter.MaxFilter(2 * max(1, round(min(self.size) / 32)) + 1)
        masks = []
        for looks in groups:
            for other in looks:
                if other not in drawn:
                    drawn[other] = np.asarray(draw_face(person, other, self.size))
            first = drawn[looks[0]]
            differs = np.any([(drawn[o] != first).any(2) for o in looks[1:]], axis=0)
            wide = Image.fromarray(differs.astype(np.uint8) * 255).filter(widen)
            masks.append(np.packbits(np.asarray(wide).ravel() > 0))
        return np.stack(masks)

    def _cached(self, what: str, row: np.dtype[Any], make: Callable[[int], Any]) -> NDArray[Any]:
        """A table of one row per face, read from disk or drawn and written there."""
        path = self._stem.with_name(f"{self._stem.name}-{what}.npy")
        blank = np.empty(0, dtype=row)
        if path.exists():
            try:
                table: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
                if table.shape == (self._count, *blank.shape[1:]) and table.dtype == blank.dtype:
                    return table
            except (OSError, ValueError):
                pass  # Damaged: drawn again below.
        rows = np.empty(self._count, dtype=row)
        _fill(
            rows,
            make,
            f"{'Drawing' if what == 'pictures' else 'Finding the regions of'} {self.where}",
        )
        try:
            with whole(path) as part, part.open("xb") as file:
                np.save(file, rows, allow_pickle=False)
        except UserError as error:
            raise UserError(
                f"{str(error).rstrip('.')}, and drawn faces are kept there: set STARGAN_CACHE to a "
                "folder that can be written."
            ) from error
        opened: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return opened


def embedded_faces(labels: Sequence[str] | None = None, **settings: Any) -> RegionImages:
    """``SyntheticFaces``, with only some of their labels if ``labels`` names them."""
    known = SPACES.get(settings.get("kind", "attributes"))
    if known is not None:
        for name in labels or ():
            known.index(name)  # A wrong name is refused before thousands of faces are drawn.
    faces = SyntheticFaces(**settings)
    every = labels is None or tuple(labels) == faces.space.names
    return faces if every else ChosenLabels(faces, labels or ())


def is_drawn(images: LabeledImages) -> bool:
    """Whether a judge can be trained on a data set unasked: drawn faces, as many as they are.

    Not a part of them that ``data.limit`` has left.
    """
    return isinstance(images, SyntheticFaces | ChosenLabels)


def default_cache() -> Path:
    """Where drawings are kept unless told otherwise."""
    if own := os.environ.get("STARGAN_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "stargan"
    return Path.home() / ".cache" / "stargan"


def _fill(rows: NDArray[Any], make: Callable[[int], Any], title: str) -> None:
    """Make every row; a progress bar appears when it takes its time."""
    with Progress(title, len(rows), "faces", after=_QUIET_SECONDS) as progress:
        for i in range(len(rows)):
            rows[i] = make(i)
            if i % 16 == 0:
                progress.reach(i)


@lru_cache(maxsize=1)
def _drawing_version() -> str:
    """A digest of the drawing's own dataset: a changed drawing never meets an old cache."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("face_*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]
