"""Which images make the batch of a step: a function of (seed, step), so that a resume is exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import gcd, lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stargan.contracts import Stratum
from stargan.errors import UserError
from stargan.labels import LabelSpace

# Streams of random numbers that must not run in step with each other.
_ORDER, _BALANCE, _FLIP, TARGETS, DRAWS, CROP = range(6)


class Request(NamedTuple):
    """One image of a batch to come."""

    dataset: int
    row: int
    flip: bool


class Take(NamedTuple):
    """Rows of a batch to come: so many of a pool, those of its ``turn``-th time."""

    pool: int
    turn: int
    rows: int


@dataclass(frozen=True)
class _Pool:
    """Images that batches take rows from: a dataset, or a stratum of it."""

    dataset: int
    rows: NDArray[np.int64]
    cells: list[list[NDArray[np.int64]]] | None
    orders: dict[int, NDArray[np.int64]] = field(default_factory=dict)


class StepSampler:
    """Batches of requests, one per training step, each so many rows of one or several pools.

    Joint training takes the data sets in turn (paper, section 3.3): the batch of step ``t`` comes
    from dataset ``t % number of datasets``. Where the generator steps on every ``period``-th batch
    and the two numbers have a common divisor, it would see the same datasets for ever; there the
    turn is shifted by one as soon as the pattern would repeat.

    Mixed, every batch takes its part from each of the data sets instead: what learns the statistics
    of its batches (batch norm) must not see one data set at a time.

    With strata, every batch takes ``batch_size`` rows of each stratum, in their order, whatever the
    data sets they are from.

    Each pool is walked through in a new seeded permutation per epoch; ranks take different parts of
    it; a pool smaller than a batch repeats.

    Batches go on from one epoch into the next. ``partial``, the last batch of an epoch has what is
    left of it instead, as TensorFlow's and PyTorch's loaders do (``batches_per_epoch``); ranks
    share it.

    Balanced, each image is drawn with replacement instead: a label (or exclusive group) at random,
    one of its values at random, an image of the pool with that value at random. So rare labels are
    as frequent as common ones.

    Args:
        labels: per dataset its ``(N, L)`` labels.
        spaces: per dataset its label space.
        batch_size: images per batch and rank; with strata per stratum.
        max_steps: number of steps of the whole training; the sampler ends there.
        start_step: the first step to give, for a resume.
        seed: of order and flips.
        flip: probability of a horizontal flip.
        balance: see above.
        rank, world_size: which process this is, of how many.
        period: discriminator steps per generator step.
        mixed: see above; the batch size must be a multiple of the number of datasets.
        strata: see above.
        partial: see above; of one dataset, neither balanced nor with strata.
        attempt: how often the run has gone back to an earlier step: other numbers from the same
            seed. The epoch that it comes back to begins anew in another order.

    Raises:
        UserError: a stratum of a dataset, label or value that does not exist, or without images.
    """

    def __init__(
        self,
        labels: Sequence[Tensor],
        spaces: Sequence[LabelSpace],
        batch_size: int,
        max_steps: int,
        start_step: int = 0,
        seed: int = 0,
        flip: float = 0.5,
        balance: bool = False,
        rank: int = 0,
        world_size: int = 1,
        period: int = 1,
        mixed: bool = False,
        strata: Sequence[Stratum] = (),
        attempt: int = 0,
        partial: bool = False,
    ) -> None:
        self._period = period
        self._mixed = mixed
        self._strata = bool(strata)
        self._pools = []
        for stratum in strata or [Stratum(number, {}) for number in range(len(labels))]:
            rows = stratum_rows(stratum, labels, spaces)
            number = stratum.dataset
            cells = label_cells(spaces[number], labels[number][rows]) if balance else None
            # The cells of the pool's own rows, as rows of the dataset.
            own = cells and [[rows[cell] for cell in group] for group in cells]
            self._pools.append(_Pool(number, rows, own))
        # Fewer than two for a process are no batch (``batches_per_epoch``): they are repeated.
        self._partial = partial and len(self._pools[0].rows) >= 2 * world_size
        self._batch_size = batch_size
        self._max_steps, self._start_step = max_steps, start_step
        self._seed, self._flip, self._attempt = seed, flip, attempt
        self._rank, self._world_size = rank, world_size

    def __len__(self) -> int:
        """Steps from ``start_step`` on."""
        return self._max_steps - self._start_step

    def __iter__(self) -> Iterator[list[Request]]:
        for step in range(self._start_step, self._max_steps):
            yield self.batch(step)

    def batch(self, step: int) -> list[Request]:
        """The requests of one step."""
        takes = self.takes(step)
        rows = [(self._pools[t.pool].dataset, i) for t in takes for i in self._rows(*t)]
        flips = self._rng(_FLIP, step, self._rank).random(len(rows)) < self._flip
        return [Request(*row, bool(f)) for row, f in zip(rows, flips, strict=True)]

    def takes(self, step: int) -> list[Take]:
        """From which pools the rows of a step's batch come."""
        count = len(self._pools)
        if self._partial:
            return [Take(0, step, len(self._of_epoch(step)))]
        if self._strata:
            return [Take(pool, step, self._batch_size) for pool in range(count)]
        if self._mixed:
            return [Take(pool, step, self._batch_size // count) for pool in range(count)]
        return [Take(self.dataset(step), step // count, self._batch_size)]

    def key(self, stream: int, step: int) -> list[int]:
        """What seeds another stream of random numbers for the batch of a step of this rank."""
        return [self._seed, stream, self._attempt, step, self._rank]

    def dataset(self, step: int) -> int:
        """The dataset whose turn a step is; each comes once in every round over all of them."""
        count = len(self._pools)
        shift = step // lcm(self._period, count) if gcd(self._period, count) > 1 else 0
        return (step + shift) % count

    def _rng(self, stream: int, *place: int) -> np.random.Generator:
        # The first attempt has no number: runs of before there were any go on alike.
        again = [self._attempt] if self._attempt else []
        return np.random.default_rng([self._seed, stream, *place, *again])

    def _rows(self, number: int, turn: int, count: int) -> list[int]:
        """The images of a pool that come in its ``turn``-th batch."""
        pool = self._pools[number]
        if pool.cells is not None:
            return self._balanced(pool.cells, number, turn, count)
        if self._partial:
            return [self._walk(number, place) for place in self._of_epoch(turn)]
        first = (turn * self._world_size + self._rank) * count
        return [self._walk(number, first + i) for i in range(count)]

    def _of_epoch(self, step: int) -> range:
        """Where in the walk of the one pool this rank's rows are, with partial last batches."""
        size, together = len(self._pools[0].rows), self._batch_size * self._world_size
        batches = batches_per_epoch(size, self._batch_size, self._world_size)
        epoch, batch = divmod(step, batches)
        first = batch * together
        count = size - first if batch == batches - 1 else together
        start, end = (count * rank // self._world_size for rank in (self._rank, self._rank + 1))
        return range(epoch * size + first + start, epoch * size + first + end)

    def _walk(self, number: int, position: int) -> int:
        """The image at a position of a pool's endless walk."""
        pool = self._pools[number]
        epoch, place = divmod(position, len(pool.rows))
        if epoch not in pool.orders:
            # A batch may straddle two epochs (many, when the pool is small): keep two orders.
            while len(pool.orders) > 1:
                pool.orders.pop(next(iter(pool.orders)))
            order = self._rng(_ORDER, number, epoch).permutation(len(pool.rows))
            pool.orders[epoch] = pool.rows[order]
        return int(pool.orders[epoch][place])

    def _balanced(
        self, cells: list[list[NDArray[np.int64]]], number: int, turn: int, count: int
    ) -> list[int]:
        rng = self._rng(_BALANCE, number, turn, self._rank)
        rows = []
        for _ in range(count):
            group = cells[rng.integers(len(cells))]
            rows.append(int(rng.choice(group[rng.integers(len(group))])))
        return rows


def batches_per_epoch(images: int, batch_size: int, processes: int) -> int:
    """Steps of an epoch whose last batch has what is left.

    A rest of one image per process is no batch of its own, for batch norm cannot take one: it comes
    with the batch before it.
    """
    whole, rest = divmod(images, batch_size * processes)
    return max(1, whole + (rest >= 2 * processes))


def stratum_rows(
    stratum: Stratum, labels: Sequence[Tensor], spaces: Sequence[LabelSpace]
) -> NDArray[np.int64]:
    """The images of a stratum, as rows of its dataset.

    Args:
        labels: per dataset its ``(N, L)`` labels.
        spaces: per dataset its label space.

    Raises:
        UserError: a dataset, label or value that does not exist, or no image is like that.
    """
    if not 0 <= stratum.dataset < len(spaces):
        raise UserError(f"data set {stratum.dataset} does not exist: there are {len(spaces)}.")
    space, table = spaces[stratum.dataset], labels[stratum.dataset].numpy()
    fits = np.ones(len(table), dtype=bool)
    for name, value in stratum.where.items():
        if value not in (0, 1):
            raise UserError(f"'{name}={value}': an image has a label or not, 1 or 0.")
        fits &= table[:, space.index(name)] == value
    if not fits.any():
        wanted = " and ".join(f"{name}={value}" for name, value in stratum.where.items())
        raise UserError(
            f"no training image of '{space.name}' has {wanted or 'any labels'}: every batch takes "
            "some of them, so choose other labels or add such images."
        )
    return np.flatnonzero(fits)


def label_cells(space: LabelSpace, labels: Tensor) -> list[list[NDArray[np.int64]]]:
    """The images that have each value of each label; an exclusive group counts as one label.

    Args:
        labels: ``(N, L)``.

    Returns:
        Per label or group, per value that occurs, the indices of the images. A group's values are
        its members and "none of them".
    """
    table, known = labels.numpy() > 0.5, ~np.isnan(labels.numpy())
    done: set[str] = set()
    cells = []
    for name in space.names:
        if name in done:
            continue
        group = space.group_of(name)
        done.update(group)
        index = [space.index(n) for n in group]
        columns = table[:, index]
        # An image of which it is not known whether it has one of them is in no cell.
        values = [*columns.T, ~columns.any(1) & known[:, index].all(1)]
        cells.append([np.flatnonzero(v) for v in values if v.any()])
    return cells


def balanced_choice(labels: Tensor, seed: int) -> Iterator[int]:
    """All rows in an order whose every beginning is as balanced over the labels as can be.

    Args:
        labels: ``(N, L)``.
    """
    # 1 set, -1 not, 0 not known.
    table = np.nan_to_num(2 * (labels.numpy() > 0.5) - 1 + 0 * labels.numpy())
    combinations, which = np.unique(table, axis=0, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(table))
    which = which.reshape(-1)
    waiting = [list(order[which[order] == c][::-1]) for c in range(len(combinations))]
    signs = combinations
    uses = np.zeros(len(combinations))
    balance = np.zeros(table.shape[1])
    left = np.array([len(w) for w in waiting])
    for _ in range(len(table)):
        # Least seen combination first among those that bring the labels closest to half and half.
        cost = np.abs(balance + signs).sum(1) + uses
        cost[left == 0] = np.inf
        best = int(cost.argmin())
        balance += signs[best]
        uses[best] += 1
        left[best] -= 1
        yield int(waiting[best].pop())
