"""Every experiment under every recipe trains a few steps and ends with a generator that moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from stargan import Translator, cli, configs

METHODS = sorted(configs.options("method"))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", sorted(configs.options("experiment")))
def test_every_experiment_runs(
    name: str, method: str, class_folder: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    words = [
        *("train", f"experiment={name}", f"method={method}", "debug=smoke"),
        *(f"run_dir={tmp_path / 'run'}", "trainer.accelerator=cpu", "trainer.precision=32-true"),
        *("data.image_size=32", "data.batch_size=4", "log.tensorboard=false"),
        *("method.generator.channels=8", "method.generator.blocks=1"),
        "method.discriminator.channels=8",
    ]
    uses = configs.compose("train", [f"experiment={name}"], mandatory=False)["data"]["use"]
    folders = {"celeba": celeba_folder, "rafd": class_folder, "folder": class_folder}
    if len(uses) == 1 and uses[0] in folders:
        words.append(f"data.root={folders[uses[0]]}")
    for source in uses:
        if source == "celeba":
            words += ["data.celeba.crop=40", "data.celeba.partition=official"]
            words.append("labels=[Black_Hair,Blond_Hair,Male]")
        if source not in folders:
            words += [f"data.{source}.count.train=40", f"data.{source}.count.test=20"]
        elif len(uses) > 1:
            words.append(f"data.{source}.root={folders[source]}")
    cli.run(words)
    assert Translator.from_pretrained(tmp_path / "run").image_size == (32, 32)
