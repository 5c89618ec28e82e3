"""From measurements to figures: per label, with interval and number of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from stargan.errors import Plain
from stargan.evaluation.held_out import Combination, TestSet, Wish
from stargan.evaluation.measure import Records, Table
from stargan.labels import LabelSpace
from stargan.metrics.bootstrap import Estimate, deal, jackknife_interval, mean_interval
from stargan.metrics.classification import Confusion, reading
from stargan.metrics.diversity import BINS, Binned, compare_bins
from stargan.metrics.fid import FEWEST_GROUPS, fid, inception_score, kid

FEW = 50
"""Fewer images than this make a figure that its interval hardly bounds; the report says so."""
FEWEST = 4 * FEWEST_GROUPS
"""Fewer images than this make no KID, which has no bias to hide its noise, and no interval of a
figure of a whole set."""
PAIRS = 400
"""Distances between all pairs are taken of at most so many images."""
COMBINATIONS = 4096
"""More combinations of labels than this have no Inception Score."""


class Figure(NamedTuple):
    """How a figure is shown.

    Attributes:
        head: column head.
        words: what it is, one sentence.
        style: format of a value; ``%`` at the end multiplies by 100.
        real: the key of the same figure of real images, shown beside it.
    """

    head: str
    words: str
    style: str
    real: str = ""


FIGURES = {
    "error": Figure(
        "error",
        "share of translations on which the judge does not read the wanted label (in an exclusive "
        "group: reads any other of the group, or none)",
        ".1%",
        "real_error",
    ),
    "kept": Figure(
        "others kept", "share on which it reads all other labels as the image had them", ".1%"
    ),
    "fid": Figure(
        "FID", "between the translations and training images that have the label", ".2f", "real_fid"
    ),
    "kid": Figure("KID x 1000", "the same, times 1000, around 0 at best", ".2f", "real_kid"),
    "ndb": Figure(
        "NDB/K", "share of the bins (k-means of the training images' pixels) that hold another "
        "share of the translations, at the 5 % level", ".2f", "real_ndb"
    ),
    "jsd": Figure("JSD", "how far the shares of the bins diverge, in bits", ".3f", "real_jsd"),
    "diversity": Figure(
        "diversity",
        "mean distance of features between translations of different images; 0 if all look alike",
        ".2f",
        "real_diversity",
    ),
    "identity": Figure("identity", "distance between an image and its translation", ".3f"),
    "change": Figure("change", "mean absolute difference to the input on [0, 1]", ".4f"),
    "outside": Figure(
        "change outside", "the same over the pixels that the label does not concern", ".4f"
    ),
    "inside": Figure("change inside", "the same over the pixels that it does", ".4f"),
    "truth": Figure("off the truth", "mean absolute difference to the true image", ".4f"),
    "l1": Figure("cycle L1", "mean absolute difference on [0, 1], there and back", ".4f"),
    "psnr": Figure("cycle PSNR", "in dB, at most 60", ".1f"),
    "ssim": Figure("cycle SSIM", "1 at best", ".3f"),
    "is": Figure(
        "Inception Score", "of all translations together", ".2f", "real_is"
    ),
}  # fmt: skip
WHOLE_SETS = ("fid", "kid", "ndb", "jsd")
"""Figures that depend on the number of images: for each label one number for translations, real
test images and training images."""
PER_IMAGE = ("change", "outside", "inside", "truth", "l1", "psnr", "ssim")


@dataclass(frozen=True)
class Row:
    """The figures of one wish, or of all together (``name`` is ``all``).

    Attributes:
        name: such as ``Blond_Hair`` or ``not Male``.
        figures: by the keys of ``FIGURES`` and their ``real``.
    """

    name: str
    figures: dict[str, Estimate]

    def to_plain(self) -> Plain:
        """For report.json."""
        return {"label": self.name} | {k: v.to_plain() for k, v in self.figures.items()}


@dataclass(frozen=True)
class Readings:
    """What the judge reads of one exclusive group.

    Attributes:
        translations: rows: what was wanted.
        real: of the real test images; rows: what they are.
    """

    translations: Confusion
    real: Confusion

    def to_plain(self) -> Plain:
        """For report.json."""
        return {
            name: {"names": list(c.names), "counts": c.counts.tolist()}
            for name, c in (("translations", self.translations), ("real", self.real))
        }


@dataclass(frozen=True)
class SetFigures:
    """The figures of one model on one test set.

    Attributes:
        title: from which images: ``all images`` or ``neutral images``.
        rows: one per wish.
        overall: means over the rows, shares over all translations.
        confusions: one per exclusive group; of a lone label the rows say all.
        together: one per combination of labels that were asked for at once; not part of
            ``overall``.
        guessed: what the judge reads off real images no better than by chance: labels to its
            balanced accuracy and that of chance.
    """

    title: str
    rows: list[Row]
    overall: Row
    confusions: list[Readings]
    together: list[Row] = field(default_factory=list)
    guessed: dict[tuple[str, ...], tuple[float, float]] = field(default_factory=dict)

    def to_plain(self) -> Plain:
        """For report.json."""
        return {
            "from": self.title,
            "rows": [row.to_plain() for row in self.rows],
            "all": self.overall.to_plain(),
            "confusion": [c.to_plain() for c in self.confusions],
            "together": [row.to_plain() for row in self.together],
            "guessed": [name for names in self.guessed for name in names],
        }


def figures(
    records: Records,
    test: TestSet,
    relative: bool = True,
    intervals: bool = True,
    bins: int = BINS,
) -> list[SetFigures]:
    """All figures: from all images and, where there is a neutral class, from it.

    Args:
        records: see ``translate_set``.
        test: the same test set.
        relative: the identity distance is one of features, of which only the ratio to the distance
            between different images says something.
        intervals: also take the jackknife intervals of FID, KID and diversity, which cost twenty
            times as much as the figures.
        bins: for NDB and JSD, at most; 0: without them.
    """
    sets = [("all images", torch.ones(len(records.fake.get("row", ())), dtype=torch.bool))]
    if test.neutral is not None and records.fake:
        sets.append(("neutral images", records.fake["label"][:, test.neutral] > 0.5))
    found = []
    single = records.fake.get("wish", torch.empty(0)) < len(test.wishes)
    for title, use in sets:
        use = use & single
        if use.any():
            part = {k: v[use] for k, v in records.fake.items()}
            taken = Records(records.real, part, records.reference)
            found.append(_set(taken, test, title, relative, intervals, bins))
    if found:
        found[0].together.extend(_at_once(records, test, relative))
    return found


def right(space: LabelSpace, group: Sequence[int], logits: Tensor, target: Tensor) -> Tensor:
    """``(B,)`` whether the labels of a group are read as wanted."""
    return (space.read(logits)[:, list(group)] == target[:, list(group)]).all(1)


def certainty(space: LabelSpace, wish: Wish, group: Sequence[int], logits: Tensor) -> Tensor:
    """``(B,)`` how surely the wanted label is read: larger is surer, above 0 it is read.

    The logit, and in an exclusive group its lead over the best other one; the smaller of both where
    a group may be read as none of its labels.
    """
    own = logits[:, wish.label]
    others = [i for i in group if i != wish.label]
    if others:
        lead = own - logits[:, others].amax(1)
        own = lead if space.categorical else torch.minimum(own, lead)
    return own if wish.value else -own


def guessed_labels(
    logits: Tensor, label: Tensor, space: LabelSpace
) -> dict[tuple[str, ...], tuple[float, float]]:
    """Exclusive groups and lone labels that are read no better than by chance.

    Balanced accuracy (the mean share read right of each true answer) against one over the number of
    answers, less two standard errors: with few images a judge has to be the better for it.

    Args:
        logits, label: ``(N, L)`` of real images.
        space: the labels.

    Returns:
        Names to balanced accuracy and chance.
    """
    read = space.read(logits)
    found = {}
    for names in dict.fromkeys(space.group_of(name) for name in space.names):
        columns = [space.index(name) for name in names]
        true = label[:, columns].long()
        same = (read[:, columns].long() == true).all(1).double()
        answers, which = torch.unique(true, dim=0, return_inverse=True)
        if len(answers) < 2:
            continue  # All images have the same answer: nothing can be told.
        shares, spread = [], 0.0
        for i in range(len(answers)):
            share, count = float(same[which == i].mean()), int((which == i).sum())
            shares.append(share)
            spread += share * (1 - share) / count
        balanced, chance = sum(shares) / len(shares), 1 / len(shares)
        if balanced - 2 * spread**0.5 / len(shares) <= chance:
            found[tuple(names)] = (balanced, chance)
    return found


def pairwise_distance(features: Tensor, intervals: bool = False) -> Estimate:
    """Mean Euclidean distance between different rows ``(N, F)``, of at most ``PAIRS`` of them."""
    count = len(features)
    if count < 2:
        return Estimate(float("nan"), float("nan"), float("nan"), count)
    if count > PAIRS:
        features = features[torch.linspace(0, count - 1, PAIRS).round().long()]
    distance = torch.cdist(features.double(), features.double())
    rows, number = distance.sum(1), len(features)
    value = float(rows.sum() / (number * (number - 1)))
    left_out = []
    for out in deal(number, min(20, number // 4)) if intervals and number >= FEWEST else []:
        kept = number - len(out)
        rest = rows.sum() - 2 * rows[out].sum() + distance[out][:, out].sum()
        left_out.append(float(rest / (kept * (kept - 1))))
    return jackknife_interval(value, left_out, count, least=0)


def joint_log_probabilities(space: LabelSpace, logits: Tensor) -> Tensor | None:
    """Log-probability of every possible combination of labels, for the Inception Score.

    Exclusive groups and lone labels are taken as independent given the image; a group that is not
    categorical may also be of none of its labels. None for more than ``COMBINATIONS``.
    """
    total = torch.zeros(len(logits), 1, dtype=torch.float64)
    done: set[str] = set()
    for name in space.names:
        group = space.group_of(name)
        if name in done:
            continue
        done.update(group)
        part = logits[:, [space.index(n) for n in group]].double()
        if not space.categorical:
            part = torch.cat([part, torch.zeros(len(part), 1, dtype=torch.float64)], 1)
        if total.shape[1] * part.shape[1] > COMBINATIONS:
            return None
        total = (total[:, :, None] + part.log_softmax(1)[:, None, :]).flatten(1)
    return total


def evenly(rows: Tensor, count: int) -> Tensor:
    """So many of these rows, evenly spread over them."""
    if len(rows) <= count:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, count).round().long()]


def one_number(*sets: Tensor) -> list[Tensor]:
    """Sets of rows, each cut to the number of the smallest that is not empty, see ``evenly``."""
    count = min((len(rows) for rows in sets if len(rows)), default=0)
    return [evenly(rows, count) for rows in sets]


def _set(
    records: Records, test: TestSet, title: str, relative: bool, intervals: bool, bins: int
) -> SetFigures:
    fake, real, space = records.fake, records.real, test.space
    scale = pairwise_distance(real["features"]).value if relative else 1.0
    rows, every = [], []
    for number, wish in enumerate(test.wishes):
        use = fake["wish"] == number
        if not use.any():
            continue
        part = {k: v[use] for k, v in fake.items()}
        own = _own(part, test, wish, scale)
        every.append({k: (v, part["row"]) for k, v in own.items()})
        found = {k: mean_interval(v) for k, v in own.items()}
        found["real_error"] = _real_error(real, test, wish)
        found |= _against(records, part, wish, intervals, bins)
        rows.append(Row(test.wish_name(wish), _ordered(found)))
    overall = {
        key: mean_interval(
            torch.cat([e[key][0] for e in every]), torch.cat([e[key][1] for e in every])
        )
        for key in every[0]
    }
    if known := [row.figures for row in rows if row.figures["real_error"].count]:
        # As often as translations are asked for the label: a perfect model errs as real images do.
        asked = [f["error"].count for f in known]
        errors = sum(n * f["real_error"].value for n, f in zip(asked, known, strict=True))
        overall["real_error"] = _sum([f["real_error"] for f in known], errors / sum(asked))
    for key in (*WHOLE_SETS, "diversity"):
        overall |= _means([row.figures for row in rows], key, FIGURES[key].real)
    scores = [
        table.get("scores", joint_log_probabilities(space, table["logits"]))
        for table in (fake, real)
    ]
    if all(s is not None for s in scores):
        alike = one_number(*(s for s in scores if s is not None))
        for key, rated in zip(("is", "real_is"), alike, strict=True):
            overall[key] = inception_score(rated, 20 if intervals else 0)
    confusions = _confusions(fake, real, test)
    guessed = guessed_labels(real["logits"], real["label"], space)
    return SetFigures(title, rows, Row("all", _ordered(overall)), confusions, guessed=guessed)


def _at_once(records: Records, test: TestSet, relative: bool) -> list[Row]:
    """The figures of each combination of labels."""
    fake, real = records.fake, records.real
    scale = pairwise_distance(real["features"]).value if relative else 1.0
    rows = []
    for number, combination in enumerate(test.combinations, len(test.wishes)):
        use = fake["wish"] == number
        if use.any():
            own = _own({k: v[use] for k, v in fake.items()}, test, combination, scale)
            found = {k: mean_interval(v) for k, v in own.items()}
            read = right(test.space, test.group(combination), real["logits"], real["label"])
            found["real_error"] = mean_interval(1 - read.double())
            rows.append(Row(test.wish_name(combination), _ordered(found)))
    return rows


def _own(part: Table, test: TestSet, wish: Wish | Combination, scale: float) -> dict[str, Tensor]:
    """The figures that every translation has by itself."""
    group = test.group(wish)
    others = [i for i in range(test.space.size) if i not in group]
    found = {"error": 1 - right(test.space, group, part["logits"], part["target"]).double()}
    if others:
        found["kept"] = right(test.space, others, part["logits"], part["label"]).double()
    found["identity"] = part["distance"] / scale
    return found | {k: part[k] for k in PER_IMAGE if k in part}


def _real_error(real: Table, test: TestSet, wish: Wish) -> Estimate:
    has = real["label"][:, wish.label] == wish.value
    read = right(test.space, test.group(wish), real["logits"][has], real["label"][has])
    return mean_interval(1 - read.double())


def _means(rows: list[dict[str, Estimate]], key: str, real: str) -> dict[str, Estimate]:
    """The mean of a figure over the labels, and of that of real images over the same labels."""
    known = [f for f in rows if key in f and f[key].value == f[key].value]
    both = [f for f in known if real in f and f[real].value == f[real].value]
    found = {}
    for name, use in ((key, both or known), (real, both)):
        if use:
            values = [f[name] for f in use]
            found[name] = _sum(values, sum(v.value for v in values) / len(values))
    return found


def _sum(values: list[Estimate], value: float) -> Estimate:
    return Estimate(value, float("nan"), float("nan"), sum(v.count for v in values))


def _against(
    records: Records, part: Table, wish: Wish, intervals: bool, bins: int
) -> dict[str, Estimate]:
    """The figures of whole sets: translations, and real test images, against training images."""
    has = records.real["label"][:, wish.label] == wish.value
    real = {k: v[has] for k, v in records.real.items()}
    found = {
        "diversity": pairwise_distance(part["features"], intervals),
        "real_diversity": pairwise_distance(real["features"], intervals),
    }
    if not records.reference:
        return found
    groups = 20 if intervals else 0
    has = records.reference["label"][:, wish.label] == wish.value
    trained = {k: v[has] for k, v in records.reference.items()}
    tables = (trained, part, real)
    train, *sets = one_number(*(table["features"] for table in tables))
    for before, features in zip(("", "real_"), sets, strict=True):
        found[f"{before}fid"] = fid(train, features, groups)
        if min(len(train), len(features)) >= FEWEST:
            found[f"{before}kid"] = _thousandfold(kid(train, features, groups))
        else:
            found[f"{before}kid"] = _nothing(min(len(train), len(features)))
    if bins and all("pixels" in table for table in tables):
        train, *sets = one_number(*(table["pixels"] for table in tables))
        use = [pixels for pixels in sets if len(pixels)]
        binned: list[Binned | None] = [*compare_bins(train, *use, most=bins)] or [None] * len(use)
        names = [b for b, pixels in zip(("", "real_"), sets, strict=True) if len(pixels)]
        for before, one in zip(names, binned, strict=True):
            for key in ("ndb", "jsd"):
                value = float("nan") if one is None else getattr(one, key)
                found[before + key] = Estimate(value, float("nan"), float("nan"), len(train))
    return found


def _nothing(count: int) -> Estimate:
    """No figure, of so many images."""
    return Estimate(float("nan"), float("nan"), float("nan"), count)


def _thousandfold(value: Estimate) -> Estimate:
    return Estimate(1000 * value.value, 1000 * value.low, 1000 * value.high, value.count)


def _ordered(found: dict[str, Estimate]) -> dict[str, Estimate]:
    keys = [k for key, figure in FIGURES.items() for k in (key, figure.real) if k]
    return {k: found[k] for k in keys if k in found}


def _confusions(fake: Table, real: Table, test: TestSet) -> list[Readings]:
    """One for each exclusive group."""
    space = test.space
    of_real = reading(space.read(real["logits"]), real["label"], space).confusions
    found = []
    for i, group in enumerate(space.groups):
        asked = torch.tensor([space.names[w.label] in group for w in test.wishes])[fake["wish"]]
        of_fakes = reading(space.read(fake["logits"][asked]), fake["target"][asked], space)
        found.append(Readings(of_fakes.confusions[i], of_real[i]))
    return found
