"""How networks make a translation: which one, in which order, for which rows; in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stargan.errors import Plain, UserError
from stargan.export import (
    Parts,
    by_change,
    by_target,
    conditional,
    describe,
    encoded,
    open_model,
    reads,
    save_export,
)
from stargan.export import parts as export_parts
from stargan.export.onnx import save_onnx
from stargan.export.opening import as_model
from stargan.export.parity import compare
from stargan.export.pt2 import save_pt2
from stargan.export.rules import make_rule
from stargan.inference.translator import Translator
from stargan.labels import JointLabelSpace, LabelSpace
from tests.tiny import FACES, MOODS

BOTH = JointLabelSpace([FACES, MOODS])
SIZE = 8


class Digit(nn.Module):
    """``10 x + n``: of an image of zeros one can read which networks it went through."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(float(number)))
        self.rows: list[int] = []

    def forward(self, image: Tensor) -> Tensor:
        self.rows.append(len(image))
        return 10 * image + self.number


CHANGES = [
    {"label": "Male", "on": "n1", "off": "n2"},
    {"from": "Black_Hair", "to": "Blond_Hair", "network": "n3"},
    {"label": "Blond_Hair", "on": "n6", "off": "n7"},
    {"label": "Young", "off": "n4"},
    {"from": "neutral", "to": "happy", "network": "n5"},
]


def digits(plain: Plain) -> dict[str, nn.Module]:
    return {name: Digit(int(name[1:])) for name in plain["networks"]}


def joint(*names: str) -> Tensor:
    return torch.tensor([float(name in names) for name in BOTH.names])


def path(rule: Any, own: list[Tensor], target: list[Tensor]) -> list[float]:
    """Which networks each row went through, as one number."""
    image = torch.zeros(len(own), 3, 2, 2)
    rows = torch.stack(own), torch.stack(target)
    dataset = torch.tensor([int(bool(one[5:].any())) for one in target])
    found = rule(image, *rows, dataset)
    # A graph computes the same.
    assert torch.equal(rule.graph(image, *rule.feed(*rows, dataset).values()), found)
    assert image.abs().max() == 0  # The caller's images are not written to.
    assert torch.equal(found, found[:, :1, :1, :1].expand_as(found))
    return found[:, 0, 0, 0].tolist()


def test_a_network_for_each_change_in_a_mixed_batch() -> None:
    plain = by_change(CHANGES)
    nets = digits(plain)
    rule = make_rule(plain, BOTH, nets)
    edits = [
        (joint("Black_Hair"), joint("Black_Hair"), 0),
        (joint("Black_Hair"), joint("Black_Hair", "Male"), 1),
        (joint("Male", "Young"), joint("Young"), 2),
        (joint("Black_Hair"), joint("Blond_Hair"), 3),  # The exact pair goes first.
        (joint("Brown_Hair"), joint("Blond_Hair"), 6),
        (joint(), joint("Blond_Hair"), 6),
        (joint("Blond_Hair"), joint(), 7),
        (joint("Black_Hair", "Male", "Young"), joint("Blond_Hair"), 324),  # In label order.
        (joint("Young"), joint("Male"), 14),
        (joint("neutral"), joint("happy"), 5),
        (joint("neutral"), joint("neutral"), 0),
    ]
    own, target, expected = (list(column) for column in zip(*edits, strict=True))
    assert path(rule, own, target) == expected
    # Each network saw only the images that it changes (the graph shows all to all of them).
    calls = {name: net.rows for name, net in nets.items()}
    count = len(edits)
    assert calls == {
        **{"n1": [2, count], "n2": [2, count], "n3": [2, count], "n6": [2, count]},
        **{"n7": [1, count], "n4": [2, count], "n5": [1, count]},
    }


@pytest.mark.parametrize(
    ("own", "target", "words"),
    [
        (("Black_Hair",), ("Brown_Hair",), "Black_Hair to Brown_Hair; .*Black_Hair to Blond_Hair"),
        (("Brown_Hair",), (), "Brown_Hair to none of Black_Hair"),
        (("Blond_Hair",), ("Black_Hair",), "Blond_Hair to Black_Hair"),
        ((), ("Young",), "Young on; of Young it can make: Young off"),
        (("sad",), ("happy",), "sad to happy"),
        (("neutral",), ("sad",), "neutral to sad"),
    ],
)
def test_a_change_without_a_network_is_named(own: tuple, target: tuple, words: str) -> None:
    plain = by_change(CHANGES)
    rule = make_rule(plain, BOTH, digits(plain))
    rows = joint(*own)[None], joint(*target)[None]
    image, dataset = torch.zeros(1, 3, 2, 2), torch.zeros(1, dtype=torch.long)
    with pytest.raises(UserError, match=words) as caught:
        rule(image, *rows, dataset)
    assert "\n" not in str(caught.value)
    # A graph cannot refuse: what it gives cannot be taken for a picture.
    assert rule.graph(image, *rows).isnan().all()


def test_a_network_for_each_target() -> None:
    plain = by_target({"Blond_Hair": "n1", "Black_Hair": "n2", "Male": {"on": "n3", "off": "n4"}})
    rule = make_rule(plain, BOTH, digits(plain))
    edits = [
        (joint(), joint("Blond_Hair"), 1),
        (joint("Brown_Hair"), joint("Blond_Hair"), 1),
        (joint("Blond_Hair"), joint("Black_Hair"), 2),
        (joint("Brown_Hair", "Male"), joint("Black_Hair"), 24),
        (joint("Blond_Hair"), joint("Blond_Hair", "Male"), 3),
        (joint("Blond_Hair"), joint("Blond_Hair"), 0),
    ]
    own, target, expected = (list(column) for column in zip(*edits, strict=True))
    assert path(rule, own, target) == expected
    with pytest.raises(UserError, match=r"Blond_Hair to Brown_Hair; .*any to Blond_Hair"):
        path(rule, [joint("Blond_Hair")], [joint("Brown_Hair")])


def test_parts_of_the_way_mean_nothing_to_networks_that_know_no_labels() -> None:
    plain = by_change(CHANGES)
    rule = make_rule(plain, BOTH, digits(plain))
    with pytest.raises(UserError, match="a part of the way"):
        path(rule, [joint()], [0.5 * joint("Male")])


def test_one_generator_is_told_the_condition() -> None:
    class Told(nn.Module):
        def forward(self, image: Tensor, condition: Tensor) -> Tensor:
            return condition[:, :, None, None]

    rule = make_rule(conditional("g"), BOTH, {"g": Told()})
    target = torch.stack([joint("Male"), 0.5 * joint("happy")])
    dataset = torch.tensor([0, 1])
    found = rule(torch.zeros(2, 3, 1, 1), 1 - target, target, dataset)
    assert torch.equal(found[:, :, 0, 0], BOTH.condition(target, dataset))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * SIZE * SIZE, 6)

    def forward(self, image: Tensor) -> Tensor:
        return self.linear(image.flatten(1))


class FromCode(nn.Module):
    """Code and labels to an image; keeps what it was told."""

    def __init__(self, labels: int = 5) -> None:
        super().__init__()
        self.linear = nn.Linear(6 + labels, 3 * SIZE * SIZE)
        self.told: Tensor | None = None

    def forward(self, code: Tensor, label: Tensor) -> Tensor:
        self.told = label
        made = self.linear(torch.cat([code, label], 1))
        return made.view(made.shape[0], 3, SIZE, SIZE).tanh()


def test_an_image_goes_through_its_code() -> None:
    labels = JointLabelSpace([FACES])
    encoder, generator = Encoder(), FromCode()
    rule = make_rule(encoded("E_z", "G"), labels, {"E_z": encoder, "G": generator})
    image = torch.rand(2, 3, SIZE, SIZE)
    target = torch.tensor([[1.0, 0, 0, 1, 0], [0, 0, 0, 0.5, 1]])
    found = rule(image, 1 - target, target, torch.zeros(2, dtype=torch.long))
    assert generator.told is not None
    told = [[1.0, -1, -1, 1, -1], [-1, -1, -1, 0, 1]]
    assert generator.told.tolist() == told
    assert torch.equal(found, generator(encoder(image), torch.tensor(told)))
    with pytest.raises(UserError, match="one label space"):
        make_rule(encoded("E_z", "G"), BOTH)


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (None, "is unknown"),
        ({"rule": "by_magic", "networks": ["a"]}, "'by_magic' is unknown"),
        ({"rule": "conditional", "networks": []}, "names no network"),
        ({"rule": "conditional", "networks": ["a", "a"]}, "one twice"),
        ({"rule": "conditional", "networks": ["a", "b"]}, r"takes 1 network\(s\), not 2"),
        (by_change([{"label": "Mael", "on": "a"}]), "Did you mean 'Male'"),
        ({**by_change([{"label": "Male"}]), "networks": ["a"]}, "is no change"),
        (by_change([{"label": "Male", "on": "a", "of": "b"}]), "is no change"),
        (by_change([{"from": "Male", "to": "Young", "network": "a"}]), "of one group"),
        (by_change([{"from": "happy", "to": "happy", "network": "a"}]), "of one group"),
        (by_change([{"label": "Male", "on": "a"}, {"label": "Male", "on": "b"}]), "two networks"),
        ({**by_change([{"label": "Male", "on": "a"}]), "networks": ["a", "b"]}, "does not use"),
        (
            {**by_change([{"from": "sad", "to": "happy", "network": "a"}]), "rule": "by_target"},
            "by the target alone",
        ),
    ],
)
def test_rules_that_cannot_be(plain: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make_rule(plain, BOTH)


# Whole models -------------------------------------------------------------------------------------


class Paints(nn.Module):
    """A small network ``image -> image``."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        draws = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for p in self.parameters():
                p.normal_(std=0.3, generator=draws)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image).tanh()


class Scores(nn.Module):
    """A small network that reads labels."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3, count)

    def forward(self, image: Tensor) -> Tensor:
        return self.linear(image.mean((2, 3)))


def model_parts(rule: Plain, *spaces: LabelSpace, read: bool = True) -> Parts:
    """A model of small networks that no file could name."""
    labels = JointLabelSpace(spaces)
    if rule["rule"] == "encoded":
        nets: dict[str, nn.Module] = dict(
            zip(rule["networks"], [Encoder(), FromCode(labels.size)], strict=True)
        )
    else:
        nets = {name: Paints(i) for i, name in enumerate(rule["networks"])}
    roles = {"translate": rule}
    if read:
        nets["reader"] = Scores(labels.size)
        roles["read"] = reads("reader")
    for net in nets.values():
        net.eval().requires_grad_(False)
    plain = describe(
        networks={name: {"_target_": f"small.{type(net).__name__}"} for name, net in nets.items()},
        roles=roles,
        labels=labels,
        image={"size": [SIZE, SIZE]},
        training={"method": "small"},
    )
    return Parts.of(nets, plain)


MODELS = {
    "by_target": (by_target({"happy": "a", "sad": "b"}), MOODS),
    "by_change": (by_change(CHANGES), FACES, MOODS),
    "encoded": (encoded("E_z", "G"), FACES),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_rule_goes_into_every_format(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = model_parts(*MODELS[name])
    before = as_model(parts, torch.device("cpu"))
    photos = torch.rand(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    save_onnx(tmp_path / "m.onnx", parts, "fp32")
    save_pt2(tmp_path / "m.pt2", parts, "fp32")
    save_export(tmp_path / "m.safetensors", parts.networks, parts.plain)
    kinds = {type(net).__name__: net for net in parts.networks.values()}

    def build(config: Plain, **others: Any) -> nn.Module:
        made = kinds[config["_target_"].partition(".")[2]]
        return (
            type(made)(parts.labels.size)
            if isinstance(made, Scores | FromCode)
            else (Paints(99) if isinstance(made, Paints) else Encoder())
        )

    monkeypatch.setattr(export_parts.networks, "build", build)
    for file in ("m.onnx", "m.pt2", "m.safetensors"):
        after = open_model(tmp_path / file, trust=("small",))
        assert after.labels == parts.labels
        found = compare(before, after, photos, batch_size=3)
        assert found.largest < 1e-5, file
        assert found.same_labels == 1
        assert found.translations >= len(before.rule.examples()[0])
    # As strict as the model, although its graph cannot be.
    if name != "encoded":
        own, target, dataset = (t[:1] for t in before.rule.examples())
        for file in ("m.onnx", "m.pt2"):
            with pytest.raises(UserError, match="a part of the way"):
                open_model(tmp_path / file)(photos[:1], own, 0.5 * target, dataset)
    save_onnx(tmp_path / "h.onnx", parts, "fp16")
    save_pt2(tmp_path / "h.pt2", parts, "fp16")
    for file in ("h.onnx", "h.pt2"):
        found = compare(before, open_model(tmp_path / file), photos)
        assert 0 < found.largest < 0.02, file
    with pytest.raises(UserError, match="one conditional generator only"):
        save_onnx(tmp_path / "i.onnx", parts, "int8", photos)


def test_graphs_do_not_say_where_the_code_lies(tmp_path: Path) -> None:
    parts = model_parts(*MODELS["by_target"])
    save_onnx(tmp_path / "m.onnx", parts, "fp32")
    save_pt2(tmp_path / "m.pt2", parts, "fp32")
    for file in ("m.onnx", "m.pt2"):
        data = (tmp_path / file).read_bytes()
        assert str(Path(__file__).parent).encode() not in data, file
        assert b"site-packages" not in data, file


def test_an_onnx_file_says_what_it_takes(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    save_onnx(tmp_path / "m.onnx", model_parts(*MODELS["encoded"]), "fp32")
    session = runtime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["image", "own", "target"]
    assert "own:" in session.get_modelmeta().custom_metadata_map["inputs"]


def translator(rule: Plain, *spaces: LabelSpace, read: bool = False) -> Translator:
    return Translator(as_model(model_parts(rule, *spaces, read=read), torch.device("cpu")))


def test_a_translator_asks_only_for_the_labels_that_choose_the_network() -> None:
    image = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def by(t: Translator, *names: str) -> Tensor:
        result = image[None]
        for name in names:
            result = t.model.parts.networks[name](result)  # type: ignore[union-attr]
        return result[0]

    t = translator(by_target({"Blond_Hair": "a", "Male": {"on": "b", "off": "c"}}), FACES)
    assert torch.equal(t(image, "Blond_Hair"), by(t, "a"))
    assert torch.equal(t(image, "Male=0,Blond_Hair"), by(t, "a", "c"))
    assert torch.equal(t(image, "Male"), by(t, "b"))
    assert torch.equal(t(image, "Male", labels="Male"), image)  # Nothing changes.
    with pytest.raises(UserError, match="a part of the way"):
        t(image, "Male=0.5")
    with pytest.raises(UserError, match="a part of the way"):
        t(image, "Male", strength=0.5)
    assert not t.graded

    t = translator(by_change(CHANGES), FACES, MOODS)
    assert torch.equal(t(image, "Young=0"), by(t, "n4"))
    with pytest.raises(UserError, match="also Black_Hair, Blond_Hair, Brown_Hair"):
        t(image, "Blond_Hair")
    assert torch.equal(t(image, "Blond_Hair", labels="Black_Hair"), by(t, "n3"))
    assert torch.equal(t(image, "Blond_Hair", labels="Brown_Hair"), by(t, "n6"))
    with pytest.raises(UserError, match="also happy, sad, neutral"):
        t(image, "happy")
    both = t(image, "happy,Male", labels="neutral")
    assert torch.equal(both, by(t, "n1", "n5"))
    with pytest.raises(UserError, match="sad to happy"):
        t(image, "happy", labels="sad")


def test_a_run_of_labels_of_each_photo() -> None:
    # Photos of one batch are changed by different networks.
    t = translator(by_change([{"label": "Male", "on": "a", "off": "b"}]), LabelSpace(["Male"]))
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ((_, row),) = t.all(images, labels=["Male", "Male=0"])
    nets = t.model.parts.networks  # type: ignore[union-attr]
    expected = [nets[n](images[i : i + 1])[0] for i, n in enumerate("ba")]
    assert torch.equal(row, torch.stack(expected))
