"""What did a translation change? The pixel difference, and where a judge looks before and after."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stargan import imaging
from stargan.contracts import Translate
from stargan.errors import UserError
from stargan.evaluation.figures import certainty
from stargan.evaluation.held_out import TestSet
from stargan.evaluation.measure import Instruments, Records, change, rounded
from stargan.export import possible
from stargan.judges import cam
from stargan.judges.judge import Judge
from stargan.reports.evaluation import Pictures

FULL = 0.3
"""A mean absolute difference of the channels of so much of the range is the brightest colour."""
EACH = 2
"""Worst cases of every label; of the best half as many."""


def difference(before: Tensor, after: Tensor) -> Image.Image:
    """Where two images ``(3, H, W)`` differ, black to yellow; see ``FULL``."""
    share = (change(before[None], after[None])[0] / FULL).clamp(0, 1).cpu().numpy()
    colours = matplotlib.colormaps["inferno"](share)[..., :3]
    return Image.fromarray((colours * 255).round().astype(np.uint8))


def has_maps(judge: Judge) -> bool:
    """Whether the judge's network ends in global average pooling and so has activation maps."""
    try:
        cam.check_maps(judge)
    except UserError:
        return False
    return True


def maps(
    judge: Judge, before: Tensor, after: Tensor, label: Tensor
) -> list[tuple[Image.Image, Image.Image]]:
    """The class activation map of one label before and after, on one scale, laid over the images.

    Args:
        before, after: ``(B, 3, H, W)``.
        label: ``(B,)`` int64, the judge's own number of the label.
    """
    pair = (before, after)
    found = [cam.class_activation_map(judge, image, label, relative=True) for image in pair]
    heat = cam.normalise(torch.stack(found), together=True).cpu()
    one, two = (
        [cam.overlay(image, warm) for image, warm in zip(batch.cpu(), warms, strict=True)]
        for batch, warms in zip(pair, heat, strict=True)
    )
    return list(zip(one, two, strict=True))


def changed_columns(judge: Judge | None) -> list[str]:
    """The captions of ``changed_rows``."""
    heads = ["input", "translated", "difference"]
    return heads + (["judge looks before", "judge looks after"] if judge is not None else [])


def changed_rows(
    judge: Judge | None, before: Tensor, after: Tensor, label: Tensor
) -> list[list[Tensor | Image.Image | None]]:
    """For each pair: input, translation, their difference, and the judge's maps of the label.

    Args:
        judge: with maps; None: without them.
        before, after: ``(B, 3, H, W)``.
        label: ``(B,)`` int64, the judge's own number of each label.
    """
    rows: list[list[Tensor | Image.Image | None]] = [
        [a, b, difference(a, b)] for a, b in zip(before, after, strict=True)
    ]
    if judge is not None:
        for row, pair in zip(rows, maps(judge, before, after, label), strict=True):
            row += pair
    return rows


def pictures(
    translate: Translate, test: TestSet, tools: Instruments, records: Records, number: int
) -> list[Pictures]:
    """The picture tables of a report: worst, random and best cases.

    Args:
        translate: the model.
        test: the images.
        tools: the judge.
        records: of all translations, from which worst and best are chosen.
        number: how many random images.
    """
    judge = tools.judge if has_maps(tools.judge) else None
    found: list[Pictures] = []
    order, sure = _order(test, records)
    legend = (
        f"*difference*: mean absolute difference of the channels, black to yellow at {FULL:g} of "
        "the range."
    )
    if judge is not None:
        legend += (
            " *judge looks*: warm is what speaks for the label (where `not Male` is wanted, for "
            "Male), its class activation map before and after on one scale."
        )
    # The wrong ones first, whatever their label; and the surest first.
    worst = sorted((r for rows in order for r in rows[:EACH].tolist()), key=sure.__getitem__)
    best = [r for rows in order for r in rows.flip(0)[: EACH // 2].tolist()]
    best.sort(key=sure.__getitem__, reverse=True)
    wrong = sum(sure[r] <= 0 for r in worst)
    least = "For each label the translations on which the judge reads it least, the worst first; "
    least += f"{wrong} of these {len(worst)} are read wrong"
    for heading, rows, words in (
        ("Worst cases", worst, least),
        ("Best cases", best, "For each label the translation on which the judge reads it most"),
    ):
        found.append(
            _cases(translate, test, tools, judge, records, rows, heading, f"{words}. {legend}")
        )
    found.insert(1, _random(translate, test, records, number))
    return found


def _random(translate: Translate, test: TestSet, records: Records, number: int) -> Pictures:
    draws = torch.Generator().manual_seed(0)
    every = records.real["row"]
    chosen = torch.randperm(len(every), generator=draws)[:number]
    image, label = test.images(every[chosen].tolist()), records.real["label"][chosen]
    columns = ["input"]
    shown: list[Sequence[Tensor | None]] = [list(image)]
    dataset = torch.full((len(image),), test.index)
    own = translate.labels.expand(label, test.index)
    for name, target in test.space.targets(label):
        joint = translate.labels.expand(target, test.index)
        can = possible(translate, own, joint)
        if not (can & (joint != own).any(1)).any():
            continue
        lone = len(test.space.group_of(name)) == 1
        columns.append(f"{name} flipped" if lone else name)
        shown.append(try_all(translate, image, own, joint, dataset))
    rows: list[list[Tensor | Image.Image | None]] = [
        [column[i] for column in shown] for i in range(len(image))
    ]
    names = [
        f"{test.test.images.name(int(i))}\n{test.space.describe(row)}"
        for i, row in zip(every[chosen], label, strict=True)
    ]
    words = "Test images drawn at random, translated to every label."
    return Pictures("Random cases", columns, rows, names, words)


def try_all(
    translate: Translate, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor
) -> list[Tensor | None]:
    """Translations ``(3, H, W)``, see ``contracts.Translate``; None where the model has no way."""
    able = possible(translate, own, target)
    found: list[Tensor | None] = [None] * len(image)
    if able.any():
        made = translate(image[able], own[able], target[able], dataset[able]).float().cpu()
        for row, one in zip(torch.nonzero(able).flatten().tolist(), made, strict=True):
            found[row] = one
    return found


def _order(test: TestSet, records: Records) -> tuple[list[Tensor], list[float]]:
    """For each wish the rows of ``records.fake``, the least sure first; how sure each row is."""
    fake, found = records.fake, []
    every = torch.zeros(len(fake["wish"]))
    for number, wish in enumerate(test.wishes):
        rows = torch.nonzero(fake["wish"] == number).squeeze(1)
        sure = certainty(test.space, wish, test.group(wish), fake["logits"][rows])
        every[rows] = sure
        found.append(rows[sure.argsort()])
    return found, every.tolist()


def _cases(
    translate: Translate,
    test: TestSet,
    tools: Instruments,
    judge: Judge | None,
    records: Records,
    rows: Sequence[int],
    heading: str,
    words: str,
) -> Pictures:
    fake = {k: v[list(rows)] for k, v in records.fake.items()}
    image = test.images(fake["row"].tolist())
    own, target = (translate.labels.expand(fake[k], test.index) for k in ("label", "target"))
    dataset = torch.full((len(image),), test.index)
    after = rounded(translate(image, own, target, dataset).float().cpu())
    wishes = [test.wishes[int(w)] for w in fake["wish"]]
    label = torch.tensor([int(tools.columns[w.label]) for w in wishes])
    table = changed_rows(judge, image, after, label)
    columns = changed_columns(judge)
    true = [test.truth(int(r), t) for r, t in zip(fake["row"], fake["target"], strict=True)]
    if all(t is not None for t in true):
        columns.append("true image")
        for row, truth in zip(table, true, strict=True):
            row.append(truth)
    read = test.space.read(fake["logits"])
    names = [
        f"wanted: {test.wish_name(wish)}\nread: {test.space.describe(found)}; "
        f"{test.test.images.name(int(i))}"
        for wish, found, i in zip(wishes, read, fake["row"], strict=True)
    ]
    return Pictures(heading, columns, table, names, words)


def changed_sheet(
    before: Image.Image,
    after: Image.Image,
    looks: Sequence[tuple[Judge, int]],
    names: Sequence[str],
) -> Image.Image:
    """What a translation changed, a row for each label that was asked for.

    Args:
        before, after: of one size.
        looks: for each label a judge with maps, and the judge's own number of the label.
        names: of the labels.
    """
    one, two = imaging.to_tensor(before)[None], imaging.to_tensor(after)[None]
    rows: list[list[Tensor | Image.Image]] = []
    for judge, label in looks:
        (row,) = changed_rows(judge, one, two, torch.tensor([label]))
        rows.append([tile for tile in row if tile is not None])
    return imaging.grid(rows, changed_columns(looks[0][0]), list(names))
