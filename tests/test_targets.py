"""Target labels and random numbers of a batch: their distributions, and what never happens."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare

from stargan.contracts import Draw, TargetRule
from stargan.data.draws import draw_numbers
from stargan.errors import UserError
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.labels.targets import Edited, Mismatched, Permuted, change_one, settle

HAIR = ["Black_Hair", "Blond_Hair", "Brown_Hair"]
FACES = LabelSpace([*HAIR, "Male", "Young"], [HAIR], name="faces")
MOODS = LabelSpace(["angry", "happy", "sad"], categorical=True, name="moods")
JOINT = JointLabelSpace([FACES, MOODS])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def batch(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Possible labels of both data sets in a mixed order; some faces have no hair colour."""
    draw = rng(seed)
    dataset = draw.integers(2, size=count)
    label = np.zeros((count, JOINT.size), dtype=np.float32)
    for row, number in zip(label, dataset, strict=True):
        if number == 0:
            hair = draw.integers(4)
            if hair < 3:
                row[hair] = 1
            row[3:5] = draw.integers(2, size=2)
        else:
            row[5 + draw.integers(3)] = 1
    return label, dataset


def outcomes(
    labels: JointLabelSpace, row: torch.Tensor, dataset: int
) -> dict[tuple[int, ...], float]:
    """The chance of each target that changes one thing, counted out with ``LabelSpace.flip``."""
    space, part = labels.spaces[dataset], labels.slices[dataset]
    groups = list(dict.fromkeys(space.group_of(name) for name in space.names))
    found: Counter[tuple[int, ...]] = Counter()
    for group in groups:
        absent = [n for n in group if row[part][space.index(n)] < 0.5]
        names = absent if len(group) > 1 else list(group)
        for name in names:
            target = labels.expand(space.flip(row[part], name), dataset)
            found[tuple(int(v) for v in target)] += 1 / len(groups) / len(names)
    return dict(found)


def probability(seen: Counter[tuple[int, ...]], chances: dict[tuple[int, ...], float]) -> float:
    """Of counts at least as far from the chances as these (Pearson's chi-square test)."""
    assert set(seen) <= set(chances)
    total = sum(seen.values())
    counts = [seen[key] for key in chances]
    return float(chisquare(counts, [total * c for c in chances.values()]).pvalue)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_nothing_impossible_is_asked_for_and_nothing_leaks(share: float) -> None:
    rule: TargetRule = Permuted(share)
    for seed in range(200):
        label, dataset = batch(16, seed)
        before = label.copy()
        target = rule(JOINT, label, dataset, rng(seed))
        assert target.dtype == np.float32
        assert target.shape == label.shape
        assert (label == before).all()
        assert set(np.unique(target)) <= {0.0, 1.0}
        for number, (space, part) in enumerate(zip(JOINT.spaces, JOINT.slices, strict=True)):
            own = target[dataset == number]
            space.check(torch.from_numpy(own[:, part]))
            assert own.sum() == own[:, part].sum()
        assert (rule(JOINT, label, dataset, rng(seed)) == target).all()


def test_a_permutation_stays_within_the_data_set() -> None:
    label, dataset = batch(64)
    target = Permuted()(JOINT, label, dataset, rng())
    assert (target != label).any()
    for number in (0, 1):
        before, after = (sorted(t[dataset == number].tolist()) for t in (label, target))
        assert before == after


def test_all_permutations_are_equally_likely() -> None:
    space = JointLabelSpace([LabelSpace("abcd", categorical=True, name="four"), MOODS])
    label = np.zeros((7, 7), dtype=np.float32)
    rows = [0, 2, 3, 6]  # The others are of another data set.
    label[rows, [0, 1, 2, 3]] = 1
    label[[1, 4, 5], [4, 5, 6]] = 1
    dataset = np.array([0, 1, 0, 0, 1, 1, 0])
    draw, seen = rng(), Counter[tuple[int, ...]]()
    for _ in range(6000):
        target = Permuted()(space, label, dataset, draw)
        seen[tuple(int(i) for i in target[rows].argmax(1))] += 1
    assert probability(seen, dict.fromkeys(permutations(range(4)), 1 / 24)) > 1e-3


def test_one_change_is_distributed_as_counted_out() -> None:
    label, dataset = batch(16, 3)
    assert {tuple(row[:3].tolist()) for row, s in zip(label, dataset, strict=True) if s == 0} >= {
        (0.0, 0.0, 0.0)
    }
    draw = rng(1)
    seen = [Counter[tuple[int, ...]]() for _ in label]
    for _ in range(4000):
        for counter, row in zip(seen, change_one(JOINT, label, dataset, draw), strict=True):
            counter[tuple(int(v) for v in row)] += 1
    for counter, row, number in zip(seen, torch.from_numpy(label), dataset.tolist(), strict=True):
        assert probability(counter, outcomes(JOINT, row, number)) > 1e-4


def test_the_share_of_changes() -> None:
    # All rows are alike, so that a permutation changes nothing.
    label = np.tile(JOINT.expand(FACES.encode(["Blond_Hair", "Male"]), 0).numpy(), (5000, 1))
    dataset = np.zeros(5000, dtype=np.int64)
    for share in (0.0, 0.25, 1.0):
        target = Permuted(share)(JOINT, label, dataset, rng())
        changed = (target != label).any(1).mean()
        assert abs(changed - share) < (0.02 if 0 < share < 1 else 1e-9)


def test_changes_do_not_follow_the_permutation() -> None:
    """Whether a row changes, what changes and who gets whose labels are drawn apart."""
    space = JointLabelSpace([LabelSpace(["x", "y"], name="two")])
    label = np.zeros((2, 2), dtype=np.float32)
    label[1] = 1
    draw, seen = rng(), Counter[tuple[int, ...]]()
    for _ in range(8000):
        target = Permuted(0.5)(space, label, np.zeros(2, dtype=np.int64), draw)
        seen[tuple(int(v) for v in target.ravel())] += 1
    chances: Counter[tuple[int, ...]] = Counter()
    for swapped in (False, True):
        rows = ((1, 1), (0, 0)) if swapped else ((0, 0), (1, 1))
        for first in [(rows[0], 0.5), ((1, 0), 0.25), ((0, 1), 0.25)]:
            for second in [(rows[1], 0.5), ((0, 1), 0.25), ((1, 0), 0.25)]:
                chances[(*first[0], *second[0])] += 0.5 * first[1] * second[1]
    assert probability(seen, dict(chances)) > 1e-3


def test_the_only_class_stays() -> None:
    lone = JointLabelSpace([LabelSpace(["image"], categorical=True, name="images"), MOODS])
    label = np.array([[1, 0, 0, 0]] * 3 + [[0, 1, 0, 0]], dtype=np.float32)
    target = Permuted(1.0)(lone, label, np.array([0, 0, 0, 1]), rng())
    assert (target[:3] == label[:3]).all()
    assert (target[3] != label[3]).any()


def test_batches_that_are_too_small_for_a_permutation() -> None:
    assert [Permuted(share).smallest_batch for share in (0.0, 0.5, 1.0)] == [2, 2, 1]
    for share in (-0.1, 1.5):
        with pytest.raises(UserError, match="one_change"):
            Permuted(share)


def test_edits_are_those_of_the_label_space() -> None:
    label, dataset = batch(32)
    rule: TargetRule = Edited({"Blond_Hair": 1, "Male": 0, "moods.sad": 1})
    target = rule(JOINT, label, dataset, rng())
    for row, before, number in zip(target, torch.from_numpy(label), dataset.tolist(), strict=True):
        edits = {"Blond_Hair": 1, "Male": 0} if number == 0 else {"sad": 1}
        assert row.tolist() == JOINT.edit(before, number, edits).tolist()
    only = Edited({"Male": 1})(JOINT, label, dataset, rng())
    assert (only[dataset == 1] == label[dataset == 1]).all()
    assert (only[dataset == 0, 3] == 1).all()
    for edits, words in (({"male": 1}, "Male"), ({"happy": 0.0}, "without a class")):
        with pytest.raises(UserError, match=words):
            Edited(edits)(JOINT, label, dataset, rng())


@pytest.mark.parametrize("rule", [Permuted(0.5), Edited({"Male": 1})])
def test_rules_travel(rule: TargetRule) -> None:
    label, dataset = batch(16)
    again = pickle.loads(pickle.dumps(rule))
    assert again == rule
    assert (again(JOINT, label, dataset, rng()) == rule(JOINT, label, dataset, rng())).all()


DRAWS = {"alpha": Draw(shape=(1, 1, 1)), "noise": Draw("normal", (8,), repeat=2), "one": Draw()}


def test_numbers_have_the_shapes_that_were_asked_for() -> None:
    found = draw_numbers(DRAWS, 4, [0, 1])
    assert {name: f.shape for name, f in found.items()} == {
        "alpha": (4, 1, 1, 1),
        "noise": (8, 8),
        "one": (4,),
    }
    assert all(f.dtype == np.float32 for f in found.values())
    assert draw_numbers({}, 4, [0]) == {}


def test_numbers_are_uniform_and_normal() -> None:
    large = {"u": Draw("uniform", (100,)), "n": Draw("normal", (100,))}
    found = draw_numbers(large, 1000, [5])
    assert 0 <= found["u"].min() < found["u"].max() < 1
    assert abs(found["u"].mean() - 0.5) < 0.01
    assert abs(found["u"].std() - 12**-0.5) < 0.01
    assert abs(found["n"].mean()) < 0.02
    assert abs(found["n"].std() - 1) < 0.02


def test_a_name_more_shifts_no_other_and_each_has_its_own_numbers() -> None:
    whole = draw_numbers(DRAWS, 4, [3, 4])
    for name, draw in DRAWS.items():
        assert (draw_numbers({name: draw}, 4, [3, 4])[name] == whole[name]).all()
        assert (draw_numbers({name: draw}, 4, [3, 5])[name] != whole[name]).any()
    twins = draw_numbers({"a": Draw(), "b": Draw()}, 4, [3])
    assert (twins["a"] != twins["b"]).all()
    backwards = draw_numbers(dict(reversed(DRAWS.items())), 4, [3, 4])
    assert list(backwards) == list(whole) == sorted(DRAWS)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UserError, match="'cauchy'"):
        draw_numbers({"x": Draw("cauchy")}, 4, [0])  # type: ignore[arg-type]


def one_hot(*classes: int) -> NDArray[np.float32]:
    """Rows of a space of four classes."""
    return np.eye(4, dtype=np.float32)[list(classes)]


FOUR = JointLabelSpace([LabelSpace("abcd", categorical=True, name="four")])
NAN = np.float32("nan")


def test_mismatched_targets_are_the_labels_of_another_row_each_as_likely() -> None:
    label, dataset = one_hot(0, 0, 1, 2, 1), np.zeros(5, dtype=np.int64)
    draw = rng(4)
    seen = [Counter[tuple[int, ...]]() for _ in label]
    for _ in range(4000):
        target = Mismatched()(FOUR, label, dataset, draw)
        for counter, row in zip(seen, target, strict=True):
            counter[(int(row.argmax()),)] += 1
    # Of the rows with another label: two of class 1 and one of class 2 for the first, ...
    for i, chances in enumerate([{1: 2, 2: 1}] * 2 + [{0: 2, 2: 1}, {0: 2, 1: 2}, {0: 2, 2: 1}]):
        whole = sum(chances.values())
        assert probability(seen[i], {(c,): n / whole for c, n in chances.items()}) > 1e-4


def test_mismatched_targets_stay_within_the_data_set() -> None:
    label, dataset = batch(24, 5)
    target = Mismatched()(JOINT, label, dataset, rng())
    assert (target != label).any(1).all()
    for number in (0, 1):
        rows = {tuple(row) for row in label[dataset == number].tolist()}
        assert {tuple(row) for row in target[dataset == number].tolist()} <= rows


def test_where_all_rows_are_alike_one_thing_changes() -> None:
    label = np.tile(one_hot(2), (6, 1))
    target = Mismatched()(FOUR, label, np.zeros(6, dtype=np.int64), rng())
    assert (target.sum(1) == 1).all()
    assert (target[:, 2] == 0).all()
    assert len(np.unique(target, axis=0)) > 1
    assert Mismatched.smallest_batch == 2


def test_what_a_target_does_not_know_is_the_images_own() -> None:
    label, dataset = batch(12, 6)
    target = label[::-1].copy()
    dataset[:] = 0
    label[:, 5:] = target[:, 5:] = 0
    label[:, 3], label[4, 3] = np.arange(12) % 2, NAN
    target[[2, 3], 3] = NAN
    found = settle(JOINT, target, label, dataset, rng())
    assert found[2, 3] == 0
    assert found[3, 3] == 1
    known = ~np.isnan(target)
    assert (found[known] == target[known]).all()
    assert np.isnan(target).any(), "the given array must not be written into"


def test_unknown_to_both_it_is_that_of_a_random_image_of_the_data_set() -> None:
    label = np.zeros((6, JOINT.size), dtype=np.float32)
    label[:, 3] = [NAN, 1, 1, 0, NAN, 0]
    dataset = np.array([0, 0, 0, 0, 0, 1])  # The last knows nothing of Male, it says 0 for all.
    draw, seen = rng(2), Counter[tuple[int, ...]]()
    for _ in range(3000):
        found = settle(JOINT, label, label, dataset, draw)
        assert not np.isnan(found).any()
        assert (found[[1, 2, 3, 5]] == label[[1, 2, 3, 5]]).all()
        seen[(int(found[0, 3]),)] += 1
    assert probability(seen, {(1,): 2 / 3, (0,): 1 / 3}) > 1e-3


def test_an_exclusive_group_is_settled_as_one() -> None:
    label = np.zeros((3, JOINT.size), dtype=np.float32)
    label[1, :3], label[2, :3] = [0, 1, 0], [NAN, 0, 1]  # Half known is not known.
    target = label.copy()
    target[0, :3] = [1, NAN, NAN]
    target[1, :3] = [NAN, 0, 0]
    for seed in range(20):
        found = settle(JOINT, target, label, np.zeros(3, dtype=np.int64), rng(seed))
        assert found[0].tolist() == label[0].tolist(), "the image's own, whole"
        assert found[1, :3].tolist() == [0, 1, 0]
        assert found[2, :3].tolist() in ([0, 0, 0], [0, 1, 0]), "one of those that are known"


def test_known_to_nobody_it_is_not_set() -> None:
    label = np.zeros((3, JOINT.size), dtype=np.float32)
    label[:, 4] = NAN
    found = settle(JOINT, label, label, np.zeros(3, dtype=np.int64), rng())
    assert (found == 0).all()
    whole = np.zeros((3, JOINT.size), dtype=np.float32)
    assert settle(JOINT, whole, label, np.zeros(3, dtype=np.int64), rng()) is whole


def test_an_unknown_label_comes_or_goes_as_often_and_others_as_if_they_were_known() -> None:
    two = JointLabelSpace([LabelSpace(["x", "y"], name="two")])
    label = np.array([[NAN, 1]], dtype=np.float32)
    draw, seen = rng(3), Counter[tuple[int, ...]]()
    for _ in range(6000):
        row = change_one(two, label, np.zeros(1, dtype=np.int64), draw)[0]
        seen[tuple(int(v) for v in np.nan_to_num(row, nan=9))] += 1
    assert probability(seen, {(1, 1): 0.25, (0, 1): 0.25, (9, 0): 0.5}) > 1e-3


def test_edits_leave_the_unknown_unknown() -> None:
    label = np.zeros((2, JOINT.size), dtype=np.float32)
    label[:, 2:5] = [[NAN, NAN, NAN], [0, NAN, 1]]
    dataset = np.zeros(2, dtype=np.int64)
    found = Edited({"Blond_Hair": 1, "Young": 0})(JOINT, label, dataset, rng())
    assert found[:, :3].tolist() == [[0, 1, 0], [0, 1, 0]]
    assert np.isnan(found[:, 3]).all()
    assert found[:, 4].tolist() == [0, 0]
