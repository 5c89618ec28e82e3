"""Several label spaces side by side, and the mask vector that lets one generator serve them.

The only place that builds a condition vector or knows its size. A *label* is what the data say of
an image, a *target* the label wanted, a *condition* the vector that the generator sees.

Source: Choi et al., StarGAN, CVPR 2018, sections 3.2 and 4 (mask vector, target labels at test).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from stargan.errors import UserError
from stargan.labels.edits import Edits
from stargan.labels.space import LabelSpace, label_name, unknown_label


class JointLabelSpace:
    """Any number of label spaces side by side, with a mask vector when there are several.

    Joint labels are ``(B, L)`` with ``L`` the sum of the sizes; a row is zero outside the slice of
    its dataset, and NaN where a label of an image is not known.

    Attributes: ``spaces``, ``names`` (joined), ``slices`` (one per space).
    """

    def __init__(self, spaces: Sequence[LabelSpace]) -> None:
        if not spaces:
            raise UserError("a joint label space needs at least one label space.")
        titles = [s.name for s in spaces]
        if len(set(titles)) != len(titles):
            raise UserError(f"two label spaces have the same name: {', '.join(titles)}.")
        self.spaces = tuple(spaces)
        self.names = tuple(n for s in spaces for n in s.names)
        ends = torch.tensor([s.size for s in spaces]).cumsum(0).tolist()
        self.slices = tuple(slice(end - s.size, end) for s, end in zip(spaces, ends, strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JointLabelSpace) and self.spaces == other.spaces

    def __hash__(self) -> int:
        return hash(self.spaces)

    def __repr__(self) -> str:
        return f"JointLabelSpace({list(self.spaces)!r})"

    @property
    def size(self) -> int:
        """Length of a joint label vector: what the domain classifier puts out."""
        return len(self.names)

    @property
    def condition_size(self) -> int:
        """Length of a condition vector: the labels and, with several spaces, the mask."""
        return self.size + (len(self.spaces) if len(self.spaces) > 1 else 0)

    def locate(self, label: str) -> tuple[int, str]:
        """Which space a label belongs to.

        Args:
            label: a label name, or ``space.label`` where two spaces share a name.

        Returns:
            Index of the space, name inside it.

        Raises:
            UserError: unknown or ambiguous name.
        """
        label = label_name(label)
        if "." in label:
            title, inner = label.split(".", 1)
            for i, space in enumerate(self.spaces):
                if space.name == title:
                    space.index(inner)
                    return i, inner
        owners = [i for i, space in enumerate(self.spaces) if label in space.names]
        if len(owners) > 1:
            both = " or ".join(f"{self.spaces[i].name}.{label}" for i in owners)
            raise UserError(f"label '{label}' is in several label spaces: write {both}.")
        if not owners:
            raise UserError(unknown_label(label, self.names))
        return owners[0], label

    def expand(self, label: Tensor, dataset: int) -> Tensor:
        """A space's own labels ``(..., size of the space)`` as joint labels ``(..., L)``."""
        joint = label.new_zeros(*label.shape[:-1], self.size)
        joint[..., self.slices[dataset]] = label
        return joint

    def condition(self, label: Tensor, dataset: Tensor) -> Tensor:
        """What the generator sees: ``[labels of the dataset, zeros elsewhere, one-hot mask]``.

        Paper equation (7). Without a second space there is no mask. Labels outside the dataset's
        slice are zeroed, so a wrong dataset (the paper's figure 7) shows what the mask does only
        if the labels are written into that dataset's slice first.

        Args:
            label: ``(B, L)`` joint labels.
            dataset: ``(B,)`` int64.

        Returns:
            ``(B, condition_size)`` of the dtype of ``label``.
        """
        if len(self.spaces) == 1:
            return label
        mask = torch.nn.functional.one_hot(dataset, len(self.spaces)).to(label)
        return torch.cat([label * self.known(dataset).to(label), mask], dim=1)

    def known(self, dataset: Tensor) -> Tensor:
        """``(B, L)`` bool: the labels that rows of this dataset have."""
        table = torch.zeros(len(self.spaces), self.size, dtype=torch.bool, device=dataset.device)
        for i, part in enumerate(self.slices):
            table[i, part] = True
        return table[dataset]

    def without_unknown(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """Labels ``(B, L)`` with 0 for those that are not known (NaN), and which are known.

        No loss and no figure may take such a 0 for a label that is not set.
        """
        known = ~label.isnan()
        return label.masked_fill(~known, 0.0), known

    def edit(self, label: Tensor, dataset: int, edits: Edits, strength: float = 1.0) -> Tensor:
        """Joint labels of one dataset, edited. See ``LabelSpace.edit``.

        Raises:
            UserError: a name belongs to another space, which this dataset knows nothing of.
        """
        inner: dict[str, float] = {}
        for name, value in edits.items():
            i, own = self.locate(name)
            if i != dataset:
                raise UserError(
                    f"'{name}' belongs to '{self.spaces[i].name}', "
                    f"not to '{self.spaces[dataset].name}'."
                )
            inner[own] = value
        part = self.slices[dataset]
        result = label.clone()
        result[..., part] = self.spaces[dataset].edit(label[..., part], inner, strength)
        return result

    def split_edits(self, edits: Edits) -> list[tuple[int, dict[str, float]]]:
        """Edits sorted by space: ``[(dataset, edits within it)]`` in the order of the spaces.

        Raises:
            UserError: unknown or ambiguous names, impossible values.
        """
        sorted_edits: dict[int, dict[str, float]] = {}
        for name, value in edits.items():
            i, own = self.locate(name)
            sorted_edits.setdefault(i, {})[own] = value
        return sorted(sorted_edits.items())

    def targets(self, label: Tensor, dataset: int) -> list[tuple[str, Tensor]]:
        """The paper's test targets within one dataset: ``[(label name, (B, L) target)]``."""
        part = self.slices[dataset]
        space = self.spaces[dataset]
        return [(n, self.expand(t, dataset)) for n, t in space.targets(label[..., part])]

    def to_plain(self) -> list[dict[str, Any]]:
        """As plain data, for checkpoints and exports."""
        return [space.to_plain() for space in self.spaces]

    @staticmethod
    def from_plain(plain: Sequence[Mapping[str, Any]]) -> JointLabelSpace:
        """The inverse of ``to_plain``."""
        return JointLabelSpace([LabelSpace.from_plain(p) for p in plain])
