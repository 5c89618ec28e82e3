"""Labels: spaces, joint labels and their mask, edits, targets, matching by name."""

from __future__ import annotations

from stargan.labels.edits import Way, parse_edits, way
from stargan.labels.joint import JointLabelSpace
from stargan.labels.match import Match, match
from stargan.labels.space import LabelSpace, unknown_label

__all__ = [
    "JointLabelSpace",
    "LabelSpace",
    "Match",
    "Way",
    "match",
    "parse_edits",
    "unknown_label",
    "way",
]
