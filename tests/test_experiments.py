"""Every experiment, and every method on several kinds of data, trains a few steps and exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from stargan import building, cli, configs
from stargan.errors import UserError
from stargan.export import PRODUCTS, open_parts
from stargan.training import checkpoints
from tests.data.test_mnist import write_files
from tests.data.test_unaligned import write_sides

EXPERIMENTS, METHODS = (sorted(configs.options(group)) for group in ("experiment", "method"))
# Methods and data meet in a Batch alone: one experiment of each kind shows that they fit.
KINDS = ("celeba", "folder", "demo_joint")
SMALL = {
    "data.image_size": "32",
    "data.batch_size": "4",
    "data.channels": "3",
    "data.celeba.crop": "40",
    "data.celeba.partition": "official",
    "method.generator.channels": "8",
    "method.generator.blocks": "1",
    "method.discriminator.channels": "8",
    "method.encoder.channels": "4",
    "method.label_encoder.channels": "4",
    "log.tensorboard": "false",
    "trainer.accelerator": "cpu",
    "trainer.precision": "32-true",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method"),
    [(name, None) for name in EXPERIMENTS] + [(name, m) for name in KINDS for m in METHODS],
)
def test_every_experiment_runs(
    name: str, method: str | None, class_folder: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    words = [f"experiment={name}", "debug=smoke"] + ([f"method={method}"] if method else [])
    config = configs.compose("train", words, mandatory=False)
    keys = set(configs.leaves(config))
    words += [f"{key}={value}" for key, value in SMALL.items() if key in keys]
    choice = {
        "folder": {"pair": "[blue,red]", "target": "red"},
        "demo_joint": {"pair": "[Male]", "target": "Male"},
        "celeba": {"pair": "[Male]", "target": "Male"},
    }.get(name, {})
    words += [f"method.{key}={value}" for key, value in choice.items() if f"method.{key}" in keys]
    folders = {"celeba": celeba_folder, "rafd": class_folder, "folder": class_folder}
    if "mnist" in config["data"]["use"]:
        folders["mnist"] = write_files(tmp_path)
    if "unaligned" in config["data"]["use"]:
        folders["unaligned"] = write_sides(tmp_path)
    for dataset in config["data"]["use"]:
        if dataset == "celeba":
            words.append("labels=[Black_Hair,Blond_Hair,Male]")
        if dataset in folders:
            key = "data.root" if "data.root" in keys else f"data.{dataset}.root"
            words.append(f"{key}={folders[dataset]}")
        else:
            words += [f"data.{dataset}.count.train=40", f"data.{dataset}.count.test=20"]
    run = tmp_path / "run"
    if (
        len(config["data"]["use"]) > 1
        and not building.resolve(config["method"]["_target_"], checkpoints.METHOD).joint
    ):
        with pytest.raises(UserError, match="takes one data set, not"):
            cli.run(["train", *words, f"run_dir={run}"])
        return
    cli.run(["train", *words, f"run_dir={run}"])
    saved = checkpoints.load(checkpoints.newest(run))["hyper_parameters"]
    kind = saved["export"]["kind"]
    assert open_parts(run / PRODUCTS[kind], kind).size == (32, 32)
