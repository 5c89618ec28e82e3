"""What a visitor can set, made from a model's label spaces; what it means as edits. No Gradio here.

An exclusive group is one choice among its labels and "keep"; any other label is a switch that
starts where the photo is. Either has a strength. Names of labels are ``Translator.labels``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from stargan.errors import UserError
from stargan.labels import JointLabelSpace, Way, way
from stargan.labels.edits import Edits

KEEP = "keep"
"""The choice that changes nothing. No label can be taken for it: choices are told by position."""


@dataclass(frozen=True)
class Control:
    """One thing to set.

    Attributes:
        names: the labels of an exclusive group, or the one label of a switch.
        title: what stands above it.
        options: short names of the labels, as the visitor reads them.
        space: index of the label space.
        heading: the space's name where this is its first control and there are several spaces.
        keeps: whether "keep" is offered.
    """

    names: tuple[str, ...]
    title: str
    options: tuple[str, ...]
    space: int
    heading: str | None
    keeps: bool

    @property
    def is_choice(self) -> bool:
        """One of several labels, rather than a switch."""
        return len(self.names) > 1

    @property
    def choices(self) -> list[tuple[str, str]]:
        """``(what is read, value)``; values are positions, "keep" has the value ``KEEP``."""
        named = [(option, str(i)) for i, option in enumerate(self.options)]
        return [("Keep", KEEP), *named] if self.keeps else named


class Setting(NamedTuple):
    """Where a control stands: a choice's value or a switch's, and the strength in [0, 1]."""

    value: str | bool
    strength: float = 1.0


def readable(name: str) -> str:
    """``Black_Hair`` as ``Black hair``; the space before a dot is left out."""
    words = name.rpartition(".")[2].replace("_", " ").strip()
    return words[:1].upper() + words[1:].lower() if words.replace(" ", "").isalpha() else words


def controls_of(
    spaces: JointLabelSpace,
    labels: Sequence[str],
    reads: bool,
    changeable: Sequence[str] | None = None,
) -> list[Control]:
    """The controls of a model, in the order of its labels.

    Args:
        spaces: the model's label spaces.
        labels: their names as edits use them, ``Translator.labels``.
        reads: whether the model can read a photo's own labels. If not, "keep" means something
            only where one choice settles the whole space (a categorical one).
        changeable: those of ``labels`` that the model can change; None: all.
    """
    found = []
    for i, (space, part) in enumerate(zip(spaces.spaces, spaces.slices, strict=True)):
        outer = dict(zip(space.names, labels[part], strict=True))
        groups = dict.fromkeys(space.group_of(name) for name in space.names)
        if changeable is not None:
            left = (tuple(n for n in g if outer[n] in changeable) for g in groups)
            groups = dict.fromkeys(group for group in left if group)
        for number, group in enumerate(groups):
            title, options = _words(group)
            if space.categorical:
                title = readable(space.name)
            several = len(spaces.spaces) > 1 and number == 0 and not space.categorical
            found.append(
                Control(
                    names=tuple(outer[name] for name in group),
                    title=title,
                    options=options,
                    space=i,
                    heading=readable(space.name) if several else None,
                    keeps=len(group) > 1 and (reads or space.categorical),
                )
            )
    return found


def _words(group: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Title and options: Black_Hair, Blond_Hair are Hair: Black, Blond."""
    if len(group) == 1:
        return readable(group[0]), (readable(group[0]),)
    ends = {name.replace("_", " ").split()[-1].lower() for name in group}
    shared = len(ends) == 1 and all(len(name.replace("_", " ").split()) > 1 for name in group)
    if not shared:
        return "One of", tuple(readable(name) for name in group)
    short = tuple(readable("_".join(name.replace("_", " ").split()[:-1])) for name in group)
    return readable(next(iter(ends))), short


def own_labels(
    spaces: JointLabelSpace, labels: Sequence[str], probability: Mapping[str, float]
) -> dict[str, bool]:
    """What a photo shows, from the probabilities of ``Translator.predict``."""
    values = torch.tensor([probability[name] for name in labels]) - 0.5
    read = [s.read(values[part]) for s, part in zip(spaces.spaces, spaces.slices, strict=True)]
    return dict(zip(labels, (v > 0 for v in torch.cat(read).tolist()), strict=True))


def edits_from(
    controls: Iterable[Control],
    settings: Iterable[Setting],
    own: Mapping[str, bool] | None,
) -> dict[str, float]:
    """The edits that controls ask for; empty when everything is as the photo is.

    Args:
        controls: of one model.
        settings: one for each control.
        own: what the photo shows; None when the model cannot read it, then every switch and
            every choice but "keep" is an edit.

    Raises:
        UserError: a value that no control has (only a foreign client can send one).
    """
    edits: dict[str, float] = {}
    for control, (value, strength) in zip(controls, settings, strict=True):
        if not isinstance(strength, (int, float)) or not 0 <= strength <= 1:
            raise UserError(f"the strength of {control.title} lies between 0 and 1.")
        if control.is_choice:
            known = [v for _, v in control.choices]
            if value not in known:
                raise UserError(f"{control.title} has no choice '{value}'.")
            if value == KEEP:
                continue
            name, on = control.names[int(value)], True
        else:
            name = control.names[0]
            if not isinstance(value, bool):
                raise UserError(f"{control.title} is on or off, not '{value}'.")
            if own is not None and value == own[name]:
                continue
            on = value
        if own is None and not control.is_choice:
            strength = 1.0  # Half way from where is not known.
        if strength > 0:
            edits[name] = Way(on, float(strength)).value
    return edits


def settings_from(
    controls: Iterable[Control], edits: Edits, own: Mapping[str, bool] | None
) -> list[Setting]:
    """Where controls stand for these edits: the inverse of ``edits_from``.

    Labels that no control has are left out, so edits can go from one model to another.
    """
    settings = []
    for control in controls:
        name = next((n for n in control.names if edits.get(n, 0) > 0), None)
        if control.is_choice:
            resting = KEEP if control.keeps else "0"
            settings.append(
                Setting(resting)
                if name is None
                else Setting(str(control.names.index(name)), edits[name])
            )
            continue
        name = control.names[0]
        before = bool(own and own[name])
        step = way(name, edits[name]) if name in edits else Way(before)
        strength = 1.0 if own is None or step.on == before else step.strength
        settings.append(Setting(step.on, strength))
    return settings


def is_active(control: Control, setting: Setting, own: Mapping[str, bool] | None) -> bool:
    """Whether a control changes the photo, so that its strength means something."""
    if own is None:
        return False
    if control.is_choice:
        return setting.value != KEEP and not own[control.names[int(setting.value)]]
    return setting.value != own[control.names[0]]


def tap(
    controls: Iterable[Control], edits: Edits, name: str, own: Mapping[str, bool] | None
) -> dict[str, float]:
    """Edits after a tap on the picture of one label: this one alone, or none if it stood alone.

    Raises:
        UserError: no control has this label.
    """
    control = next((c for c in controls if name in c.names), None)
    if control is None:
        raise UserError(f"this model has no label '{name}'.")
    wanted = 0.0 if not control.is_choice and own is not None and own[name] else 1.0
    return {} if dict(edits) == {name: wanted} else {name: wanted}
