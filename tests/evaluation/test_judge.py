"""The judge of the embedded faces reads people that it has never seen, and is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stargan.data.drawn.faces import SyntheticFaces
from stargan.judges.drawn import accuracy, cached_judge, judge_file, stack
from stargan.judges.judge import open_judge

SIZE = (32, 32)


@pytest.mark.slow
def test_judge_reads_held_out_faces_and_is_kept(tmp_path: Path) -> None:
    train = SyntheticFaces(split="train", kind="attributes", size=32, count=2000, seed=0)
    test = SyntheticFaces(split="test", kind="attributes", size=32, count=300, seed=0)
    seen: list[float] = []
    judge = cached_judge(train, SIZE, "test", seen.append)
    assert seen[-1] == 1
    pixels = stack(test, SIZE).float() / 127.5 - 1
    found = accuracy(judge, pixels, test.labels)
    assert min(found.values()) > 0.95, found
    again = cached_judge(train, SIZE, "test", seen.append)
    assert torch.equal(judge.read(pixels), again.read(pixels))
    opened = open_judge(judge_file(train, SIZE, "test"))
    assert torch.equal(judge.read(pixels), opened.read(pixels))
