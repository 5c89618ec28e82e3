"""The model card: Markdown with the front matter that the Hugging Face hub reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePath

from stargan.errors import Plain
from stargan.labels import JointLabelSpace
from stargan.writing import markdown_row

_KINDS = {
    "conditional": "A StarGAN generator: one network that changes",
    "by_target": "A network for each target, which together change",
    "by_change": "A network for each change, which together change",
    "encoded": "An encoder and a conditional generator, which change",
}
_FORMATS = {
    ".safetensors": "weights; opened by `stargan`",
    ".onnx": "a graph; opened by `stargan` or by onnxruntime alone",
    ".pt2": "a graph; opened by `stargan` or by `torch.export.load`",
    ".ckpt": "a state dict; opened by the code of yunjey/stargan",
}


def model_card(
    description: Plain, file: str, size: int, check: Iterable[str] = (), source: str = "FILE"
) -> str:
    """What a person must know of a model before using it.

    Args:
        description: the model's, see ``describe``.
        file: name of the file that the card stands beside.
        size: of it, in bytes.
        check: sentences on how the file was checked against the model that was trained.
        source: how the example opens it, such as ``owner/name``.
    """
    labels = JointLabelSpace.from_plain(description["labels"])
    height, width = description["image"]["size"]
    front = {
        "library_name": "stargan",
        "pipeline_tag": "image-to-image",
        "tags": ["stargan", "gan", "image-to-image-translation"],
    }
    suffix = PurePath(file).suffix
    example = next(iter(labels.names))
    lines = ["---"]
    for key, value in front.items():
        # JSON is YAML, and quotes what must be quoted.
        lines.append(f"{key}: {json.dumps(value)}")
    lines += [
        "---",
        "",
        f"# Image-to-image translation: {', '.join(labels.names)}",
        "",
        f"{_KINDS[description['roles']['translate']['rule']]} the labels below on a photo, made "
        "with the Python package `stargan`.",
        "",
        "| | |",
        "|---|---|",
        f"| file | `{file}`, {size / 1e6:.1f} MB: {_FORMATS.get(suffix, 'weights')} |",
        f"| precision | {description.get('precision', 'fp32')} |",
        f"| image size | {height} x {width} pixels (height x width) |",
    ]
    for space in labels.spaces:
        kind = "one of" if space.categorical else "each on or off"
        exclusive = "".join(
            f"; at most one of {', '.join(group)}"
            for group in space.groups
            if not space.categorical
        )
        crop = description["image"]["framing"]["crop"].get(space.name)
        cropped = f"; training photos were cropped to {crop} pixels" if crop else ""
        lines.append(
            markdown_row(
                (
                    f"labels `{space.name}`",
                    f"{', '.join(space.names)} ({kind}{exclusive}{cropped})",
                )
            )
        )
    reads = "by a network of its own" if "read" in description["roles"] else "not at all: give them"
    lines.append(f"| reads a photo's own labels | {reads} |")
    for name, config in description["networks"].items():
        lines.append(f"| {name} | `{json.dumps(config)}` |")
    for key, value in description["training"].items():
        words = value if isinstance(value, (str, int, float)) else json.dumps(value)
        lines.append(markdown_row((key, words)))
    if suffix != ".ckpt":
        lines += [
            "",
            "## Use",
            "",
            "```python",
            "from stargan import Translator",
            "",
            f'translator = Translator.from_pretrained("{source if source != "FILE" else file}")',
            f'translator("photo.jpg", "{example}").save("{example}.png")',
            "```",
        ]
    said = list(check)
    if said:
        lines += ["", "## Checked against the model as trained", ""]
        lines += [f"- {sentence}" for sentence in said]
    lines += [
        "",
        "## Limits",
        "",
        "The model knows only the labels above and only photos framed like its training data. Its "
        "labels are those of a data set, with that data set's errors and its crude idea of what, "
        "say, `Male` or `Young` looks like: they state nothing about a person. It keeps the biases "
        "of its data; it must not be used to deceive, nor on photos of people who would object.",
        "",
        "The licence of the weights is the choice of whoever trained them, within the terms of the "
        "training data; add `license:` above when you publish them.",
        "",
    ]
    return "\n".join(lines)
