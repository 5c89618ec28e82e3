"""Translates a test set to every label and measures each result, batch by batch.

Each batch is kept on disk as soon as it is measured, so that an evaluation that was interrupted
goes on where it was. What is kept are numbers, not pictures: features, readings, distances.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from stargan import imaging
from stargan.contracts import Translate
from stargan.errors import UserError
from stargan.evaluation.held_out import Chunk, TestSet, wanted
from stargan.export import possible
from stargan.judges.judge import Judge
from stargan.labels import LabelSpace
from stargan.metrics.diversity import whole_pixels
from stargan.metrics.fid import FeatureNetwork
from stargan.writing import whole, write_whole

PSNR_CAP = 60.0
"""dB; an exact copy would have infinitely many, and half a grey level of 255 is 54."""

Table = dict[str, Tensor]
"""Columns of equal length."""


@dataclass(frozen=True, eq=False)
class Instruments:
    """What the pictures are measured with.

    Attributes:
        judge: reads labels.
        columns: the judge's logits that are the labels of the model's space, in its order.
        features: whose features FID, KID and the Inception Score are taken of.
        distance: between two batches of images, ``(B,)``: how far apart they look.
        distance_name: what the tables call it.
        judge_name: the same of the judge.
    """

    judge: Judge
    columns: Tensor
    features: FeatureNetwork
    distance: Callable[[Tensor, Tensor], Tensor] | None
    distance_name: str
    judge_name: str

    @property
    def own_features(self) -> bool:
        """Whether the judge's own features are the feature network."""
        return self.features.name == self.judge_name

    def read(self, image: Tensor) -> Table:
        """Logits in the labels of the model's space, features, pixels for bins; on the CPU."""
        pixels = whole_pixels(image).cpu()
        image = image.to(self.judge.device)
        features, scores = self.features.read(image)
        found = {"features": features.float().cpu(), "pixels": pixels}
        if self.own_features and scores is not None:
            found["logits"] = scores[:, self.columns.to(scores.device)].float().cpu()
            return found
        logits = self.judge.logits(image)
        found["logits"] = logits[:, self.columns.to(logits.device)].float().cpu()
        if scores is not None:
            found["scores"] = scores.float().cpu()
        return found


def judge_instruments(judge: Judge, space: LabelSpace, name: str) -> Instruments:
    """The judge alone as the instrument for everything."""

    def read(image: Tensor) -> tuple[Tensor, Tensor]:
        return judge.features(image), judge.logits(image)

    return Instruments(
        judge=judge,
        columns=torch.tensor(judge.match(space, f"the judge {name}").places),
        features=FeatureNetwork(name, read),
        distance=None,
        distance_name=f"features of {name}",
        judge_name=name,
    )


class Shards:
    """Tables by name, in a folder or in memory; what is there already is not made again.

    Args:
        folder: where they are kept; None: in memory.
        identity: what they depend on (``identity.of_images`` and the like); a folder of another
            identity is emptied.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.kept: dict[str, Table] = {}
        if folder is None:
            return
        text = json.dumps(identity, sort_keys=True, default=str)
        try:
            stamp = folder / "identity.json"
            if folder.exists() and (not stamp.is_file() or stamp.read_text("utf-8") != text):
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob("*.part"):
                left.unlink()
        except OSError as error:
            raise UserError(f"'{folder}' cannot be written ({error.strerror or error}).") from error
        if not stamp.is_file():
            write_whole(stamp, text)

    def get(self, name: str, make: Callable[[], Table]) -> Table:
        """A table, made if it is not there."""
        if self.folder is None:
            if name not in self.kept:
                self.kept[name] = make()
            return self.kept[name]
        path = self.folder / f"{name}.safetensors"
        if path.is_file():
            with contextlib.suppress(SafetensorError, OSError):  # damaged: made again
                return load_file(path)
        table = make()
        with whole(path) as part:
            save_file({k: v.contiguous() for k, v in table.items()}, part)
        return table


@dataclass(frozen=True)
class Records:
    """Everything measured of one model on one test set.

    Attributes:
        real: of the test images: ``row``, ``label (N, L)``, ``logits (N, L)``, ``features (N, F)``,
            ``pixels (N, P)`` (see ``whole_pixels``), with a feature network of its own also
            ``scores (N, K)``.
        fake: of the translations, the same (``label`` is what the image was), and ``wish`` (number
            in ``TestSet.all_wishes``), ``target (M, L)``, ``distance``, ``change`` and, where
            regions are known, ``inside`` and ``outside`` (NaN for an image without one); with
            cycles ``l1``, ``psnr``, ``ssim``; where the true answer is known ``truth``. Differences
            are mean absolute ones on [0, 1].
        reference: of the training images: ``label``, ``features``, ``pixels``.
    """

    real: Table
    fake: Table
    reference: Table


def translate_set(
    translate: Translate,
    test: TestSet,
    tools: Instruments,
    batch_size: int,
    shards: Shards | None = None,
    reference: Shards | None = None,
    cycle: bool = True,
    advance: Callable[[int], None] = lambda count: None,
    truth: bool = True,
) -> Records:
    """Translate every test image to every label that it does not have, and measure.

    Changes that a model says it cannot make (``contracts.Chooses``) are left out.

    Args:
        translate: the model.
        test: the images.
        tools: judge, features, distance.
        batch_size: images at a time.
        shards: where the measurements are kept.
        reference: where those of the real images, which no model changes, are kept; None: training
            images are left out, and with them FID, KID and bins.
        cycle: also translate back.
        advance: told the number of images that are done.
        truth: also compare with the true images, where they are known; each has to be drawn.
    """
    shards = shards or Shards(None)
    compared: list[Table] = []
    if reference is not None:
        for start, end in test.chunks(batch_size, reference=True):
            make = partial(_reference, test, tools, start, end)
            compared.append(reference.get(f"{start:07d}", make))
            advance(end - start)
    real: list[Table] = []
    fake: list[Table] = []
    for start, end in test.chunks(batch_size):
        load = cache(partial(test.load, start, end))
        # Real images do not depend on the model: they are kept with the training images.
        seen = (reference or shards).get(f"test_{start:07d}", partial(_real, tools, load))
        real.append(seen)
        make = partial(_fakes, translate, test, tools, load, seen, cycle, truth)
        fake.append(shards.get(f"{start:07d}", make))
        advance(end - start)
    return Records(_joined(real), _joined(fake), _joined(compared))


def change(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference over the channels ``(B, H, W)``, on [0, 1]."""
    return (a - b).abs().mean(1) / 2


def rounded(image: Tensor) -> Tensor:
    """As a PNG would keep it, in [-1, 1] again: fakes are seen with the 8 bits of real images."""
    return imaging.to_float(imaging.to_uint8(image))


def _reference(test: TestSet, tools: Instruments, start: int, end: int) -> Table:
    chunk = test.load(start, end, reference=True)
    if not len(chunk.row):
        return {"label": chunk.label}
    read = tools.read(chunk.image)
    return {"label": chunk.label, "features": read["features"], "pixels": read["pixels"]}


def _real(tools: Instruments, load: Callable[[], Chunk]) -> Table:
    """One chunk of the test images themselves."""
    chunk = load()
    if not len(chunk.row):
        return {"row": chunk.row}
    return {"row": chunk.row, "label": chunk.label, **tools.read(chunk.image)}


def _fakes(
    translate: Translate,
    test: TestSet,
    tools: Instruments,
    load: Callable[[], Chunk],
    real: Table,
    cycle: bool,
    truth: bool,
) -> Table:
    """The translations of one chunk of test images, whose own measurements are ``real``."""
    chunk = load()
    if not len(chunk.row):
        return {"row": chunk.row}
    parts: list[Table] = []
    regions: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
    for number, wish in enumerate(test.all_wishes):
        rows, target = wanted(test.space, chunk.label, wish, chunk.row)
        own = translate.labels.expand(chunk.label[rows], test.index)
        asked = translate.labels.expand(target, test.index)
        # Some models have no network for some changes: those are not asked of them.
        can = possible(translate, own, asked)
        rows, target, own, asked = rows[can], target[can], own[can], asked[can]
        if not len(rows):
            continue
        image, label = chunk.image[rows], chunk.label[rows]
        dataset = torch.full((len(rows),), test.index)
        made = translate(image, own, asked, dataset)
        fake = rounded(made.float().cpu())
        read = tools.read(fake)
        pixels = change(fake, image)
        part = {
            "row": chunk.row[rows],
            "label": label,
            "target": target,
            "wish": torch.full((len(rows),), number),
            "change": pixels.mean((1, 2)),
            "distance": (read["features"] - real["features"][rows]).norm(dim=1)
            if tools.distance is None
            else tools.distance(fake, image).float().cpu(),
            **read,
        }
        if test.knows_regions:
            group = tuple(test.group(wish))
            if group not in regions:
                regions[group] = _regions(test, chunk, group)
            mask, known = (part_of[rows] for part_of in regions[group])
            for name, where in (("inside", mask), ("outside", ~mask)):
                part[name] = _mean(pixels, where).where(known, torch.nan)
        pairs = zip(rows, target, strict=True)
        true = [test.truth(int(chunk.row[r]), t) for r, t in pairs] if truth else []
        if true and all(t is not None for t in true):
            drawn = torch.stack([t for t in true if t is not None])
            part["truth"] = change(fake, drawn).mean((1, 2))
        if cycle:
            part |= _cycle(translate, image, made, asked, own, dataset)
        parts.append(part)
    return _joined(parts) or {"row": chunk.row[:0]}


def _cycle(
    translate: Translate, image: Tensor, made: Tensor, asked: Tensor, own: Tensor, dataset: Tensor
) -> Table:
    """How far the way back ends from the image; NaN where a model has no network for that way."""
    can = possible(translate, asked, own)
    back = image.clone()
    if can.any():
        ways = translate(made[can.to(made.device)], asked[can], own[can], dataset[can])
        back[can] = ways.float().cpu().clamp(-1, 1)
    found = _reconstruction(back, image)
    return {name: values.where(can, torch.nan) for name, values in found.items()}


def _reconstruction(back: Tensor, image: Tensor) -> Table:
    squared = ((back - image) / 2).square().mean((1, 2, 3))
    psnr = (-10 * squared.clamp_min(1e-12).log10()).clamp_max(PSNR_CAP)
    found = {"l1": change(back, image).mean((1, 2)), "psnr": psnr}
    if min(image.shape[-2:]) >= 11:  # SSIM's window
        ssim = structural_similarity_index_measure(back, image, data_range=2.0, reduction="none")
        assert isinstance(ssim, Tensor)
        found["ssim"] = ssim.reshape(-1)
    return found


def _regions(test: TestSet, chunk: Chunk, group: Sequence[int]) -> tuple[Tensor, Tensor]:
    """``(B, H, W)`` bool: what a group may change in each image; ``(B,)`` whether that is known."""
    found = [test.region(int(row), group) for row in chunk.row]
    nothing = torch.zeros(chunk.image.shape[-2:], dtype=torch.bool)
    masks = torch.stack([nothing if mask is None else mask for mask in found])
    return masks, torch.tensor([mask is not None for mask in found])


def _mean(pixels: Tensor, mask: Tensor) -> Tensor:
    """Means ``(B,)`` where a mask is set; NaN where it is nowhere."""
    return (pixels * mask).sum((1, 2)) / mask.sum((1, 2))


def _joined(tables: Sequence[Table]) -> Table:
    """Tables below each other; only the columns that all non-empty ones have."""
    whole = [t for t in tables if t and len(next(iter(t.values())))]
    if not whole:
        return {}
    keys = [k for k in whole[0] if all(k in t for t in whole)]
    return {k: torch.cat([t[k] for t in whole]) for k in keys}
