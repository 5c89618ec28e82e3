"""Labels are text as typed, from the command line to the last report; and how few there may be."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch

from stargan import cli, configs, imaging
from stargan.errors import UserError
from stargan.export import open_model
from stargan.imaging.fonts import font_for
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.progress import plain_console
from stargan.training.run import check
from stargan.web.controls import controls_of
from stargan.writing import markdown_row
from tests.conftest import draw_square
from tests.tasks.test_train import TINY, weights

ODD = [
    *("1", "true", "1_1", "счастье", "悲しい", "O'Brien", "100% (real)", "a|b", "[bold]"),
    *("café", ":smile:", "${x}"),
]


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_what_is_typed(name: str) -> None:
    config = configs.compose("train", ["experiment=folder", "data.root=/x", f"labels=[{name}]"])
    assert config["labels"] == config["data"]["folder"]["labels"] == [name]
    assert configs.typed_names(f"['{name}']") == [name], "quotes are not part of it"
    assert configs.typed_names(name if name != "[bold]" else "[[bold]]") == [name]


def test_lists_of_names() -> None:
    assert configs.typed_names("[1,2, 3 ]") == ["1", "2", "3"]
    assert configs.typed_groups("[[Child,Senior],[O'Brien,1]]") == [
        ["Child", "Senior"],
        ["O'Brien", "1"],
    ]
    assert configs.typed_groups("[Child,Senior]") == [["Child", "Senior"]]
    for text in ("[]", "[a,,b]", ""):
        with pytest.raises(UserError, match="empty name"):
            configs.typed_names(text)
    config = configs.compose("train", ["experiment=folder", "data.root=/x", "labels=null"])
    assert config["labels"] is None
    known = configs.compose("translate", ["model=a", "input=b", "to=[1],c=0", "output=d"])
    assert known["to"] == "[1],c=0"


def test_names_of_a_file_are_text() -> None:
    config = configs.compose("train", ["experiment=folder", "data.root=/x"])
    with pytest.raises(UserError, match="put the name into quotes"):
        check({**config, "labels": [True]})


def test_letters_are_compared_composed() -> None:
    apart = unicodedata.normalize("NFD", "café")
    assert apart != "café"
    space = LabelSpace([apart, "tea"], [[apart, "tea"]])
    assert space.names == ("café", "tea")
    assert space.index(apart) == space.index("café") == 0
    assert space.group_of(apart) == ("café", "tea")
    assert JointLabelSpace([space]).locate(apart) == (0, "café")
    assert space == LabelSpace.from_plain(space.to_plain())


def test_a_row_of_markdown_keeps_its_cells() -> None:
    assert markdown_row(["a|b", 1, "x\ny"]) == r"| a\|b | 1 | x y |"


def test_a_console_prints_what_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    plain_console().print("[bold]x :smile:")
    assert capsys.readouterr().out == "[bold]x :smile:\n"


@pytest.mark.parametrize("text", ["Ünïcödé", "счастье", "Ελληνικά"])
def test_captions_are_drawn_in_every_script_of_dejavu(text: str) -> None:
    """No box: each letter looks unlike the sign for a letter that is missing."""
    font = font_for(text, 20)
    missing = bytes(font.getmask("\U0010fffd"))
    assert all(bytes(font.getmask(letter)) != missing for letter in text)


def test_captions_are_drawn_in_japanese() -> None:
    pytest.importorskip("matplotlib_fontja")
    font = font_for("悲しい", 20)
    missing = bytes(font.getmask("\U0010fffd"))
    assert all(bytes(font.getmask(letter)) != missing for letter in "悲しい")
    image = torch.zeros(3, 16, 16)
    with_text, without = (imaging.grid([[image]], [t]) for t in ("悲しい", " "))
    assert np.asarray(with_text).min() < 100 < np.asarray(without).min()


def test_letters_that_no_font_has_are_said(caplog: pytest.LogCaptureFixture) -> None:
    font_for("\U0010fffd\U0010fffc", 17)
    assert "captions show boxes" in caplog.text


def odd_folder(root: Path, names: list[str], count: int = 1) -> Path:
    """Folders as macOS writes them, so many images of a class in train and in test."""
    for split in ("train", "test"):
        for i, name in enumerate(names):
            for k in range(count):
                file = root / split / unicodedata.normalize("NFD", name) / f"{k}.png"
                draw_square(file, (20 * i, 200 - 15 * i, 40), 100 * i + k + 7 * (split == "test"))
    return root


def chain(base: Path, data: list[str], kind: str, to: str, photo: Path) -> dict[str, Path]:
    """Judge, training with an evaluation on the way, evaluate, translate, cam, export."""
    judge, run = base / "judge", base / "run"
    small = ["data.image_size=32", "data.batch_size=4", "trainer.accelerator=cpu"]
    small += ["log.tensorboard=false", "network=small_classifier", "trainer.max_steps=3"]
    words = ["log.test_every_n_steps=2", f"run_dir={judge}"]
    cli.run(["train", f"experiment={kind}_classifier", *data, *small, *words])
    words = ["callbacks=evaluate", f"callbacks.evaluate.judge={judge}"]
    words += ["callbacks.evaluate.every_n_steps=2", "trainer.max_steps=4", f"run_dir={run}"]
    cli.run(["train", f"experiment={kind}", *data, *TINY, "method=stargan", *words])
    opened = [f"model={run}", f"judge={judge}", "device=cpu"]
    cli.run(["evaluate", *opened, "cases=2", f"output={base / 'report'}"])
    words = [f"input={photo}", "cam=true", f"output={base / 'pictures'}"]
    cli.run(["translate", *opened, *words, f"to={to}"])
    words = [f"input={photo}", "to=all", f"output={base / 'all'}", "device=cpu"]
    cli.run(["translate", f"model={run}", *words])
    words = [f"input={photo}", f"output={base / 'maps'}", "device=cpu"]
    cli.run(["cam", f"model={judge}", *words])
    cli.run(["export", f"model={run}", f"output={base / 'model.onnx'}"])
    state = weights(run)["state_dict"]
    assert all(torch.isfinite(v).all() for v in state.values())
    return {"judge": judge, "run": run}


@pytest.mark.slow
def test_the_whole_chain_with_odd_names_and_one_image_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ODD[:-1]
    root = odd_folder(tmp_path / "data", names)
    data = [f"data.root={root}", f"labels=[{','.join(names)}]"]
    made = chain(tmp_path, data, "folder", "[bold]", root / "test" / "1" / "0.png")
    assert open_model(made["run"]).labels.names == tuple(names)
    shown = capsys.readouterr().out
    assert "[bold]" in shown
    assert ":smile:" in shown
    for report in (tmp_path / "report" / "report.md", made["judge"] / "report.md"):
        rows = [x for x in report.read_text("utf-8").splitlines() if x.startswith(r"| a\|b")]
        assert rows
        assert all(r"a\|b |" in row for row in rows)
    assert "悲しい" in (tmp_path / "report" / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_the_whole_chain_with_one_label(celeba_folder: Path, tmp_path: Path) -> None:
    data = [f"data.root={celeba_folder}", "data.celeba.partition=official", "data.celeba.crop=40"]
    photo = celeba_folder / "img_align_celeba" / "000001.jpg"
    made = chain(tmp_path, [*data, "labels=[Male]"], "celeba", "Male=0", photo)
    assert open_model(made["run"]).labels.condition_size == 1
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| Male |" in text
    assert "| not Male |" in text
    assert "nan" not in text.lower()
    rows = (made["run"] / "metrics.csv").read_text()
    assert "eval/error" in rows.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["experiment=demo_joint", "data=expressions", "labels=[happy]"], "has one class, 'happy'"),
        (["experiment=demo_classifier", "data=digits", "labels=[7]"], "has one class, '7'"),
    ],
)
def test_one_class_has_nothing_to_tell_it_from(words: list[str], said: str, tmp_path: Path) -> None:
    name = "expressions" if "data=expressions" in words else "digits"
    counts = [f"data.{name}.count.{s}={n}" for s, n in (("train", 16), ("val", 0), ("test", 8))]
    counts.append(f"data.{name}.size=16")
    with pytest.raises(UserError, match=said):
        cli.run(["train", *words, *counts, "data.image_size=32", f"run_dir={tmp_path / 'run'}"])
    assert not (tmp_path / "run").exists()


def test_one_image_of_a_class_without_split_folders(tmp_path: Path) -> None:
    root = odd_folder(tmp_path / "data", ["a", "b"]) / "train"
    with pytest.raises(UserError, match="has 1 image: a train and a test split need two"):
        cli.run(["train", "experiment=folder", f"data.root={root}", *TINY])


@pytest.mark.slow
def test_output_of_any_encoding_never_ends_a_run(tmp_path: Path) -> None:
    root = odd_folder(tmp_path / "data", ["счастье", "悲しい"], 2)
    words = ["train", "experiment=folder", f"data.root={root}", *TINY, "trainer.max_steps=2"]
    done = subprocess.run(
        [sys.executable, "-m", "stargan", *words, f"run_dir={tmp_path / 'run'}"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert rb"\u0441\u0447" in done.stdout
    assert "счастье" in (tmp_path / "run" / "report.md").read_text("utf-8")


def test_the_page_has_one_switch_for_one_label() -> None:
    space = JointLabelSpace([LabelSpace(["[Male]"])])
    (control,) = controls_of(space, space.names, reads=True)
    assert control.names == ("[Male]",)
    assert not control.is_choice
