"""``stargan translate``: a photo or a folder of photos to PNGs and one contact sheet."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from stargan import building, imaging
from stargan.errors import UserError
from stargan.export import refuse_untrained
from stargan.inference.names import output_names
from stargan.inference.translator import Translator
from stargan.judges.cam import check_maps
from stargan.judges.judge import Judge, Reader, open_judge
from stargan.labels import parse_edits
from stargan.progress import Progress, plain_console
from stargan.reports.what_changed import changed_sheet

SHEET = "contact_sheet.png"
SHOWN_FRAMES = 3
"""Photos whose framing is told one by one."""
SHEET_ROWS = 64
"""More rows than this make a sheet that nobody can look at."""


def translate(cfg: Mapping[str, Any]) -> None:
    """Translate images and write ``<stem>_<edits>.png`` for each, and ``contact_sheet.png``.

    With ``like=PHOTO`` they are called ``<stem>_like-<its stem>.png``.

    Args:
        cfg: ``model`` (run folder, ``.ckpt``, ``.safetensors``), ``input`` (image or folder),
            ``to`` (``Blond_Hair,Young=0``, or ``all`` for each label in turn) or ``like`` (a photo
            whose labels are wanted), ``output`` (folder); optional ``labels`` known of the input
            (``Male=1``), ``batch_size`` (16), ``device`` (``auto``), ``contact_sheet`` (true),
            ``scale`` of the sheet's tiles,
            ``on_error`` (``skip`` unreadable images, or ``raise``), ``cam`` (false) and ``judge``
            for ``<stem>_<edits>_cam.png``: what changed, and where a judge looks (it also reads the
            labels of photos, and of ``like``, where the model reads none); ``trust``, packages
            whose networks the files may name; ``force``: also with a model that was never trained.

    Raises:
        UserError: anything in ``cfg`` that cannot be done, or not one image could be read.
    """
    for key in ("model", "input", "output"):
        if cfg.get(key) in (None, "", [], {}):
            raise UserError(f"{key}= is missing: stargan translate needs model, input, to, output.")
    given = [key for key in ("to", "like") if cfg.get(key) not in (None, "", [], {})]
    if len(given) != 1:
        both = "to= and like= both say" if given else "to= is missing, or like=: they say"
        raise UserError(
            f"{both} what to change: to=Blond_Hair,Young=0 names labels, like=PHOTO takes those of "
            "a photo, give one of them."
        )
    on_error = cfg.get("on_error", "skip")
    if on_error not in ("skip", "raise"):
        raise UserError(f"on_error={on_error} is unknown: choose skip or raise.")
    scale = cfg.get("scale")
    if scale is not None and (not isinstance(scale, (int, float)) or not 0 < scale <= 16):
        raise UserError(f"scale={scale} must be a number above 0, at most 16.")
    liked = Path(cfg["like"]).expanduser() if given == ["like"] else None
    wish = None if liked is not None or cfg["to"] == "all" else _labels(cfg["to"])
    known = _labels(cfg["labels"]) if cfg.get("labels") else None
    files = imaging.image_files(cfg["input"])
    bits = _look_at(cfg["input"], files)
    output = _output_folder(cfg["output"], Path(cfg["input"]).expanduser())

    translator = Translator.from_pretrained(
        cfg["model"],
        cfg.get("device", "auto"),
        _whole(cfg.get("batch_size", 16), "batch_size"),
        trust=cfg.get("trust") or (),
    )
    refuse_untrained(translator.model.training, str(cfg["model"]), cfg.get("force", False))
    if cfg.get("judge") and translator.model.reader is None:
        judge = open_judge(cfg["judge"], translator.model.device, cfg.get("trust") or ())
        translator.model.reader = Reader(judge, translator.spaces)
    extra: list[Image.Image] = []
    caption = ""
    if liked is not None:
        extra = [translator.prepare(imaging.open_image(liked))]
        wish = _labels_like(translator, extra[0])
        caption = f"like {liked.stem}"
        print(f"{liked.name} is read as: {_shown(wish)}")
    elif wish is not None:
        caption = _caption(wish)
    captions = list(translator.changeable) if wish is None else [caption]
    looks: list[list[Look]] = []
    if cfg.get("cam"):
        one = _looks(cfg, translator, translator.changeable if wish is None else wish)
        looks = [[look] for look in one] if wish is None else [one]
    names = output_names(files, captions, taken=[SHEET])
    taken = {p.resolve() for p in files}
    if any((output / n).resolve() in taken for row in [*names, [SHEET]] for n in row):
        raise UserError(f"output={output} would overwrite an input image: choose another folder.")

    skipped: list[Path] = []
    framed: dict[str, str] = {}
    rows: list[list[Image.Image]] = []
    titles: list[str] = []
    with Progress("translating", len(files)) as progress:
        for start in range(0, len(files), translator.batch_size):
            places = range(start, min(start + translator.batch_size, len(files)))
            photos: dict[int, Image.Image] = {}
            for i in places:
                try:
                    photo = imaging.open_image(files[i], bits)
                    photos[i] = translator.prepare(photo)
                except UserError:
                    if on_error == "raise":
                        raise
                    skipped.append(files[i])
                else:
                    if words := translator.model.framing.otherwise(photo):
                        framed[files[i].name] = words
            for i, outputs in zip(
                photos, _translated(translator, list(photos.values()), wish, known), strict=True
            ):
                for image, name in zip(outputs, names[i], strict=True):
                    imaging.save_png(image, output / name)
                if looks:
                    _save_maps(photos[i], outputs, names[i], looks, output)
                if cfg.get("contact_sheet", True) and len(rows) < SHEET_ROWS:
                    rows.append([photos[i], *extra, *outputs])
                    titles.append(files[i].name)
            progress.advance(len(places))

    done = len(files) - len(skipped)
    if not done:
        raise UserError(
            f"none of the {len(files)} images of '{cfg['input']}' can be read: "
            "are they whole, and images at all?"
        )
    if rows:
        heads = captions if wish is not None else _row_captions(translator)
        heads = [liked.stem, *heads] if liked is not None else heads
        sheet = imaging.grid(rows, ["input", *heads], titles, scale)
        imaging.save_png(sheet, output / SHEET)
    print(f"wrote {done * len(captions)} images of {done} inputs to {output}")
    if rows:
        first = f" (the first {SHEET_ROWS} of {done})" if done > len(rows) else ""
        print(f"wrote {output / SHEET}{first}")
    if framed:
        print(framing_note(framed, done, translator), file=sys.stderr)
    if skipped:
        shown = ", ".join(p.name for p in skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        print(f"skipped {len(skipped)} unreadable: {shown}", file=sys.stderr)


main = translate


def _look_at(place: str | Path, files: Sequence[Path]) -> int:
    """Say what of a folder is not taken, and how many bits images of more than 8 use; the bits."""
    words = imaging.left_out(place)
    if words:
        print(words, file=sys.stderr)
    bits = imaging.sampled_bits(files)
    if bits not in (0, 16):
        print(f"images of more than 8 bits use {bits}: scaled by these.", file=sys.stderr)
    return bits


def framing_note(framed: Mapping[str, str], count: int, translator: Translator) -> str:
    """How the training's images were framed, and what is done to photos that are not framed so.

    Args:
        framed: what is done to each of them, by file name.
        count: of all photos.
        translator: the model.
    """
    first = [f"{name}: {words}" for name, words in list(framed.items())[:SHOWN_FRAMES]]
    more = ["..."] if len(framed) > len(first) else []
    many = f"{len(framed)} of {count} photos" if count > 1 else "The photo"
    return (
        f"note: the model was trained on {translator.model.framing.words}. {many} may be framed "
        f"otherwise: {'; '.join([*first, *more])}."
    )


def _labels_like(translator: Translator, photo: Image.Image) -> dict[str, float]:
    """The labels of a photo, as edits."""
    if translator.model.reader is None:
        raise UserError(
            "like= needs a model that reads labels, and this one was exported without a "
            "classifier: add judge=RUN_OR_FILE of a classifier of its labels, or name them in to=."
        )
    found: dict[str, float] = translator.labels_of(photo)
    return found


def _shown(labels: Mapping[str, float]) -> str:
    """The labels that are set, and how many are not."""
    there = [name for name, value in labels.items() if value]
    return ", ".join(there) if there else f"none of: {', '.join(labels)}"


@dataclass(frozen=True)
class Look:
    """Whose map of what shows a label.

    Attributes:
        label: as the user writes it.
        judge: a judge with maps that knows it.
        column: the judge's own number of it.
    """

    label: str
    judge: Judge
    column: int


def _looks(cfg: Mapping[str, Any], translator: Translator, labels: Iterable[str]) -> list[Look]:
    """The maps that ``cam=true`` shows, one for each label: of the judge given, or of that of the
    embedded faces of the label's own space.

    Raises:
        UserError: no judge, one without maps, one that does not know a label.
    """
    labels = list(labels)
    places = [translator.spaces.locate(label) for label in labels]
    needed = sorted({index for index, _ in places})
    if cfg.get("judge"):
        given = open_judge(cfg["judge"], translator.model.device, cfg.get("trust") or ())
        judges = dict.fromkeys(needed, given)
    else:
        judges = _drawn_judges(cfg, translator, needed)
    for judge in judges.values():
        check_maps(judge)
    return [
        Look(label, judges[i], judges[i].column(translator.spaces.spaces[i], name))
        for label, (i, name) in zip(labels, places, strict=True)
    ]


def _drawn_judges(
    cfg: Mapping[str, Any], translator: Translator, needed: Sequence[int]
) -> dict[int, Judge]:
    """For each of these label spaces of a model of embedded faces the judge of its faces.

    Raises:
        UserError: images that are not embedded faces.
    """
    # Data sets and Lightning, which translating alone does not need.
    from stargan.evaluation.held_out import meet
    from stargan.evaluation.origin import evaluation_data, own_judge

    settings = translator.model.training.get("data")
    if not isinstance(settings, dict) or any("root" in settings[n] for n in settings["use"]):
        raise UserError(
            "cam=true needs judge=, a classifier of the model's labels, as the model is not known "
            "to come of embedded faces alone: stargan train experiment=*_classifier makes one."
        )
    building.admit(settings, building.from_file(cfg.get("trust")), f"'{cfg['model']}'")
    data = evaluation_data(settings, translator.model)
    found = {}
    for name, split in data.test.items():
        index = meet(split.images.space, translator.spaces, name).needed
        if index in needed:
            place, console = translator.model.device, plain_console(stderr=True)
            found[index], _ = own_judge(data, name, settings[name], place, console)
    return found


def _save_maps(
    photo: Image.Image,
    outputs: Sequence[Image.Image],
    names: Sequence[str],
    looks: Sequence[Sequence[Look]],
    folder: Path,
) -> None:
    """``<name>_cam.png`` of each output: difference, and where the judge looks."""
    for image, name, row in zip(outputs, names, looks, strict=True):
        judges = [(look.judge, look.column) for look in row]
        sheet = changed_sheet(photo, image, judges, [look.label for look in row])
        imaging.save_png(sheet, folder / f"{Path(name).stem}_cam.png")


def _translated(
    translator: Translator,
    photos: list[Image.Image],
    wish: Mapping[str, float] | None,
    known: Mapping[str, float] | None,
) -> list[list[Image.Image]]:
    """For each photo its outputs: one, or without a wish one for each label."""
    if wish is not None:
        return [[image] for image in translator(photos, wish, known)]
    columns = [column for _, column in translator.all(photos, known)]
    return [list(row) for row in zip(*columns, strict=True)]


def _row_captions(translator: Translator) -> list[str]:
    """What became of each label in the row of every label: chosen in its group, or flipped."""
    places = [translator.spaces.locate(name) for name in translator.changeable]
    groups = [translator.spaces.spaces[i].group_of(inner) for i, inner in places]
    return [
        name if len(group) > 1 else f"{name} flipped"
        for name, group in zip(translator.changeable, groups, strict=True)
    ]


def _labels(value: Any) -> dict[str, float]:
    """Labels as text, as a list of such texts, or as a mapping."""
    if isinstance(value, Mapping):
        return dict(value)
    return parse_edits(
        ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    )


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int):
        raise UserError(f"{name}={value} is no whole number.")
    return value


def _output_folder(path: str | Path, dataset: Path) -> Path:
    output = Path(path).expanduser()
    if output.exists() and not output.is_dir():
        raise UserError(f"output={output} is a file: give a folder.")
    if dataset.is_dir() and output.resolve() == dataset.resolve():
        raise UserError(
            f"output={output} is the input folder: choose another, so that a second run does not "
            "translate the results of the first."
        )
    return output


def _caption(wish: Mapping[str, float]) -> str:
    return ", ".join(n if v == 1 else f"{n}={v:g}" for n, v in wish.items())
