"""A label that is not known is no label that is not set: losses, targets, draws, figures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from stargan import cli
from stargan.contracts import Stratum
from stargan.data.celeba import CelebA
from stargan.data.sampler import balanced_choice, label_cells, stratum_rows
from stargan.errors import UserError
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.labels.targets import Edited, Permuted, settle
from stargan.labels.written import known_by_exclusion, read_written
from stargan.losses.domain import domain_loss
from stargan.metrics.classification import reading
from tests.rig import HAIR, SINGLE, complete, make_batch, make_modern, make_stargan
from tests.tasks.test_train import TINY, weights

NAN = float("nan")
PAIR = LabelSpace(["A", "B"])


def test_what_the_values_of_a_file_mean() -> None:
    table = torch.tensor([[1.0, -1, 0], [0, 1, 1], [-1, -1, -1]])
    found = read_written(table, ["a", "b", "c"], "file")
    expected = torch.tensor([[1, 0, NAN], [NAN, 1, 1], [0, 0, 0]])
    torch.testing.assert_close(found, expected, equal_nan=True)
    plain = torch.tensor([[1.0, 0], [0, 1]])
    assert torch.equal(read_written(plain, ["a", "b"], "file"), plain), "0 is not, without -1"
    mixed = torch.tensor([[1.0, 0], [-1, 1]])
    with pytest.raises(UserError, match="b has 0 but never -1"):
        read_written(mixed, ["a", "b"], "file")
    with pytest.raises(UserError, match="never -1"):
        read_written(plain, ["a", "b"], "file", elsewhere=True)


def test_one_of_a_group_excludes_the_others() -> None:
    table = torch.tensor([[1.0, NAN, NAN], [NAN, 0, 1]])
    expected = torch.tensor([[1.0, 0, NAN], [NAN, 0, 1]])
    torch.testing.assert_close(known_by_exclusion(table, [[0, 1]]), expected, equal_nan=True)


def test_the_domain_loss_leaves_them_out() -> None:
    logits = torch.randn(3, 2, requires_grad=True)
    label = torch.tensor([[1.0, NAN], [0, 1], [NAN, NAN]])
    dataset, space = torch.zeros(3, dtype=torch.long), JointLabelSpace([PAIR])
    loss = domain_loss(logits, label, dataset, space)
    known = [(0, 0, 1.0), (1, 0, 0.0), (1, 1, 1.0)]
    by_hand = sum(
        torch.nn.functional.binary_cross_entropy_with_logits(logits[i, j], torch.tensor(v))
        for i, j, v in known
    )
    torch.testing.assert_close(loss, by_hand / 3)
    loss.backward()
    assert logits.grad is not None
    gradient = logits.grad != 0
    assert gradient.tolist() == [[True, False], [True, True], [False, False]]


@pytest.mark.parametrize("rule", [Permuted(), Permuted(0.5), Permuted(1.0), Edited({"Male": 1})])
def test_a_target_is_always_known_and_possible(rule: Permuted | Edited) -> None:
    rng = np.random.default_rng(0)
    label = np.zeros((400, 5), dtype=np.float32)
    label[np.arange(400), rng.integers(0, 3, 400)] = 1
    label[:, 3:] = rng.integers(0, 2, (400, 2))
    label[::3, :3] = np.nan
    label[::4, 3] = np.nan
    dataset = np.zeros(400, dtype=np.int64)
    target = settle(SINGLE, rule(SINGLE, label, dataset, rng), label, dataset, rng)
    assert set(np.unique(target)) <= {0.0, 1.0}
    assert (target[:, :3].sum(1) <= 1).all()
    if isinstance(rule, Edited):
        assert (target[:, 3] == 1).all()
        kept = ~np.isnan(label[:, 4])
        assert (target[kept, 4] == label[kept, 4]).all()
    elif rule.one_change == 1:
        # A change of one thing leaves all else that is known as it was.
        same = (target == label) | np.isnan(label)
        assert (same[:, 3].astype(int) + same[:, 4] + same[:, :3].all(1) >= 2).all()
    assert 0 < target[::4, 3].mean() <= 1, "not always absent where unknown"


def test_known_targets_are_left_alone() -> None:
    batch = make_batch(SINGLE)
    label, dataset = batch.label.numpy(), batch.dataset.numpy()
    rng = np.random.default_rng(0)
    assert settle(SINGLE, label, label, dataset, rng) is label
    assert rng.random() == np.random.default_rng(0).random(), "no draw is spent"


@pytest.mark.parametrize("make", [make_stargan, make_modern])
def test_all_losses_of_a_method(make: type) -> None:
    """Finite, and the same whatever an unknown label would have been."""
    method = make()
    whole = make_batch(method)
    hidden = whole.label.clone()
    hidden[::2, 3] = NAN
    batch = complete(method, whole.image, whole.label, whole.dataset)
    losses = []
    for value in (0.0, 1.0):
        guess = whole.label.clone()
        guess[::2, 3] = value
        # The batch holds NaN; the number that it hides must not matter.
        given = batch._replace(label=torch.where(hidden.isnan(), hidden, guess))
        total = []
        for phase in method.phases():
            shared = {} if phase.shared is None else phase.shared(given)
            for update in phase.updates:
                flags = dict.fromkeys(update.lazy, True)
                loss, terms = update.loss(given, shared, **flags)
                total += [loss, *terms.values()]
        assert all(torch.isfinite(t).all() for t in total)
        losses.append(torch.stack([t.detach().float().reshape(()) for t in total]))
    assert torch.equal(*losses)
    # An image of which a label is not known has no reconstruction to be compared with.
    fake = torch.zeros_like(batch.image)
    cycled = method.cycled(batch._replace(label=hidden), fake)
    assert torch.equal(cycled[::2], batch.image[::2])
    assert not torch.equal(cycled[1], batch.image[1])


def test_draws_by_label_do_not_take_them_for_absent() -> None:
    labels = torch.tensor([[1.0, NAN], [0, 0], [NAN, 1]])
    cells = [[cell.tolist() for cell in group] for group in label_cells(PAIR, labels)]
    assert cells == [[[0], [1]], [[2], [1]]]
    assert stratum_rows(Stratum(0, {"B": 0}), [labels], [PAIR]).tolist() == [1]
    with pytest.raises(UserError, match="no training image"):
        stratum_rows(Stratum(0, {"A": 0, "B": 1}), [labels], [PAIR])
    assert sorted(balanced_choice(labels, 0)) == [0, 1, 2]


def test_a_reading_counts_what_is_known() -> None:
    space = LabelSpace((*HAIR, "Male"), [HAIR])
    label = torch.tensor([[1.0, 0, 0, NAN], [NAN, NAN, NAN, 1], [0, 1, 0, 0]])
    read = torch.tensor([[1.0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 1, 0]])
    found = reading(read, label, space)
    assert found.accuracy["Male"] == 1.0
    assert found.accuracy[HAIR[1]] == 0.5
    assert int(found.confusions[0].counts.sum()) == 2
    assert found.exact == 0.0, "of the one image of which all is known"


@pytest.fixture(scope="module")
def half_known(celeba_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CelebA's layout; of every fourth image Male is not known."""
    root = tmp_path_factory.mktemp("half") / "celeba"
    shutil.copytree(celeba_folder, root)
    file = root / "list_attr_celeba.txt"
    lines = file.read_text().splitlines()
    for i in range(2, len(lines), 4):
        lines[i] = lines[i].rsplit(" ", 1)[0] + " 0"
    file.write_text("\n".join(lines) + "\n")
    return root


def test_of_a_file(half_known: Path) -> None:
    images = CelebA(half_known, "train", ["Black_Hair", "Blond_Hair", "Male"])
    assert images.labels[:, 2].isnan().nonzero().flatten().tolist() == [0, 4, 8, 12, 16]
    assert not images.labels[:, :2].isnan().any()


@pytest.mark.slow
def test_the_whole_chain(
    half_known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [f"data.root={half_known}", "data.celeba.partition=official", "data.celeba.crop=40"]
    data += ["labels=[Blond_Hair,Male]", "data.image_size=32", "trainer.accelerator=cpu"]
    judge, run = tmp_path / "judge", tmp_path / "run"
    words = [*data, "network=small_classifier", "trainer.max_steps=4", "log.tensorboard=false"]
    cli.run(["train", "experiment=celeba_classifier", *words, f"run_dir={judge}"])
    assert "(5 unknown)" in capsys.readouterr().out
    words = [*data, *TINY, "method=stargan", "trainer.max_steps=4", "data.balance=true"]
    cli.run(["train", "experiment=celeba", *words, f"run_dir={run}"])
    state = weights(run)["state_dict"]
    assert all(torch.isfinite(v).all() for v in state.values())
    out = tmp_path / "out"
    words = ["evaluate", f"model={run}", f"judge={judge}", f"output={out}", "device=cpu"]
    cli.run(words)
    assert "have labels that are not known: left out" in (out / "report.md").read_text()


def test_a_method_that_cannot_says_so(
    half_known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stargan.methods.stargan.StarGAN.takes_unknown", False)
    words = [f"data.root={half_known}", "data.celeba.partition=official", "data.celeba.crop=40"]
    words += [*TINY, "method=stargan", "labels=[Blond_Hair,Male]", f"run_dir={tmp_path / 'run'}"]
    with pytest.raises(UserError, match=r"5 labels of the training images .* are not known"):
        cli.run(["train", "experiment=celeba", *words])
    assert not (tmp_path / "run").exists()
