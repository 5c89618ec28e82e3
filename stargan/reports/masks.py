"""The check of the mask vector, as a part of a page."""

from __future__ import annotations

from stargan.evaluation.masks import MaskCheck
from stargan.metrics.bootstrap import Estimate
from stargan.reports.page import Page, Picture


def mask_section(page: Page, check: MaskCheck, model: str) -> None:
    """Figures and pictures of the wrong mask.

    Args:
        check: what was found.
        model: what the reader calls the model.
    """
    page.heading(f"The wrong mask: {check.labels} on faces of {check.faces}")
    page.text(
        f"The paper's figure 7, of {model}: a label of {check.labels} with its own mask, and with "
        f"the mask of {check.faces}. Under the wrong mask it must count as unknown: what changes "
        f"is then what the labels of {check.faces}, all absent, ask for; in the paper expressions "
        "stay and faces grow older."
    )
    page.table(
        ["label", "read, right mask", "read, wrong mask", "others changed, right", "others, wrong"],
        [[row.label, *map(_shown, (*row.read, *row.changed))] for row in check.rows],
        f"*read*: share of {check.count} faces on which the judge reads the label; *others "
        f"changed*: on which it reads any label of {check.faces} otherwise than in the input.",
    )
    rows: list[list[Picture | None]] = []
    names = []
    for i, one in enumerate(check.image):
        rows.append([one, *(m.right[i] for m in check.masked)])
        rows.append([one, *(m.wrong[i] for m in check.masked)])
        names += [f"mask of {check.labels}, right", f"mask of {check.faces}, wrong"]
    page.grid(rows, ["input", *(m.label for m in check.masked)], names, tile=112)


def _shown(share: Estimate) -> str:
    return f"{share.value:.1%}\n{share.low:.1%} to {share.high:.1%}"
