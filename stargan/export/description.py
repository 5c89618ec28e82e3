"""What a model says of itself, whatever the format of its file: plain data, made and checked here.

::

    {"format": 2,
     "kind": "translator", "sampler" or "classifier",
     "networks": {name: {"_target_": "stargan.networks....", **arguments}},
     "roles": {"translate": a rule, see ``rules``,
               "read": {"networks": [name]},       image -> label logits, alone or last of a tuple
               "sample": {"networks": [name]}},    noise -> image
     "labels": JointLabelSpace.to_plain(),
     "image": {"size": [height, width], "channels": 3 or 1,
               "framing": {"crop": {space name: pixels or null}, "resize": "bilinear",
                           "range": [-1, 1]}},
     "training": {method, experiment, steps, counts (of each group), phases (steps in each),
                  version, date; untrained: networks that no step has moved}}

A network's name is the prefix of its tensors. Nobody asks for a network by its name, but for what
has a role; a role's networks are named in ``networks``, whatever else it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from PIL import Image
from torch import nn

from stargan import imaging
from stargan.errors import Plain, UserError
from stargan.export.rules import NewerError, conditional, make_rule
from stargan.labels import JointLabelSpace

FORMAT = 2
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
ROLES = {"translator": "translate", "sampler": "sample", "classifier": "read"}
"""The role that makes a model of a kind. A translator may also read."""
RESIZE, RANGE = "bilinear", [-1, 1]
"""How images become what the networks see, see ``imaging.frame`` and ``imaging.to_tensor``."""


@dataclass(frozen=True)
class Framing:
    """How images are brought before the networks.

    Attributes:
        size: ``(height, width)``.
        channels: 3, or 1 for grey.
        crops: the training's centre crop for each label space, in pixels or None.
    """

    size: tuple[int, int]
    channels: int
    crops: dict[str, int | None]

    def prepare(self, photo: Image.Image) -> Image.Image:
        """A photo as the networks see it, see ``imaging.frame``."""
        return imaging.frame(photo, self.size, self.crops.values())


class Checked(NamedTuple):
    """A description that holds: itself in today's format, labels and framing."""

    plain: Plain
    labels: JointLabelSpace
    framing: Framing


def reads(network: str) -> Plain:
    """The role of a network that reads labels off images."""
    return {"networks": [network]}


def samples(network: str) -> Plain:
    """The role of a network that makes images from noise."""
    return {"networks": [network]}


def describe(
    *,
    networks: Mapping[str, Mapping[str, Any]],
    roles: Mapping[str, Mapping[str, Any]],
    labels: JointLabelSpace,
    image: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Plain:
    """The dictionary that opens a model again: the only function that makes one.

    Args:
        networks: by name ``{"_target_": ..., **arguments}``, which rebuilds the network. The names
            are the prefixes of their tensors in files.
        roles: ``{"translate": rules.conditional("generator"), "read": reads("classifier")}``;
            ``{"sample": samples("generator")}``. The first of translate, sample, read decides
            what kind of model it is.
        labels: the joint label space.
        image: ``{"size": [height, width], "crop": {space name: pixels or None}, "channels": 3}``;
            crops and channels may be left out.
        training: provenance.
    """
    crops = dict(image.get("crop") or {})
    return {
        "format": FORMAT,
        "kind": next((kind for kind, role in ROLES.items() if role in roles), None),
        "networks": {name: dict(config) for name, config in networks.items()},
        "roles": {role: dict(plain) for role, plain in roles.items()},
        "labels": labels.to_plain(),
        "image": {
            "size": list(image["size"]),
            "channels": int(image.get("channels", 3)),
            "framing": {
                "crop": {space.name: crops.get(space.name) for space in labels.spaces},
                "resize": RESIZE,
                "range": RANGE,
            },
        },
        "training": dict(training),
    }


def untrained(training: Plain) -> list[str]:
    """The networks of a model that its training has not moved by a single step."""
    return [str(name) for name in training.get("untrained") or ()]


def refuse_untrained(training: Plain, where: str, force: Any = False) -> None:
    """Refuse a model that nobody has trained, unless ``force``.

    Args:
        training: of its description.
        where: the file or folder, for the message.
        force: take it all the same.

    Raises:
        UserError: it was never trained; says how far its run came and what to do.
    """
    if not isinstance(force, bool):
        raise UserError(f"force={force} is neither true nor false.")
    if names := [] if force else untrained(training):
        made = ", ".join(f"{n:,} of {group}" for group, n in training.get("counts", {}).items())
        raise UserError(
            f"'{where}' was never trained: its run made no step of {', '.join(names)} (steps made: "
            f"{made}), so it would only give noise; let the run go on (stargan train resume=RUN "
            "with more trainer.max_minutes= or trainer.max_steps=), or take it with force=true."
        )


def without(plain: Plain, role: str) -> Plain:
    """A description less a role, and less the networks that only this role needs."""
    roles = {name: about for name, about in plain["roles"].items() if name != role}
    kept = {network for about in roles.values() for network in about["networks"]}
    networks = {name: config for name, config in plain["networks"].items() if name in kept}
    return {**plain, "networks": networks, "roles": roles}


def upgraded(plain: Plain) -> Plain:
    """A description of format 1 in today's format.

    Format 1 knew ``network`` (the generator) and ``classifier`` (what reads labels), either may be
    None, and the image's ``crop`` and, of samplers, ``channels``.
    """
    old = plain.get("kind", "translator")
    given = {"generator": plain["network"], "classifier": plain["classifier"]}
    networks = {name: config for name, config in given.items() if config}
    roles: dict[str, Plain] = {}
    if "generator" in networks:
        rule = samples("generator") if old == "sampler" else conditional("generator")
        roles[ROLES[old]] = rule
    if "classifier" in networks:
        roles["read"] = reads("classifier")
    described = describe(
        networks=networks,
        roles=roles,
        labels=JointLabelSpace.from_plain(plain["labels"]),
        image=plain["image"],
        training=plain["training"],
    )
    if described["kind"] != old:
        raise ValueError(f"a {old} without what makes it one")
    more = {key: plain[key] for key in plain if key == "precision"}
    return {**described, **more}


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


def check(plain: Any, where: str) -> Checked:
    """A description of any format, all of it checked.

    Args:
        plain: what a file says of itself.
        where: the file, for messages.

    Raises:
        UserError: another format, incomplete, or it contradicts itself.
    """
    damaged = f"'{where}' is damaged: its description is incomplete or contradicts itself"
    if not isinstance(plain, dict) or "format" not in plain:
        raise UserError(f"{damaged}.")
    if plain["format"] not in (1, FORMAT):
        raise UserError(
            f"'{where}' has format {plain['format']}, this version of stargan reads "
            f"formats 1 and {FORMAT}: update stargan, or export the model again."
        )
    try:
        if plain["format"] == 1:
            plain = upgraded(plain)
        return _checked(plain)
    except NewerError as error:
        raise UserError(f"'{where}' is not opened: {error}") from error
    except UserError as error:
        raise UserError(f"{damaged} ({str(error).rstrip('.')}).") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{damaged}.") from error


def _checked(plain: Plain) -> Checked:
    """See ``check``; raises almost anything that wrong data raise."""
    labels = JointLabelSpace.from_plain(plain["labels"])
    networks, roles = plain["networks"], plain["roles"]
    kind = plain["kind"]
    if ROLES.get(kind) not in roles:
        raise UserError(f"nothing in it makes it a {kind}")
    unknown = sorted(set(roles) - set(ROLES.values()))
    if unknown:
        raise NewerError(
            f"the role '{unknown[0]}' is unknown to this version of stargan: update it."
        )
    wanted = {name for about in roles.values() for name in about["networks"]}
    if wanted != set(networks):
        odd = ", ".join(sorted(wanted ^ set(networks)))
        raise UserError(f"networks and roles do not name the same: {odd}")
    sizes = {"condition_size": labels.condition_size, "label_size": labels.size}
    for name, config in networks.items():
        if not name.isidentifier() or hasattr(nn.ModuleDict(), name):
            raise UserError(f"'{name}' is no name for a network")
        # Or building it would take all memory before its weights are looked at.
        if any(isinstance(n, (int, float)) and n > LARGEST for n in _leaves(config)):
            raise UserError(f"a number of {name} is beyond all measure")
        for key, size in sizes.items():
            if config.get(key, size) != size:
                raise UserError(f"{key} of {name} is {config[key]}, its labels make it {size}")
    for role in set(roles) - {"translate"}:
        if len(roles[role]["networks"]) != 1:
            raise UserError(f"the role '{role}' takes one network")
    if "translate" in roles:
        make_rule(roles["translate"], labels)
    framing = _framing(plain["image"], labels)
    dict(plain["training"])
    return Checked(plain, labels, framing)


def _framing(image: Plain, labels: JointLabelSpace) -> Framing:
    height, width = (int(n) for n in image["size"])
    channels = int(image["channels"])
    given = dict(image["framing"])
    crops = dict(given.pop("crop"))
    if not 1 <= min(height, width) <= max(height, width) <= LARGEST or channels not in (1, 3):
        raise UserError(f"images of {height} x {width} pixels in {channels} channels cannot be")
    # What this version does not do must not be left out in silence: pictures would be wrong.
    own = {"resize": RESIZE, "range": RANGE}
    other = next((key for key, value in given.items() if value not in (None, own.get(key))), None)
    if other is not None:
        raise NewerError(
            f"its images are framed by {other}={given[other]}, which this version of stargan does "
            "not do: update it."
        )
    named = {s.name: int(crops[s.name]) if crops.get(s.name) else None for s in labels.spaces}
    return Framing((height, width), channels, named)


def _leaves(node: Any) -> Iterator[Any]:
    """The values of nested lists and dictionaries."""
    if isinstance(node, (Mapping, list)):
        for value in node.values() if isinstance(node, Mapping) else node:
            yield from _leaves(value)
    else:
        yield node
