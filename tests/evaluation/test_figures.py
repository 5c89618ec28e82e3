"""Figures from measurements that are written down here, against a plain reading of their words."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from stargan.evaluation import figures as module
from stargan.evaluation.figures import (
    COMBINATIONS,
    FIGURES,
    certainty,
    evenly,
    figures,
    guessed_labels,
    joint_log_probabilities,
    one_number,
    pairwise_distance,
    right,
)
from stargan.evaluation.held_out import Combination
from stargan.labels import LabelSpace
from stargan.metrics.bootstrap import Estimate, jackknife_interval, mean_interval
from stargan.metrics.diversity import compare_bins
from stargan.metrics.fid import fid, inception_score, kid

HAIR = ("Black", "Blond")
FACES = LabelSpace((*HAIR, "Male"), [HAIR], name="faces")
MOODS = LabelSpace(("happy", "neutral", "sad"), categorical=True, name="moods")


class Test:
    """The part of a test set that figures look at."""

    __test__ = False

    def __init__(
        self, space: LabelSpace, wishes: list[tuple[int, int]], neutral: int | None
    ) -> None:
        self.space, self.neutral = space, neutral
        self.wishes = [SimpleNamespace(label=label, value=value) for label, value in wishes]
        self.combinations: list[Any] = []

    def group(self, wish: Any) -> list[int]:
        if isinstance(wish, Combination):
            return [i for group in wish.groups for i in group]
        return [self.space.index(n) for n in self.space.group_of(self.space.names[wish.label])]

    def wish_name(self, wish: Any) -> str:
        if isinstance(wish, Combination):
            return "several"
        return ("" if wish.value else "not ") + self.space.names[wish.label]


FACE_WISHES = [(0, 1), (1, 1), (2, 1), (2, 0)]


def measured(space: LabelSpace, wishes: list[tuple[int, int]], count: int = 24) -> Any:
    """Every image translated to every wish that it does not have; logits and features at random."""
    draws = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draws)

    label = torch.zeros(count, space.size)
    for i in range(count):
        if space.categorical:
            label[i, i % 3] = 1
        else:
            label[i, i % 2] = 1
            label[i, 2] = float(i % 3 == 0)
    real = {"row": torch.arange(count), "label": label}
    real |= {"logits": 2 * label - 1 + normal(count, space.size), "features": normal(count, 4)}
    rows, wish, target = [], [], []
    for i, (number, (index, value)) in itertools.product(range(count), enumerate(wishes)):
        if label[i, index] != value:
            rows.append(i)
            wish.append(number)
            target.append(space.edit(label[i], {space.names[index]: float(value)}))
    n = len(rows)
    wanted = torch.stack(target)
    fake = {
        **{"row": torch.tensor(rows), "wish": torch.tensor(wish), "target": wanted},
        **{"label": label[rows], "logits": 2 * wanted - 1 + normal(n, space.size)},
        **{"features": normal(n, 4) + 0.5, "distance": normal(n).abs(), "change": normal(n).abs()},
    }
    fake["logits"][torch.rand(n, generator=draws) < 0.3] *= -1  # Read wrong on purpose.
    fake["inside"] = torch.where(torch.arange(n) % 5 == 0, math.nan, normal(n).abs())
    reference = {"label": label.repeat(2, 1), "features": normal(2 * count, 4)}
    return SimpleNamespace(real=real, fake=fake, reference=reference)


def plain_read(space: LabelSpace, logits: Tensor) -> list[int]:
    """The labels of one row, as the words of ``LabelSpace.read`` say."""
    found = [int(v > 0) for v in logits.tolist()]
    for group in space.groups:
        index = [space.index(n) for n in group]
        best = max(index, key=lambda i: float(logits[i]))
        for i in index:
            found[i] = int(i == best and (space.categorical or float(logits[i]) > 0))
    return found


@pytest.mark.parametrize("intervals", [True, False])
@pytest.mark.parametrize("relative", [True, False])
def test_every_figure_of_every_wish(relative: bool, intervals: bool) -> None:
    records, test = measured(FACES, FACE_WISHES, 200), Test(FACES, FACE_WISHES, None)
    (found,) = figures(records, test, relative, intervals)  # type: ignore[arg-type]
    assert found.title == "all images"
    assert [row.name for row in found.rows] == ["Black", "Blond", "Male", "not Male"]
    fake, real, reference = records.fake, records.real, records.reference
    scale = 1.0
    if relative:
        pairs = itertools.combinations(real["features"].double(), 2)
        scale = float(torch.stack([(a - b).norm() for a, b in pairs]).mean())
    groups = 20 if intervals else 0
    wrong_of: list[float] = []
    for number, (row, (index, value)) in enumerate(zip(found.rows, FACE_WISHES, strict=True)):
        use = fake["wish"] == number
        own = [0, 1] if index < 2 else [2]
        others = [i for i in range(3) if i not in own]
        read = [plain_read(FACES, x) for x in fake["logits"][use]]
        target, label = fake["target"][use].tolist(), fake["label"][use].tolist()
        wrong = [float(any(r[i] != t[i] for i in own)) for r, t in zip(read, target, strict=True)]
        kept = [float(all(r[i] == x[i] for i in others)) for r, x in zip(read, label, strict=True)]
        assert 0 < sum(wrong) < len(wrong)
        wrong_of += wrong
        assert str(row.figures["error"]) == str(mean_interval(wrong))
        assert str(row.figures["kept"]) == str(mean_interval(kept))
        identity = mean_interval((fake["distance"][use] / scale).tolist())
        assert row.figures["identity"].value == pytest.approx(identity.value)
        assert str(row.figures["change"]) == str(mean_interval(fake["change"][use]))
        assert str(row.figures["inside"]) == str(mean_interval(fake["inside"][use]))
        assert row.figures["inside"].count < int(use.sum()), "an image without a region"
        has = real["label"][:, index] == value
        of_real = [plain_read(FACES, x) for x in real["logits"][has]]
        truth = real["label"][has].tolist()
        wrong = [float(any(r[i] != t[i] for i in own)) for r, t in zip(of_real, truth, strict=True)]
        assert str(row.figures["real_error"]) == str(mean_interval(wrong))
        trained = reference["features"][reference["label"][:, index] == value]
        translated, photos = fake["features"][use], real["features"][has]
        assert str(row.figures["diversity"]) == str(pairwise_distance(translated, intervals))
        assert str(row.figures["real_diversity"]) == str(pairwise_distance(photos, intervals))
        # One number of images for all three.
        trained, translated, photos = one_number(trained, translated, photos)
        assert len(trained) == len(translated) == len(photos) == row.figures["fid"].count
        assert str(row.figures["fid"]) == str(fid(trained, translated, groups))
        assert str(row.figures["real_fid"]) == str(fid(trained, photos, groups))
        for key, table in (("kid", translated), ("real_kid", photos)):
            expected = kid(trained, table, groups)
            one = row.figures[key]
            assert (one.value, one.count) == (1000 * expected.value, expected.count)
            if intervals:
                assert (one.low, one.high) == (1000 * expected.low, 1000 * expected.high)
        assert math.isnan(row.figures["fid"].low) != intervals
    # In all: shares over all translations, drawn by photo; the figures of sets as means of rows.
    overall = found.overall.figures
    assert overall["error"].value == pytest.approx(sum(wrong_of) / len(wrong_of))
    assert overall["error"].count == len(fake["row"])
    order = torch.cat([fake["row"][fake["wish"] == n] for n in range(4)])
    assert str(overall["error"]) == str(mean_interval(torch.tensor(wrong_of), order))
    asked = [int((fake["wish"] == n).sum()) for n in range(4)]
    errors = [row.figures["real_error"].value for row in found.rows]
    mean = sum(n * e for n, e in zip(asked, errors, strict=True)) / sum(asked)
    assert overall["real_error"].value == pytest.approx(mean)
    for key in ("fid", "real_fid", "kid", "real_kid", "diversity", "real_diversity"):
        mean = sum(row.figures[key].value for row in found.rows) / 4
        assert overall[key].value == pytest.approx(mean)
        assert overall[key].count == sum(row.figures[key].count for row in found.rows)
        assert math.isnan(overall[key].low)
        assert math.isnan(overall[key].high)
    for key, table in (("is", fake), ("real_is", real)):
        logs = joint_log_probabilities(FACES, table["logits"])
        assert logs is not None
        assert str(overall[key]) == str(inception_score(evenly(logs, 200), groups))


def test_the_order_is_that_of_the_table_and_plain_data_has_all() -> None:
    records, test = measured(FACES, FACE_WISHES), Test(FACES, FACE_WISHES, None)
    (found,) = figures(records, test, intervals=False)  # type: ignore[arg-type]
    known = [k for key, figure in FIGURES.items() for k in (key, figure.real) if k]
    for row in (*found.rows, found.overall):
        assert list(row.figures) == [k for k in known if k in row.figures]
    plain = found.to_plain()
    assert plain["from"] == "all images"
    assert [row["label"] for row in plain["rows"]] == ["Black", "Blond", "Male", "not Male"]
    assert plain["all"]["error"] == found.overall.figures["error"].to_plain()
    (table,) = plain["confusion"]
    assert set(table) == {"translations", "real"}
    assert table["real"]["names"][:2] == list(HAIR)
    # Rows: what was wanted. A translation to Male is none of hair.
    wanted = [sum(row) for row in table["translations"]["counts"]]
    assert wanted[:2] == [int((records.fake["wish"] == n).sum()) for n in (0, 1)]
    assert sum(sum(row) for row in table["real"]["counts"]) == 24


def test_defaults_are_relative_and_with_intervals() -> None:
    records, test = measured(FACES, FACE_WISHES), Test(FACES, FACE_WISHES, None)
    (found,) = figures(records, test)  # type: ignore[arg-type]
    (same,) = figures(records, test, True, True)  # type: ignore[arg-type]
    assert str(found) == str(same)


def test_expressions_are_also_told_from_neutral() -> None:
    wishes = [(0, 1), (1, 1), (2, 1)]
    records, test = measured(MOODS, wishes), Test(MOODS, wishes, 1)
    every, neutral = figures(records, test, intervals=False)  # type: ignore[arg-type]
    assert (every.title, neutral.title) == ("all images", "neutral images")
    assert [row.name for row in every.rows] == ["happy", "neutral", "sad"]
    assert [row.name for row in neutral.rows] == ["happy", "sad"]
    assert neutral.overall.figures["error"].count == 2 * 8
    assert "kept" not in every.overall.figures, "a class has no others"
    use = records.fake["label"][:, 1] == 1
    part = SimpleNamespace(
        **{**vars(records), "fake": {k: v[use] for k, v in records.fake.items()}}
    )
    (alone,) = figures(part, Test(MOODS, wishes, None), intervals=False)  # type: ignore[arg-type]
    assert str(alone.rows) == str(neutral.rows)
    # Where no test image is neutral there is nothing to tell.
    use = records.fake["label"][:, 1] == 0
    part.fake = {k: v[use] for k, v in records.fake.items()}
    assert len(figures(part, test, intervals=False)) == 1  # type: ignore[arg-type]
    part.fake = {}
    assert figures(part, test) == []  # type: ignore[arg-type]


def test_scores_of_a_network_of_its_own_come_first_and_no_reference_means_no_fid() -> None:
    records, test = measured(FACES, FACE_WISHES), Test(FACES, FACE_WISHES, None)
    records.fake["scores"] = torch.randn(len(records.fake["row"]), 7)
    records.reference = {}
    (found,) = figures(records, test, intervals=False)  # type: ignore[arg-type]
    scores = inception_score(evenly(records.fake["scores"], 24), 0)
    assert str(found.overall.figures["is"]) == str(scores)
    logs = joint_log_probabilities(FACES, records.real["logits"])
    assert logs is not None
    assert str(found.overall.figures["real_is"]) == str(inception_score(logs, 0))
    assert not {"fid", "kid", "real_fid", "real_kid"} & set(found.overall.figures)


def test_a_wish_of_too_few_images_has_no_part_in_the_mean() -> None:
    records, test = measured(FACES, FACE_WISHES), Test(FACES, FACE_WISHES, None)
    # Of one photo translated to Male there is neither FID nor diversity.
    first = int(torch.nonzero(records.fake["wish"] == 2)[0])
    use = (records.fake["wish"] != 2) | (torch.arange(len(records.fake["wish"])) == first)
    records.fake = {k: v[use] for k, v in records.fake.items()}
    (found,) = figures(records, test, intervals=False)  # type: ignore[arg-type]
    assert math.isnan(found.rows[2].figures["fid"].value)
    values = [row.figures["fid"] for i, row in enumerate(found.rows) if i != 2]
    overall = found.overall.figures["fid"]
    assert overall.value == pytest.approx(sum(v.value for v in values) / 3)
    assert overall.count == sum(v.count for v in values)


def test_right_and_certainty() -> None:
    logits = torch.tensor([[2.0, 1, -1], [0.5, 3, 2], [-1, -2, 0.5]])
    target = torch.tensor([[1.0, 0, 0], [1, 0, 1], [0, 0, 1]])
    assert right(FACES, [0, 1], logits, target).tolist() == [True, False, True]
    assert right(FACES, [2], logits, target).tolist() == [True, True, True]
    black, male, not_male = (SimpleNamespace(label=i, value=v) for i, v in ((0, 1), (2, 1), (2, 0)))
    assert certainty(FACES, black, [0, 1], logits).tolist() == [1, -2.5, -1]  # type: ignore[arg-type]
    assert certainty(FACES, male, [2], logits).tolist() == [-1, 2, 0.5]  # type: ignore[arg-type]
    assert certainty(FACES, not_male, [2], logits).tolist() == [1, -2, -0.5]  # type: ignore[arg-type]
    moods = torch.tensor([[1.0, 4, 2]])
    sad = SimpleNamespace(label=2, value=1)
    assert certainty(MOODS, sad, [0, 1, 2], moods).tolist() == [-2]  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [40, 41, 100])
def test_distances_between_all_pairs_and_their_jackknife(count: int) -> None:
    features = torch.randn(count, 3, generator=torch.Generator().manual_seed(count)).double()

    def mean(rows: Tensor) -> float:
        return float(torch.pdist(rows).mean())

    found = pairwise_distance(features, intervals=True)
    groups = min(20, count // 4)
    left_out = [mean(features[torch.arange(count) % groups != i]) for i in range(groups)]
    expected = jackknife_interval(mean(features), left_out, count, least=0)
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    assert found.count == count
    assert math.isnan(pairwise_distance(features[:39], intervals=True).low), "too few"
    plain = pairwise_distance(features)
    assert plain.value == found.value
    assert math.isnan(plain.low)


def test_distances_of_few_and_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for few in (0, 1):
        none = pairwise_distance(torch.zeros(few, 2))
        assert none.count == few
        assert all(map(math.isnan, (none.value, none.low, none.high)))
    two = pairwise_distance(torch.tensor([[0.0], [3.0]]), intervals=True)
    assert two.value == 3
    assert math.isnan(two.low)
    assert math.isnan(pairwise_distance(torch.randn(7, 2), intervals=True).low)
    assert pairwise_distance(torch.zeros(50, 2), intervals=True).low == 0
    assert module.PAIRS == 400
    monkeypatch.setattr(module, "PAIRS", 5)
    line = torch.arange(9.0)[:, None]
    # Evenly over all: 0, 2, 4, 6, 8, whose mean distance is 4; and the count is that of all.
    some = pairwise_distance(line)
    assert (some.value, some.count) == (4, 9)
    assert pairwise_distance(line[:5]).value == 2, "as many as are allowed"


def test_combinations_of_labels() -> None:
    logits = torch.tensor([[1.0, -0.5, 2.0], [0.0, 0.3, -1.0]])
    found = joint_log_probabilities(FACES, logits)
    assert found is not None
    assert found.dtype == torch.float64
    hair = torch.cat([logits[:, :2], torch.zeros(2, 1)], 1).double().softmax(1)
    male = logits[:, 2].double().sigmoid()
    expected = torch.cat([torch.stack([h * male, h * (1 - male)], 1) for h in hair.T], dim=1).log()
    torch.testing.assert_close(found, expected)
    moods = joint_log_probabilities(MOODS, logits)
    torch.testing.assert_close(moods, logits.double().log_softmax(1))
    assert COMBINATIONS == 4096
    for labels, fits in ((12, True), (13, False)):
        lone = LabelSpace([f"l{i}" for i in range(labels)])
        made = joint_log_probabilities(lone, torch.zeros(1, labels))
        assert (made is not None) == fits
        if made is not None:
            assert made.shape == (1, 4096)


def test_too_many_combinations_have_no_score() -> None:
    names = [f"l{i:02d}" for i in range(13)]
    space, wishes = LabelSpace(names), [(0, 1)]
    label = torch.zeros(12, 13)
    table = {"label": label, "logits": label - 1, "features": torch.randn(12, 2)}
    fake = {**table, "row": torch.arange(12), "wish": torch.zeros(12, dtype=torch.long)}
    fake |= {"target": space.edit(label, {"l00": 1.0}), "distance": torch.ones(12)}
    records = SimpleNamespace(real=table, fake=fake, reference={})
    (found,) = figures(records, Test(space, wishes, None), intervals=False)  # type: ignore[arg-type]
    assert "is" not in found.overall.figures
    assert found.confusions == []


def test_heads_of_the_columns() -> None:
    assert [figure.head for figure in FIGURES.values()] == [
        *("error", "others kept", "FID", "KID x 1000", "NDB/K", "JSD", "diversity", "identity"),
        *("change", "change outside", "change inside", "off the truth"),
        *("cycle L1", "cycle PSNR", "cycle SSIM", "Inception Score"),
    ]
    for key, figure in FIGURES.items():
        assert figure.words
        assert f"{0.5:{figure.style}}"
        assert figure.real in ("", f"real_{key}")


@pytest.mark.parametrize("relative", [True, False])
def test_several_things_at_once_are_figures_of_their_own(relative: bool) -> None:
    records, test = measured(FACES, FACE_WISHES, 60), Test(FACES, FACE_WISHES, None)
    (alone,) = figures(records, test, relative, intervals=False)  # type: ignore[arg-type]
    draws = torch.Generator().manual_seed(3)
    label = records.real["label"][:50]
    target = 1 - label  # The other hair and the other sex.
    more = {"row": torch.arange(50), "wish": torch.full((50,), 4), "target": target, "label": label}
    more |= {"logits": 2 * target - 1 + torch.randn(50, 3, generator=draws)}
    for key in ("features", "distance", "change", "inside"):
        more[key] = torch.rand(50, *records.fake[key].shape[1:], generator=draws)
    records.fake = {k: torch.cat([v, more[k]]) for k, v in records.fake.items()}
    test.combinations = [Combination(((0, 1), (2,))), Combination(((0, 1),))]
    (found,) = figures(records, test, relative, intervals=False)  # type: ignore[arg-type]
    (row,) = found.together  # Nothing was asked for the second.
    assert row.name == "several"
    read = [plain_read(FACES, x) for x in more["logits"]]
    wrong = [float(r != t) for r, t in zip(read, target.int().tolist(), strict=True)]
    assert 0 < sum(wrong) < 50
    assert str(row.figures["error"]) == str(mean_interval(wrong))
    of_real = [plain_read(FACES, x) for x in records.real["logits"]]
    truth = records.real["label"].int().tolist()
    wrong = [float(r != t) for r, t in zip(of_real, truth, strict=True)]
    assert str(row.figures["real_error"]) == str(mean_interval(wrong))
    scale = pairwise_distance(records.real["features"]).value if relative else 1.0
    assert str(row.figures["identity"]) == str(mean_interval(more["distance"] / scale))
    assert str(row.figures["change"]) == str(mean_interval(more["change"]))
    assert "kept" not in row.figures, "no label is left"
    assert list(row.figures) == ["error", "real_error", "identity", "change", "inside"]
    # The other figures are those of single wishes.
    assert str(found.rows) == str(alone.rows)
    assert str(found.overall) == str(alone.overall)
    plain = found.to_plain()
    assert [r["label"] for r in plain["together"]] == ["several"]
    assert alone.together == []


@pytest.mark.parametrize("bins", [0, 6])
def test_bins_are_those_of_as_many_pictures_of_each(bins: int) -> None:
    records, test = measured(FACES, FACE_WISHES, 300), Test(FACES, FACE_WISHES, None)
    draws = torch.Generator().manual_seed(5)
    for table in (records.real, records.fake, records.reference):
        size = (len(table["label"]), 12)
        table["pixels"] = torch.randint(256, size, generator=draws, dtype=torch.uint8)
    records.fake["pixels"] //= 2
    (found,) = figures(records, test, intervals=False, bins=bins)  # type: ignore[arg-type]
    if not bins:
        assert not {"ndb", "jsd", "real_ndb"} & set(found.rows[0].figures)
        return
    for number, (row, (index, value)) in enumerate(zip(found.rows, FACE_WISHES, strict=True)):
        sets = one_number(
            *(
                table["pixels"][table["label"][:, index] == value]
                if table is not records.fake
                else table["pixels"][table["wish"] == number]
                for table in (records.reference, records.fake, records.real)
            )
        )
        of_fakes, of_real = compare_bins(sets[0], *sets[1:], most=bins)
        for key in ("ndb", "jsd"):
            for name, one in ((key, of_fakes), (f"real_{key}", of_real)):
                figure = row.figures[name]
                assert (figure.value, figure.count) == (getattr(one, key), len(sets[0]))
                assert math.isnan(figure.low)
                assert math.isnan(figure.high)
    assert found.rows[0].figures["jsd"].value > found.rows[0].figures["real_jsd"].value
    # Without pictures of the training images there are no bins.
    del records.reference["pixels"]
    (found,) = figures(records, test, intervals=False, bins=bins)  # type: ignore[arg-type]
    assert "ndb" not in found.rows[0].figures


def test_of_no_real_image_with_the_label_there_are_bins_of_translations_alone() -> None:
    records, test = measured(FACES, FACE_WISHES, 300), Test(FACES, FACE_WISHES, None)
    draws = torch.Generator().manual_seed(5)
    for table in (records.real, records.fake, records.reference):
        size = (len(table["label"]), 12)
        table["pixels"] = torch.randint(256, size, generator=draws, dtype=torch.uint8)
    keep = records.real["label"][:, 0] == 0
    records.real = {k: v[keep] for k, v in records.real.items()}
    (found,) = figures(records, test, intervals=False, bins=6)  # type: ignore[arg-type]
    assert found.rows[0].figures["ndb"].value >= 0
    assert "real_ndb" not in found.rows[0].figures
    assert "real_ndb" in found.rows[2].figures


def rated(hits: dict[tuple[int, ...], tuple[int, int]], space: LabelSpace) -> Any:
    """Logits and labels: of each true answer so many images, so many of which are read right."""
    logits, label = [], []
    for answer, (right_ones, whole) in hits.items():
        truth = torch.tensor([float(v) for v in answer])
        for i in range(whole):
            label.append(truth)
            read = truth if i < right_ones else truth.roll(1) if len(answer) > 1 else 1 - truth
            logits.append(2 * read - 1)
    return guessed_labels(torch.stack(logits), torch.stack(label), space)


def test_better_than_chance_by_two_standard_errors() -> None:
    smile = LabelSpace(("Smiling",))
    # 60 % right of each of two answers: the standard error of their mean is sqrt(0.24 / n).
    assert rated({(1,): (57, 95), (0,): (57, 95)}, smile) == {}
    ((names, (balanced, chance)),) = rated({(1,): (24, 40), (0,): (24, 40)}, smile).items()
    assert (names, chance) == (("Smiling",), 0.5)
    assert balanced == pytest.approx(0.6)
    # An answer of few images makes the mean uncertain, however many the other has.
    assert rated({(1,): (600, 1000), (0,): (9, 15)}, smile)
    # Three answers: chance is a third.
    moods = {(1, 0, 0): (45, 100), (0, 1, 0): (45, 100), (0, 0, 1): (45, 100)}
    assert rated(moods, MOODS) == {}
    ((_, (balanced, chance)),) = rated(dict.fromkeys(moods, (9, 20)), MOODS).items()
    assert (balanced, chance) == (pytest.approx(0.45), pytest.approx(1 / 3))
    assert list(rated(dict.fromkeys(moods, (20, 60)), MOODS)) == [MOODS.names]
    # Two of the answers are enough to tell, one is not.
    assert rated({(1, 0, 0): (0, 9), (0, 1, 0): (0, 9)}, MOODS)
    assert rated({(1,): (0, 9)}, smile) == {}


def test_means_are_over_the_labels_that_have_both_figures() -> None:
    def one(value: float) -> Estimate:
        return Estimate(value, math.nan, math.nan, 10)

    whole = {"fid": one(1.0), "real_fid": one(3.0)}
    lone = {"fid": one(5.0), "real_fid": one(math.nan)}
    found = module._means([whole, lone, {}], "fid", "real_fid")
    assert {k: (v.value, v.count) for k, v in found.items()} == {
        "fid": (1.0, 10), "real_fid": (3.0, 10)
    }  # fmt: skip
    # Where no label has both, the figure of the translations stands alone.
    assert module._means([lone], "fid", "real_fid")["fid"].value == 5
    assert "real_fid" not in module._means([lone], "fid", "real_fid")
    assert module._means([{}], "fid", "real_fid") == {}
