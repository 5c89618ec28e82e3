"""Table of classification error over several seeds, with one command.

    python scripts/reproduce_tables.py runs/rafd_table --experiment rafd data.root=RAFD
    python scripts/reproduce_tables.py runs/celeba_table --experiment celeba --seeds 5 data.root=DIR

The paper's protocol (section 5.4): a judge is trained on the training images, the translator on the
same ones, once per seed; the translations of the test images are judged. FOLDER gets judge/,
seed_1/, seed_2/, ... and evaluation/report.html, in which "Side by side" has a row per seed, their
mean and standard deviation. What is there already is not made again, what was interrupted goes on:
the same command after a break.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stargan import cli, configs
from stargan.errors import UserError
from stargan.training import checkpoints


def is_complete(run: Path) -> bool:
    """Whether a run has had all its steps, or all its minutes."""
    saved = checkpoints.load(checkpoints.newest(run))
    minutes = configs.load_yaml(run / "config.yaml")["trainer"]["max_minutes"]
    limit = float("inf") if minutes is None else 60 * minutes
    now = saved["stargan"]
    return now["step"] >= saved["hyper_parameters"]["max_steps"] or now["seconds"] > limit


def train(run: Path, words: Sequence[str]) -> None:
    """Train a run, go on where it stopped, or leave it as it is when it is complete."""
    if not (run / "checkpoints" / "last.ckpt").is_file():
        cli.run(["train", *words, f"run_dir={run}"])
    elif not is_complete(run):
        cli.run(["train", f"resume={run}"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the judge and the translators that are missing, then evaluate all in one table."""
    parser = argparse.ArgumentParser(description="Classification error over several seeds.")
    parser.add_argument("folder", type=Path, help="where everything goes")
    parser.add_argument(
        "--experiment", default="rafd", help="NAME of conf/experiment that has a NAME_classifier"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many translators are trained")
    for name, whose in (("translator", "the translators"), ("judge", "the judge")):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar="KEY=VALUE",
            help=f"a setting of {whose} alone; may be given several times",
        )  # fmt: skip
    parser.add_argument("settings", nargs="*", help="KEY=VALUE of all runs, such as data.root=DIR")
    given = parser.parse_intermixed_args(arguments)
    if given.seeds < 1:
        parser.error("--seeds must be at least 1")

    folder: Path = given.folder
    judge = [f"experiment={given.experiment}_classifier", *given.settings, *given.judge]
    translator = [f"experiment={given.experiment}", *given.settings, *given.translator]
    for words in (judge, translator):
        cli.load("train", words, mandatory=True)  # What is wrong with either is said now.
    train(folder / "judge", judge)
    seeds = range(1, given.seeds + 1)
    for seed in seeds:
        train(folder / f"seed_{seed}", [*translator, f"seed={seed}"])
    models = ",".join(str(folder / f"seed_{seed}") for seed in seeds)
    places = [f"judge={folder / 'judge'}", f"output={folder / 'evaluation'}"]
    cli.run(["evaluate", f"model=[{models}]", *places])


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"reproduce_tables: {error}", file=sys.stderr)
        raise SystemExit(2) from None
