"""Which of several methods is best at a wish: the judge's votes, in the place of people's.

Choi et al. (StarGAN, CVPR 2018, section 5.3) asked people to choose the best of four translations
of one photo by realism, transfer of the attribute and identity. Without people the judge's figures
choose; that is no opinion of anybody and is labelled as the judge's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stargan.errors import Plain, UserError
from stargan.evaluation.figures import right
from stargan.evaluation.held_out import Combination, TestSet, Wish, group_name
from stargan.evaluation.measure import Records
from stargan.metrics.bootstrap import Estimate, mean_interval

RULE = (
    "each translation of one image to one wish competes with those of the other methods; the vote "
    "goes to the one on which the judge reads what was wanted, then on which it reads all other "
    "labels as before, then to the one nearest to the input in the judge's features; a draw is "
    "shared"
)

Votes = dict[str, dict[str, Estimate]]
"""What was asked for (``Hair``, ``Male``, ``Hair + Male``), method, share of the votes."""


@dataclass(frozen=True)
class Tally:
    """What people said, from the file that ``stargan study`` writes.

    Attributes:
        path: the file.
        shares: as ``Votes``.
    """

    path: Path
    shares: Votes

    def to_plain(self) -> Plain:
        """For report.json."""
        return {c: {m: e.to_plain() for m, e in of.items()} for c, of in self.shares.items()}


def read_tally(path: str | Path) -> Tally:
    """The table of a study.

    Raises:
        UserError: no such file, or not a tally.
    """
    file = Path(path).expanduser()
    try:
        plain = json.loads(file.read_text("utf-8"))
        shares = {
            str(column): {str(method): _estimate(share) for method, share in of.items()}
            for column, of in plain["preference"].items()
        }
    except OSError as error:
        raise UserError(f"study={path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"study={path} is no tally of a study: give the JSON that stargan study tally writes."
        ) from error
    return Tally(file, shares)


def _estimate(plain: Mapping[str, float | None]) -> Estimate:
    """What ``Estimate.to_plain`` wrote; of one voter alone there is no interval."""
    value, low, high = (
        float("nan") if plain[k] is None else float(plain[k] or 0) for k in ("value", "low", "high")
    )
    return Estimate(value, low, high, int(plain["count"] or 0))


def columns_of(test: TestSet) -> dict[str, list[int]]:
    """What the paper's table distinguishes: each exclusive group, lone label, and combination.

    Returns:
        Name to numbers of ``TestSet.all_wishes``.
    """
    found: dict[str, list[int]] = {}
    for number, wish in enumerate(test.all_wishes):
        if isinstance(wish, Combination):
            name = test.wish_name(wish)
        else:
            name = group_name([test.space.names[i] for i in test.group(wish)])
        found.setdefault(name, []).append(number)
    return found


def judge_votes(records: Mapping[str, Sequence[Records]], test: TestSet) -> Votes:
    """The judge's votes.

    Args:
        records: of each method, one per seed, all of the same test set; the first seeds compete
            with each other, then the second ones.
        test: the images.

    Returns:
        Share of the votes with interval (images drawn together) and number of votes. Only changes
        that every method can make are voted on; a column without any is left out.
    """
    methods = list(records)
    seeds = min(len(of) for of in records.values())
    found: Votes = {}
    for column, numbers in columns_of(test).items():
        shares: list[Tensor] = []
        rows: list[Tensor] = []
        for seed in range(seeds):
            for number in numbers:
                one = [_ballot(records[m][seed], test, number) for m in methods]
                common = set.intersection(*(set(rows.tolist()) for rows, _ in one))
                if not common:
                    continue
                order = torch.tensor(sorted(common))
                scores = torch.stack([score[_places(r, order)] for r, score in one])
                shares.append(winners(scores))
                rows.append(order)
        if shares:
            share, row = torch.cat(shares, 1), torch.cat(rows)
            found[column] = {
                name: mean_interval(one, row) for name, one in zip(methods, share, strict=True)
            }
    return found


def winners(scores: Tensor) -> Tensor:
    """Shares of one vote per column: to the best of the rows, compared key by key.

    Args:
        scores: ``(M, N, K)``: M methods, N votes, K keys, the first decides; larger is better.

    Returns:
        ``(M, N)`` float64 that adds up to 1 over the methods.
    """
    best = torch.ones(scores.shape[:2], dtype=torch.bool)
    for key in scores.unbind(2):
        key = key.where(best, -torch.inf)
        best &= key == key.amax(0)
    return best.double() / best.sum(0)


def _ballot(records: Records, test: TestSet, number: int) -> tuple[Tensor, Tensor]:
    """Rows ``(N,)`` that were asked for a wish, and what speaks for each translation ``(N, 3)``."""
    fake = records.fake
    use = fake["wish"] == number
    wish: Wish | Combination = test.all_wishes[number]
    group = test.group(wish)
    others = [i for i in range(test.space.size) if i not in group]
    logits, target = fake["logits"][use], fake["target"][use]
    keys = [
        right(test.space, group, logits, target).double(),
        right(test.space, others, logits, fake["label"][use]).double(),
        -fake["distance"][use].double(),
    ]
    return fake["row"][use], torch.stack(keys, 1)


def _places(rows: Tensor, wanted: Tensor) -> Tensor:
    """Where in ``rows`` each of ``wanted`` is."""
    order = rows.argsort()
    return order[torch.searchsorted(rows[order], wanted)]
