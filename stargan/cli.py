"""The ``stargan`` command: ``stargan TASK [key=value ...]``.

Imports nothing heavy before it must: ``--help`` and ``--cfg job`` answer at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from stargan import __version__, configs
from stargan.contracts import Plain, UserError

TASKS = {
    "train": "trains a model; writes a run folder with samples, checkpoints and the generator",
    "translate": "translates images or folders of images with a trained model",
    "sample": "makes images from noise with a trained model",
    "health": "reads a run, says what is wrong with it, writes a page with its curves",
}

HELP = """\
usage: stargan TASK [key=value ...]

Multi-domain image-to-image translation with StarGAN.

tasks:
{tasks}

first steps:
  stargan train experiment=demo                    embedded faces, minutes on a CPU
  stargan train experiment=celeba data.root=DIR    CelebA, the paper's settings
  stargan translate model=RUN_OR_FILE input=PHOTO to=Blond_Hair,Young=0 output=DIR

options:
  stargan TASK --help       what the task takes
  stargan TASK --cfg job    the whole configuration that the command would use
  stargan --version
"""

TRAIN_HELP = """\
usage: stargan train experiment=NAME [key=value ...]
       stargan train resume=RUN_DIR [key=value ...]

experiments:
{experiments}

recipes (method=NAME):
{methods}

looking for trouble (debug=NAME):
{debug}

often changed:
  data.root=DIR                  the images (joint: data.celeba.root= and data.rafd.root=)
  labels=[Male,Young]            which labels to learn; default: the data set's own choice
  data.image_size=64             pixels, or [height,width]
  data.batch_size=16             per device
  data.on_error=skip             leave out unreadable images instead of stopping
  trainer.max_steps=20000        discriminator steps
  trainer.max_minutes=60         stop after an hour of training
  trainer.devices=4              processes or GPUs; the right strategy is chosen
  trainer.precision=bf16-mixed   half the memory on a GPU
  lambda_cls= lambda_rec= lambda_gp= n_critic=     the paper's names
  schedule=paper|official|late|constant            learning rate
  health.action=warn|stop|rollback                 what to do when the monitors find trouble
  checkpoint.every_n_steps=1000  log.every_n_steps=50  log.samples_every_n_steps=500
  seed=1234   run_dir=DIR (default: runs/NAME/TIME)

The run folder holds config.yaml, metrics.csv, tensorboard/, samples/, checkpoints/last.ckpt,
generator.safetensors and report.md. Ctrl-C saves and stops; resume=RUN_DIR goes on exactly there.

Every key with its default: stargan train experiment=NAME --cfg job
"""

TRANSLATE_HELP = """\
usage: stargan translate model=RUN_OR_FILE input=FILE_OR_FOLDER to=LABELS output=DIR

  model=      a run folder, a checkpoint (.ckpt) or an exported generator.safetensors;
              it knows its image size and its labels
  input=      an image or a folder of images (PNG, JPEG, WebP, BMP, TIFF)
  to=         Blond_Hair,Young=0   labels to set; a value between 0 and 1 is a strength
              all                  every label in turn, the paper's row
  output=     folder for the PNGs and contact_sheet.png
  labels=     labels you know of the input, like Male=1; the others are read off the image
  batch_size=16   device=auto   contact_sheet=true   on_error=skip|raise

A joint model takes labels of all its data sets and chooses the mask by itself.
"""


SAMPLE_HELP = """\
usage: stargan sample model=RUN_OR_FILE output=DIR [key=value ...]

  model=      a run folder, a checkpoint (.ckpt) or an exported generator.safetensors of a method
              that makes images from noise (method=dcgan)
  output=     folder for sample_00001.png and so on, and sheet.png
  count=64    how many images
  seed=0      of the noise; image i of a seed is the same whatever the count
  interpolate=8   interpolation.png as well: the first images turn into one another in 8 steps
  judge=      the run folder of a classifier (experiment=mnist_classifier): report.md with FID in
              its features and the share of each class; its own data are the real images
  batch_size=64   device=auto   sheet=true
"""

HEALTH_HELP = """\
usage: stargan health run=RUN_DIR

  run=        a run folder, of a run that has ended or that still trains
  output=     the page; default: health.html in the run folder

Prints what is wrong and what usually helps. The page has the curves, marks where trouble began and
ended, and the verdict of every monitor. Runs watch themselves while they train: health.action=
(warn, stop or rollback) says what they do about it.
"""

HELPS = {"translate": TRANSLATE_HELP, "sample": SAMPLE_HELP, "health": HEALTH_HELP}


def main(argv: Sequence[str] | None = None) -> None:
    """Run a task. Exits with 0, with 2 and one sentence on bad input, with 130 on Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        run(arguments)
    except UserError as error:
        print(f"stargan: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("stargan: interrupted.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our output went away (stargan ... | head); nothing to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def run(arguments: list[str]) -> None:
    """The command without the handling of errors."""
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        tasks = "\n".join(f"  {name:<12}{words}" for name, words in TASKS.items())
        print(HELP.format(tasks=tasks), end="")
        return
    if arguments[0] == "--version":
        print(f"stargan {__version__}")
        return
    task, overrides = arguments[0], arguments[1:]
    if task not in TASKS:
        configs_hint = nearest(task, list(TASKS))
        raise UserError(f"unknown task '{task}'.{configs_hint} Tasks: {', '.join(TASKS)}.")
    if "--help" in overrides or "-h" in overrides:
        print(help_text(task), end="")
        return
    show = "--cfg" in overrides
    if show:
        at = overrides.index("--cfg")
        if overrides[at + 1 : at + 2] not in (["job"], []):
            raise UserError(f"'--cfg {overrides[at + 1]}': only --cfg job is known.")
        del overrides[at : at + 2]
    unknown = next((o for o in overrides if o.startswith("-")), None)
    if unknown is not None:
        raise UserError(f"unknown option '{unknown}': see stargan {task} --help.")
    config = load(task, overrides, mandatory=not show)
    if show:
        print(configs.to_yaml(config), end="")
        return
    importlib.import_module(f"stargan.tasks.{task}").main(config)


def load(task: str, overrides: list[str], mandatory: bool) -> Plain:
    """The configuration: composed, or that of the run to be resumed."""
    resumed = [o for o in overrides if o.startswith("resume=") and o != "resume=null"]
    if task == "train" and resumed:
        from pathlib import Path

        run_dir = Path(resumed[-1].partition("=")[2]).expanduser()
        rest = [o for o in overrides if not o.startswith("resume=")]
        saved = configs.load_yaml(run_dir / "config.yaml")
        config = configs.merge(saved, rest, ["experiment", "data", "method", "debug"])
        return {**config, "resume": str(run_dir), "run_dir": str(run_dir)}
    if task == "train" and mandatory and not any(o.startswith("experiment=") for o in overrides):
        names = ", ".join(configs.options("experiment"))
        raise UserError(f"which experiment? Add experiment=NAME, one of {names}.")
    return configs.compose(task, overrides, mandatory)


def help_text(task: str) -> str:
    """What ``stargan TASK --help`` prints."""
    if task in HELPS:
        return HELPS[task]

    def listing(group: str) -> str:
        return "\n".join(f"  {name:<16}{words}" for name, words in configs.options(group).items())

    return TRAIN_HELP.format(
        experiments=listing("experiment"), methods=listing("method"), debug=listing("debug")
    )


def nearest(word: str, known: list[str]) -> str:
    """`` Did you mean '...'?`` or nothing."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
