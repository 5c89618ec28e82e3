"""Figures of samples on judges whose answers are known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stargan.errors import UserError
from stargan.evaluation.samples import score_lines, score_samples
from stargan.judges.judge import Judge
from stargan.labels import JointLabelSpace, LabelSpace

SPACE = LabelSpace(("dark", "light"), categorical=True, name="tone")


class Tone(nn.Module):
    """Reads whether an image is dark or light; sure of it when it is far from grey."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(5.0))

    def features(self, image: Tensor) -> Tensor:
        return image.mean((2, 3))[:, :2]

    def forward(self, image: Tensor) -> Tensor:
        tone = self.scale * image.mean((1, 2, 3))
        return torch.stack([-tone, tone], 1)


def judge(*spaces: LabelSpace) -> Judge:
    return Judge(Tone(), JointLabelSpace(spaces or (SPACE,)), (4, 4))


def tones(dark: int, light: int, grey: int = 0, channels: int = 1, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    middle = torch.cat([torch.full((dark,), -0.6), torch.full((light,), 0.6), torch.zeros(grey)])
    tone = middle + 0.02 * torch.randn(len(middle), generator=draws)
    return tone[:, None, None, None].expand(-1, channels, 4, 4).contiguous()


@pytest.mark.parametrize("channels", [1, 3])
def test_shares_and_certainty(channels: int) -> None:
    test, train = tones(50, 50), tones(50, 50, seed=1)
    scores = score_samples(judge(), tones(25, 45, 30, channels), test, train)
    assert scores.shares["dark"][0] == 0.5
    # The grey ones are read as one or the other.
    assert 0.25 <= scores.shares["dark"][1] <= 0.55
    assert sum(made for _, made in scores.shares.values()) == pytest.approx(1)
    assert scores.sure == (1.0, pytest.approx(0.7))
    assert scores.counts == (100, 100, 100)


def test_fid_tells_good_samples_from_bad_ones() -> None:
    test, train = tones(50, 50), tones(50, 50, seed=1)
    good = score_samples(judge(), tones(50, 50, seed=2), test, train)
    collapsed = score_samples(judge(), tones(100, 0), test, train)
    assert good.fid.value < 0.01
    assert good.floor.value < 0.01
    assert collapsed.fid.value > 0.5


def test_samples_are_compared_in_the_number_of_the_real_ones() -> None:
    scores = score_samples(judge(), tones(150, 150), tones(20, 20), tones(20, 20, seed=1))
    assert scores.fid.count == scores.floor.count == 40
    assert scores.counts == (300, 40, 40)


def test_inception_score_and_bins_tell_a_collapse() -> None:
    test, train = tones(50, 50), tones(50, 50, seed=1)
    good = score_samples(judge(), tones(50, 50, seed=2), test, train)
    collapsed = score_samples(judge(), tones(100, 0, channels=3), test, train)
    assert good.inception[1].value == pytest.approx(good.inception[0].value, rel=0.1)
    assert good.inception[1].count == 100
    assert good.split[1][0] == pytest.approx(good.split[0][0], rel=0.15)
    assert good.inception[1].value > 1.5 > 1.05 > collapsed.inception[1].value
    assert good.bins is not None
    assert collapsed.bins is not None
    assert good.bins[1].bins == 10
    assert collapsed.bins[1].ndb > 0.5 > good.bins[1].ndb
    assert collapsed.bins[1].jsd > 0.2 > good.bins[1].jsd


def test_the_figures_as_text() -> None:
    scores = score_samples(judge(), tones(30, 10), tones(20, 20), tones(20, 20, seed=1))
    text = "\n".join(score_lines(scores, "runs/model", "runs/judge"))
    assert "| dark | 50.0% | 75.0% |" in text
    assert "judge: runs/judge" in text


def test_other_judges_are_refused() -> None:
    binary = LabelSpace(("a", "b"), name="binary")
    spaces: list[tuple[Any, ...]] = [(binary,), (SPACE, LabelSpace(("c", "d"), categorical=True))]
    for kind in spaces:
        with pytest.raises(UserError, match="exclusive classes"):
            score_samples(judge(*kind), tones(4, 4), tones(4, 4), tones(4, 4))
