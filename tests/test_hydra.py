"""Hydra's habits at the command line: signs, own folders, ``--cfg``, completion, run folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stargan import cli, configs
from stargan.errors import UserError
from stargan.hints import nearest_key


def refused(*arguments: str) -> str:
    with pytest.raises(UserError) as caught:
        cli.run(list(arguments))
    message = str(caught.value)
    assert "\n" not in message
    return message


def composed(*words: str) -> dict[str, object]:
    return configs.compose("train", ["experiment=demo", *words])


def test_signs_add_and_remove() -> None:
    config = composed(
        "+data.attributes.new=3",
        "++seed=7",
        "++notes=a, b",
        "~callbacks.epoch_images",
        "callbacks.gan_health=null",
        "+mine={_target_: mylab.A}",
    )
    assert config["data"]["attributes"]["new"] == 3  # type: ignore[index]
    assert (config["seed"], config["notes"]) == (7, "a, b")
    callbacks = config["callbacks"]
    assert callbacks["gan_health"] is None  # type: ignore[index]
    assert "epoch_images" not in callbacks  # type: ignore[operator]
    assert config["mine"] == {"_target_": "mylab.A"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sede=1"], "unknown key 'sede'. Did you mean seed=?"),
        (["learning=1"], "+learning= adds one"),
        (["+seed=1"], "Could not append"),
        (["~nothing"], "Could not delete"),
        (["callbacks.gan_health=3"], "is a section"),
        (["method=null3"], "unknown method"),
        (["seed=1,2"], "stargan train -m"),
        (["method=stargan,diat"], "stargan train -m"),
        (["run_dir=a", "hydra.run.dir=b"], "two folders"),
        (["hydra.sweep.drr=b"], "hydra.sweep.drr"),
        (["tags=[a,,b]"], "tags=[a,,b] has an empty name"),
        (["data=null"], "data=null"),
        (["--config-dir", "/nowhere"], "no folder of configuration"),
        (["--resolve"], "--cfg"),
        (["--cfg", "jobb"], "invalid choice"),
        (["--cfg", "job", "--package", "nothing"], "nothing"),
        (["resume=auto"], "run_dir=DIR"),
    ],
)
def test_what_is_wrong_is_one_sentence(words: list[str], message: str) -> None:
    assert message in refused("train", "experiment=demo", *words, "trainer.max_steps=-1")


def test_no_name_is_guessed_that_is_not_near() -> None:
    known = set(configs.leaves(configs.compose("train", ["experiment=demo"])))
    known -= {"tags"}
    for far in ("lr", "tags", "wd", "net", "model"):
        assert nearest_key(far, known) is None, far
    for slip, meant in (("sede", "seed"), ("epochs", "trainer.max_epochs"), ("tag", None)):
        assert nearest_key(slip, known) == meant


def test_groups_may_be_empty() -> None:
    config = composed("callbacks=none", "logger=none")
    assert (config["callbacks"], config["logger"]) == ({}, {})
    assert composed("logger=null", "tags=[]")["logger"] == {}


def test_what_was_log_tensorboard() -> None:
    assert composed("log.tensorboard=false")["logger"] == {}
    assert list(composed("log.tensorboard=true")["logger"]) == ["tensorboard"]  # type: ignore
    old = {"log": {"tensorboard": True}, "callbacks": {}}
    assert list(configs.with_loggers(old)["logger"]) == ["tensorboard"]
    old = {"log": {"tensorboard": False}, "callbacks": {}}
    assert configs.with_loggers(old) == {"log": {}, "callbacks": {}, "logger": {}}


@pytest.mark.parametrize("name", ["cpu", "gpu", "ddp", "mps"])
def test_trainers(name: str) -> None:
    settings = composed(f"trainer={name}", "trainer.max_steps=5")["trainer"]
    accelerator = {"cpu": "cpu", "mps": "mps"}.get(name, "gpu")
    assert settings["accelerator"] == accelerator  # type: ignore[index]
    assert settings["max_steps"] == 5  # type: ignore[index]


def test_run_dir_and_hydra_s_name_for_it_agree(tmp_path: Path) -> None:
    assert composed("run_dir=a b")["run_dir"] == "a b"
    assert composed("hydra.run.dir=x/y")["run_dir"] == "x/y"
    assert composed()["run_dir"] is None
    own = tmp_path / "experiment"
    own.mkdir()
    (own / "mine.yaml").write_text(
        "# @package _global_\n# Mine.\ndefaults: [demo]\nname: mine\n"
        "hydra: {run: {dir: 'out/${name}'}}\n"
    )
    config = configs.compose("train", ["experiment=mine", f"conf={tmp_path}"])
    assert config["run_dir"] == "out/mine"


def test_folders_and_groups_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in {
        "experiment/mine.yaml": "# @package _global_\n# Mine.\ndefaults: [demo]\nname: mine\n",
        "experiment/demo.yaml": "# @package _global_\nname: other\n",
        "hparams_search/few.yaml": "# @package _global_\nseed: 5\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    shown = ["+hparams_search=few", "--cfg", "job"]
    for way in (["--config-dir", str(tmp_path)], [f"hydra.searchpath=[file://{tmp_path}]"]):
        cli.run(["train", "experiment=mine", *way, *shown])
        config = yaml.safe_load(capsys.readouterr().out)
        assert (config["name"], config["seed"]) == ("mine", 5)
    message = refused("train", "experiment=demo", "--config-dir", str(tmp_path))
    assert "could be yours or that of the package" in message
    message = refused("train", "experiment=mine", f"conf={tmp_path}", "+hparams_search=fow")
    assert "Did you mean hparams_search=few?" in message


def test_cfg_as_hydra_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    def out(*words: str) -> str:
        cli.run(["train", "experiment=demo", *words])
        return capsys.readouterr().out

    job = yaml.safe_load(out("--cfg", "job"))
    assert job["schedule"] == "${method.schedule}"
    assert "hydra" not in job
    assert yaml.safe_load(out("--cfg", "job", "--resolve"))["schedule"] == "late"
    part = out("--cfg", "job", "--package", "data", "seed=3")
    assert part.startswith("# @package data\n")
    assert yaml.safe_load(part)["image_size"] == 32
    hydra = yaml.safe_load(out("--cfg", "hydra", "run_dir=here"))["hydra"]
    assert hydra["run"]["dir"] == "here"
    everything = yaml.safe_load(out("-c", "all"))
    assert {"hydra", "data", "method"} <= set(everything)


def test_completion(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def offered(line: str) -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        cli.run(["-sc", "query=bash"])
        return capsys.readouterr().out.split()

    monkeypatch.setattr("sys.argv", ["/usr/bin/stargan"])
    cli.run(["--shell-completion", "install=bash"])
    assert "-F hydra_bash_completion stargan" in capsys.readouterr().out
    assert offered("stargan tr") == ["train", "translate"]
    assert "experiment=demo_joint" in offered("stargan train experiment=demo")
    assert "method.lambda_cls=" in offered("stargan train experiment=demo method.lambda_c")
    assert offered("stargan translate mod") == ["model="]
    assert "install=bash" in refused("--shell-completion", "install")
    assert "No completion plugin for 'tcsh'" in refused("--shell-completion", "install=tcsh")


def test_only_training_is_swept() -> None:
    assert "no -m" in refused("evaluate", "-m", "model=a,b", "output=c")
