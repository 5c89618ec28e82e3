"""A stranger's file runs nothing, whatever its sort; a person's own code runs where they say so."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from stargan import Translator, building, cli, configs
from stargan.errors import UserError
from stargan.export import open_parts
from stargan.export.onnx import save_onnx
from stargan.export.pt2 import save_pt2
from stargan.labels import LabelSpace
from tests.tiny import FACES, photo, settings, write_checkpoint, write_export, write_judge

EVIL = """
from pathlib import Path
Path({marker!r}).touch()
from stargan.networks.stargan import Generator
class Net(Generator):
    pass
def faces(**settings):
    raise RuntimeError("run")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module ``evil`` that leaves a mark when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    (tmp_path / "evil.py").write_text(EVIL.format(marker=str(tmp_path / "mark")))
    photo().save(tmp_path / "photo.png")
    return tmp_path


def refused(here: Path, *words: str) -> str:
    """The one sentence with which the command refuses; nothing has run."""
    done = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stderr, "write", done.append)
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
    assert caught.value.code == 2
    message = "".join(done).strip()
    assert message.startswith("stargan: ")
    assert "\n" not in message
    assert not (here / "mark").exists()
    assert "evil" not in sys.modules
    return message


def translate(here: Path, model: Path) -> tuple[str, ...]:
    return (
        *("translate", f"model={model}", f"input={here / 'photo.png'}", "to=Male"),
        *(f"output={here / 'out'}", "device=cpu"),
    )


def renamed(model: Path, plain: dict[str, Any]) -> Path:
    """The same tensors with another description."""
    save_file(load_file(model), model, metadata={"stargan": json.dumps(plain)})
    return model


TARGETS = {
    "evil.Net": "trust=evil",
    "os.mkdir": "no file may",
    "torch.hub.load": "trust=torch",
    "stargan.cli.main": "no network of stargan.networks",
    "stargan.networks.stargan.nn.Linear": "does not exist",
}


def with_network(plain: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """A description whose generator has other arguments."""
    generator = {**plain["networks"]["generator"], **arguments}
    return {**plain, "networks": {**plain["networks"], "generator": generator}}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("sort", ["safetensors", "hub folder", "ckpt"])
def test_networks_of_a_stranger(here: Path, sort: str, target: str) -> None:
    plain = settings()
    wrong = with_network(plain, _target_=target)
    model = here / "model.safetensors"
    if sort == "ckpt":
        model = write_checkpoint(here / "last.ckpt", plain)
        saved = torch.load(model, weights_only=True)
        torch.save({**saved, "hyper_parameters": {"export": wrong}}, model)
    else:
        renamed(write_export(model, plain), wrong)
    if sort == "hub folder":
        (here / "config.json").write_text(json.dumps(wrong))
    message = refused(here, *translate(here, here if sort == "hub folder" else model))
    assert TARGETS[target] in message
    assert refused(here, "export", f"model={model}", f"output={here / 'm.onnx'}") == message


def test_a_network_within_a_network(here: Path) -> None:
    wrong = with_network(settings(), channels={"_target_": "evil.Net"})
    model = renamed(write_export(here / "m.safetensors", settings()), wrong)
    assert "trust=evil" in refused(here, *translate(here, model))


DATA = {"use": ["attributes"], "image_size": 32, "attributes": {"_target_": "evil.faces"}}


@pytest.mark.parametrize("target", ["evil.faces", "torch.hub.load", "os.mkdir"])
def test_the_data_set_of_a_strangers_model(here: Path, target: str) -> None:
    data = {**DATA, "attributes": {"_target_": target, "crop": None}}
    plain = settings() | {"training": {"data": data}}
    for model in (
        write_export(here / "model.safetensors", plain),
        write_checkpoint(here / "last.ckpt", plain),
    ):
        message = refused(here, "evaluate", f"model={model}", f"output={here / 'out'}")
        assert target in message
        assert target in refused(here, *translate(here, model), "cam=true")


def test_a_function_of_this_package_is_no_data_set(here: Path) -> None:
    for target in ("stargan.cli.main", "stargan.data.drawn.faces.default_cache"):
        data = {**DATA, "attributes": {"_target_": target, "crop": None}}
        model = write_export(here / "m.safetensors", settings() | {"training": {"data": data}})
        message = refused(here, "evaluate", f"model={model}", f"output={here / 'out'}")
        assert "is no data set" in message


def test_a_file_does_not_say_where_to_write(here: Path) -> None:
    target = {"_target_": "stargan.data.rafd.RaFD", "root": str(here), "crop": None}
    data = {"use": ["rafd"], "image_size": 32, "rafd": {**target, "write_split": "photo.png"}}
    model = write_export(here / "model.safetensors", settings() | {"training": {"data": data}})
    before = (here / "photo.png").read_bytes()
    message = refused(here, "evaluate", f"model={model}", f"output={here / 'out'}")
    assert "write_split" in message
    assert (here / "photo.png").read_bytes() == before


def run_folder(here: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A run folder whose config.yaml a stranger has changed."""
    config = configs.compose("train", ["experiment=demo", "run_dir=run"])
    change(config)
    run = here / "run"
    write_checkpoint(run / "checkpoints" / "last.ckpt", settings())
    write_judge(run / "classifier.safetensors", FACES)
    (run / "config.yaml").write_text(configs.to_yaml(config))
    return run


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "data set": lambda c: c["data"]["attributes"].update(_target_="evil.faces"),
    "method": lambda c: c["method"].update(_target_="evil.Net"),
    "network": lambda c: c["method"]["generator"].update(_target_="evil.Net"),
    "loss": lambda c: c["method"].update(adversarial={"_target_": "evil.Net"}),
    "callback": lambda c: c["callbacks"]["gan_health"].update(_target_="evil.Net"),
    "a word for itself": lambda c: (
        c.update(trust=["evil"]), c["method"].update(_target_="evil.Net")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_the_run_folder_of_a_stranger(here: Path, name: str) -> None:
    run = run_folder(here, CHANGES[name])
    assert "trust=evil" in refused(here, "train", f"resume={run}")
    if name == "data set":
        output = f"output={here / 'out'}"
        assert "trust=evil" in refused(here, "evaluate", f"model={run}", output)
        sampler = write_export(here / "g.safetensors", settings())
        words = ("sample", f"model={sampler}", f"judge={run}", output, "device=cpu")
        assert "trust=evil" in refused(here, *words)


def test_a_file_does_not_read_the_environment(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    secret = "${oc.env:SECRET}"
    run = run_folder(here, lambda c: c.update(name=secret, labels=[secret]))
    cli.run(["train", f"resume={run}", "--cfg", "job"])
    assert "hunter2" not in capsys.readouterr().out
    words = [f"health.action='{secret}'", "health.rate_factor=1e-4"]
    cli.run(["train", f"resume={run}", *words, "--cfg", "job"])
    shown = yaml.safe_load(capsys.readouterr().out)
    # What is typed is resolved, and a number is a number.
    assert shown["health"]["action"] == "hunter2"
    assert shown["health"]["rate_factor"] == 1e-4
    assert shown["labels"] == [secret]
    assert shown["name"] == secret


def test_yaml_that_runs_or_never_ends(here: Path) -> None:
    run = run_folder(here, lambda c: None)
    code = f"a: !!python/object/apply:os.mkdir [{here / 'mark'}]"
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    for i in range(1, 12):
        refers = ",".join([f"*a{i - 1}"] * 10)
        lines.append(f"a{i}: &a{i} [{refers}]")
    for text in (code, "\n".join(lines), "[" * 20_000, "a: &a [*a]"):
        (run / "config.yaml").write_text(text)
        assert "config.yaml" in refused(here, "train", f"resume={run}")


class Code:
    """A pickle of it touches a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.marker, "w"))


def test_pickles_are_not_read(here: Path) -> None:
    torch.save({"state_dict": Code(here / "mark"), "hyper_parameters": {}}, here / "a.ckpt")
    assert "could run code" in refused(here, *translate(here, here / "a.ckpt"))
    torch.save({"a": Code(here / "mark")}, here / "a.pth")
    words = ["train", "experiment=demo_classifier", f"method.weights={here / 'a.pth'}"]
    small = [f"data.attributes.count.{split}=8" for split in ("train", "test")]
    assert "could run code" in refused(here, *words, *small, f"run_dir={here / 'new'}")
    run = run_folder(here, lambda c: None)
    torch.save(Code(here / "mark"), run / "checkpoints" / "last.ckpt")
    assert "no checkpoint" in refused(here, "train", f"resume={run}")


# .pt2 ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good file of each format that holds graphs."""
    folder = tmp_path_factory.mktemp("graphs")
    parts = open_parts(write_export(folder / "m.safetensors", settings()), "translator")
    found = {"safetensors": folder / "m.safetensors"}
    for ending, save in (("pt2", save_pt2), ("onnx", save_onnx)):
        found[ending] = folder / f"m.{ending}"
        save(found[ending], parts, "fp32")
    return found


def rewritten(good: Path, path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """An archive with other members; what ``change`` gives for a new name is added."""
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return path


def in_graph(change: Callable[[dict[str, Any]], object]) -> Callable[[str, bytes], bytes]:
    """Changes the JSON of the graph ``model``."""

    def edit(name: str, data: bytes) -> bytes:
        if not name.endswith("/models/model.json"):
            return data
        plain = json.loads(data)
        change(plain)
        return json.dumps(plain).encode()

    return edit


def node(target: str, *inputs: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    """Puts a node before all others."""
    arguments = [{"name": "", "arg": arg, "kind": 1} for arg in inputs]
    said = {"target": target, "inputs": arguments, "outputs": [{"as_tensor": {"name": "evil"}}]}
    said |= {"metadata": {}, "name": "evil", "is_hop_single_tensor_return": None}
    return lambda plain: plain["graph_module"]["graph"]["nodes"].insert(0, said)


def python(here: Path) -> str:
    return f"open({str(here / 'mark')!r}, 'w')"


def rename_input(words: str) -> Callable[[dict[str, Any]], object]:
    """Another name for the input ``condition``, everywhere."""

    def change(plain: dict[str, Any]) -> None:
        text = json.dumps(plain["graph_module"])
        replaced = text.replace('{"name": "condition"}', json.dumps({"name": words}))
        plain["graph_module"] = json.loads(replaced)
        values = plain["graph_module"]["graph"]["tensor_values"]
        values[words] = values.pop("condition")

    return change


def archive_attacks(here: Path) -> dict[str, tuple[Callable[[str, bytes], bytes | None], str]]:
    """Names to how an archive is changed, and the words of the refusal."""
    pickled = pickle.dumps(Code(here / "mark"))

    def weight(name: str, data: bytes) -> bytes:
        if name.endswith("_weights_config.json"):
            plain = json.loads(data)
            next(iter(plain["config"].values()))["use_pickle"] = True
            return json.dumps(plain).encode()
        return pickled if name.endswith("/weight_0") else data

    def constant(name: str, data: bytes) -> bytes:
        if not name.endswith("model_constants_config.json"):
            return data
        entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}
        return json.dumps({"config": {"evil": {**entry, "tensor_meta": None}}}).encode()

    string = {"as_string": python(here)}
    call = "could run code"
    return {
        "pickled weight": (weight, call),
        "pickled constant": (constant, call),
        "any function": (in_graph(node("torch.hub.load", string)), call),
        "python's eval": (in_graph(node("builtins.eval", string)), call),
        "a method": (in_graph(node("_operator.methodcaller", string)), call),
        "a file mapped": (
            in_graph(node("torch.ops.aten.from_file.default", {"as_string": str(here / "mark")})),
            call,
        ),
        "an operator saves": (in_graph(node("torch.ops.aten.save", string)), call),
        "own operator": (in_graph(node("torch.ops.evil.run.default", string)), call),
        "extension": (in_graph(node("#evil", string)), call),
        "own object": (
            in_graph(node("torch.ops.aten.relu.default", {"as_custom_obj": {"name": "evil"}})),
            call,
        ),
        "an operator as argument": (
            in_graph(node("torch.ops.aten.relu.default", {"as_operator": "torch.hub.load"})),
            call,
        ),
        "inside a part of the graph": (
            in_graph(
                node(
                    "torch.ops.higher_order.wrap_with_set_grad_enabled",
                    {"as_bool": False},
                    {
                        "as_graph": {
                            "name": "inner",
                            "graph": {
                                "inputs": [],
                                "outputs": [],
                                "nodes": [
                                    {"target": "torch.hub.load", "inputs": [], "outputs": []}
                                ],
                            },
                        }
                    },
                )
            ),
            call,
        ),
        "another format": (
            in_graph(lambda plain: plain["schema_version"].update(major=9)),
            "format 9",
        ),
    }


NAMES = tuple(archive_attacks(Path()))


@pytest.mark.parametrize("name", NAMES)
def test_an_archive_of_a_stranger(here: Path, graphs: dict[str, Path], name: str) -> None:
    change, words = archive_attacks(here)[name]
    path = rewritten(graphs["pt2"], here / "evil.pt2", change)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("m/data/constants/opaque_obj_0", pickle.dumps(Code(here / "mark")))
    assert words in refused(here, *translate(here, path))


def test_compiled_code_and_packed_parts_are_refused(here: Path, graphs: dict[str, Path]) -> None:
    path = rewritten(graphs["pt2"], here / "evil.pt2", lambda name, data: data)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/aotinductor/model/evil.so", b"")
    assert "could run code" in refused(here, *translate(here, path))
    path = rewritten(graphs["pt2"], here / "bomb.pt2", lambda name, data: data)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/weights/weight_99", b"\0" * 2**20)
    assert "compressed" in refused(here, *translate(here, path))


def unread(here: Path) -> dict[str, Callable[[str, bytes], bytes]]:
    """What PyTorch would run and nobody here looks at."""

    def samples(name: str, data: bytes) -> bytes:
        if "/sample_inputs/" not in name:
            return data
        path = here / "samples"
        torch.save(Code(here / "mark"), path)
        return path.read_bytes()

    def sizes(plain: dict[str, Any]) -> None:
        graph = plain["graph_module"]["graph"]
        for value in graph["tensor_values"].values():
            for size in value["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = python(here)

    return {
        "pickle among the sample inputs": samples,
        "expression as a size": in_graph(sizes),
        "a guard": in_graph(lambda plain: plain.update(guards_code=[python(here)])),
        "the name of an input": in_graph(rename_input(f"condition={python(here)}")),
    }


@pytest.mark.parametrize("name", tuple(unread(Path())))
def test_what_an_archive_says_beside_its_graph(
    here: Path, graphs: dict[str, Path], name: str
) -> None:
    """The file opens and translates as the good one does: there is nothing wrong in the rest."""
    path = rewritten(graphs["pt2"], here / "evil.pt2", unread(here)[name])
    assert (
        path.read_bytes()
        != rewritten(graphs["pt2"], here / "good.pt2", lambda name, data: data).read_bytes()
    )
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    expected = Translator.from_pretrained(graphs["safetensors"])(image, "Male")
    assert (Translator.from_pretrained(path)(image, "Male") - expected).abs().max() < 1e-5
    assert not (here / "mark").exists()


def test_a_graph_that_makes_no_sense_is_one_sentence(here: Path, graphs: dict[str, Path]) -> None:
    wrong = node("torch.ops.aten.view.default", {"as_tensor": {"name": "image"}}, {"as_ints": [7]})
    path = rewritten(graphs["pt2"], here / "wrong.pt2", in_graph(wrong))
    assert "cannot be run" in refused(here, *translate(here, path))
    with pytest.raises(UserError, match=r"takes tensors of \(any, 3, 32, 32\)"):
        Translator.from_pretrained(graphs["pt2"]).model.read(torch.zeros(1, 3, 16, 16))


# ONNX ---------------------------------------------------------------------------------------------


def external(model: Any, place: Path) -> None:
    tensor = model.graph.initializer[0]
    raw = onnx.numpy_helper.to_array(tensor)
    place.write_bytes(raw.tobytes())
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(place))


def own_operator(model: Any, place: Path) -> None:
    model.graph.node[0].domain = "evil"
    model.opset_import.add(domain="evil", version=1)


def own_function(model: Any, place: Path) -> None:
    model.functions.add(name="Conv", domain="evil")


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("inside", [False, True], ids=["model", "classifier"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (external, "keeps weights in another file"),
        (own_operator, "operators of its own"),
        (own_function, "functions of its own"),
    ],
)
def test_an_onnx_file_of_a_stranger(
    here: Path, graphs: dict[str, Path], change: Any, words: str, inside: bool, relative: bool
) -> None:
    place = Path("weights.bin") if relative else here / "weights.bin"
    model = onnx.load(graphs["onnx"])
    if inside:
        entry = next(p for p in model.metadata_props if p.key == "classifier")
        reader = onnx.load_from_string(base64.b64decode(entry.value))
        change(reader, place)
        entry.value = base64.b64encode(reader.SerializeToString()).decode()
    else:
        change(model, place)
    path = here / "evil.onnx"
    path.write_bytes(model.SerializeToString())
    assert words in refused(here, *translate(here, path))


# One's own ----------------------------------------------------------------------------------------

MYLAB = {
    "__init__.py": "",
    "nets.py": """
from stargan.networks.stargan import Generator
class Mine(Generator):
    def __init__(self, *, slope: float = 0.0, **others):
        super().__init__(**others)
""",
    "parts.py": """
import torch
from PIL import Image
from stargan.training.callback import RunCallback
from stargan.labels import LabelSpace
from stargan.methods.stargan import StarGAN
class Method(StarGAN):
    pass
class Squares:
    def __init__(self, split: str, count: int, side: int = 32) -> None:
        self.space = LabelSpace(["red", "dark"], name="squares")
        self.labels = torch.tensor([[i % 2, i // 2 % 2] for i in range(count)]).float()
        self.where = "squares"
        self.side = side
    def __len__(self) -> int:
        return len(self.labels)
    def load(self, index: int) -> Image.Image:
        red, dark = self.labels[index].tolist()
        value = 80 if dark else 220
        return Image.new("RGB", (self.side, self.side), (value, 0 if red else value, 0))
    def name(self, index: int) -> str:
        return str(index)
class Notes(RunCallback):
    def __init__(self, path):
        self.path = path
    @classmethod
    def of(cls, run, settings):
        return cls(run.folder / settings["file"])
    def on_train_end(self, *_):
        self.path.write_text("seen")
""",
}
CONF = {
    "data/squares.yaml": """
# Squares.
defaults: [base]
use: [squares]
squares: {_target_: mylab.parts.Squares, count: 12, crop: null}
""",
    "callbacks/noted.yaml": """
defaults: [default]
notes: {_target_: mylab.parts.Notes, file: notes.txt}
""",
    "experiment/mine.yaml": """
# @package _global_
# Mine.
defaults:
  - override /data: squares
  - override /method: stargan
  - override /callbacks: noted
name: mine
data: {image_size: 32, batch_size: 4}
trainer: {max_steps: 2, accelerator: cpu}
checkpoint: {every_n_steps: 1, keep: 0}
log: {every_n_steps: 1, samples_every_n_steps: 10, sample_rows: 2, tensorboard: false}
method:
  generator: {channels: 8}
  discriminator: {channels: 8}
  n_critic: 1
""",
}
OWN = ("method._target_=mylab.parts.Method", "method.generator._target_=mylab.nets.Mine")


def script(*words: str, where: Path) -> subprocess.CompletedProcess[str]:
    """As the script ``stargan`` runs: without the current folder on Python's path."""
    code = "import sys; from stargan.cli import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_package_of_ones_own(tmp_path: Path) -> None:
    for folder, files in (("mylab", MYLAB), ("conf", CONF)):
        for name, text in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    photo().save(tmp_path / "photo.png")

    def stargan(*words: str) -> None:
        done = script(*words, where=tmp_path)
        assert done.returncode == 0, done.stderr

    def no(*words: str) -> str:
        done = script(*words, where=tmp_path)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        return done.stderr

    stargan("train", "conf=conf", "experiment=mine", "run_dir=run", *OWN)
    assert (tmp_path / "run" / "notes.txt").read_text() == "seen"
    words = ("translate", "model=run", "input=photo.png", "to=red", "output=out", "device=cpu")
    assert "trust=mylab" in no(*words)
    stargan(*words, "trust=mylab")
    judge = write_judge(tmp_path / "judge.safetensors", LabelSpace(["red", "dark"], name="squares"))
    words = ("evaluate", "model=run", f"judge={judge}", "output=report", "device=cpu", "cases=2")
    assert "trust=mylab" in no(*words)
    stargan(*words, "trust=mylab")
    # Without its run folder: the model says itself what it was trained on.
    (tmp_path / "alone.safetensors").write_bytes(
        (tmp_path / "run" / "generator.safetensors").read_bytes()
    )
    assert "trust=mylab" in no(*words, "model=alone.safetensors")
    stargan(*words, "model=alone.safetensors", "trust=[other,mylab]", "output=second")
    resume = ("train", "resume=run", "trainer.max_steps=3", "schedule=constant")
    assert "trust=mylab" in no(*resume)
    assert "trust=mylab" in no(*resume, *OWN)
    stargan(*resume, "trust=mylab")


def test_what_is_typed_at_a_resume_is_typed(here: Path) -> None:
    run = run_folder(here, CHANGES["method"])
    words = ["train", f"resume={run}", "--cfg", "job"]
    for typed in "method._target_=evil.Net", "trust=evil":
        cli.run([*words, typed])
    assert "cannot be other.Net" in refused(here, *words, "method._target_=other.Net")
    assert "cannot be evil.Other" in refused(here, *words, "method.generator._target_=evil.Other")
    # A callback may be another; what is typed of it is no word for the rest of the file.
    assert "trust=evil" in refused(here, *words, "callbacks.gan_health._target_=other.Thing")
    assert "trust=os" in refused(here, *words, "trust=os")
    assert "trust=1" in refused(here, *words, "trust=1")


def test_moved_names_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(building.MOVED, "stargan.networks.older", "stargan.networks.old")
    monkeypatch.setitem(
        building.MOVED, "stargan.networks.old.Gen", "stargan.networks.old.Generator"
    )
    monkeypatch.setitem(building.MOVED, "stargan.networks.old", "stargan.networks.stargan")
    for name in ("older.Gen", "old.Gen", "old.Generator", "stargan.Generator"):
        assert building.current(f"stargan.networks.{name}") == "stargan.networks.stargan.Generator"
    assert building.current("stargan.networks.oldest.Gen") == "stargan.networks.oldest.Gen"
