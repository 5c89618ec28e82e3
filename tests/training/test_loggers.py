"""The same run in several loggers: terms, pictures, words, and going on under the same id."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stargan import cli, configs
from stargan.errors import UserError
from stargan.training import loggers

TINY = [
    *("data.image_size=32", "data.batch_size=4", "method.generator.channels=8"),
    *("method.generator.blocks=1", "method.discriminator.channels=8", "trainer=cpu"),
    *("schedule=constant", "n_critic=1", "log.every_n_steps=1", "data.num_workers=0"),
    *("log.samples_every_n_steps=2", "log.sample_rows=1", "callbacks.gan_health=null"),
    *("tags=[baseline,1_1]", "notes=a try, the first"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i, name in enumerate("ab"):
        (folder / name).mkdir()
        for j in range(5):
            pixels = np.full((32, 32, 3), 60 * i + 9 * j, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{j}.png")
    return folder


def train_and_go_on(root: Path, run: Path, *more: str) -> None:
    words = ["train", "experiment=folder", f"data.root={root}", f"run_dir={run}", *TINY]
    cli.run([*words, "trainer.max_steps=3", *more])
    cli.run(["train", f"resume={run}", "trainer.max_steps=4"])


def test_csv_and_tensorboard(root: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    more = ["logger=tensorboard", "+logger.csv={_target_: stargan.training.loggers.CSV}"]
    train_and_go_on(root, tmp_path / "run", *more)
    read = EventAccumulator(str(tmp_path / "run" / "tensorboard"), {"images": 0, "scalars": 0})
    read.Reload()
    assert [s.step for s in read.Scalars("D/adv")] == [1, 2, 3, 4]
    assert [s.step for s in read.Images("samples")] == [2, 3, 4]
    assert read.Images("samples")[0].width > 32 * 3
    texts = read.Tags()["tensors"]
    assert {"tags/text_summary", "notes/text_summary", "configuration/text_summary"} <= set(texts)
    parts = sorted((tmp_path / "run" / "csv").glob("version_*/metrics.csv"))
    steps = [[int(row["step"]) for row in csv.DictReader(part.open())] for part in parts]
    assert steps == [[1, 2, 3], [4]]
    report = (tmp_path / "run" / "report.md").read_text()
    assert "- tags: baseline, 1_1" in report
    assert "- notes: a try, the first" in report


def test_weights_and_biases_offline(root: Path, tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    train_and_go_on(root, tmp_path / "run", "logger=wandb", "logger.wandb.offline=true")
    assert wandb.run is None, "the next run of this process is another one"
    parts = sorted((tmp_path / "run" / "wandb").glob("offline-run-*"))
    kept = json.loads((tmp_path / "run" / loggers.IDS).read_text())["wandb"]
    assert len(parts) == 2
    assert all(part.name.endswith(kept) for part in parts), "one run, in two parts"
    pictures = [len(list(part.glob("files/media/images/samples_*.png"))) for part in parts]
    assert pictures == [2, 1]


def test_comet_offline(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("comet_ml")
    train_and_go_on(root, tmp_path / "run", "logger=comet", "logger.comet.offline=true")
    kept = json.loads((tmp_path / "run" / loggers.IDS).read_text())["comet"]
    parts = (tmp_path / "run" / "comet").glob("*.zip")
    steps, pictures = [], 0
    for part in sorted(parts, key=lambda p: p.stat().st_mtime_ns):
        assert part.name.startswith(kept), "one run, in two parts"
        with zipfile.ZipFile(part) as archive:
            said = [json.loads(line) for line in archive.read("messages.json").splitlines() if line]
        words = [one["payload"] for one in said]
        metrics = [w["metric"] for w in words if "metric" in w]
        steps.append([m["step"] for m in metrics if m["metricName"] == "D/adv"])
        pictures += sum(w.get("upload_type") == "visualization" for w in words)
    assert steps == [[1, 2, 3], [4]]
    assert pictures == 3


def test_mlflow(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    uri = f"logger.mlflow.tracking_uri=sqlite:///{tmp_path}/m.db"
    words = ["train", "experiment=folder", f"data.root={root}", "run_dir=run", *TINY, uri]
    cli.run([*words, "trainer.max_steps=3", "logger=mlflow"])
    # A file may not say where a run is sent.
    with pytest.raises(UserError, match="a file may not say where a run is sent"):
        cli.run(["train", "resume=run", "trainer.max_steps=4"])
    cli.run(["train", "resume=run", "trainer.max_steps=4", uri])
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/m.db")
    experiment = client.get_experiment_by_name("stargan")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["tags"] == "baseline, 1_1"
    assert run.data.tags["mlflow.note.content"] == "a try, the first"
    assert run.data.params["method/n_critic"] == "1"
    assert [m.step for m in client.get_metric_history(run.info.run_id, "D/adv")] == [1, 2, 3, 4]
    names = [f.path for f in client.list_artifacts(run.info.run_id, "images")]
    assert sum(name.endswith(".png") for name in names) == 3


@pytest.mark.parametrize(("name", "package"), [("wandb", "wandb"), ("comet", "comet_ml")])
def test_a_logger_without_its_package(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configs.compose("train", ["experiment=demo", f"logger={name}"])
    real = loggers.find_spec
    monkeypatch.setattr(loggers, "find_spec", lambda p: None if p == package else real(p))
    with pytest.raises(UserError) as caught:
        loggers.build_loggers(config, tmp_path, 0)
    assert str(caught.value).endswith(f"pip install 'stargan[{name}]'.")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"_target_": "stargan.training.run.Trained"}, "no logger"),
        ({"_target_": "stargan.training.loggers.CVS"}, "CSV"),
        ({"_target_": "stargan.training.loggers.CSV", "folder": "x"}, "takes no setting 'folder'"),
        ({"project": "x"}, "not named"),
    ],
)
def test_what_is_no_logger(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    config = {**configs.compose("train", ["experiment=demo"]), "logger": {"mine": settings}}
    with pytest.raises(UserError) as caught:
        loggers.build_loggers(config, tmp_path, 0)
    assert message in str(caught.value)


def test_a_run_folder_names_no_code_and_no_place(tmp_path: Path) -> None:
    """What a file says of loggers is admitted as all it says; a place is typed again."""
    saved = configs.compose("train", ["experiment=demo", "logger=wandb"])

    def resumed(*words: str, **changes: Any) -> dict[str, Any]:
        wandb = {**saved["logger"]["wandb"], **changes}
        text = configs.to_yaml({**saved, "logger": {"wandb": wandb}})
        (tmp_path / "config.yaml").write_text(text)
        return configs.of_training([f"resume={tmp_path}", *words])

    assert resumed(project="other")["logger"]["wandb"]["project"] == "other"
    with pytest.raises(UserError, match="no file may run by itself"):
        resumed(_target_="pytorch_lightning.loggers.WandbLogger")
    with pytest.raises(UserError, match=r"add logger\.wandb\.entity=theirs"):
        resumed(entity="theirs")
    assert (
        resumed("logger.wandb.entity=mine", entity="theirs")["logger"]["wandb"]["entity"] == "mine"
    )
    assert resumed("logger.wandb=null", entity="theirs")["logger"] == {"wandb": None}
    assert list(resumed("logger=csv", entity="theirs")["logger"]) == ["csv"]
    assert resumed("trainer=cpu")["trainer"]["accelerator"] == "cpu"
    with pytest.raises(UserError, match="cannot change when a run is resumed"):
        resumed("+seed=3")


@pytest.mark.parametrize("section", ["[1]", "text", "{wandb: 3}"])
def test_a_run_folder_whose_loggers_are_no_section(section: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"name: x\nlog: {{}}\nlogger: {section}\n")
    with pytest.raises(UserError, match="must be sections"):
        configs.of_training([f"resume={tmp_path}"])


def test_an_id_is_a_word(tmp_path: Path) -> None:
    text = '{"wandb": "abc_1-2", "mlflow": "../../x", "comet": ["x"]}'
    (tmp_path / loggers.IDS).write_text(text)
    assert loggers.read_ids(tmp_path) == {"wandb": "abc_1-2"}
    (tmp_path / loggers.IDS).write_text("[1")
    assert loggers.read_ids(tmp_path) == {}
