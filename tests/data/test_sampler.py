from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
import torch

from stargan.data.sampler import Request, StepSampler, balanced_choice, label_cells
from stargan.labels import LabelSpace

SPACE = LabelSpace(["a", "b"], name="s")


def sampler(lengths: list[int], **arguments: object) -> StepSampler:
    settings: dict[str, object] = {"batch_size": 4, "max_steps": 30, **arguments}
    return StepSampler([torch.zeros(n, 2) for n in lengths], [SPACE] * len(lengths), **settings)  # type: ignore[arg-type]


def test_sources_take_turns() -> None:
    batches = list(sampler([10, 20, 15]))
    assert [b[0].source for b in batches[:7]] == [0, 1, 2, 0, 1, 2, 0]
    assert all(len({r.source for r in b}) == 1 and len(b) == 4 for b in batches)


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
    sources = [batch[0].source for batch in made]
    turns = [sources[t] for t in range(steps) if (t + 1) % period == 0]
    assert {turns.count(s) for s in range(count)} == {len(turns) // count}
    # Every round over the sources has each of them once.
    rounds = [sources[i : i + count] for i in range(0, steps, count)]
    assert all(sorted(r) == list(range(count)) for r in rounds)
    if count == 2 and period == 5:
        assert sources[:4] == [0, 1, 0, 1], "the paper's order"


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
        assert [request.source for request in batch] == [0, 0, 1, 1]
        for request in batch:
            seen[request.source].append(request.row)
    # An epoch of the larger, two of the smaller, each a permutation.
    assert sorted(seen[0]) == list(range(12))
    assert sorted(seen[1][:6]) == sorted(seen[1][6:]) == list(range(6))
    # Ranks take different parts; a resumed sampler goes on where it was.
    ranks = [
        StepSampler(labels, spaces, 4, 6, mixed=True, rank=r, world_size=2).batch(0) for r in (0, 1)
    ]
    rows = [{(q.source, q.row) for q in batch} for batch in ranks]
    assert not rows[0] & rows[1]
    later = StepSampler(labels, spaces, 4, 6, start_step=3, mixed=True)
    assert list(later) == list(sampler)[3:]
