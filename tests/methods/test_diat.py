"""DIAT: its losses against an independent reading, its targets, its frozen features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from stargan.contracts import Stratum
from stargan.errors import UserError
from stargan.judges.judge import open_judge
from stargan.methods.diat import DIAT, aim, strata
from tests import reference_pairs as paper
from tests.methods.test_cyclegan import compare
from tests.reference_step import copy_parameters
from tests.rig import ATTRIBUTES, JOINT, SINGLE, fit, make_batch, make_diat, make_engine
from tests.tiny import write_judge

COMPARISON: dict[str, Any] = {"adversarial": "wgan", "lambda_gp": 10.0, "n_critic": 5}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_judge(tmp_path_factory.mktemp("judge") / "classifier.safetensors", ATTRIBUTES)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("features", ["own", "frozen"])
@pytest.mark.parametrize("wgan", [False, True])
def test_losses_and_gradients_are_the_paper_s(
    squared: bool, features: str, wgan: bool, judge: Path
) -> None:
    method = make_diat(
        identity="squared" if squared else "absolute",
        features=str(judge) if features == "frozen" else None,
        lambda_id=3.0,
        **(COMPARISON if wgan else {}),
    ).double()
    g, d = paper.PaperGenerator(4, 1).double(), paper.PaperCritic(4, 3).double()
    copy_parameters(method.generator, g)
    copy_parameters(method.discriminator, d)
    batch = make_batch(method, size=4)
    batch = batch._replace(
        image=batch.image.double(), draws={k: v.double() for k, v in batch.draws.items()}
    )
    real, inputs = batch.image[:2], batch.image[2:]
    network: Any = open_judge(judge).network.double()

    def frozen(x: torch.Tensor) -> torch.Tensor:
        small = F.interpolate(x, (16, 16), mode="bilinear", antialias=True)
        found: torch.Tensor = network.features(small)
        return found

    shared = method.fakes(batch)
    loss, _ = method.generator_loss(batch, shared)
    loss.backward()
    say = frozen if features == "frozen" else d.features
    d.requires_grad_(False)
    wanted = paper.diat_g(g, d, say, inputs, 3.0, wgan, squared)
    wanted.backward()
    torch.testing.assert_close(loss, wanted)
    compare(method, ["generator"], [g])

    method.zero_grad()
    d.requires_grad_(True).zero_grad()
    bare = {k: v.detach() for k, v in shared.items()}
    loss, terms = method.discriminator_loss(batch, bare)
    loss.backward()
    alpha = batch.draws["alpha"][:2] if wgan else None
    wanted = paper.diat_d(d, real, g(inputs).detach(), alpha)
    wanted.backward()
    torch.testing.assert_close(loss, wanted)
    compare(method, ["discriminator"], [d])
    assert {"D/adv", "D/real", "D/fake", "D/rank"} <= set(terms)


def test_frozen_features_are_not_trained_and_not_saved(judge: Path) -> None:
    method = make_diat(features=str(judge))
    frozen = method.frozen
    assert frozen is not None
    assert not list(frozen.parameters())
    before = {k: v.clone() for k, v in frozen.network.named_buffers()}
    assert before
    engine = fit(make_engine(method), 3)
    after = dict(frozen.network.named_buffers())
    assert all(torch.equal(v, after[k]) for k, v in before.items()), "batch norm stays as it was"
    named = [name for name in engine.state_dict() if name.startswith("frozen")]
    assert named == ["frozen._extra_state"], "a digest and no weights"
    assert "features" not in method.settings


def test_training_goes_on_with_the_same_features_only(judge: Path, tmp_path: Path) -> None:
    state = make_diat(features=str(judge)).state_dict()
    make_diat(features=str(judge)).load_state_dict(state)
    other = write_judge(tmp_path / "classifier.safetensors", ATTRIBUTES, size=24)
    with pytest.raises(UserError, match="not the network that this run began with"):
        make_diat(features=str(other)).load_state_dict(state)


def test_features_need_a_file_and_a_method(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        make_diat(features=str(tmp_path / "no.safetensors"))
    patches = {"_target_": "stargan.networks.dcgan.Discriminator", "channels": 4}
    with pytest.raises(UserError, match="no features"):
        make_diat(discriminator=patches)


# Targets --------------------------------------------------------------------------------------


def test_what_it_asks_of_the_loader() -> None:
    feed = make_diat(target="Male").feed()
    assert feed.strata == (Stratum(0, {"Male": 1}), Stratum(0, {"Male": 0}))
    assert feed.targets is not None
    method = make_diat(target="Male")
    batch = make_batch(method, size=6)
    assert batch.target[:, 3].tolist() == [1.0] * 6
    same = [0, 1, 2, 4]
    assert torch.equal(batch.target[:, same], batch.label[:, same])


def test_a_label_can_be_taken_away() -> None:
    method = make_diat(target="Male=0")
    assert method.strata == (Stratum(0, {"Male": 0}), Stratum(0, {"Male": 1}))
    own, none = torch.zeros(1, 5), torch.zeros(1, 5)
    own[0, 3] = 1
    assert method.can(own, none).tolist() == [True]
    assert method.can(none, own).tolist() == [False]


def test_inputs_may_be_of_one_label() -> None:
    found = strata(JOINT, "happy", 1, "angry")
    assert found == (Stratum(1, {"happy": 1}), Stratum(1, {"happy": 0, "angry": 1}))
    for wrong in ("Male", "happy"):
        with pytest.raises(UserError, match="images of the target are not translated"):
            strata(JOINT, "happy", 1, wrong)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (None, "which target"),
        ("Male,Young", "has one target"),
        ("Male=0.5", "has one target"),
        ("Mal", "Did you mean 'Male'"),
        ("Blond_Hair=0", "what is to come in the place"),
    ],
)
def test_impossible_targets_are_refused(target: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        aim(SINGLE, target)


def test_an_unknown_identity_is_refused() -> None:
    with pytest.raises(UserError, match="choose squared or absolute"):
        make_diat(identity="cosine")


def test_any_hair_becomes_the_target() -> None:
    method: DIAT = make_diat(target="Blond_Hair")
    own = torch.eye(5)[:3]
    target = torch.eye(5)[1].expand(3, 5)
    assert method.can(own, target).all()
    assert not method.can(own[:1], own[2:3]).any()
