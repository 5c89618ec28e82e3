"""Trains the networks of class activation maps on the embedded faces and compares them.

    python scripts/compare_cams.py runs/cams            about 25 minutes of one CPU core
    python scripts/compare_cams.py runs/cams resnet18   only this one; the table has what is there

Every network: the same joint data (attributes and expressions of drawn faces, 96 px), the same
1,500 steps of batch 16, Adam at 5e-4. A network that is there already is not trained again; a run
that was interrupted goes on. The table goes to the terminal and to table.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from stargan import cli

NETWORKS: dict[str, list[str]] = {
    "alexnet": [],
    "alexnet_gap": [],
    "alexnet_star_gap": [],
    # A quarter of the channels: the whole VGG is sixteen times as much work.
    "vggnet_gap": ["method.classifier.width=0.25"],
    "googlenet_gap": [],
    "resnet18": [],
}
SETTINGS = [
    *("experiment=demo_classifier", "data=attributes_expressions", "data.mixed=true"),
    *("data.image_size=96", "data.batch_size=16", "method.lr=5e-4", "method.augment=0.1"),
    *("trainer.max_steps=1500", "log.test_every_n_steps=500", "log.tensorboard=false"),
]
COUNTS = {"train": 2000, "test": 256}


def data_settings() -> list[str]:
    """How many faces of each kind."""
    return [
        f"data.{source}.count.{split}={count}"
        for source in ("attributes", "expressions")
        for split, count in COUNTS.items()
    ]


def train(name: str, run: Path) -> None:
    """Train one network, or go on where it stopped."""
    if (run / "classifier.safetensors").is_file():
        return
    if (run / "checkpoints" / "last.ckpt").is_file():
        cli.run(["train", f"resume={run}"])
        return
    words = [*SETTINGS, *data_settings(), *NETWORKS[name], f"network={name}", f"run_dir={run}"]
    cli.run(["train", *words])


def main(folder: Path, names: list[str]) -> None:
    """Train what is missing of ``names``, then compare all that is there."""
    for name in names:
        train(name, folder / name)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(NETWORKS):
        raise SystemExit(f"usage: compare_cams.py FOLDER [{'|'.join(NETWORKS)} ...]")
    main(Path(sys.argv[1]), sys.argv[2:] or list(NETWORKS))
