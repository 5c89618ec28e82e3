"""``stargan import-official``: weights of the published code as a model of this package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stargan.data.attribute_file import PAPER_LABELS
from stargan.data.celeba import EXCLUSIVE
from stargan.data.drawn.person import EXPRESSIONS
from stargan.errors import UserError
from stargan.export import save_export
from stargan.export.card import model_card
from stargan.export.official import read_official
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.writing import write_whole

CELEBA_CROP = 178
PRESETS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "celeba5": (PAPER_LABELS, ()),
    "rafd8": ((), EXPRESSIONS),
    "joint": (PAPER_LABELS, EXPRESSIONS),
}
"""Attributes and classes, by name. The names themselves stand with their data sets."""
_CLASSES = "classes:"


def main(config: Mapping[str, Any]) -> None:
    """Convert; say what was found.

    Args:
        config: see ``conf/import_official.yaml``.

    Raises:
        UserError: anything in it that cannot be done.
    """
    output = Path(config["output"]).expanduser()
    if output.suffix != ".safetensors":
        raise UserError(f"output={output} must end in .safetensors.")
    size = config["image_size"]
    if size is not None and (not isinstance(size, int) or size < 1):
        raise UserError(f"image_size={size} is no whole number of pixels.")
    labels = label_spaces(config["labels"])
    crops = {space.name: _crop(config["crop"], space) for space in labels.spaces}
    generator = Path(config["generator"]).expanduser()
    discriminator = config["discriminator"]
    judge = None if discriminator is None else Path(discriminator).expanduser()
    parts, description, found = read_official(generator, judge, labels, crops, size)
    save_export(output, parts, description)
    card = output.with_name(f"{output.name}.md")
    write_whole(card, model_card(description, output.name, output.stat().st_size).encode())
    for sentence in found:
        print(sentence)
    print(f"labels: {', '.join(labels.names)}")
    print(f"wrote {output} and {card}")


def label_spaces(value: Any) -> JointLabelSpace:
    """Label spaces as the published code lays them out: attributes, then classes.

    Args:
        value: a preset, a list of attributes, ``classes:a,b`` or a list of two lists.

    Raises:
        UserError: none of these.
    """
    if isinstance(value, str) and value in PRESETS:
        attributes, classes = PRESETS[value]
    elif isinstance(value, str) and value.startswith(_CLASSES):
        names = value.removeprefix(_CLASSES).strip("[] ").split(",")
        attributes, classes = (), tuple(name.strip() for name in names)
    elif isinstance(value, list) and value and all(isinstance(v, list) for v in value):
        if len(value) != 2 or not all(value):
            raise UserError("labels= of a joint model are two lists: [[attributes],[classes]].")
        attributes, classes = (tuple(map(str, part)) for part in value)
    elif isinstance(value, list) and value and not any(isinstance(v, list) for v in value):
        attributes, classes = tuple(map(str, value)), ()
    else:
        raise UserError(
            f"labels={value} is unknown: choose {', '.join(PRESETS)}, or name them, like "
            "[Male,Young]; see stargan import-official --help."
        )
    spaces = []
    if attributes:
        groups = [[name for name in group if name in attributes] for group in EXCLUSIVE]
        spaces.append(LabelSpace(attributes, groups, name="celeba"))
    if classes:
        spaces.append(LabelSpace(classes, categorical=True, name="rafd"))
    return JointLabelSpace(spaces)


def _crop(value: Any, space: LabelSpace) -> int | None:
    if value == "auto":
        return None if space.categorical else CELEBA_CROP
    if value is not None and (not isinstance(value, int) or value < 1):
        raise UserError(f"crop={value} is no whole number of pixels.")
    return value
