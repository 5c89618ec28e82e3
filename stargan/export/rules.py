"""How networks make a translation: one rule per kind of model, each a small module.

A rule takes ``(image, own, target, dataset)``, see ``contracts.Translate``, and works row by row:
a batch may hold any mixture of edits. A description says a rule as plain data, which the functions
``conditional``, ``by_target``, ``by_change`` and ``encoded`` make::

    {"rule": "conditional", "networks": ["generator"]}
    {"rule": "by_change", "networks": ["G_ab", "G_ba"],
     "changes": [{"label": "Male", "on": "G_ab", "off": "G_ba"}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from stargan.contracts import Chooses, Translate
from stargan.errors import Plain, UserError
from stargan.labels import JointLabelSpace
from stargan.labels.edits import Edits


class NewerError(UserError):
    """A file asks for what a later version of this package does."""


def possible(translate: Translate, own: Tensor, target: Tensor) -> Tensor:
    """The rows whose change a model can make.

    Args:
        translate: any model.
        own, target: ``(B, L)`` joint labels.

    Returns:
        ``(B,)`` bool, on the CPU.
    """
    if isinstance(translate, Chooses):
        return translate.can(own, target)
    return torch.ones(len(own), dtype=torch.bool)


# Plain data, as descriptions hold them ------------------------------------------------------------


def conditional(generator: str) -> Plain:
    """One generator ``(image, condition) -> image`` for all edits: StarGAN."""
    return {"rule": "conditional", "networks": [generator]}


def by_target(networks: Mapping[str, str | Mapping[str, str]]) -> Plain:
    """A network ``image -> image`` for each target: DIAT.

    Args:
        networks: label name to the network that gives an image this label, or to
            ``{"on": network, "off": network}``, either alone too, where one takes it away.
    """
    changes: list[Plain] = []
    for label, given in networks.items():
        changes.append({"label": label, **({"on": given} if isinstance(given, str) else given)})
    return {"rule": "by_target", "networks": _named(changes), "changes": changes}


def by_change(changes: Sequence[Mapping[str, str]]) -> Plain:
    """A network ``image -> image`` for each change: CycleGAN.

    Args:
        changes: ``{"label": "Male", "on": network, "off": network}`` for a label that stands alone,
            ``{"from": "neutral", "to": "happy", "network": network}`` within an exclusive group or
            the classes of one problem.
    """
    return {
        "rule": "by_change",
        "networks": _named(changes),
        "changes": [dict(change) for change in changes],
    }


def encoded(encoder: str, generator: str) -> Plain:
    """An encoder ``image -> z`` and a generator ``(z, labels in {-1, 1}) -> image``: IcGAN."""
    return {"rule": "encoded", "networks": [encoder, generator]}


def _named(changes: Sequence[Mapping[str, str]]) -> list[str]:
    """The networks of changes, each once."""
    keys = ("on", "off", "network")
    return list(dict.fromkeys(c[key] for c in changes for key in keys if key in c))


# The rules ----------------------------------------------------------------------------------------


class Rule(nn.Module):
    """Base of the rules.

    Args:
        labels: of the model.
        plain: the rule as plain data.
        networks: by name; None: the rule only says what a graph of it takes.

    Attributes:
        graded: whether labels between 0 and 1 mean something to the networks.
        takes: names of what a graph of it takes beside the image.

    Raises:
        UserError: plain data that this rule cannot be made of.
    """

    graded: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("own", "target")

    def __init__(
        self, labels: JointLabelSpace, plain: Plain, networks: Mapping[str, nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.labels = labels
        names = list(plain["networks"])
        if not names or len(set(names)) != len(names):
            raise UserError(f"the rule '{plain['rule']}' names no network, or one twice.")
        self.names = names
        self.networks = nn.ModuleDict({name: (networks or {})[name] for name in names if networks})

    def check(self, own: Tensor, target: Tensor) -> None:
        """Refuse changes that the networks cannot make.

        Raises:
            UserError: names the labels.
        """

    def can(self, own: Tensor, target: Tensor) -> Tensor:
        """``(B,)`` bool: the rows whose change the networks can make, see ``contracts.Chooses``."""
        return torch.ones(len(own), dtype=torch.bool)

    def changeable(self, space: int) -> list[str]:
        """The labels of a space that some change sets or clears, in their order."""
        return list(self.labels.spaces[space].names)

    def compared(self, space: int) -> set[str]:
        """The labels of a space whose own values decide what the row of all labels shows."""
        return set(self.labels.spaces[space].names)

    def feed(self, own: Tensor, target: Tensor, dataset: Tensor) -> dict[str, Tensor]:
        """What a graph takes beside the image, by the names in ``takes``."""
        return {"own": own, "target": target}

    def graph(self, image: Tensor, *fed: Tensor) -> Tensor:
        """Image and ``takes`` to images, the same operations whatever the values are."""
        raise NotImplementedError

    def forward(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        """See ``contracts.Translate``. Raises ``UserError`` as ``check`` does."""
        self.check(own, target)
        return self.graph(image, *self.feed(own, target, dataset).values())

    def needed(self, space: int, edits: Edits) -> set[str]:
        """The labels of a space whose own value must be known for these edits."""
        names = self.labels.spaces[space]
        return set(names.names) - names.settled(edits)

    def examples(self) -> tuple[Tensor, Tensor, Tensor]:
        """Own labels ``(M, L)``, targets ``(M, L)`` and data sets ``(M,)``, to try it on.

        Each label in turn, chosen in its group or flipped, of images without any label.
        """
        rows: list[tuple[Tensor, Tensor, int]] = []
        for i, space in enumerate(self.labels.spaces):
            own = torch.zeros(1, space.size)
            if space.categorical:
                own[0, 0] = 1
            joint = self.labels.expand(own, i)
            rows += [(joint[0], target[0], i) for _, target in self.labels.targets(joint, i)]
        return _stacked(rows)


class Conditional(Rule):
    """One generator, told the target as a condition vector."""

    takes = ("condition",)

    def __init__(
        self, labels: JointLabelSpace, plain: Plain, networks: Mapping[str, nn.Module] | None = None
    ) -> None:
        super().__init__(labels, plain, networks)
        _count(plain, self.names, 1)

    def feed(self, own: Tensor, target: Tensor, dataset: Tensor) -> dict[str, Tensor]:
        """The condition vector."""
        return {"condition": self.labels.condition(target, dataset)}

    def graph(self, image: Tensor, *fed: Tensor) -> Tensor:
        """``(B, 3, H, W)`` and ``(B, condition_size)`` to ``(B, 3, H, W)``."""
        (condition,) = fed
        translated: Tensor = self.networks[self.names[0]](image, condition)
        return translated


class Encoded(Rule):
    """The image as a code, from which the generator makes it again under the target labels.

    Perarnau et al., "Invertible conditional GANs for image editing", 2016: labels in {-1, 1}.
    """

    def __init__(
        self, labels: JointLabelSpace, plain: Plain, networks: Mapping[str, nn.Module] | None = None
    ) -> None:
        super().__init__(labels, plain, networks)
        _count(plain, self.names, 2)
        if len(labels.spaces) > 1:
            raise UserError(
                "the rule 'encoded' knows no mask vector: train it on one label space, not on "
                f"{', '.join(space.name for space in labels.spaces)}."
            )

    def graph(self, image: Tensor, *fed: Tensor) -> Tensor:
        """``(B, 3, H, W)``, own and target labels ``(B, L)`` to ``(B, 3, H, W)``."""
        _, target = fed
        encoder, generator = (self.networks[name] for name in self.names)
        translated: Tensor = generator(encoder(image), 2 * target - 1)
        return translated


class Step(NamedTuple):
    """One change of a slot and the network that makes it.

    Attributes:
        before, after: the state of the slot: the number of the label that is set, ``NONE`` or (of
            ``before``) ``ANY`` other one.
        network: its name.
    """

    before: int
    after: int
    network: str


NONE, ANY = -1, -2


class Slot(NamedTuple):
    """What changes as one: an exclusive group, or a label that stands alone.

    Attributes:
        names: its labels.
        columns: their places in the joint labels.
        space: index of their label space.
        steps: the changes that there are networks for.
    """

    names: tuple[str, ...]
    columns: list[int]
    space: int
    steps: list[Step]

    def state(self, label: Tensor) -> Tensor:
        """``(B,)``: the number of the label that is set in ``(B, L)``, or ``NONE``."""
        # Column by column: a list as an index would be an operator that opened graphs do not have.
        part = torch.stack([label[:, column] for column in self.columns], 1)
        none = torch.full_like(part[:, 0], NONE, dtype=torch.long)
        return torch.where(part.amax(1) >= 0.5, part.argmax(1), none)

    def words(self, before: int, after: int) -> str:
        """A change in words."""
        if len(self.names) == 1:
            return f"{self.names[0]} {'on' if after == 0 else 'off'}"
        none = f"none of {', '.join(self.names)}"
        one, two = (self.names[state] if state >= 0 else none for state in (before, after))
        return f"{one} to {two}"


class Chain(Rule):
    """A network for each change; edits of several labels go from one to the next, in their order.

    Where nothing changes an image stays as it is. Partial edits mean nothing here.
    """

    graded = False

    def __init__(
        self, labels: JointLabelSpace, plain: Plain, networks: Mapping[str, nn.Module] | None = None
    ) -> None:
        super().__init__(labels, plain, networks)
        self.slots: list[Slot] = []
        for i, (space, part) in enumerate(zip(labels.spaces, labels.slices, strict=True)):
            for group in dict.fromkeys(space.group_of(name) for name in space.names):
                columns = [part.start + space.index(name) for name in group]
                self.slots.append(Slot(group, columns, i, []))
        for change in plain["changes"]:
            self._add(change)
        if set(self.names) != {step.network for slot in self.slots for step in slot.steps}:
            raise UserError(f"the rule '{plain['rule']}' names networks that it does not use.")
        for slot in self.slots:
            told = [(step.before, step.after) for step in slot.steps]
            if len(set(told)) < len(told):
                raise UserError(
                    f"the rule '{plain['rule']}' has two networks for one change of "
                    f"{', '.join(slot.names)}: keep one."
                )

    def _add(self, change: Mapping[str, str]) -> None:
        """One of the plain changes as steps."""
        if set(change) == {"from", "to", "network"}:
            slot, before = self._find(change["from"])
            other, after = self._find(change["to"])
            if slot is not other or before == after:
                raise UserError(
                    f"'{change['from']}' to '{change['to']}' is no change of one label for another "
                    "of an exclusive group: name two labels of one group."
                )
            # Before those of any other state, so that the exact one is found first.
            slot.steps.insert(0, Step(before, after, change["network"]))
            return
        if not {"label"} < set(change) <= {"label", "on", "off"}:
            raise UserError(
                f"{dict(change)} is no change: give label and on or off, or from, to and network."
            )
        slot, number = self._find(change["label"])
        if "on" in change:
            slot.steps.append(Step(ANY, number, change["on"]))
        if "off" in change:
            slot.steps.append(Step(number, NONE, change["off"]))

    def _find(self, label: str) -> tuple[Slot, int]:
        space, name = self.labels.locate(label)
        slot = next(s for s in self.slots if s.space == space and name in s.names)
        return slot, slot.names.index(name)

    def check(self, own: Tensor, target: Tensor) -> None:
        """Refuse a change without a network, and partial ones."""
        for label in own, target:
            if not ((label < 1e-3) | (label > 1 - 1e-3)).all():
                raise UserError(
                    "this model has a network for each change and cannot go a part of the way: "
                    "leave the strength out, labels are 0 or 1."
                )
        for slot in self.slots:
            pairs = torch.stack([slot.state(own), slot.state(target)], 1).unique(dim=0).tolist()
            for before, after in pairs:
                if before != after and _step(slot, before, after) is None:
                    can = [
                        slot.words(s.before, s.after)
                        if s.before != ANY or len(slot.names) == 1
                        else f"any to {slot.names[s.after]}"
                        for s in slot.steps
                    ]
                    raise UserError(
                        f"this model has no network for the change {slot.words(before, after)}"
                        f"; of {', '.join(slot.names)} it can make: {'; '.join(can) or 'nothing'}."
                    )

    def can(self, own: Tensor, target: Tensor) -> Tensor:
        """Rows all of whose changes have a network; ``(B,)`` bool on the CPU."""
        able = torch.ones(len(own), dtype=torch.bool)
        for slot in self.slots:
            pairs = zip(slot.state(own).tolist(), slot.state(target).tolist(), strict=True)
            fits = [one == two or _step(slot, one, two) is not None for one, two in pairs]
            able &= torch.tensor(fits, dtype=torch.bool)
        return able

    def changeable(self, space: int) -> list[str]:
        """Those that there is a network for."""
        found = {
            slot.names[number]
            for slot in self.slots
            if slot.space == space
            for step in slot.steps
            for number in [step.after if step.after >= 0 else step.before]
        }
        return [name for name in self.labels.spaces[space].names if name in found]

    def compared(self, space: int) -> set[str]:
        """Of lone labels their own value, of groups only where networks are for pairs of labels."""
        return {
            name
            for slot in self.slots
            if slot.space == space
            and slot.steps
            and (len(slot.names) == 1 or any(step.before != ANY for step in slot.steps))
            for name in slot.names
        }

    def forward(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        """See ``contracts.Translate``; each network sees only the images that it changes."""
        self.check(own, target)
        image = image.clone()
        for slot in self.slots:
            before, after = slot.state(own).tolist(), slot.state(target).tolist()
            rows: dict[str, list[int]] = {}
            for row, (one, two) in enumerate(zip(before, after, strict=True)):
                step = _step(slot, one, two) if one != two else None
                if step is not None:
                    rows.setdefault(step.network, []).append(row)
            made = {name: self.networks[name](image[some]) for name, some in rows.items()}
            for name, some in rows.items():
                image[some] = made[name].to(image.dtype)
        return image

    def graph(self, image: Tensor, *fed: Tensor) -> Tensor:
        """All networks on all images, from which those that are asked for are taken.

        A change without a network gives NaN: a graph cannot refuse.
        """
        own, target = fed
        for slot in self.slots:
            before, after = slot.state(own), slot.state(target)
            pending = before != after
            made = {s.network: self.networks[s.network](image) for s in slot.steps}
            result = image
            for step in slot.steps:
                chosen = pending.logical_and(after == step.after)
                if step.before != ANY:
                    chosen = chosen.logical_and(before == step.before)
                result = torch.where(chosen[:, None, None, None], made[step.network], result)
                pending = pending.logical_and(~chosen)
            nothing = torch.full_like(image, torch.nan)
            image = torch.where(pending[:, None, None, None], nothing, result)
        return image

    def needed(self, space: int, edits: Edits) -> set[str]:
        """What decides which network it is: the group's own label, where networks are for pairs."""
        found: set[str] = set()
        for slot in self.slots:
            pairs = len(slot.names) > 1 and any(step.before != ANY for step in slot.steps)
            if slot.space == space and pairs and set(slot.names) & set(edits):
                found |= set(slot.names)
        return found

    def examples(self) -> tuple[Tensor, Tensor, Tensor]:
        """Each change that there is a network for, and of each space several at once."""
        rows: list[tuple[Tensor, Tensor, int]] = []
        for i in range(len(self.labels.spaces)):
            slots = [slot for slot in self.slots if slot.space == i]
            resting = torch.zeros(self.labels.size)
            for slot in slots:
                if self.labels.spaces[i].categorical:
                    resting[slot.columns[0]] = 1
            many = resting.clone(), resting.clone()
            for slot in slots:
                for number, step in enumerate(slot.steps):
                    own, target = resting.clone(), resting.clone()
                    both = [(own, target), many] if number == 0 else [(own, target)]
                    for one, two in both:
                        _set(slot, one, _other(slot, step) if step.before == ANY else step.before)
                        _set(slot, two, step.after)
                    rows.append((own, target, i))
            if len([slot for slot in slots if slot.steps]) > 1:
                rows.append((*many, i))
        return _stacked(rows)


class ByTarget(Chain):
    """See ``by_target``."""

    def _add(self, change: Mapping[str, str]) -> None:
        if "label" not in change:
            raise UserError("the rule 'by_target' chooses by the target alone: give label and on.")
        super()._add(change)


class ByChange(Chain):
    """See ``by_change``."""


RULES: dict[str, type[Rule]] = {
    "conditional": Conditional,
    "by_target": ByTarget,
    "by_change": ByChange,
    "encoded": Encoded,
}


CHAINS = tuple(name for name, rule in RULES.items() if issubclass(rule, Chain))
"""The rules that have a network for each change: their models can be joined."""


def make_rule(
    plain: Any, labels: JointLabelSpace, networks: Mapping[str, nn.Module] | None = None
) -> Rule:
    """The rule that plain data describe.

    Args:
        plain: see the module.
        labels: of the model.
        networks: by name; None: a rule that only says what a graph of it takes.

    Raises:
        NewerError: no such rule.
        UserError: data that it cannot be made of.
    """
    name = plain.get("rule") if isinstance(plain, Mapping) else None
    if name not in RULES:
        raise NewerError(f"the rule '{name}' is unknown to this version of stargan: update it.")
    return RULES[name](labels, dict(plain), networks)


def _stacked(rows: Sequence[tuple[Tensor, Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Own labels, targets and data sets of rows as batches."""
    own = torch.stack([one for one, _, _ in rows])
    target = torch.stack([two for _, two, _ in rows])
    return own, target, torch.tensor([dataset for _, _, dataset in rows])


def _step(slot: Slot, before: int, after: int) -> Step | None:
    """The first step that makes a change."""
    fitting = (s for s in slot.steps if s.after == after and s.before in (before, ANY))
    return next(fitting, None)


def _set(slot: Slot, label: Tensor, state: int) -> None:
    """Write a state into one ``(L,)`` label."""
    label[slot.columns] = 0
    if state >= 0:
        label[slot.columns[state]] = 1


def _other(slot: Slot, step: Step) -> int:
    """A state from which a step of any other state can start."""
    if len(slot.names) == 1:
        return NONE
    return next(i for i in range(len(slot.names)) if i != step.after)


def _count(plain: Plain, names: Sequence[str], count: int) -> None:
    if len(names) != count:
        raise UserError(f"the rule '{plain['rule']}' takes {count} network(s), not {len(names)}.")
