from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stargan import Sampler
from stargan.errors import UserError
from stargan.export import open_model
from stargan.inference.sampler import between
from stargan.training import checkpoints
from tests.rig import make_dcgan
from tests.tiny import FACES, settings, write_export


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    method = make_dcgan()
    with torch.no_grad():
        for p in method.generator.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return checkpoints.export(method, folder)


def test_opens_and_draws(model: Path) -> None:
    sampler = Sampler.from_pretrained(model, batch_size=2)
    assert (sampler.size, sampler.noise_size) == ((8, 8), 100)
    assert sampler.training["method"] == "stargan.methods.dcgan.DCGAN"
    made = sampler(5, seed=3)
    assert [image.mode for image in made] == ["L"] * 5
    assert made[0].size == (8, 8)
    assert np.asarray(made[0]).std() > 0
    # Image i of a seed is the same whatever the count and the batch.
    again = Sampler.from_pretrained(model, batch_size=64)(3, seed=3)
    for one, two in zip(made, again, strict=False):
        assert np.abs(np.asarray(one).astype(int) - np.asarray(two)).max() <= 1
    assert not np.array_equal(np.asarray(sampler(1, seed=4)[0]), np.asarray(made[0]))
    # A run folder is opened as well.
    assert Sampler.from_pretrained(model.parent).size == (8, 8)


def test_equals_the_method(model: Path, tmp_path: Path) -> None:
    method = make_dcgan()
    checkpoints.export(method, tmp_path)
    sampler = Sampler.from_pretrained(tmp_path)
    noise = sampler.noise(4, seed=0)
    torch.testing.assert_close(sampler.draw(noise), method.sample(noise))


def test_kinds_are_not_mixed_up(model: Path, tmp_path: Path) -> None:
    translator = write_export(tmp_path / "generator.safetensors", settings(FACES))
    with pytest.raises(UserError, match="is a translator, not a sampler"):
        Sampler.from_pretrained(translator)
    with pytest.raises(UserError, match="is a sampler, not a translator"):
        open_model(model)


def test_bad_requests_are_refused(model: Path) -> None:
    sampler = Sampler.from_pretrained(model)
    with pytest.raises(UserError, match="count=0"):
        sampler(0)
    with pytest.raises(UserError, match="seed=-1"):
        sampler(1, seed=-1)
    with pytest.raises(UserError, match="does not fit"):
        sampler.draw(torch.zeros(2, 99))
    with pytest.raises(UserError, match="batch_size=0"):
        Sampler.from_pretrained(model, batch_size=0)


def test_between_keeps_the_length_and_ends_where_it_should() -> None:
    draws = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 100, generator=draws)
    way = between(a, b, 9)
    torch.testing.assert_close(way[0], a)
    torch.testing.assert_close(way[-1], b)
    lengths = way.norm(dim=1)
    assert lengths.min() > 0.97 * min(a.norm(), b.norm())
    steps = (way[1:] - way[:-1]).norm(dim=1)
    assert steps.max() / steps.min() < 1.3
    # No circle is given by opposite or equal vectors.
    assert torch.isfinite(between(a, -a, 5)).all()
    torch.testing.assert_close(between(a, a, 3), a.expand(3, -1))
