from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
import torch

from stargan.contracts import Stratum
from stargan.data.sampler import (
    TARGETS,
    Request,
    StepSampler,
    balanced_choice,
    batches_per_epoch,
    label_cells,
)
from stargan.errors import UserError
from stargan.labels import LabelSpace

SPACE = LabelSpace(["a", "b"], name="s")


def sampler(lengths: list[int], **arguments: object) -> StepSampler:
    settings: dict[str, object] = {"batch_size": 4, "max_steps": 30, **arguments}
    return StepSampler([torch.zeros(n, 2) for n in lengths], [SPACE] * len(lengths), **settings)  # type: ignore[arg-type]


def test_sources_take_turns() -> None:
    batches = list(sampler([10, 20, 15]))
    assert [b[0].dataset for b in batches[:7]] == [0, 1, 2, 0, 1, 2, 0]
    assert all(len({r.dataset for r in b}) == 1 and len(b) == 4 for b in batches)


def test_an_epoch_is_a_permutation_and_the_next_another() -> None:
    rows = [r.row for b in sampler([12], max_steps=6) for r in b]
    assert sorted(rows[:12]) == sorted(rows[12:]) == list(range(12))
    assert rows[:12] != rows[12:]


@pytest.mark.parametrize("length", [2, 3, 7])
def test_a_short_source_repeats_evenly(length: int) -> None:
    counts = Counter(r.row for b in sampler([length], max_steps=21) for r in b)
    assert len(counts) == length
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("start", [1, 13, 29])
def test_a_resume_gives_the_same_batches(start: int, balance: bool) -> None:
    whole = list(sampler([11, 7], balance=balance))
    rest = sampler([11, 7], balance=balance, start_step=start)
    assert list(rest) == whole[start:]
    assert len(rest) == 30 - start


@pytest.mark.parametrize("period", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_generator_turns_see_every_source_alike(period: int, count: int) -> None:
    steps = 6 * period * count * count
    made = sampler([20] * count, max_steps=steps, period=period)
    datasets = [batch[0].dataset for batch in made]
    turns = [datasets[t] for t in range(steps) if (t + 1) % period == 0]
    assert {turns.count(s) for s in range(count)} == {len(turns) // count}
    # Every round over the datasets has each of them once.
    rounds = [datasets[i : i + count] for i in range(0, steps, count)]
    assert all(sorted(r) == list(range(count)) for r in rounds)
    if count == 2 and period == 5:
        assert datasets[:4] == [0, 1, 0, 1], "the paper's order"


def test_ranks_do_not_overlap_within_an_epoch() -> None:
    ranks = [
        [r.row for b in sampler([24], max_steps=3, rank=rank, world_size=2) for r in b]
        for rank in (0, 1)
    ]
    assert sorted(ranks[0] + ranks[1]) == list(range(24))


def test_the_seed_decides() -> None:
    assert list(sampler([40], seed=1)) == list(sampler([40], seed=1))
    assert list(sampler([40], seed=1)) != list(sampler([40], seed=2))


def test_flips() -> None:
    def share(flip: float) -> float:
        return sum(r.flip for b in sampler([9], flip=flip, max_steps=200) for r in b) / 800

    assert share(0) == 0
    assert share(1) == 1
    assert abs(share(0.5) - 0.5) < 0.06


def test_requests_are_plain() -> None:
    request = next(iter(sampler([9])))[0]
    assert isinstance(request, Request)
    assert [type(v) for v in request] == [int, int, bool]


def test_balance_draws_rare_labels_as_often() -> None:
    labels = torch.zeros(200, 2)
    labels[:4, 0] = 1
    balanced = StepSampler([labels], [SPACE], 8, 200, balance=True)
    rare = sum(r.row < 4 for b in balanced for r in b) / 1600
    assert 0.2 < rare < 0.35  # One label of two, one value of two.
    plain = StepSampler([labels], [SPACE], 8, 200)
    assert sum(r.row < 4 for b in plain for r in b) / 1600 < 0.03


def test_cells_take_a_group_as_one_label() -> None:
    space = LabelSpace(["x", "y", "z"], groups=[["x", "z"]], name="g")
    labels = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 0]])
    cells = [[c.tolist() for c in cell] for cell in label_cells(space, labels)]
    assert cells == [[[0, 3], [1], [2]], [[2, 3], [0, 1]]]


def test_balanced_choice_is_a_balanced_order() -> None:
    labels = torch.nn.functional.one_hot(torch.arange(8).repeat_interleave(5), 8).float()
    first = list(islice(balanced_choice(labels, 0), 16))
    assert labels[first].sum(0).tolist() == [2.0] * 8
    assert sorted(balanced_choice(labels, 0)) == list(range(40))
    rare = torch.zeros(100, 2)
    rare[:5, 0] = 1
    rare[50:, 1] = 1
    assert rare[list(islice(balanced_choice(rare, 0), 8))].sum(0).tolist() == [3, 3]


def test_mixed_batches_take_their_part_from_every_source() -> None:
    spaces = [LabelSpace(["a", "b"], name="one"), LabelSpace(["c", "d"], name="two")]
    labels = [torch.eye(2).repeat(6, 1), torch.eye(2).repeat(3, 1)]
    sampler = StepSampler(labels, spaces, batch_size=4, max_steps=6, mixed=True)
    seen: list[list[int]] = [[], []]
    for batch in sampler:
        assert [request.dataset for request in batch] == [0, 0, 1, 1]
        for request in batch:
            seen[request.dataset].append(request.row)
    # An epoch of the larger, two of the smaller, each a permutation.
    assert sorted(seen[0]) == list(range(12))
    assert sorted(seen[1][:6]) == sorted(seen[1][6:]) == list(range(6))
    # Ranks take different parts; a resumed sampler goes on where it was.
    ranks = [
        StepSampler(labels, spaces, 4, 6, mixed=True, rank=r, world_size=2).batch(0) for r in (0, 1)
    ]
    rows = [{(q.dataset, q.row) for q in batch} for batch in ranks]
    assert not rows[0] & rows[1]
    later = StepSampler(labels, spaces, 4, 6, start_step=3, mixed=True)
    assert list(later) == list(sampler)[3:]


TWO = [LabelSpace(["a", "b"], name="one"), LabelSpace(["c", "d"], name="two")]
ROWS = [torch.eye(2).repeat(6, 1), torch.eye(2).repeat(3, 1)]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, "0.11- 0.7+ 0.2+ 0.10-;1.3+ 1.1- 1.4+ 1.0+;1.0+ 1.4- 1.5+ 1.1-"),
        ({"period": 2}, "0.11- 0.7+ 0.2+ 0.10-;1.3+ 1.1- 1.4+ 1.0+;0.0+ 0.3- 0.9+ 0.8-"),
        ({"mixed": True}, "0.11- 0.7+ 1.3+ 1.1-;0.2+ 0.10- 1.4+ 1.0+;0.9+ 0.8- 1.5+ 1.1-"),
        ({"balance": True}, "0.2- 0.4+ 0.9+ 0.8-;1.5+ 1.3- 1.1+ 1.4+;1.0+ 1.0- 1.1+ 1.1-"),
        (
            {"rank": 1, "world_size": 2},
            "0.0- 0.1+ 0.4+ 0.6-;1.2- 1.5+ 1.3- 1.2+;1.5- 1.2- 1.0+ 1.1-",
        ),
    ],
)
def test_the_orders_of_earlier_runs_stay(arguments: dict[str, object], wanted: str) -> None:
    made = StepSampler(ROWS, TWO, 4, 12, seed=3, **arguments)  # type: ignore[arg-type]
    batches = [made.batch(step) for step in (0, 1, 7)]
    written = [[f"{r.dataset}.{r.row}{'-' if r.flip else '+'}" for r in b] for b in batches]
    assert ";".join(map(" ".join, written)) == wanted


def test_another_attempt_is_another_order_from_the_same_seed() -> None:
    for balance in (False, True):
        made = [
            list(sampler([40], balance=balance, attempt=attempt, max_steps=10))
            for attempt in (0, 1, 2, 1)
        ]
        assert made[1] == made[3]
        for first, second in ((0, 1), (1, 2), (0, 2)):
            rows, flips = (
                [[getattr(r, field) for b in made[i] for r in b] for i in (first, second)]
                for field in ("row", "flip")
            )
            assert rows[0] != rows[1]
            assert flips[0] != flips[1]
    # Still an epoch, and ranks still share it.
    for attempt in (0, 1):
        ranks = [sampler([24], max_steps=3, rank=r, world_size=2, attempt=attempt) for r in (0, 1)]
        assert sorted(r.row for rank in ranks for b in rank for r in b) == list(range(24))


def test_every_number_has_its_own_key() -> None:
    keys = {
        tuple(sampler([9], seed=seed, rank=rank, attempt=attempt).key(TARGETS, step))
        for seed in (0, 1)
        for rank in (0, 1)
        for attempt in (0, 1)
        for step in (0, 1)
    }
    assert len(keys) == 16


STRATA = (Stratum(1, {"d": 1}), Stratum(0, {"a": 1, "b": 0}), Stratum(0, {}))


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_strata_come_in_every_batch_in_their_order(balance: bool, mixed: bool) -> None:
    made = StepSampler(ROWS, TWO, 4, 30, strata=STRATA, balance=balance, mixed=mixed)
    seen: list[list[int]] = [[], [], []]
    for batch in made:
        assert [r.dataset for r in batch] == [1] * 4 + [0] * 8
        for i, request in enumerate(batch):
            seen[i // 4].append(request.row)
    assert set(seen[0]) == {1, 3, 5}
    assert set(seen[1]) == {0, 2, 4, 6, 8, 10}
    assert set(seen[2]) == set(range(12))
    if not balance:
        # Each is walked through evenly, by itself.
        assert sorted(seen[0][:3]) == [1, 3, 5]
        assert sorted(seen[1][:6]) == [0, 2, 4, 6, 8, 10]
        assert sorted(seen[2][:12]) == list(range(12))
    later = StepSampler(ROWS, TWO, 4, 30, 7, strata=STRATA, balance=balance, mixed=mixed)
    assert list(later) == list(made)[7:]


def test_strata_of_the_same_images_are_walked_through_differently() -> None:
    same = Stratum(0, {"a": 1})
    (batch,) = StepSampler(ROWS, TWO, 6, 1, strata=[same, same])
    rows = [r.row for r in batch]
    assert sorted(rows[:6]) == sorted(rows[6:]) == [0, 2, 4, 6, 8, 10]
    assert rows[:6] != rows[6:]


def test_ranks_take_different_rows_of_a_stratum() -> None:
    ranks = [
        StepSampler(ROWS, TWO, 3, 2, rank=r, world_size=2, strata=STRATA[1:2]).batch(0)
        for r in (0, 1)
    ]
    assert sorted(r.row for batch in ranks for r in batch) == [0, 2, 4, 6, 8, 10]


def test_balance_within_a_stratum() -> None:
    labels = torch.zeros(200, 2)
    labels[:100, 0] = 1
    labels[:4, 1] = 1  # Rare, and only among those that have a.
    labels[100:150, 1] = 1
    made = StepSampler([labels], [SPACE], 8, 200, balance=True, strata=[Stratum(0, {"a": 1})])
    rows = [r.row for b in made for r in b]
    assert max(rows) < 100
    rare = sum(row < 4 for row in rows) / 1600
    assert 0.2 < rare < 0.35  # One label of two, one value of two; a has one value only.


@pytest.mark.parametrize(
    ("stratum", "words"),
    [
        (Stratum(0, {"a": 1, "b": 1}), "no training image of 'one' has a=1 and b=1"),
        (Stratum(1, {"c": 2}), "'c=2'"),
        (Stratum(1, {"a": 1}), "unknown label 'a'.*c, d"),
        (Stratum(2, {}), "data set 2 does not exist"),
        (Stratum(-1, {}), "data set -1 does not exist"),
    ],
)
def test_strata_that_cannot_be(stratum: Stratum, words: str) -> None:
    with pytest.raises(UserError, match=words):
        StepSampler(ROWS, TWO, 4, 1, strata=[STRATA[0], stratum])


@pytest.mark.parametrize(
    ("images", "batch", "ranks", "sizes"),
    [
        (60_000, 256, 1, [256] * 234 + [96]),  # MNIST as TensorFlow's tutorial reads it.
        (12, 4, 1, [4, 4, 4]),
        (10, 4, 1, [4, 4, 2]),
        (9, 4, 1, [4, 5]),  # One image alone is no batch.
        (3, 4, 1, [3]),
        (23, 4, 2, [8, 8, 7]),
        (19, 4, 2, [8, 11]),
    ],
)
def test_the_last_batch_of_an_epoch_has_what_is_left(
    images: int, batch: int, ranks: int, sizes: list[int]
) -> None:
    steps = len(sizes)
    assert batches_per_epoch(images, batch, ranks) == steps
    made = [
        sampler([images], batch_size=batch, partial=True, rank=r, world_size=ranks, max_steps=9999)
        for r in range(ranks)
    ]
    for epoch in (0, 1):
        parts = [
            [s.batch(step) for s in made] for step in range(epoch * steps, (epoch + 1) * steps)
        ]
        assert [sum(map(len, at_once)) for at_once in parts] == sizes
        assert max(len(p) for part in parts for p in part) - batch <= 2
        # Every image once in an epoch.
        rows = [r.row for at_once in parts for part in at_once for r in part]
        assert sorted(rows) == list(range(images))


def test_a_single_image_is_repeated_where_batches_may_be_partial() -> None:
    """Batch norm has no variance of one image."""
    lone = sampler([1], batch_size=4, partial=True)
    assert [len(lone.batch(step)) for step in range(3)] == [4, 4, 4]
