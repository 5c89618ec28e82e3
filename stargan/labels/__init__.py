"""Labels: spaces, joint labels and their mask, edits, targets, matching by name."""

from __future__ import annotations

from stargan.labels.edits import Way, parse_edits, way
from stargan.labels.joint import JointLabelSpace
from stargan.labels.match import Match, match
from stargan.labels.space import LabelSpace, label_name, unknown_label

__all__ = [
    "JointLabelSpace",
    "LabelSpace",
    "Match",
    "Way",
    "label_name",
    "match",
    "parse_edits",
    "unknown_label",
    "way",
]
