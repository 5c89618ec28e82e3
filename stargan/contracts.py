"""What flows between the rooms of the house: the few types that everybody shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from stargan.imaging.regions import Region
    from stargan.labels import JointLabelSpace, LabelSpace


class Batch(NamedTuple):
    """A batch on its way to a method, with everything random that its step needs.

    Targets and random numbers are a function of (seed, step, rank), made where the images are
    loaded: a loss takes no generator, draws the same on every device, and a resume is exact.

    Attributes:
        image: ``(B, C, H, W)``; C is 3, or 1 where ``data.channels=1`` asks for grey. uint8 on the
            way to the device, float in [-1, 1] from there on.
        label: ``(B, L)`` float in {0, 1}, ``L`` the size of the joint label space; zero outside
            the slice of the row's dataset, NaN where a label is not known (only for methods that
            say ``takes_unknown``).
        dataset: ``(B,)`` int64, index of the row's label space in the joint label space.
        target: ``(B, L)`` float, the labels that the row's translation is asked for; all known.
        draws: random numbers by the names of ``Feed.draws``.
    """

    image: Tensor
    label: Tensor
    dataset: Tensor
    target: Tensor
    draws: dict[str, Tensor]


class Draw(NamedTuple):
    """Random numbers that come with every batch: ``(repeat * B, *shape)`` float32.

    Attributes:
        kind: ``uniform`` in [0, 1), or ``normal`` with mean 0 and deviation 1.
        shape: of one row.
        repeat: rows per image of the batch, such as 2 for real and fake together.
    """

    kind: Literal["uniform", "normal"] = "uniform"
    shape: tuple[int, ...] = ()
    repeat: int = 1


class Stratum(NamedTuple):
    """A set of training images from which every batch takes ``batch_size`` rows.

    Attributes:
        dataset: index of the data set.
        where: label names of that data set and the value, 0 or 1, that an image must have.
    """

    dataset: int
    where: Mapping[str, int]


class TargetRule(Protocol):
    """Draws the target labels of a batch; picklable, for it travels to the loader's workers."""

    def __call__(
        self,
        labels: JointLabelSpace,
        label: NDArray[np.float32],
        dataset: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Labels ``(B, L)`` and data sets ``(B,)`` of a batch to target labels ``(B, L)``."""
        ...


class Feed(NamedTuple):
    """What a method asks of the loader; plain and picklable.

    Attributes:
        targets: how target labels are drawn; None: each image keeps its own labels.
        draws: random numbers by name.
        strata: where given, batches hold ``batch_size`` rows of each stratum, in this order;
            empty: the data sets in turn (or mixed, or balanced, as the data are configured).
        period: training steps per step of the generator: the turns of the data sets must not run
            in step with it; 1 where they may.
    """

    targets: TargetRule | None = None
    draws: Mapping[str, Draw] = {}
    strata: tuple[Stratum, ...] = ()
    period: int = 1


@runtime_checkable
class LabeledImages(Protocol):
    """One split of one data set, before any transform. All labels are known up front.

    Attributes:
        space: the label space of this data set.
        labels: ``(N, L)`` float tensor in {0, 1}, ``L = space.size``; NaN: not known.
        where: a short word on where the images come from, for messages.
    """

    space: LabelSpace
    labels: Tensor
    where: str

    def __len__(self) -> int: ...

    def load(self, index: int) -> Image.Image:
        """The image as RGB, upright, uncropped. Raises ``UserError`` when it cannot be read."""
        ...

    def name(self, index: int) -> str:
        """A name for messages and file names, unique within the split."""
        ...


@runtime_checkable
class RegionImages(LabeledImages, Protocol):
    """A data set that may know where in an image a label is (drawn; or boxes, masks of a user)."""

    def about_regions(self) -> str | None:
        """What the regions are, to be read after "the region of a label is"; None: not known.

        Raises:
            UserError: the user's boxes or masks cannot be read, or do not fit the images.
        """
        ...

    def region(self, index: int, label: int) -> Region | None:
        """The region of one label in an image, upright and uncropped; None where not known."""
        ...


@runtime_checkable
class CounterfactualImages(LabeledImages, Protocol):
    """A data set that knows what an image would be under other labels (the embedded faces)."""

    def counterfactual(self, index: int, label: Tensor) -> Image.Image:
        """The true answer to an edit: the same image with the labels ``(L,)``, uncropped."""
        ...


class Translate(Protocol):
    """What evaluation and callbacks see of any method: images to images, told what changes.

    Own labels come too, for some models choose a network by what changes between own and target.
    """

    labels: JointLabelSpace

    def __call__(self, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        """Images under other labels.

        Args:
            image: ``(B, 3, H, W)`` in [-1, 1].
            own: ``(B, L)`` joint labels of the images themselves.
            target: ``(B, L)`` joint labels that they are asked for.
            dataset: ``(B,)`` int64, the label space that each row's labels belong to.

        Returns:
            Images of the same shape.
        """
        ...


@runtime_checkable
class Chooses(Protocol):
    """A ``Translate`` that may lack a network for some changes; without this it makes them all."""

    def can(self, own: Tensor, target: Tensor) -> Tensor:
        """``(B,)`` bool, on the CPU: the rows whose change, own ``(B, L)`` to target, it makes."""
        ...
