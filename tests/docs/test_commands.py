"""Every command that README.md and the pages of docs/ print.

Those in blocks of their own are run in a folder that has a tiny real thing for every name in them,
with settings that make them small. Of those mentioned in a sentence the program must know every
word. What cannot be run here stands in a list with the reason. A command that is none of these
fails.
"""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from stargan import Translator, cli
from stargan.callbacks import embedded
from stargan.errors import UserError
from stargan.judges.judge import open_judge
from tests.docs.home import furnish, small, stand_in
from tests.docs.printed import ROOT, Printed, commands, python_blocks, unknown_blocks

COMMANDS, PYTHON = commands(), python_blocks()
NOT_RUN: dict[str, str] = {
    "stargan serve": "a server; tests/web opens its page in a browser",
    "stargan study": "needs a whole comparison and people; its own tests run it",
    "stargan compare suite=celeba data.root=CELEBA output=CMP study=": "needs people's votes",
    "stargan train -m": "a sweep; its own tests run it",
    "hf upload": "needs the hub and a token",
    "hf auth": "needs the hub",
    **dict.fromkeys(
        ("curl", "H=", "FILE=$(curl", "EVENT=$(curl", "URL=$(curl"),
        "needs a running server; tests/web call the same addresses",
    ),
    "git clone": "needs the network",
    "python main.py": "of the published code",
    "python src/": "of lightning-hydra-template",
    "pre-commit install": "changes the checkout's hooks",
}
"""Beginnings of commands that nobody can run here, and why. Those of ``stargan`` are composed."""
USAGE = re.compile(r"^\[|\.\.\.|^key=value$|NAME|[^=]=$")
"""What is a pattern rather than a word to type (``[format=...]``, ``judge=``): it is left out."""
OWN_TEST = {"docs/method.md": "tests/docs/test_method.py"}
"""Pages whose blocks a test of their own runs."""
NOT_RUN_PYTHON = {
    "docs/phones.md": "needs coremltools, which predicts on macOS only",
    "docs/serving.md": "needs a running server; tests/web call it",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The furnished folder, in which all commands of this file are run."""
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(embedded, "judge_of_faces", lambda *_: open_judge("judge_faces.safetensors"))
        stand_in(place, patch)
        furnish(place)
        yield place


def value_of(words: list[str], key: str) -> str:
    """The last value of a key, empty where it is not given."""
    return next((w.partition("=")[2] for w in reversed(words) if w.startswith(f"{key}=")), "")


def data_folder(words: list[str]) -> str:
    """The folder that ``data.root=`` means: by the data, the experiment or the suite."""
    kinds = {
        "celeba": "CELEBA",
        "icgan": "CELEBA",
        "rafd": "RAFD",
        "folder": "CLASSES",
        "cyclegan": "SIDES",
        "mnist": "DIGITS",
        "images": "PHOTOS",
        "unaligned": "SIDES",
    }
    for key in ("data", "experiment", "suite"):
        name = value_of(words, key)
        for kind, folder in kinds.items():
            if name == kind or name.startswith(f"{kind}_"):
                return folder
    raise AssertionError(f"which data is meant in {' '.join(words)}? Say it in data_folder.")


def first_run(words: list[str]) -> list[str]:
    """The words of the first run of a sweep; those of any other command as they are."""
    if not {"-m", "--multirun"} & set(words):
        return words
    found = []
    for word in words:
        key, sign, value = word.partition("=")
        if key.startswith(("-", "hydra", "optimize")):
            continue
        alone = re.match(r"\w+\(([^,)]+)|\[[^\]]*\]|[^,\[(]+", value)
        found.append(f"{key}{sign}{(alone[1] or alone[0]) if alone else value}")
    return found


def furnished(command: Printed, number: int) -> list[str]:
    """The words of a command with the names of the page in place of real things of ``home``."""
    task, *words = (word for word in command.words[1:] if not USAGE.search(word))
    words = first_run(words)
    moods = "TABLE/" in command.text
    judge = "judge_moods.safetensors" if moods else "judge_faces.safetensors"
    run = "runs/moods" if moods else "runs/faces"
    if value_of(words, "data") == "folder":
        judge = "judge_colours.safetensors"
    if task == "sample" or value_of(words, "trainer.max_epochs"):
        judge, run = "runs/judge", "runs/digits"
    model = judge if task == "cam" else run
    found = []
    for word in words:
        key, sign, value = word.partition("=")
        if key in ("output", "run_dir"):
            value = f"new/{number}/{value}"
        elif key == "data.root":
            value = data_folder(words)
        elif key in ("data.celeba.root", "data.rafd.root"):
            value = key.split(".")[1].upper()
        elif key == "input":
            value = "demo" if value == "demo" else "PHOTO" if value == "PHOTO" else "PHOTOS"
        elif key == "images":
            value = "PHOTOS"
        elif key in ("judge", "callbacks.evaluate.judge", "method.features", "method.weights"):
            value = judge
        elif key in ("model", "run") and (value == "demo" or Path(value).exists()):
            pass
        elif key in ("model", "run") and task != "export":
            value = models(value, model, number)
        elif key == "model":
            value = "tiny.safetensors" if value.endswith(".safetensors") else run
        elif key == "resume":
            (value,) = copies(run, number, 1)
        found.append(f"{key}{sign}{value}")
    return [task, *found]


def models(value: str, model: str, number: int) -> str:
    """A model in place of a name, or as many as a list has."""
    if not value.startswith("["):
        return model
    return f"[{','.join(copies(model, number, value.count(',') + 1))}]"


def copies(run: str, number: int, count: int) -> list[str]:
    """Run folders that a command may change."""
    found = [f"copies/{number}_{i}" for i in range(count)]
    for folder in found:
        shutil.copytree(run, folder, dirs_exist_ok=True)
    return found


def made_small(task: str, words: list[str]) -> list[str]:
    """Settings behind the printed ones, so that a command takes seconds."""
    if task == "train" and value_of(words, "resume"):
        longer = "max_epochs=2" if value_of(words, "trainer.max_epochs") else "max_steps=3"
        return [f"trainer.{longer}", "schedule=late"]
    if task == "train":
        return small(words)
    if task == "evaluate":
        own_judge = [] if value_of(words, "judge") else ["judge=judge_faces.safetensors"]
        return ["count=2", "cycle=false", *own_judge]
    drawn = value_of(words, "data")
    if drawn in ("attributes", "expressions"):
        return [f"data.{drawn}.count.{split}=8" for split in ("train", "val", "test")]
    if task == "compare":
        # The commands that it would give; tests/tasks/test_compare.py runs all of it. Of suite=demo
        # not even these, for which thousands of faces are drawn.
        suite = value_of(words, "suite")
        if suite == "demo":
            return ["--cfg", "job"]
        official = ["data.celeba.partition=official"] if suite in ("celeba", "joint") else []
        method = "stargan_jnt" if suite == "joint" else "stargan"
        return ["plan=true", f"methods=[{method}]", *official]
    return {
        "sample": ["count=4"],
        "export": ["images=PHOTOS"] if not value_of(words, "images") else [],
    }.get(task, [])


def listed(command: Printed) -> bool:
    return command.text.startswith(tuple(NOT_RUN))


def distinct(chosen: list[Printed]) -> list[Printed]:
    """Each text once; pages repeat each other."""
    return list({c.text.partition(" #")[0].strip(): c for c in reversed(chosen)}.values())[::-1]


def is_stargan(command: Printed) -> bool:
    return command.text.startswith("stargan ")


RUN = [
    c
    for c in distinct([c for c in COMMANDS if c.block and is_stargan(c) and not listed(c)])
    if c.page not in OWN_TEST
]
OF_README = [c for c in RUN if c.page == "README.md"]
COMPOSED = [c for c in distinct(COMMANDS) if is_stargan(c) and (listed(c) or not c.block)]
OTHERS = [c for c in distinct(COMMANDS) if not is_stargan(c)]


def run_it(command: Printed, capsys: Any) -> None:
    number = COMMANDS.index(command)
    task, *words = furnished(command, number)
    if "--cfg" in words:
        cli.run([task, *words])
        return
    cli.run([task, *words, *made_small(task, words)])
    output = value_of(words, "output") or value_of(words, "run_dir")
    assert not output or Path(output).exists() or task == "compare"


@pytest.mark.parametrize("command", OF_README, ids=str)
def test_a_command_of_the_readme_runs(command: Printed, home: Path, capsys: Any) -> None:
    run_it(command, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in RUN if c.page != "README.md"], ids=str)
def test_a_command_of_a_page_runs(command: Printed, home: Path, capsys: Any) -> None:
    run_it(command, capsys)


@pytest.mark.parametrize("command", COMPOSED, ids=str)
def test_a_mentioned_command_is_known(command: Printed, home: Path, capsys: Any) -> None:
    if "--help" in command.words:
        cli.run(command.words[1:])
        return
    words, refused = furnished(command, COMMANDS.index(command)), ""
    try:
        cli.run(words if "--cfg" in words else [*words, "--cfg", "job"])
    except UserError as error:
        refused = str(error)
    # A page may show what is refused; not what was never there.
    assert not re.match(r"unknown |.* is not an override", refused)


@pytest.mark.parametrize("command", OTHERS, ids=str)
def test_another_command_names_what_is_there(command: Printed) -> None:
    if listed(command):
        return
    program, *words = command.words
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        assert words[0] in targets
        return
    if program == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = re.findall(r"\[([\w,]+)\]", command.text)
        assert "install" in words
        assert set(",".join(extras).split(",")) - {""} <= set(project["optional-dependencies"])
        # A reader without it installs it from the checkout; whoever has it may say its name.
        places = [w.partition("[")[0] for w in words]
        assert not command.block or "." in places or "pre-commit" in places
        return
    if program in ("python", "pytest"):
        files = [w for w in words if "/" in w and not w.startswith(("-", "runs/"))]
        assert files or words[0] in ("-m", "example.py")
        assert all((ROOT / file).exists() for file in files)
        return
    if program in (".", "cd"):
        return
    raise AssertionError(f"{command}: a program that no list of this file has")


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_printed_python_runs(
    block: Printed, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if block.page in OWN_TEST:
        return
    code = compile(ast.parse(block.text), str(block), "exec")
    if block.page in NOT_RUN_PYTHON:
        return
    names: dict[str, Any] = {"__name__": "__main__", "image": torch.zeros(2, 3, 32, 32)}
    for name in ("RUN_DIR", "runs/celeba", "runs/celeba_classifier"):
        source = {"RUN_DIR": "runs/digits", "runs/celeba": "runs/faces"}.get(name)
        if not Path(name).exists():
            shutil.copytree(source or "runs/judge", name)
    hair = Path("CelebAMask-HQ-mask-anno") / "0" / "00021_hair.png"
    hair.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy("MASKS/000021.png", hair)
    Path("CelebA-HQ-img").mkdir(exist_ok=True)
    shutil.copy("PHOTOS/000021.jpg", "CelebA-HQ-img/21.jpg")
    # The hub is a folder here: a name that is a folder is opened as one.
    monkeypatch.setattr(
        Translator,
        "push_to_hub",
        lambda self, name, **_: self.save_pretrained(name),
    )
    monkeypatch.setattr(sys, "argv", ["example.py", "face.onnx", "photo.jpg", "Male", "out.png"])
    exec(code, names)


def test_a_sweep_begins_with_a_run() -> None:
    words = ["-m", "experiment=demo", "seed=1,2", "labels=[Male],[Young]", "hydra/launcher=joblib"]
    assert first_run(words) == ["experiment=demo", "seed=1", "labels=[Male]"]
    assert first_run(["-m", "lambda_cls=choice(1,2)"]) == ["lambda_cls=1"]
    assert first_run(["to=Blond_Hair,Young=0"]) == ["to=Blond_Hair,Young=0"]


def test_blocks_are_of_known_languages() -> None:
    assert not unknown_blocks()


def test_pages_are_read() -> None:
    """So that a change of the reader that finds nothing does not pass for success."""
    assert len(OF_README) > 12
    assert len(RUN) > 50
    assert len(COMPOSED) > 20
    assert {c.page for c in RUN} >= {"README.md", "docs/cam.md", "docs/comparison.md"}
    assert importlib.import_module("tests.docs.test_method")
