"""report.md at the end of a training run: what was trained, how it went, what it can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from stargan.contracts import LabeledImages, Plain, RegionImages, Translate
from stargan.evaluation.embedded import LabelScore, score
from stargan.evaluation.judge import Judge, cached_judge, stack


def write_report(
    path: Path,
    facts: Mapping[str, str],
    terms: Mapping[str, float],
    grids: list[Path],
    scores: Mapping[str, list[LabelScore]],
    judges: Mapping[str, Mapping[str, float]],
) -> None:
    """Write the report.

    Args:
        path: report.md in the run folder.
        facts: what was trained, name to words.
        terms: the last values of the loss terms.
        grids: sample grids, inside the run folder.
        scores: per data set, what ``score`` found; empty where the truth is not known.
        judges: per data set, the judge's own accuracy on real held-out images.
    """
    lines = [f"# {facts['name']}", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items() if name != "name"]
    for source, rows in scores.items():
        real = judges[source]
        lines += [
            "",
            f"## Translations of held-out faces: {source}",
            "",
            "A classifier trained on real drawn faces judges translations of people that neither "
            "it nor the model has seen.",
            "",
            "| label | judged right | others kept | change outside | change inside | images | "
            "judge on real |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r.label} | {r.right:.1%} | {r.kept:.1%} | {r.outside:.4f} | {r.inside:.4f} "
            f"| {r.count} | {real[r.label]:.1%} |"
            for r in rows
        ]
        lines += [
            "",
            "*judged right*: the wanted label is read; *others kept*: all other labels are read "
            "as before; *change*: mean absolute difference to the input on [0, 1], over the "
            "pixels that the label does not concern (*outside*) and those that it does.",
        ]
    if terms:
        lines += ["", "## Terms at the end", "", "| term | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4g} |" for name, value in terms.items()]
    for grid in grids:
        lines += ["", f"![samples]({grid.relative_to(path.parent).as_posix()})"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def judge_embedded(
    translate: Translate,
    train: LabeledImages,
    test: RegionImages,
    source: int,
    size: tuple[int, int],
    settings: Plain,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[LabelScore], dict[str, float]]:
    """The figures of a model on one set of embedded faces, and the judge's own accuracy.

    Args:
        translate: the model.
        train, test: the two splits.
        source: index of the data set in the model's label space.
        size: the model's height and width.
        settings: how the faces were drawn; other faces get another judge.
        progress: told the share of the judge's training that is done.
    """
    judge: Judge = cached_judge(train, size, str(sorted(settings.items())), progress)
    count = 256
    real = judge.accuracy(stack(test, size, count).float() / 127.5 - 1, test.labels[:count])
    return score(translate, test, source, judge, size, count), real
