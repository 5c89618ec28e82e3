"""What an exported model says of itself, whatever the format of its file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stargan.contracts import Plain, UserError
from stargan.labels import JointLabelSpace

FORMAT = 1
LONGEST = 2**20
"""Characters of a description; ours have some thousands."""
LARGEST = 2**16
"""Any number of a network's description: sizes, channels, layers."""
PRODUCTS = {
    "translator": "generator.safetensors",
    "sampler": "generator.safetensors",
    "classifier": "classifier.safetensors",
}
"""What a run folder's exported file is called, by the kind of model."""


def describe(
    network: Mapping[str, Any] | None,
    classifier: Mapping[str, Any] | None,
    labels: JointLabelSpace,
    image: Mapping[str, Any],
    training: Mapping[str, Any],
    kind: str = "translator",
) -> Plain:
    """The dictionary that opens a model again; plain data.

    Args:
        network: ``{"_target_": ..., **arguments}`` that rebuilds the generator; None of a
            classifier.
        classifier: the same of what reads labels (of a translator the discriminator), or None.
        labels: the joint label space.
        image: ``{"size": [height, width], "crop": {space name: pixels or None}}``.
        training: provenance.
        kind: one of ``PRODUCTS``.
    """
    return {
        "format": FORMAT,
        "kind": kind,
        "network": None if network is None else dict(network),
        "classifier": None if classifier is None else dict(classifier),
        "labels": labels.to_plain(),
        "image": dict(image),
        "training": dict(training),
    }


def parse(text: str | bytes) -> Any:
    """A description from its JSON.

    Raises:
        ValueError: no JSON, or more than a description can be.
    """
    if len(text) > LONGEST:
        raise ValueError(f"a description of {len(text):,} characters")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def check(plain: Any, where: str) -> tuple[JointLabelSpace, tuple[int, int], dict[str, int | None]]:
    """Labels, image size and crops of a description, all of it checked.

    Args:
        plain: what a file says of itself.
        where: the file, for messages.

    Raises:
        UserError: another format, incomplete, or it contradicts itself.
    """
    damaged = f"'{where}' is damaged: its description is incomplete or contradicts itself."
    if not isinstance(plain, dict) or "format" not in plain:
        raise UserError(damaged)
    if plain["format"] != FORMAT:
        raise UserError(
            f"'{where}' has format {plain['format']}, this version of stargan reads "
            f"format {FORMAT}: update stargan, or export the model again."
        )
    try:
        labels = JointLabelSpace.from_plain(plain["labels"])
        height, width = (int(n) for n in plain["image"]["size"])
        given = dict(plain["image"].get("crop") or {})
        crops = {s.name: int(given[s.name]) if given.get(s.name) else None for s in labels.spaces}
        sizes = {"condition_size": labels.condition_size, "label_size": labels.size}
        kind = plain.get("kind", "translator")
        if kind not in PRODUCTS or not plain["classifier" if kind == "classifier" else "network"]:
            raise UserError(damaged)
        for network in plain["network"] or {}, plain["classifier"] or {}:
            if any(network.get(name, size) != size for name, size in sizes.items()):
                raise UserError(damaged)
            # Or building it would take all memory before its weights are looked at.
            if any(isinstance(n, (int, float)) and n > LARGEST for n in _leaves(network)):
                raise UserError(damaged)
        dict(plain["training"])
    except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
        raise UserError(damaged) from error
    if min(height, width) < 1 or max(height, width) > LARGEST:
        raise UserError(damaged)
    return labels, (height, width), crops


def _leaves(node: Any) -> Iterator[Any]:
    """The values of nested lists and dictionaries."""
    if isinstance(node, (Mapping, list)):
        for value in node.values() if isinstance(node, Mapping) else node:
            yield from _leaves(value)
    else:
        yield node
