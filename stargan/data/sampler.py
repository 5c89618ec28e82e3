"""Which images make the batch of a step: a function of (seed, step), so that a resume is exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import gcd, lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stargan.labels import LabelSpace

# Streams of random numbers that must not run in step with each other.
_ORDER, _BALANCE, _FLIP = 0, 1, 2


class Request(NamedTuple):
    """One image of a batch to come."""

    source: int
    row: int
    flip: bool


@dataclass(frozen=True)
class _Source:
    """One source as the sampler sees it: its length and, when balanced, its label cells."""

    length: int
    cells: list[list[NDArray[np.int64]]] | None
    orders: dict[int, NDArray[np.int64]] = field(default_factory=dict)


class StepSampler:
    """Batches of requests, one per training step.

    Joint training takes the data sets in turn (paper, section 3.3): the batch of step ``t`` comes
    from source ``t % number of sources``. Where the generator steps on every ``period``-th batch
    and the two numbers have a common divisor, it would see the same sources for ever; there the
    turn is shifted by one as soon as the pattern would repeat.

    Each source walks through a new seeded permutation per epoch; ranks take different parts of it;
    a source shorter than a batch repeats.

    Mixed, every batch takes its part from each of the data sets instead: what learns the statistics
    of its batches (batch norm) must not see one data set at a time.

    Balanced, each image is drawn with replacement instead: a label (or exclusive group) at random,
    one of its values at random, an image with that value at random. So rare labels are as frequent
    as common ones.

    Args:
        labels: per source its ``(N, L)`` labels.
        spaces: per source its label space.
        batch_size: images per batch and rank.
        max_steps: number of steps of the whole training; the sampler ends there.
        start_step: the first step to give, for a resume.
        seed: of order and flips.
        flip: probability of a horizontal flip.
        balance: see above.
        rank, world_size: which process this is, of how many.
        period: discriminator steps per generator step.
        mixed: see above; the batch size must be a multiple of the number of sources.
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
    ) -> None:
        self._period = period
        self._mixed = mixed
        self._sources = [
            _Source(len(rows), label_cells(space, rows) if balance else None)
            for rows, space in zip(labels, spaces, strict=True)
        ]
        self._batch_size = batch_size
        self._max_steps, self._start_step = max_steps, start_step
        self._seed, self._flip = seed, flip
        self._rank, self._world_size = rank, world_size

    def __len__(self) -> int:
        """Steps from ``start_step`` on."""
        return self._max_steps - self._start_step

    def __iter__(self) -> Iterator[list[Request]]:
        for step in range(self._start_step, self._max_steps):
            yield self.batch(step)

    def batch(self, step: int) -> list[Request]:
        """The requests of one step."""
        count = len(self._sources)
        if self._mixed:
            share = self._batch_size // count
            rows = [(number, i) for number in range(count) for i in self._rows(number, step, share)]
        else:
            number = self.source(step)
            rows = [(number, i) for i in self._rows(number, step // count, self._batch_size)]
        rng = np.random.default_rng([self._seed, _FLIP, step, self._rank])
        flips = rng.random(self._batch_size) < self._flip
        return [Request(*row, bool(f)) for row, f in zip(rows, flips, strict=True)]

    def _rows(self, number: int, turn: int, count: int) -> list[int]:
        """The images of a source that come in its ``turn``-th batch."""
        source = self._sources[number]
        if source.cells is not None:
            return self._balanced(source.cells, number, turn, count)
        first = (turn * self._world_size + self._rank) * count
        return [self._walk(number, first + i) for i in range(count)]

    def source(self, step: int) -> int:
        """The source of a step's batch; each comes once in every round over all of them."""
        count = len(self._sources)
        shift = step // lcm(self._period, count) if gcd(self._period, count) > 1 else 0
        return (step + shift) % count

    def _walk(self, number: int, position: int) -> int:
        """The image at a position of a source's endless walk."""
        source = self._sources[number]
        epoch, place = divmod(position, source.length)
        if epoch not in source.orders:
            # A batch may straddle two epochs (many, when the source is short): keep two orders.
            while len(source.orders) > 1:
                source.orders.pop(next(iter(source.orders)))
            rng = np.random.default_rng([self._seed, _ORDER, number, epoch])
            source.orders[epoch] = rng.permutation(source.length)
        return int(source.orders[epoch][place])

    def _balanced(
        self, cells: list[list[NDArray[np.int64]]], number: int, turn: int, count: int
    ) -> list[int]:
        rng = np.random.default_rng([self._seed, _BALANCE, number, turn, self._rank])
        rows = []
        for _ in range(count):
            group = cells[rng.integers(len(cells))]
            rows.append(int(rng.choice(group[rng.integers(len(group))])))
        return rows


def label_cells(space: LabelSpace, labels: Tensor) -> list[list[NDArray[np.int64]]]:
    """The images that have each value of each label; an exclusive group counts as one label.

    Args:
        labels: ``(N, L)``.

    Returns:
        Per label or group, per value that occurs, the indices of the images. A group's values are
        its members and "none of them".
    """
    table = labels.numpy() > 0.5
    done: set[str] = set()
    cells = []
    for name in space.names:
        if name in done:
            continue
        group = space.group_of(name)
        done.update(group)
        columns = table[:, [space.index(n) for n in group]]
        values = [*columns.T, ~columns.any(1)]
        cells.append([np.flatnonzero(v) for v in values if v.any()])
    return cells


def balanced_choice(labels: Tensor, seed: int) -> Iterator[int]:
    """All rows in an order whose every beginning is as balanced over the labels as can be.

    Args:
        labels: ``(N, L)``.
    """
    table = labels.numpy() > 0.5
    combinations, which = np.unique(table, axis=0, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(table))
    which = which.reshape(-1)
    waiting = [list(order[which[order] == c][::-1]) for c in range(len(combinations))]
    signs = combinations * 2.0 - 1
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
