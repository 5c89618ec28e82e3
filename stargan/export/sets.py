"""Several single-purpose models as one: a folder of run folders, joined by what each changes.

A set of DIAT has a model per target, one of CycleGAN a model per pair. Joined they are one
description with one rule; their networks are named by the labels that they set or clear. Edits of
several labels go from one network to the next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from stargan.errors import Plain, UserError
from stargan.export import hub
from stargan.export.description import PRODUCTS, describe
from stargan.export.parts import Parts
from stargan.export.rules import CHAINS, by_change
from stargan.runs import CONFIG, LAST, newest_run


def members(path: str | Path) -> list[Path]:
    """The models of a set, in the order of their names; none where the path is no set.

    A set is a folder that is no model itself and holds run folders, hub folders or exported files.

    Raises:
        UserError: a run folder in it without a model.
    """
    if hub.is_hub_name(path):
        return []
    folder = Path(path).expanduser()
    products = (PRODUCTS["translator"], hub.WEIGHTS, LAST)
    if not folder.is_dir() or any((folder / name).exists() for name in (*products, CONFIG)):
        return []
    if newest_run(folder) is not None:  # Runs one after the other, not models beside each other.
        return []
    found = []
    for inner in sorted(folder.iterdir()):
        if inner.name.startswith("."):
            continue
        if (inner.suffix == ".safetensors" and inner.is_file()) or any(
            (inner / name).is_file() for name in products
        ):
            found.append(inner)
        elif (inner / CONFIG).is_file():
            raise UserError(
                f"the set '{folder}' lacks a model: '{inner.name}' has none yet, finish its "
                f"training (stargan train resume={inner}) or take the folder out."
            )
    return found


def join(models: Mapping[str, Parts], where: str) -> Parts:
    """One model that makes every change that one of these makes.

    Args:
        models: by name, for messages.
        where: the set, for messages.

    Raises:
        UserError: models of another kind, of other labels or image sizes, or two for one change;
            names them.
    """
    first_name, first = next(iter(models.items()))
    networks: dict[str, nn.Module] = {}
    plains: dict[str, Plain] = {}
    changes: list[Plain] = []
    owners: dict[tuple[str, ...], str] = {}
    for name, parts in models.items():
        rule = parts.plain["roles"]["translate"]
        if rule["rule"] not in CHAINS:
            raise UserError(
                f"'{name}' of the set '{where}' makes all changes by itself: a set is of models "
                "that make one each (method=diat, method=cyclegan), open this one alone."
            )
        for what, own, other in (
            ("labels", parts.labels, first.labels),
            ("images", parts.framing, first.framing),
        ):
            if own != other:
                raise UserError(
                    f"'{name}' and '{first_name}' of the set '{where}' have different {what}: "
                    "train all of a set on the same data, at the same size."
                )
        renamed: dict[str, str] = {}
        for change in rule["changes"]:
            for key, label in _sets(change):
                network, made = change[key], (key, *(v for k, v in change.items() if k in WORDS))
                if made in owners:
                    raise UserError(
                        f"'{name}' and '{owners[made]}' of the set '{where}' make the same change "
                        f"({' '.join(made)}): keep one of them."
                    )
                owners[made] = name
                if network not in renamed:
                    renamed[network] = _free(f"{label}_{'off' if key == 'off' else 'on'}", networks)
                    networks[renamed[network]] = parts.networks[network]
                    plains[renamed[network]] = parts.plain["networks"][network]
            changes.append(
                {k: renamed.get(v, v) if k not in WORDS else v for k, v in change.items()}
            )
    rules = {parts.plain["roles"]["translate"]["rule"] for parts in models.values()}
    rule = by_change(changes)
    described = describe(
        networks=plains,
        roles={"translate": {**rule, "rule": rules.pop() if len(rules) == 1 else rule["rule"]}},
        labels=first.labels,
        image={
            "size": list(first.framing.size),
            "crop": first.framing.crops,
            "channels": first.framing.channels,
        },
        training={**first.training, **_training(models)},
    )
    return Parts.of(networks, described)


WORDS = ("label", "from", "to")
"""What in a change is no network."""


def _sets(change: Plain) -> list[tuple[str, str]]:
    """``on``, ``off`` or ``network``, each with the label that it is about."""
    if "network" in change:
        return [("network", change["to"])]
    return [(key, change["label"]) for key in ("on", "off") if key in change]


def _free(wanted: str, taken: Mapping[str, object]) -> str:
    """A name for a network like the one wanted, which no other has."""
    base = "to_" + re.sub(r"\W", "_", wanted)
    names = [base, *(f"{base}_{i}" for i in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _training(models: Mapping[str, Parts]) -> Plain:
    """What all have done: the steps of each by name."""
    steps = {name: parts.training.get("steps") for name, parts in models.items()}
    found = {"models": list(models), "steps": sum(s for s in steps.values() if isinstance(s, int))}
    never = [name for name, parts in models.items() if parts.training.get("untrained")]
    return found | ({"untrained": never} if never else {})
