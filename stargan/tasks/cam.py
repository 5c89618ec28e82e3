"""``stargan cam``: where a judge sees a label; pictures of photos, figures on data with regions."""

from __future__ import annotations

import math
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from stargan import imaging
from stargan.data.datamodule import DataModule
from stargan.errors import Plain, UserError
from stargan.evaluation.origin import evaluation_data
from stargan.inference.names import output_names
from stargan.judges import cam
from stargan.judges.judge import Judge, open_judge
from stargan.judges.localisation import HEADS, Case, Located, by_label, cells, locate_labels
from stargan.progress import Progress, phase
from stargan.runs import short_names
from stargan.writing import markdown_row, write_whole

SHEET = "contact_sheet.png"
SHEET_ROWS = 64
SHOWN = 192
"""Pixels of the shorter side that pictures are enlarged to, so that one sees something."""
EXAMPLES = 6
GREEN, RED = (0, 200, 60), (230, 30, 30)


def main(config: Plain) -> None:
    """Maps of photos (``input=``), figures of localisation (``data=``), or both.

    Args:
        config: what ``configs.compose("cam", ...)`` gives.

    Raises:
        UserError: anything in ``config`` that cannot be done.
    """
    if config["input"] is None and config.get("data") is None:
        raise UserError("nothing to look at: add input=PHOTO_OR_FOLDER, or data=NAME for figures.")
    size = config["batch_size"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise UserError(f"batch_size={size} must be a whole number of at least 1.")
    if not isinstance(config["relative"], bool):
        raise UserError(f"relative={config['relative']} is neither true nor false.")
    if config["on_error"] not in ("skip", "raise"):
        raise UserError(f"on_error={config['on_error']} is unknown: choose skip or raise.")
    output = Path(config["output"]).expanduser()
    if output.exists() and not output.is_dir():
        raise UserError(f"output={output} is a file: give a folder.")
    judge = open_judge(config["model"], config["device"], config.get("trust") or ())
    cam.check_maps(judge)
    if config["input"] is not None:
        show_photos(judge, config, output)
    if config.get("data") is not None:
        measure(judge, config, output)


def chosen_labels(judge: Judge, words: Any) -> list[int]:
    """Indices of the labels that ``class=`` names, in the judge's joint labels.

    Raises:
        UserError: unknown or ambiguous names.
    """
    if words in ("all", None, ""):
        return list(range(judge.labels.size))
    names = words if isinstance(words, list) else str(words).split(",")
    found = []
    for name in names:
        dataset, inner = judge.labels.locate(str(name).strip())
        found.append(judge.labels.slices[dataset].start + judge.labels.spaces[dataset].index(inner))
    return list(dict.fromkeys(found))


def titles(judge: Judge) -> list[str]:
    """The name of each label, ``space.label`` where two spaces share one."""
    names = judge.labels.names
    return [
        n if names.count(n) == 1 else f"{space.name}.{n}"
        for space in judge.labels.spaces
        for n in space.names
    ]


def show_photos(judge: Judge, config: Plain, output: Path) -> None:
    """Write ``<stem>_<label>.png`` for each photo and label, and ``contact_sheet.png``."""
    labels = chosen_labels(judge, config["class"])
    files = imaging.image_files(config["input"])
    words = imaging.left_out(config["input"])
    if words:
        print(words, file=sys.stderr)
    heads = [titles(judge)[i] for i in labels]
    names = output_names(files, heads, taken=[SHEET])
    taken = {p.resolve() for p in files}
    if any((output / n).resolve() in taken for row in [*names, [SHEET]] for n in row):
        raise UserError(f"output={output} would overwrite an input image: choose another folder.")
    relative = config["relative"]
    factor = max(1, math.ceil(SHOWN / min(judge.size)))
    large = (judge.size[0] * factor, judge.size[1] * factor)
    rows: list[list[Image.Image]] = []
    sides: list[str] = []
    skipped: list[str] = []
    empty = 0
    with Progress("maps", len(files)) as progress:
        for file, outputs in zip(files, names, strict=True):
            progress.advance()
            try:
                photo = imaging.open_image(file)
            except UserError:
                if config["on_error"] == "raise":
                    raise
                skipped.append(file.name)
                continue
            pixels = imaging.to_tensor(imaging.frame(photo, judge.size, judge.crops.values()))[None]
            maps = cam.enlarge(cam.label_maps(judge, pixels, relative)[0], large).cpu()
            picture = imaging.frame(photo, large, judge.crops.values())
            row = [cam.overlay(picture, cam.normalise(maps[i])) for i in labels]
            empty += sum(bool(maps[i].max() <= 0) for i in labels)
            for name, image in zip(outputs, row, strict=True):
                imaging.save_png(image, output / name)
            if len(rows) < SHEET_ROWS:
                rows.append([picture, *row])
                sides.append(f"{file.name} read as {read_words(judge, pixels)}")
    done = len(files) - len(skipped)
    if not done:
        raise UserError(
            f"none of the {len(files)} images of '{config['input']}' can be read: "
            "are they whole, and images at all?"
        )
    imaging.save_png(imaging.grid(rows, ["input", *heads], sides, 1), output / SHEET)
    print(f"wrote {done * len(labels)} maps of {done} images to {output}")
    first = f" (the first {SHEET_ROWS} of {done})" if done > len(rows) else ""
    print(f"wrote {output / SHEET}{first}")
    if empty:
        of_classes = any(space.categorical for space in judge.labels.spaces) and not relative
        hint = "; of classes relative=true shows what tells them apart" if of_classes else ""
        print(f"{empty} maps have nothing that speaks for their label and no colour{hint}")
    if skipped:
        shown = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        print(f"skipped {len(skipped)} unreadable: {shown}", file=sys.stderr)


def read_words(judge: Judge, pixels: torch.Tensor) -> str:
    """The labels that a judge reads off one image ``(1, 3, H, W)``, of all its spaces."""
    return ", ".join(
        space.describe(judge.read(pixels, i)[0].cpu())
        for i, space in enumerate(judge.labels.spaces)
    )


def measure(judge: Judge, config: Plain, output: Path) -> None:
    """Write ``localisation.md`` and ``localisation_NAME.png``; the figures go to the terminal."""
    share = config["threshold"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise UserError(f"threshold={share} must be a number from 0 to below 1.")
    relative = config["relative"]
    maps_are = (
        "Of classes the mean map of all is taken away (relative=true), which the paper does not do."
        if relative
        else "Maps are the paper's own."
    )
    data = evaluation_data(config["data"], judge)
    (name,) = short_names([config["model"]])
    lines = [
        "# Localisation by class activation maps",
        "",
        f"Judge: {name}, {type(judge.network).__name__}. {maps_are} Compared are "
        f"boxes: that of the largest connected part of a map above {share:.0%} of its maximum with "
        "the true one "
        "(where a region is known by its pixels, the smallest around it, or around one of its "
        "parts where it has several). *loc. error*: the class is wrong or the boxes' intersection "
        "over union (IoU) is below 0.5; of several true boxes the one that fits best counts. *peak "
        "inside*: the map's maximum lies within the region, which chance would do as often as "
        "*area of the region* says. *evidence inside*: the share of all that speaks for the label "
        "that lies within the region. Top-5 needs more than five "
        "classes.",
    ]
    known = {n: p for n, p in data.test.items() if p.about_regions() is not None}
    for name in data.test:
        if known and name not in known:
            lines += ["", f"## {name}", "", f"Left out: data.{name}.regions is not given."]
            print(f"{name}: left out, data.{name}.regions is not given")
    for name, prepared in (known or data.test).items():
        with Progress(f"maps of {name}", len(prepared)) as progress:
            size = config["batch_size"]
            located = locate_labels(judge, data, name, share, size, progress.reach, relative)
        cases, about = located.cases, prepared.about_regions()
        if not cases:
            raise UserError(
                f"no test image of '{name}' has a label with a region, which are {about}: name "
                "test images and labels that they have."
            )
        with phase(f"figures and intervals of {name}"):
            rows = [cells(row) for row in by_label(cases, prepared.images.space.names)]
        notes = left_out(located, len(prepared))
        picture = output / f"localisation_{name}.png"
        with phase(f"pictures of {name}"):
            imaging.save_png(examples(judge, data, name, cases, share, relative), picture)
        region = f"The region of a label is {about}."
        lines += ["", f"## {name}", "", " ".join([region, *notes]), "", *table(rows)]
        lines += ["", f"![{name}]({picture.name})"]
        print(f"{name}: {len(prepared):,} test images")
        print("\n".join([region, *notes]))
        print("\n".join(table(rows)) + "\n")
    write_whole(output / "localisation.md", "\n".join(lines) + "\n")
    print(f"wrote {output / 'localisation.md'}")


def left_out(located: Located, images: int) -> list[str]:
    """What the figures do not count, in sentences."""
    said = []
    if located.unknown:
        said.append(
            f"Left out: {located.unknown:,} of {images:,} test images, for whose labels no "
            "region is given."
        )
    if located.cut:
        said.append(
            f"Left out: {located.cut:,} regions of which nothing is in the picture (cut away by "
            "the crop, or an empty mask)."
        )
    return said


def table(rows: list[list[str]]) -> list[str]:
    """A Markdown table under ``HEADS``."""
    return [
        markdown_row(row) for row in [list(HEADS), ["---"] + ["---:"] * (len(HEADS) - 1), *rows]
    ]


def chosen_images(cases: list[Case]) -> list[int]:
    """The first images that show a label not shown before, then the first of the others."""
    shown: set[str] = set()
    new: list[int] = []
    rest: list[int] = []
    for index, own in groupby(cases, key=lambda c: c.index):
        labels = {c.label for c in own}
        (rest if labels <= shown else new).append(index)
        shown |= labels
    return sorted((new + rest)[:EXAMPLES])


def examples(
    judge: Judge, data: DataModule, name: str, cases: list[Case], share: float, relative: bool
) -> Image.Image:
    """Images with the map of each label that they have; found box red, true boxes green."""
    number = list(data.test).index(name)
    space = data.labels.spaces[number]
    columns = judge.match(space, needs="the data").places
    factor = max(1, math.ceil(SHOWN / min(data.image_size)))
    large = (data.image_size[0] * factor, data.image_size[1] * factor)
    rows: list[list[Image.Image]] = []
    for index in chosen_images(cases):
        prepared = data.test[name]
        array = prepared.pixels(index)
        assert array is not None
        small = Image.fromarray(array)
        picture = small.resize(large[::-1], Image.Resampling.LANCZOS)
        maps = cam.label_maps(judge, imaging.to_tensor(small)[None], relative)[0]
        row = [picture]
        for case in (c for c in cases if c.index == index):
            i = space.index(case.label)
            heat = cam.enlarge(maps[columns[i]][None], data.image_size).cpu()
            shown = cam.overlay(picture, cam.normalise(cam.enlarge(heat, large)[0]))
            draw = ImageDraw.Draw(shown)
            region, found = prepared.region(index, i), cam.localise(heat, share)[0]
            boxes = [(box, GREEN) for box in region.boxes] if region is not None else []
            for box, colour in [*boxes, *([(found, RED)] if found is not None else [])]:
                corners = (box.left, box.top, box.right, box.bottom)
                x0, y0, x1, y1 = (round(factor * n) for n in corners)
                # A box thinner than a line is drawn as one.
                draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=3)
            draw.text(
                (6, 4),
                f"{case.label}, IoU {case.overlap:.2f}",
                fill="white",
                stroke_width=2,
                stroke_fill="black",
                font_size=14,
            )
            row.append(shown)
        rows.append(row)
    heads = ["input", *["map, true boxes green, found box red"] * (max(map(len, rows)) - 1)]
    return imaging.grid(rows, heads, None, 1)
