"""The domain classification loss, for one label space or several in one batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stargan.labels import JointLabelSpace
from stargan.losses.precision import at_least_fp32


def domain_loss(logits: Tensor, label: Tensor, dataset: Tensor, labels: JointLabelSpace) -> Tensor:
    """How far the logits are from the labels that are known of each row.

    StarGAN (Choi et al. 2018), equations (2) and (3); section 3.3: in joint training only the
    logits of the row's own data set count. A binary space takes cross entropy of a sigmoid per
    label, SUMMED over its labels, as the published code does (the mean is several times weaker
    and attributes hardly change); a categorical one takes cross entropy of a softmax.

    Args:
        logits: ``(B, L)``, over all label spaces.
        label: ``(B, L)`` joint labels in [0, 1]; one that is not known (NaN) counts for nothing.
        dataset: ``(B,)`` int64, the label space of each row.
        labels: the label spaces.

    Returns:
        Scalar, the mean over the rows.
    """
    label, known = labels.without_unknown(at_least_fp32(label))
    logits = at_least_fp32(logits)
    total = logits.new_zeros(len(logits))
    # Every space on every row and then a choice: no wait for the device, no shape set by data.
    for i, (space, part) in enumerate(zip(labels.spaces, labels.slices, strict=True)):
        if space.categorical:
            row = F.cross_entropy(logits[:, part], label[:, part], reduction="none")
            row = row.where(known[:, part].all(1), 0.0)
        else:
            each = F.binary_cross_entropy_with_logits(
                logits[:, part], label[:, part], reduction="none"
            )
            row = each.where(known[:, part], 0.0).sum(1)
        total = torch.where(dataset == i, row, total)
    return total.mean()
