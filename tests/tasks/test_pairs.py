"""DIAT and CycleGAN end to end on tiny data: resume, processes, all that one does with a model."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from stargan import Translator, cli, configs
from stargan.errors import UserError
from stargan.judges.judge import Reader, open_judge
from stargan.labels import LabelSpace
from stargan.tasks import serve
from tests.data.test_unaligned import write_sides
from tests.tasks.test_train import ENVIRONMENT, TINY, command, same, weights
from tests.tiny import write_judge

SMALL = [word for word in TINY if not word.startswith(("n_critic", "data.batch_size"))]
CLASSES = LabelSpace(("blue", "green", "red"), categorical=True, name="folder")


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sides(tmp_path_factory.mktemp("sides"))


def words_of(method: str, sides: Path, class_folder: Path, run: Path, *more: str) -> list[str]:
    own = {
        "cyclegan": ["experiment=cyclegan", f"data.root={sides}", "method.pool=3"],
        "diat": [
            *("experiment=folder", "method=diat", "method.target=red", f"data.root={class_folder}"),
            "data.batch_size=2",
        ],
    }[method]
    return ["train", *own, *SMALL, f"run_dir={run}", *more]


def pools(run: Path) -> list[dict[str, torch.Tensor]]:
    found: list[dict[str, torch.Tensor]] = weights(run)["processes"]
    return found


@pytest.mark.parametrize("method", ["cyclegan", "diat"])
def test_resume_goes_on_exactly(
    method: str, sides: Path, class_folder: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    cli.run(words_of(method, sides, class_folder, whole, "trainer.max_steps=8"))
    cli.run(words_of(method, sides, class_folder, parts, "trainer.max_steps=5"))
    cli.run(["train", f"resume={parts}", "trainer.max_steps=8"])
    assert same(whole, parts)
    if method == "cyclegan":
        (one,), (two,) = pools(whole), pools(parts)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[k], two[k]) for k in one)
        assert int(one["pool_a.count"]) == 3
        assert weights(whole)["hyper_parameters"]["setting"] == "published"


@pytest.mark.slow
def test_two_processes_are_equal_and_each_has_its_pools(
    sides: Path, class_folder: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"

    def start(words: list[str]) -> str:
        done = subprocess.run(
            command(words), env=ENVIRONMENT, timeout=300, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return " ".join((done.stdout + done.stderr).split())

    for run, steps in ((whole, 8), (parts, 5)):
        more = ("trainer.devices=2", f"trainer.max_steps={steps}")
        said = start(words_of("cyclegan", sides, class_folder, run, *more))
        assert "2 processes, largest difference between their weights: 0" in said
    first, second = pools(parts)
    assert not torch.equal(first["pool_a.images"], second["pool_a.images"])
    said = start(["train", f"resume={parts}", "trainer.max_steps=8"])
    assert "largest difference between their weights: 0" in said
    assert same(whole, parts)
    for one, two in zip(pools(whole), pools(parts), strict=True):
        assert all(torch.equal(one[k], two[k]) for k in one)
    said = start(["train", f"resume={parts}", "trainer.devices=1", "trainer.max_steps=9"])
    assert "saved by 2 processes and goes on with 1" in said
    assert len(pools(parts)) == 1


@pytest.fixture(scope="module")
def models(
    sides: Path, class_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    found = {}
    for method in ("cyclegan", "diat"):
        found[method] = root / method
        more = ["trainer.max_steps=2", "method.setting=comparison", "method.n_critic=1"]
        if method == "cyclegan":
            more.append("data.batch_size=2")
        cli.run(words_of(method, sides, class_folder, found[method], *more))
    return found


@pytest.mark.parametrize("method", ["cyclegan", "diat"])
def test_it_is_a_translator_like_any_other(
    method: str, models: dict[str, Path], sides: Path, class_folder: Path, tmp_path: Path
) -> None:
    run, label = models[method], {"cyclegan": "B", "diat": "red"}[method]
    space = {
        "cyclegan": LabelSpace(("A", "B"), categorical=True, name="unaligned"),
        "diat": CLASSES,
    }[method]
    assert list((run / "samples").glob("*.png"))
    assert "training diverged" not in (run / "report.md").read_text()
    pictures = {"cyclegan": sides / "testA", "diat": class_folder / "test" / "blue"}[method]
    judge = write_judge(tmp_path / "judge" / "classifier.safetensors", space, size=32)

    out = tmp_path / "out"
    common = [f"model={run}", f"input={pictures}", f"output={out}"]
    cli.run(["translate", *common, f"to={label}", "cam=true", f"judge={judge}"])
    assert len(list(out.glob(f"*_{label}.png"))) == len(list(pictures.iterdir()))
    assert list(out.glob("*_cam.png"))
    cli.run(["translate", *common, "to=all", f"judge={judge}"])

    report = tmp_path / "report"
    cli.run(["evaluate", f"model={run}", f"judge={judge}", f"output={report}", "cases=1"])
    text = (report / "report.md").read_text()
    assert f"| {label} |" in text

    for name in ("model.safetensors", "model.onnx", "model.pt2"):
        if name.endswith("onnx"):
            pytest.importorskip("onnxruntime")
        cli.run(["export", f"model={run}", f"output={tmp_path / name}"])
        translator = Translator.from_pretrained(tmp_path / name)
        one = translator(Image.open(next(pictures.iterdir())), label)
        assert one.size == (32, 32)


def test_the_way_back_is_measured_where_there_is_one(
    models: dict[str, Path], class_folder: Path, tmp_path: Path
) -> None:
    judge = write_judge(tmp_path / "judge" / "classifier.safetensors", CLASSES, size=32)
    report = tmp_path / "report"
    words = [f"model={models['diat']}", f"judge={judge}", f"output={report}", "cases=1"]
    cli.run(["evaluate", *words])
    found = configs.load_yaml(report / "report.json")
    text = str(found)
    assert "'label': 'red'" in text
    assert "'label': 'blue'" not in text, "no image is asked for what there is no network for"


# Reading a photo's own labels -----------------------------------------------------------------


def test_a_page_needs_to_know_what_a_photo_shows(class_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = words_of("diat", tmp_path, class_folder, run, "trainer.max_steps=1")
    words = [w for w in words if not w.startswith("method.target")]
    words = ["method=cyclegan" if w == "method=diat" else w for w in words]
    cli.run([*words, "method.pair=[blue,red]"])
    translator = Translator.from_pretrained(run)
    with pytest.raises(UserError, match="add judge=, a classifier of blue, green, red"):
        serve.check_reading("run", translator)
    judge = open_judge(write_judge(tmp_path / "classifier.safetensors", CLASSES))
    translator.model.reader = Reader(judge, translator.spaces)
    serve.check_reading("run", translator)
    found = translator.predict(Image.new("RGB", (40, 40)))
    assert set(found) == {"blue", "green", "red"}


def test_the_page_offers_what_can_be_changed(models: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    from stargan.web.studio import Studio

    judge = open_judge(write_judge(tmp_path / "classifier.safetensors", CLASSES, size=32))
    translator = Translator.from_pretrained(models["diat"])
    translator.model.reader = Reader(judge, translator.spaces)
    studio = Studio({"diat": translator})
    (model,) = studio.models
    assert [c.names for c in model.controls] == [("red",)]
    visit = studio.see(Image.new("RGB", (40, 40), "blue"))
    seen = visit.seen[0]
    assert model.translate(seen, {"red": 1.0}).shape == (3, 32, 32)
    assert seen.own is not None
    own: Any = {"blue": True, "green": False, "red": False}
    assert model.able(own, {"red": 1.0})
    assert not model.able(own, {"green": 1.0})
    assert "data:image" in model.row(seen, {})


# Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["method.setting=papers"], "Did you mean method.setting=published|Known: published"),
        (["method.pair=[blue]"], "name the other one too"),
        (["method.pair=[blue,violet]"], "unknown label 'violet'"),
        ([], "which two domains"),
    ],
)
def test_bad_settings_are_one_sentence(
    more: list[str], words: str, class_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        cli.run(
            [
                *("train", "experiment=folder", "method=cyclegan", f"data.root={class_folder}"),
                *(*SMALL, f"run_dir={tmp_path / 'run'}", *more),
            ]
        )


def test_an_empty_side_is_one_sentence(tmp_path: Path) -> None:
    root = write_sides(tmp_path / "sides", {"trainA": 2, "trainB": 0, "testA": 1, "testB": 1})
    with pytest.raises(UserError, match="trainB' holds no images"):
        cli.run(["train", "experiment=cyclegan", f"data.root={root}", *SMALL])


def test_the_published_settings_are_the_defaults_and_the_comparison_is_one_word() -> None:
    def of(*more: str) -> dict[str, Any]:
        return configs.compose("train", ["experiment=cyclegan", "data.root=x", *more])

    published, comparison = of(), of("method.setting=comparison")
    assert (published["data"]["image_size"], published["data"]["batch_size"]) == (256, 1)
    assert round(256 * published["data"]["load_scale"]) == 286
    method = published["method"]
    wanted = {
        **{"adversarial": "least_squares", "lambda_rec": 10.0, "lambda_idt": 0.5, "pool": 50},
        **{"n_critic": 1, "generator_lr": 2e-4, "discriminator_lr": 2e-4, "schedule": "paper"},
    }
    assert {k: method[k] for k in wanted} == wanted
    method = comparison["method"]
    wanted = {
        **{"adversarial": "wgan", "lambda_gp": 10.0, "lambda_idt": 0.0, "pool": 0, "n_critic": 5},
        **{"generator_lr": 1e-4, "discriminator_lr": 1e-4},
    }
    assert {k: method[k] for k in wanted} == wanted
    assert comparison["data"]["batch_size"] == 16
    assert method["discriminator"]["_target_"] == "stargan.networks.stargan.Critic"
