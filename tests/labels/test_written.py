"""What 1, 0 and -1 in an attribute file mean."""

from __future__ import annotations

import pytest
import torch

from stargan.errors import UserError
from stargan.labels.written import known_by_exclusion, read_written, written

NAN = float("nan")


def same(found: torch.Tensor, wanted: list[list[float]]) -> bool:
    """Equal, unknown where it must be."""
    return torch.equal(found.nan_to_num(9), torch.tensor(wanted).nan_to_num(9))


def test_every_way_to_write_a_value() -> None:
    for text in ("1", "+1", "0", "-1", "1.0", "0.0", "-1.0", " 1 "):
        assert written(text) == (float(text), False)
    for text in ("yes", "Y", "true", "T"):
        assert written(text) == (1, True)
    for text in ("no", "N", "false", "F"):
        assert written(text) == (-1, True)
    for text in ("", "nan", "NA", "n/a", "null", "None", "?"):
        assert str(written(text)) == "(nan, False)"
    for text in ("2", "0.5", "-0.5", "1,0", "male", "--"):
        assert written(text) is None


def test_minus_one_is_not_and_zero_beside_it_is_unknown() -> None:
    values = torch.tensor([[1.0, -1.0], [0.0, 1.0], [-1.0, 1.0]])
    assert same(read_written(values, ["a", "b"], "file"), [[1, 0], [NAN, 1], [0, 1]])


def test_one_and_zero_are_set_and_not_set() -> None:
    values = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert same(read_written(values, ["a", "b"], "file"), [[1, 0], [0, 1]])


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_column_of_ones_says_nothing_of_zero(elsewhere: bool) -> None:
    values = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    assert same(read_written(values, ["a", "b"], "file", elsewhere), [[1, 0], [1, 1]])


def test_zero_that_could_mean_either_is_refused_by_its_column() -> None:
    values = torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, 0.0]])
    with pytest.raises(UserError, match=r"'list\.txt': third has 0 but never -1"):
        read_written(values, ["first", "second", "third"], "list.txt")
    alone = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(UserError, match="one has 0 but never -1"):
        read_written(alone, ["one", "two"], "list.txt", elsewhere=True)


def test_what_another_label_of_its_group_excludes_is_known() -> None:
    labels = torch.tensor([[1, NAN, NAN], [0, NAN, 1], [NAN, NAN, NAN]])
    found = known_by_exclusion(labels, [(0, 1)])
    assert same(found, [[1, 0, NAN], [0, NAN, 1], [NAN, NAN, NAN]])
    assert same(labels, [[1, NAN, NAN], [0, NAN, 1], [NAN, NAN, NAN]])
    assert same(known_by_exclusion(labels, [(0, 1, 2)]), [[1, 0, 0], [0, 0, 1], [NAN, NAN, NAN]])
