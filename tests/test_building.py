"""Objects from plain descriptions: every mistake is one sentence that says what to do."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import nn

import stargan.data
from stargan import building, configs, networks
from stargan.building import TYPED, check_arguments, from_file, resolve
from stargan.data import DATASET
from stargan.errors import UserError
from stargan.losses.adversarial import LOSS, adversarial_loss
from stargan.networks import NETWORK
from stargan.networks.classifier import SmallClassifier
from stargan.training.callback import CALLBACK
from stargan.training.checkpoints import METHOD, build_method
from stargan.training.loggers import LOGGER

LAB = """
from collections import namedtuple
from stargan.networks.stargan import Generator, Discriminator
class Mine(Generator): ...
class Odd:
    def __init__(self): raise ZeroDivisionError("by nothing")
class Broken(Generator):
    def __init__(self, **others):
        super().__init__(**others)
        raise ZeroDivisionError("by nothing")
def faces(split): return 1
def wrong(split) -> int: return 1
Game = namedtuple("Game", ["d_loss", "g_loss", "scale"])
def game() -> Game: return Game(max, min, None)
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of one's own in the current folder, which is not on Python's path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    package = tmp_path / "lab"
    package.mkdir()
    (package / "__init__.py").write_text("from lab.nets import Mine\nfrom torch.nn import Linear\n")
    (package / "nets.py").write_text(LAB)
    (package / "torn.py").write_text("x = 1\ny = (\n")
    (package / "early.py").write_text("import lab\nlab.nothing\n")
    (package / "needs.py").write_text("import no_such_module\n")
    for name in [n for n in sys.modules if n.partition(".")[0] == "lab"]:
        monkeypatch.delitem(sys.modules, name)
    return "lab"


def test_every_configuration_names_what_is_there() -> None:
    """Every ``_target_`` of conf/ is found, of its kind, also by a file."""
    kinds = {"method": METHOD, "callbacks": CALLBACK, "data": DATASET, "logger": LOGGER}
    found = 0
    for path in configs.config_dir().glob("*/*.yaml"):
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        top = plain.get("_target_")
        for target in building.targets(plain):
            if "${" in target:  # one of several by another key, whose values are names, too
                continue
            kind = kinds.get(path.parent.name, NETWORK)
            if kind is METHOD and target != top:
                kind = NETWORK
            resolve(target, kind, from_file())
            found += 1
    assert found > 20


@pytest.mark.parametrize(
    ("target", "kind", "words"),
    [
        (None, NETWORK, "add _target_"),
        ("Generator", NETWORK, "no dotted name"),
        ("stargan.networks.stargan.Generatr", NETWORK, "Did you mean 'stargan.networks.stargan.G"),
        ("stargan.network.stargan.Generator", NETWORK, "Did you mean 'stargan.networks.stargan.G"),
        ("stargan.methods.stargan.StarGAN", NETWORK, "is no network of stargan.networks"),
        ("stargan.networks.stargan.nn.Linear", NETWORK, "does not exist"),
        ("stargan.networks.stargan.UserError", NETWORK, "is no network of"),
        ("stargan.networks.blocks.check_image_size", NETWORK, "a subclass of Module"),
        ("stargan.callbacks.gan_health.translation_effects", CALLBACK, "a subclass of RunCallback"),
        ("stargan.data.drawn.faces.default_cache", DATASET, "annotated to return one"),
        ("stargan.data.datamodule.DataModule", DATASET, "annotated to return one"),
        ("stargan.losses.adversarial.hinge_d", LOSS, "is no adversarial loss"),
        ("no_such_package.Net", NETWORK, "no module 'no_such_package': install"),
        ("lab.nets.Min", NETWORK, "Did you mean 'Mine'"),
        ("lab.nets.Odd", NETWORK, "a subclass of Module"),
        ("lab.nets.faces", DATASET, "annotated to return one"),
        ("lab.nets.wrong", DATASET, "annotated to return one"),
        ("lab.torn.Net", NETWORK, "importing 'lab.torn' failed: SyntaxError"),
        ("lab.early.Net", NETWORK, "failed: AttributeError: module 'lab' has no attribute"),
        ("lab.needs.Net", NETWORK, "importing 'lab.needs' failed: ModuleNotFoundError: No module"),
    ],
)
def test_what_is_typed_wrong(lab: str, target: Any, kind: building.Kind, words: str) -> None:
    with pytest.raises(UserError, match=words.replace("(", r"\(")) as caught:
        resolve(target, kind)
    assert "\n" not in str(caught.value)


def test_two_kinds_of_trust(lab: str) -> None:
    for name in "lab.Mine", "lab.nets.Mine":
        assert resolve(name, NETWORK, TYPED).__name__ == "Mine"
        for trust in "lab", ("other", "lab"), "[other, lab]", name:
            assert resolve(name, NETWORK, from_file(trust)).__name__ == "Mine"
        for trust in (), None, "", "la", "lab.other", "labs":
            with pytest.raises(UserError, match="trust=lab "):
                resolve(name, NETWORK, from_file(trust))
    # What it has from this package is this package's.
    assert resolve("lab.nets.Discriminator", NETWORK, from_file("lab")).__name__ == "Discriminator"
    # Somebody else's code, which the trusted package merely imports.
    with pytest.raises(UserError, match="trust=torch "):
        resolve("lab.Linear", NETWORK, from_file("lab"))
    assert resolve("lab.Linear", NETWORK) is nn.Linear
    for wrong in "os", "a-b", ["lab", ""], "1":
        with pytest.raises(UserError, match="trust="):
            from_file(wrong)


def test_what_goes_wrong_while_it_is_made(lab: str) -> None:
    described = {"image_size": 32, "condition_size": 2, "channels": 4, "blocks": 1}
    with pytest.raises(UserError, match=r"ZeroDivisionError: by nothing \(nets.py, line 10\)"):
        networks.build({"_target_": "lab.nets.Broken", **described})
    with pytest.raises(UserError, match=r"callbacks\.mine: 'lab.nets.Odd' is no"):
        resolve("lab.nets.Odd", CALLBACK, where="callbacks.mine")
    assert isinstance(networks.build({"_target_": "lab.Mine", **described}), nn.Module)
    assert adversarial_loss({"_target_": "lab.nets.game"}).d_loss is max


def test_a_checkpoint_names_no_code_within(lab: str) -> None:
    plain = {
        "_target_": "stargan.methods.stargan.StarGAN",
        "generator": {"_target_": "lab.nets.Mine"},
        "discriminator": {"_target_": "stargan.networks.stargan.Discriminator"},
        "labels": [],
    }
    with pytest.raises(UserError, match="trust=lab "):
        build_method(plain, from_file())
    with pytest.raises(UserError, match="'image'"):
        build_method(plain, from_file("lab"))


def test_targets_anywhere_and_without_end() -> None:
    ring: list[Any] = [{"a": [{"_target_": "x.Y", "b": {"_target_": "stargan.networks.Z"}}]}]
    ring.append(ring)
    assert set(building.targets(ring)) == {"x.Y", "stargan.networks.Z"}
    assert building.own_targets(ring) == ("x.Y",)


def takes(
    number: float,
    count: int = 1,
    name: str | None = None,
    betas: tuple[float, float] = (0, 1),
    size: int | Sequence[int] = 1,
    flag: bool = False,
    plain: dict[str, Any] | None = None,
    **others: int,
) -> None: ...


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"number": 1}, None),
        ({"number": 1.5, "count": 2, "name": "a", "betas": [0.5, 0.9], "size": [1, 2]}, None),
        ({"number": 1, "name": None, "flag": True, "plain": {"a": 1}, "more": 1}, None),
        ({"number": "1e-4"}, "number='1e-4' is text, not a number: write 0.0001 without quotes"),
        ({"number": "many"}, "number='many' is text, not a number."),
        ({"number": True}, "is true or false, not a number"),
        ({"number": None}, "is nothing, not a number"),
        ({"number": 1, "count": 1.5}, "is a number, not a whole number"),
        ({"number": 1, "name": 3}, "is a whole number, not text or null"),
        ({"number": 1, "betas": [0.5]}, "is a list"),
        ({"number": 1, "betas": ["0.5", 1]}, "is a list"),
        ({"number": 1, "size": "32"}, "is text, not a whole number or a list"),
        ({"number": 1, "flag": "yes"}, "is text, not true or false"),
        ({"number": 1, "plain": [1]}, "is a list"),
        ({}, "needs 'number'"),
    ],
)
def test_arguments(given: dict[str, Any], words: str | None) -> None:
    if words is None:
        check_arguments(takes, given, {}, "it")
        return
    with pytest.raises(UserError) as caught:
        check_arguments(takes, given, {}, "it")
    assert words in str(caught.value)


def test_unknown_arguments_name_the_nearest() -> None:
    def few(split: str, channels: int = 3) -> None: ...

    class Child(SmallClassifier):
        def __init__(self, extra: int = 0, **others: Any) -> None: ...

    with pytest.raises(UserError, match=r"no setting 'chanels'.* Did you mean 'channels'\?"):
        check_arguments(few, {"chanels": 1}, {"split": "test"}, "it")
    check_arguments(Child, {"extra": 1, "channels": 4}, {"image_size": 8, "label_size": 1}, "it")
    with pytest.raises(UserError, match="no setting 'chanels'"):
        check_arguments(Child, {"chanels": 4}, {}, "it")


def test_a_maker_travels_to_workers() -> None:
    described = {"_target_": "stargan.data.drawn.digits.SyntheticDigits", "count": 20}
    maker = building.maker(described, DATASET, where="data.digits")
    assert len(pickle.loads(pickle.dumps(maker))(split="test")) == 20
    with pytest.raises(UserError, match=r"data\.digits: .* takes no setting 'splt'"):
        maker(splt="test")


def test_every_place_of_a_data_set_is_read_or_may_not_be_said_by_a_file() -> None:
    """A new argument that is a path must be thought of: one that is written to goes to WRITES."""
    read = {"root", "regions", "base", "paths"}
    found = set()
    for info in pkgutil.walk_packages(stargan.data.__path__, "stargan.data."):
        module = importlib.import_module(info.name)
        for thing in vars(module).values():
            if isinstance(thing, type) and thing.__module__ == info.name and DATASET.fits(thing):
                hints = inspect.signature(thing.__init__).parameters.values()
                found |= {p.name for p in hints if "Path" in str(p.annotation)}
    assert set(building.WRITES) <= found
    assert found <= read | set(building.WRITES)
