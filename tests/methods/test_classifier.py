"""The classifier learns, goes on exactly, starts from weights, and says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from stargan import cli
from stargan.contracts import Feed
from stargan.errors import UserError
from stargan.judges.judge import open_judge
from stargan.losses.domain import domain_loss
from stargan.methods.augment import AUGMENT_DRAWS, augment
from stargan.methods.classifier import augmented
from stargan.training import checkpoints
from stargan.training.metrics_log import read_terms
from tests.rig import SINGLE, image_of, make_batch, make_classifier
from tests.tiny import FACES, MOODS


def words(folder: Path, run: Path, *more: str) -> list[str]:
    return [
        *("train", "experiment=folder_classifier", "network=resnet18_small", f"run_dir={run}"),
        *(f"data.root={folder}", "data.image_size=32", "data.batch_size=6"),
        *("method.classifier.channels=8", "trainer.accelerator=cpu", "trainer.precision=32-true"),
        *("log.tensorboard=false", "log.every_n_steps=10", "log.test_every_n_steps=10"),
        *("checkpoint.every_n_steps=10", "trainer.max_steps=20", *more),
    ]


def test_it_learns_is_tested_and_kept(class_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    every = ["log.every_n_steps=20", "log.test_every_n_steps=20"]
    cli.run(words(class_folder, run, *every, "trainer.max_steps=40"))
    judge = open_judge(run / "classifier.safetensors")
    assert judge.labels.names == ("blue", "green", "red")
    colours = torch.tensor([[-0.7, -0.5, 0.6], [-0.7, 0.5, -0.5], [0.6, -0.6, -0.7]])
    image = colours[:, :, None, None].expand(3, 3, 32, 32)
    assert torch.equal(judge.read(image, 0), torch.eye(3))
    rows = read_terms(run / "metrics.csv")
    assert [r["step"] for r in rows] == [20, 40]
    assert rows[-1]["test/balanced"] == rows[-1]["test/accuracy/red"] == 1
    report = (run / "report.md").read_text(encoding="utf-8")
    assert "Test split: 9 images, after 40 steps" in report
    assert "| **red** | 0 | 0 | 3 |" in report
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    figure = {r["step"]: r["test/balanced"] for r in rows}
    assert best["stargan"]["step"] == min(s for s in figure if figure[s] == max(figure.values()))
    # The checkpoint opens as the exported file does.
    last = open_judge(run / "checkpoints" / "last.ckpt")
    torch.testing.assert_close(last.logits(image), judge.logits(image))


def test_a_resumed_run_equals_an_uninterrupted_one(class_folder: Path, tmp_path: Path) -> None:
    cli.run(words(class_folder, tmp_path / "whole", "schedule=constant"))
    half = tmp_path / "half"
    cli.run(words(class_folder, half, "schedule=constant", "trainer.max_steps=10"))
    cli.run(["train", f"resume={half}", "trainer.max_steps=20"])
    states = [
        checkpoints.load(run / "checkpoints" / "last.ckpt")["state_dict"]
        for run in (tmp_path / "whole", half)
    ]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    assert [r["step"] for r in read_terms(half / "metrics.csv")] == [10, 20]


def test_every_parameter_gets_a_gradient_of_joint_labels() -> None:
    method = make_classifier(FACES, MOODS)
    method.loss(make_batch(method), {})[0].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters())
    assert all(name.startswith("classifier.") for name in method.state_dict())


def test_its_loss_is_the_domain_loss_of_changed_images() -> None:
    method = make_classifier(FACES, MOODS, augment=0.5)
    batch = make_batch(method)
    changes, grain = batch.draws["augment"], batch.draws["grain"]
    changed = augment(batch.image, changes, 0.5) + 0.05 * grain
    method.classifier.eval()
    logits = method.classifier(changed)
    loss, terms = method.loss(batch, {})
    torch.testing.assert_close(loss, domain_loss(logits, batch.label, batch.dataset, method.labels))
    assert terms == {"C/cls": loss}


def test_augmentation_is_a_function_of_the_draws_and_can_be_off() -> None:
    image = torch.rand(2, 3, 16, 16) * 2 - 1

    def changed(seed: int, strength: float) -> torch.Tensor:
        draws = torch.Generator().manual_seed(seed)
        numbers = torch.rand(2, AUGMENT_DRAWS, generator=draws)
        return augmented(image, strength, numbers, torch.randn(image.shape, generator=draws))

    torch.testing.assert_close(changed(0, 0.0), image)
    assert torch.equal(changed(1, 0.3), changed(1, 0.3))
    assert not torch.equal(changed(1, 0.3), changed(2, 0.3))
    assert (changed(1, 0.1) - image).abs().mean() < (changed(1, 1.0) - image).abs().mean()
    # Off: nothing is asked for, and the network sees the images as they are.
    method = make_classifier(augment=0.0)
    method.classifier.eval()
    assert method.feed() == Feed()
    batch = make_batch(method)
    expected = domain_loss(
        method.classifier(batch.image), batch.label, batch.dataset, method.labels
    )
    assert torch.equal(method.loss(batch, {})[0], expected)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_it_starts_from_torchvisions_weights(suffix: str, tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18(num_classes=7).state_dict()
    path = tmp_path / f"weights.{suffix}"
    save_file(theirs, path) if suffix == "safetensors" else torch.save(theirs, path)
    network = {"_target_": "stargan.networks.resnet.ResNet18"}
    method = make_classifier(classifier=network, weights=str(path))
    assert torch.equal(method.classifier.trunk.conv1.weight, theirs["conv1.weight"])
    # A checkpoint opens without the file.
    assert "weights" not in method.settings


def test_it_starts_from_another_judge_with_other_labels(class_folder: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    cli.run(words(class_folder, first, "trainer.max_steps=10"))
    network = {"_target_": "stargan.networks.resnet.ResNet18", "channels": 8, "stem_stride": 1}
    theirs = open_judge(first).network
    for place in (first, first / "classifier.safetensors", first / "checkpoints" / "last.ckpt"):
        ours = make_classifier(FACES, MOODS, classifier=network, weights=str(place)).classifier
        assert ours.head.weight.shape != theirs.head.weight.shape
        for name, value in ours.trunk.state_dict().items():
            assert torch.equal(value, theirs.trunk.state_dict()[name]), name
    second = tmp_path / "second"
    cli.run(words(class_folder, second, "trainer.max_steps=10", f"method.weights={first}"))
    first = first.rename(tmp_path / "elsewhere")
    cli.run(["train", f"resume={second}", "trainer.max_steps=20", "schedule=late"])
    assert open_judge(second).training["steps"] == 20
    alexnet = {"_target_": "stargan.networks.gap.AlexNetGAP"}
    with pytest.raises(UserError, match=r"the weights have no 'features\.0\.weight'"):
        make_classifier(
            classifier=alexnet,
            image=image_of(SINGLE, 64),
            weights=str(first),
        )


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="do not exist"):
        make_classifier(weights=str(tmp_path / "none.pth"))
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match="more than tensors"):
        make_classifier(weights=str(tmp_path / "bad.pth"))
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="no safetensors file"):
        make_classifier(weights=str(tmp_path / "bad.safetensors"))
    torch.save({"a": [1]}, tmp_path / "list.pth")
    with pytest.raises(UserError, match="no state dict"):
        make_classifier(weights=str(tmp_path / "list.pth"))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="the weights have no"):
        make_classifier(weights=str(tmp_path / "other.pth"))
    with pytest.raises(UserError, match="augment=2"):
        make_classifier(augment=2)


def test_a_network_for_a_method_without_one_is_refused(class_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes no setting 'classifier'"):
        cli.run(
            [
                *("train", "experiment=folder", "network=resnet18", f"data.root={class_folder}"),
                f"run_dir={tmp_path / 'run'}",
            ]
        )
