"""``stargan export``: a trained model in another format, checked before it is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stargan import imaging
from stargan.data.drawn.faces import SyntheticFaces
from stargan.errors import UserError
from stargan.export import (
    Parts,
    find_device,
    hub,
    open_model,
    refuse_untrained,
    save_export,
)
from stargan.export.card import model_card
from stargan.export.folder import save_folder
from stargan.export.graph import PRECISIONS
from stargan.export.official import read_official, write_official
from stargan.export.onnx import save_onnx
from stargan.export.opening import as_model, open_translator
from stargan.export.parity import Parity, compare
from stargan.export.pt2 import save_pt2
from stargan.inference.translator import Translator
from stargan.progress import phase
from stargan.writing import write_whole

ENDINGS = {
    "safetensors": ".safetensors",
    "onnx": ".onnx",
    "pt2": ".pt2",
    "hub": "",
    "official": "-G.ckpt",
}
TOLERANCES = {"fp32": 1e-3, "fp16": 0.05, "int8": 1.0}
"""Largest difference of a value on [-1, 1]. In 8 bits single pixels at an edge may differ much."""
MEAN_TOLERANCE = 0.05
"""Mean difference: beyond it a file shows other pictures."""
DRAWN, MOST = 16, 64


def main(config: Mapping[str, Any]) -> None:
    """Write the file, open it again, compare, and only then put it in its place.

    Args:
        config: see ``conf/export.yaml``.

    Raises:
        UserError: anything in it that cannot be done, or a file that differs too much.
    """
    output = Path(config["output"]).expanduser()
    kind = chosen_format(config["format"], output)
    precision = chosen_precision(config["precision"], kind)
    tolerance = config["tolerance"]
    if tolerance is None:
        tolerance = TOLERANCES[precision]
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or tolerance < 0:
        raise UserError(f"tolerance={tolerance} is no number from 0 on.")
    device = find_device(config["device"])
    trust = config.get("trust") or ()
    # The published code may train on: its D is exported in full.
    parts = open_translator(config["model"], trust, whole=kind == "official")
    refuse_untrained(parts.training, str(config["model"]), config.get("force", False))
    if not config["classifier"]:
        parts = parts.without("read")
    photos, where = photos_for(parts, config["images"])

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that moving is a renaming; gone whatever happens.
        folder = tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-")
    except OSError as error:
        raise UserError(f"'{output}' cannot be written ({error.strerror or error}).") from error
    with folder as temporary:
        with phase(f"writing {output.name}"):
            made, said = write(kind, precision, parts, photos, Path(temporary) / output.name)
        said = [line.replace(temporary, str(output.parent)) for line in said]
        with phase(f"checking {output.name} against the model, on {len(photos)} pictures"):
            before = as_model(parts, device)
            after = as_model(reopened(made, parts), device) if kind == "official" else None
            parity = compare(before, after or open_model(made, device, trust=trust), photos)
        judge(parity, tolerance, output)
        report = [*parity.sentences()]
        report[0] = report[0].replace("photos", where)
        finish(kind, made, output, parts, precision, report)
    print(f"{'labels':<10} {', '.join(parts.labels.names)}")
    print(f"{'image':<10} {parts.size[0]} x {parts.size[1]} pixels (height x width)")
    for sentence in report:
        print(f"{'checked':<10} {sentence}")
    for line in said:
        print(f"{'use':<10} {line}")
    for path in sorted(written(kind, output)):
        print(f"{'wrote':<10} {path} ({path.stat().st_size / 1e6:.3g} MB)")


def chosen_format(name: str | None, output: Path) -> str:
    """The format that is asked for, or that the output's ending says.

    Raises:
        UserError: unknown, or ending and format disagree.
    """
    if name is not None and name not in ENDINGS:
        raise UserError(f"format={name} is unknown: choose {', '.join(ENDINGS)}.")
    known = {ending: kind for kind, ending in ENDINGS.items() if ending}
    says = next((kind for ending, kind in known.items() if output.name.endswith(ending)), None)
    if name is None:
        if says is None:
            endings = ", ".join(known)
            raise UserError(
                f"output={output} does not say which format: end it in {endings}, or add "
                "format=hub for a folder."
            )
        return says
    if name != (says or "hub"):
        wanted = "a folder's name without such an ending" if name == "hub" else ENDINGS[name]
        raise UserError(f"format={name} does not fit output={output}: end it in {wanted}.")
    return name


def chosen_precision(name: str, kind: str) -> str:
    """The precision, if the format has it.

    Raises:
        UserError: unknown, or the format has it not.
    """
    if name not in PRECISIONS:
        raise UserError(f"precision={name} is unknown: choose {', '.join(PRECISIONS)}.")
    if name == "int8" and kind != "onnx":
        raise UserError(f"precision=int8 is there for format=onnx only, not for {kind}.")
    if name == "fp16" and kind == "official":
        raise UserError("the official code loads fp32 only: leave precision out.")
    return name


def photos_for(parts: Parts, place: str | None) -> tuple[Tensor, str]:
    """Photos to check on, prepared for the model, and what they are called.

    Args:
        parts: of the model.
        place: an image or a folder, of which the first 64 are taken; None: drawn faces.

    Returns:
        ``(N, 3, H, W)`` in [-1, 1].

    Raises:
        UserError: nothing there, or not one that can be read.
    """
    prepare = Translator(as_model(parts, torch.device("cpu"))).prepare
    if place is None:
        faces = SyntheticFaces("test", count=DRAWN)
        return _stack(prepare(faces.load(i)) for i in range(DRAWN)), "drawn faces"
    found = []
    unreadable: UserError | None = None
    for file in imaging.image_files(place)[:MOST]:
        try:
            found.append(prepare(imaging.open_image(file)))
        except UserError as error:
            unreadable = error
    if not found:
        raise unreadable or UserError(f"'{place}' holds no image.")
    return _stack(found), f"photos of {Path(place).name}"


def _stack(photos: Any) -> Tensor:
    return torch.stack([imaging.to_tensor(photo) for photo in photos])


def write(
    kind: str, precision: str, parts: Parts, photos: Tensor, path: Path
) -> tuple[Path, list[str]]:
    """Write a model in a format.

    Returns:
        What was written, and what to say of its use.
    """
    if kind == "official":
        files, said = write_official(path, parts)
        return files[0], said
    if kind == "onnx":
        save_onnx(path, parts, precision, photos)
    elif kind == "pt2":
        save_pt2(path, parts, precision)
    elif kind == "hub":
        save_folder(path, parts.networks, parts.plain, half=precision == "fp16")
    else:
        description = {**parts.plain, "precision": precision}
        save_export(path, parts.networks, description, half=precision == "fp16")
    return path, []


def reopened(path: Path, parts: Parts) -> Parts:
    """Official weights, read back as ``stargan import-official`` reads them."""
    judge = path.with_name(path.name.replace("-G.ckpt", "-D.ckpt"))
    found = judge if judge.is_file() else None
    crops = parts.framing.crops
    networks, description, _ = read_official(path, found, parts.labels, crops, parts.size[0])
    return Parts.of(networks, description)


def judge(parity: Parity, tolerance: float, output: Path) -> None:
    """Refuse a file that does not do what the model does.

    Raises:
        UserError: with the largest difference.
    """
    # Written so that a NaN is refused.
    if parity.largest <= tolerance and parity.mean <= MEAN_TOLERANCE:
        return
    what = (
        f"largest difference {parity.largest:.2g}, allowed {tolerance:g}"
        if not parity.largest <= tolerance
        else f"mean difference {parity.mean:.2g}, allowed {MEAN_TOLERANCE}"
    )
    raise UserError(
        f"{output.name} does not translate as the trained model does ({what}) and was not kept: "
        "take another precision or format, or set tolerance=."
    )


def finish(
    kind: str, made: Path, output: Path, parts: Parts, precision: str, report: list[str]
) -> None:
    """Move what was made to its place, and write its card beside it."""
    description = {**parts.plain, "precision": precision}
    if kind == "hub":
        weights = made / hub.WEIGHTS
        card = model_card(description, hub.WEIGHTS, weights.stat().st_size, report)
        write_whole(made / hub.CARD, card.encode())
    else:
        size = sum(path.stat().st_size for path in made.parent.iterdir())
        card = model_card(description, output.name, size, report)
        write_whole(card_of(made), card.encode())
    try:
        if kind == "hub":
            output.mkdir(parents=True, exist_ok=True)
            for path in made.iterdir():
                path.replace(output / path.name)
        else:
            for path in made.parent.iterdir():
                path.replace(output.with_name(path.name))
    except OSError as error:
        raise UserError(f"'{output}' cannot be written ({error.strerror or error}).") from error


def card_of(path: Path) -> Path:
    """Where the model card of a file stands."""
    return path.with_name(f"{path.name}.md")


def written(kind: str, output: Path) -> list[Path]:
    """The files of an export."""
    if kind == "hub":
        return [output / name for name in (hub.CONFIG, hub.WEIGHTS, hub.CARD)]
    files = [output, card_of(output)]
    judge = output.with_name(output.name.replace("-G.ckpt", "-D.ckpt"))
    if kind == "official" and judge.is_file():
        files.append(judge)
    return files
