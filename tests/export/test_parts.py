from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from stargan import networks
from stargan.errors import UserError
from stargan.export import FORMAT, Model, find_device, open_model
from stargan.labels import JointLabelSpace
from tests.tiny import FACES, MOODS, settings, tiny_networks, write_checkpoint, write_export


def test_export_opens_as_it_was_saved(tmp_path: Path) -> None:
    plain = settings(FACES, MOODS, crop=30)
    path = write_export(tmp_path / "new" / "generator.safetensors", plain)
    generator, classifier = tiny_networks(plain)
    model = open_model(path)
    assert model.labels == JointLabelSpace([FACES, MOODS])
    assert model.size == (32, 32)
    assert model.framing.crops == {"faces": 30, "moods": 30}
    assert model.training == plain["training"]

    image = torch.rand(2, 3, 32, 32) * 2 - 1
    label = torch.tensor([[1.0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 0]])
    own = torch.tensor([[0.0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0]])
    dataset = torch.tensor([0, 1])
    with torch.no_grad():
        expected = generator(image, model.labels.condition(label, dataset))
        logits = classifier(image)[1]
    assert torch.equal(model(image, own, label, dataset), expected)
    assert torch.allclose(model.read(image), logits, rtol=2e-2, atol=2e-2)  # fp16 weights
    assert not any(p.requires_grad for p in model.rule.parameters())


def parts_of(model: Model) -> dict[str, nn.Module]:
    assert model.parts is not None
    return model.parts.networks


def test_file_is_what_the_format_says(tmp_path: Path) -> None:
    path = write_export(tmp_path / "g.safetensors", settings())
    tensors = load_file(path)
    kinds = {key.split(".")[0]: set() for key in tensors}
    for key, tensor in tensors.items():
        kinds[key.split(".")[0]].add(tensor.dtype)
    assert kinds == {"generator": {torch.float32}, "classifier": {torch.float16}}
    assert [p.name for p in tmp_path.iterdir()] == ["g.safetensors"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode  # Readable for others too.

    write_export(path, settings(), classifier=False)
    assert open_model(path).reader is None
    assert all(key.startswith("generator.") for key in load_file(path))
    with pytest.raises(UserError, match="without a classifier"):
        open_model(path).read(torch.zeros(1, 3, 32, 32))


def test_opening_leaves_the_random_state_alone(tmp_path: Path) -> None:
    path = write_export(tmp_path / "g.safetensors", settings())
    before = torch.get_rng_state()
    open_model(path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("ema", [-1, 7])
def test_checkpoint_opens_with_its_average(tmp_path: Path, ema: int) -> None:
    plain = settings()
    path = write_checkpoint(tmp_path / "last.ckpt", plain, seed=3, ema=ema)
    wanted = tiny_networks(plain, ema if ema >= 0 else 3)[0].state_dict()
    model = open_model(path)
    assert all(
        torch.equal(v, wanted[k]) for k, v in parts_of(model)["generator"].state_dict().items()
    )
    discriminator = tiny_networks(plain, 3)[1].state_dict()
    assert model.reader is not None
    assert all(torch.equal(v, discriminator[k]) for k, v in model.reader.state_dict().items())


def test_a_checkpoint_says_where_the_tensors_of_its_networks_are(tmp_path: Path) -> None:
    plain = settings()
    path = write_checkpoint(tmp_path / "last.ckpt", plain, seed=3, ema=7)
    loaded = torch.load(path, weights_only=True)
    state = {
        key.replace("ema.", "averages.generator."): value
        for key, value in loaded["state_dict"].items()
    }
    # Whatever else is called like a network by chance is not looked at.
    state["classifier.weight"] = torch.zeros(1)
    tensors = {"generator": "averages.generator", "classifier": "discriminator"}
    torch.save(
        {"state_dict": state, "hyper_parameters": {"export": plain, "tensors": tensors}}, path
    )
    model = open_model(path)
    for name, seed in (("generator", 7), ("classifier", 3)):
        network = tiny_networks(plain, seed)[0 if name == "generator" else 1]
        wanted = network.state_dict()
        assert all(torch.equal(v, wanted[k]) for k, v in parts_of(model)[name].state_dict().items())
    tensors["generator"] = "nowhere"
    torch.save(
        {"state_dict": state, "hyper_parameters": {"export": plain, "tensors": tensors}}, path
    )
    with pytest.raises(UserError, match=r"'nowhere\.\*'.*do not fit"):
        open_model(path)


def test_run_folder_takes_the_one_of_more_steps_and_prefers_the_export(tmp_path: Path) -> None:
    """Whatever the times of the files are: copying a folder changes them."""
    plain = settings()
    plain["training"]["steps"] = 100
    exported = write_export(tmp_path / "generator.safetensors", plain, seed=1)

    def seed_of(path: Path) -> int:
        bias = next(open_model(path).rule.parameters())
        return next(
            s for s in (1, 2) if torch.equal(bias, next(tiny_networks(plain, s)[0].parameters()))
        )

    for steps, expected in (100, 1), (101, 2), (99, 1):
        trained = {**plain, "training": {"steps": steps}}
        last = write_checkpoint(tmp_path / "checkpoints" / "last.ckpt", trained, seed=2)
        os.utime(last, (200 - steps, 200 - steps))
        os.utime(exported, (100, 100))
        assert seed_of(tmp_path) == expected
    exported.unlink()
    assert seed_of(tmp_path) == 2


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("pwned", "w"))


def test_refuses_what_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = write_export(tmp_path / "good.safetensors", settings()).read_bytes()
    ckpt = write_checkpoint(tmp_path / "good.ckpt", settings()).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(good[:5000])
    (tmp_path / "cut.ckpt").write_bytes(ckpt[: len(ckpt) // 2])
    (tmp_path / "empty.ckpt").touch()
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "text.ckpt").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello " * 10)
    (tmp_path / "pickle.ckpt").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "folder").mkdir()
    torch.save({"state_dict": {}, "hyper_parameters": Evil()}, tmp_path / "code.ckpt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "foreign.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    for name, words in {
        "missing.ckpt": "does not exist",
        "folder": "holds no model",
        "notes.txt": "is no model",
        "cut.safetensors": "damaged",
        "empty.safetensors": "damaged",
        "text.safetensors": "damaged",
        "cut.ckpt": "damaged",
        "empty.ckpt": "damaged",
        "text.ckpt": "damaged",
        "pickle.ckpt": "damaged",
        "code.ckpt": "could run code",
        "foreign.ckpt": "not a checkpoint of a stargan method",
        "list.ckpt": "not a checkpoint of a stargan method",
        "foreign.safetensors": "of another program",
    }.items():
        with pytest.raises(UserError, match=words) as caught:
            open_model(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "pwned").exists()


def rewrite(path: Path, **changes: Any) -> Path:
    """An exported file with parts of its description changed, its tensors kept."""
    plain = {**settings(), **changes}
    save_file(load_file(path), path, metadata={"stargan": json.dumps(plain)})
    return path


ROLES = settings()["roles"]


def generator(**changes: Any) -> dict[str, Any]:
    """A description's networks with another generator."""
    networks = settings()["networks"]
    return {"networks": {**networks, "generator": {**networks["generator"], **changes}}}


def framing(**changes: Any) -> dict[str, Any]:
    """A description's image with another framing."""
    image = settings()["image"]
    return {"image": {**image, "framing": {**image["framing"], **changes}}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": FORMAT + 1}, "reads formats 1 and 2"),
        ({"format": "2"}, "reads formats 1 and 2"),
        ({"labels": []}, "damaged"),
        ({"labels": "Male"}, "damaged"),
        ({"image": {}}, "damaged"),
        ({"image": {"size": [0, 32]}}, "damaged"),
        ({"training": None}, "damaged"),
        ({"networks": None}, "damaged"),
        ({"networks": {}}, "do not name the same: classifier, generator"),
        (generator(_target_="os.system"), "no file may"),
        (generator(_target_="stargan.networks.stargan"), "is no network"),
        (generator(_target_="stargan.networks.nowhere.Generator"), "does not exist"),
        (generator(extra=1), "takes no setting 'extra'"),
        (generator(channels=4), "do not fit"),
        (generator(condition_size=6), "contradicts"),
        ({"roles": None}, "damaged"),
        ({"roles": {}}, "makes it a translator"),
        ({"roles": {**ROLES, "read": {"networks": ["generator"]}}}, "classifier"),
        ({"roles": {**ROLES, "read": {}}}, "damaged"),
        ({"roles": {**ROLES, "dance": {"networks": []}}}, "role 'dance' is unknown"),
        (
            {"roles": {**ROLES, "translate": {"rule": "by_magic", "networks": ["generator"]}}},
            "'by_magic'",
        ),
        (
            {"roles": {**ROLES, "translate": {"rule": "encoded", "networks": ["generator"]}}},
            "2 net",
        ),
        ({"kind": "sampler"}, "damaged"),
        ({"kind": "pancake"}, "damaged"),
        (framing(crop={"faces": "wide"}), "damaged"),
        (framing(align="ffhq"), "framed by align=ffhq.*update"),
        (framing(resize="lanczos"), "framed by resize=lanczos.*update"),
        (framing(range=[0, 1]), r"framed by range=\[0, 1\].*update"),
        ({"image": {**settings()["image"], "channels": 2}}, "2 channels"),
        ({"labels": JointLabelSpace([MOODS]).to_plain()}, "contradicts"),
    ],
)
def test_refuses_a_description_that_does_not_hold(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = rewrite(write_export(tmp_path / "g.safetensors", settings()), **changes)
    with pytest.raises(UserError, match=words) as caught:
        open_model(path)
    assert "\n" not in str(caught.value)


def test_loads_strictly(tmp_path: Path) -> None:
    path = write_export(tmp_path / "g.safetensors", settings())
    metadata = {"stargan": json.dumps(settings())}
    tensors = load_file(path)
    first = next(k for k in tensors if k.startswith("generator."))
    save_file({k: v for k, v in tensors.items() if k != first}, path, metadata=metadata)
    with pytest.raises(UserError, match="do not fit"):
        open_model(path)
    save_file({**tensors, "generator.extra": torch.zeros(1)}, path, metadata=metadata)
    with pytest.raises(UserError, match="do not fit"):
        open_model(path)
    save_file({**tensors, first: tensors[first] * torch.nan}, path, metadata=metadata)
    with pytest.raises(UserError, match="not finite"):
        open_model(path)
    save_file(tensors, path, metadata={"stargan": "{"})
    with pytest.raises(UserError, match="damaged"):
        open_model(path)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "torch.nn.Linear",
        "stargan.networks",
        "stargan.networksX.a.B",
        "stargan.networks..stargan.Generator",
        "stargan.networks.stargan.nn",
        "stargan.networks.stargan.UserError",
        "stargan.networks.stargan.nn.Linear",
        "stargan.networks.stargan.__import__",
    ],
)
def test_builds_networks_of_this_package_only(target: str) -> None:
    with pytest.raises(UserError):
        networks.build({"_target_": target})


def test_save_refuses_what_would_not_open(tmp_path: Path) -> None:
    plain = settings()
    plain["networks"]["generator"]["condition_size"] = 4
    with pytest.raises(UserError, match="contradicts"):
        write_export(tmp_path / "g.safetensors", plain)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_export(tmp_path / "file" / "g.safetensors", settings())


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto").type in ("cpu", "cuda", "mps")
    for name in "nonsense", "cuda:77":
        with pytest.raises(UserError, match=name):
            find_device(name)
