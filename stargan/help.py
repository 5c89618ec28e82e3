"""What ``stargan --help`` and ``stargan TASK --help`` print."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from stargan import configs

TASKS = {
    "train": "trains a model; writes a run folder with samples, checkpoints and the generator",
    "translate": "translates images or folders of images with a trained model",
    "evaluate": "says how good a model is: figures per label, pictures, one HTML page",
    "compare": "trains several methods, judges all by one judge, writes the paper's tables",
    "study build": "makes a page on which people choose the best result, of a finished comparison",
    "study serve": "shows that page to people and keeps their votes",
    "study tally": "counts the votes: shares with intervals, agreement, a file for compare study=",
    "cam": "shows where a judge sees a label, and how well that finds it",
    "export": "writes a trained model as safetensors, ONNX, pt2, hub folder or official weights",
    "import-official": "converts weights of the published code, yunjey/stargan",
    "serve": "shows a page in the browser where anybody can translate a photo",
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
  stargan train experiment=celeba data.root=DIR    CelebA, the published settings
  stargan translate model=RUN_OR_FILE input=PHOTO to=Blond_Hair,Young=0 output=DIR
  stargan evaluate model=RUN_OR_FILE output=DIR    how good it is, on its own test images
  stargan serve model=RUN_OR_FILE                  a page to try it in the browser

options:
  stargan TASK --help       what the task takes
  stargan TASK --cfg job    the whole configuration that the command would use; --resolve
                            puts in what ${{...}} stands for, --package data shows a part
  stargan train -m          several runs: seed=1,2,3
  stargan TASK --config-dir DIR   files of your own, laid out as conf/
  stargan --shell-completion install=bash    completion (zsh, fish): eval "$(...)"
  stargan --version
"""

# What stands above and below the keys of a task; the keys and their words come from conf/.
ABOVE = {
    "train": """\
usage: stargan train experiment=NAME [key=value ...]
       stargan train resume=RUN_DIR [key=value ...]
       stargan train -m experiment=NAME key=value,value ...

experiments:
{experiments}

recipes (method=NAME):
{methods}

looking for trouble (debug=NAME):
{debug}

networks of a classifier (network=NAME):
{networks}

more while it trains (callbacks=NAME):
{callbacks}

where it writes beside metrics.csv (logger=NAME):
{loggers}

where it trains (trainer=NAME):
{trainers}

often changed:
""",
    "translate": "usage: stargan translate model=RUN_OR_FILE input=PHOTOS to=LABELS output=DIR",
    "evaluate": "usage: stargan evaluate model=RUN_OR_FILE output=DIR [judge=RUN_OR_FILE]",
    "compare": """\
usage: stargan compare suite=NAME output=DIR [key=value ...]

suites (suite=NAME):
{suites}
""",
    "study build": "usage: stargan study build compare=DIR output=DIR [key=value ...]",
    "study serve": "usage: stargan study serve study=DIR [key=value ...]",
    "study tally": "usage: stargan study tally study=DIR [votes=FILES] output=FILE.json",
    "export": "usage: stargan export model=RUN_OR_FILE output=FILE [format=NAME] [key=value ...]",
    "import-official": "usage: stargan import-official generator=FILE labels=NAMES output=FILE",
    "serve": "usage: stargan serve model=RUN_OR_FILE [key=value ...]",
    "sample": "usage: stargan sample model=RUN_OR_FILE output=DIR [key=value ...]",
    "cam": """\
usage: stargan cam model=JUDGE input=FILE_OR_FOLDER class=LABELS output=DIR
       stargan cam model=JUDGE data=NAME output=DIR
""",
    "health": "usage: stargan health run=RUN_DIR",
}
BELOW = {
    "train": """\
Joint data have data.celeba.root= and data.rafd.root= instead of data.root=. lambda_cls= and its
like are the paper's names, short for method.lambda_cls=. conf=DIR adds configuration files of your
own, laid out as conf/; method._target_=mylab.Mine is a class of your own, and resume= of such a run
needs trust=mylab. length=paper takes the paper's epochs where an experiment has the steps of the
published code (celeba, rafd). +key=value adds a key, ~key removes one.

With -m every combination of values is a run; hydra/launcher=joblib or submitit_slurm runs them at
once, optimize=FIGURE names the one that sweep.md compares (docs/configuration.md).

The run folder holds config.yaml, metrics.csv, tensorboard/, samples/, checkpoints/last.ckpt,
generator.safetensors and report.md. Ctrl-C saves and stops; resume=RUN_DIR goes on exactly there.

Every key with its default: stargan train experiment=NAME --cfg job
""",
    "translate": """\
A joint model takes labels of all its data sets and chooses the mask by itself.
""",
    "evaluate": """\
data=NAME takes other test images than those of the model's run; data.root=DIR says where they are.

Every test image is translated to every label that it does not have. A label of an exclusive group
is chosen, a label that stands alone is turned over; expressions are also reported from neutral
alone, as in the paper. Every figure comes with its 95 % interval and the number of images.
""",
    "compare": """\
Settings of training (data.root=DIR, trainer.accelerator=cpu, labels=[Male,Young]) are those of all
runs. What is finished is kept, what was interrupted goes on: the same command again. plan=true
prints the training commands that are missing, to run them elsewhere and at once.
""",
    "study build": """\
study.html is one file: it works from a disk, without a network, on a phone, and says nowhere which
method made what. key.json says it: keep that to yourself. Voters send the file that the page gives
them, or vote through stargan study serve.
""",
    "study serve": """\
Votes are kept in votes.sqlite in the study's folder as they come, whatever ends the server. Ctrl-C
ends it. Needs pip install 'stargan[web]'.
""",
    "study tally": """\
Votes of the study's own server are counted too. Also writes FILE.md. Then: stargan compare ...
study=FILE.json
""",
    "export": """\
formats:
  safetensors  weights and description; opens by itself
  onnx         for onnxruntime, with labels and preprocessing in its metadata
  pt2          a graph of torch.export
  hub          a folder: config.json, model.safetensors, README.md
  official     200000-G.ckpt (and -D.ckpt) for the code of yunjey/stargan

A model card is written beside the file. The file is opened again and compared with the model it was
made of; one that differs too much is not kept. ONNX needs pip install 'stargan[onnx]'.
""",
    "import-official": """\
labels:
  celeba5         the paper's five attributes
  rafd8           the eight expressions
  joint           both, in one model
  [Male,Young]    attributes, in the order of training
  classes:[a,b]   the classes of one data set (--dataset RaFD)
  [[Male],[a,b]]  a joint model: attributes, then classes
""",
    "serve": """\
Photos are forgotten when the page is closed; nothing is fetched from elsewhere. Ctrl-C ends it.
Needs pip install 'stargan[web]'.
""",
    "cam": """\
With data=NAME: classification and localisation error, in localisation.md, with examples, on data
whose regions are known: attributes, expressions, attributes_expressions; or data=folder
data.root=DIR data.folder.regions=PATH (so celeba, rafd): images with boxes (a text:
image,label,left,top,width,height) or a folder of masks.

What speaks for the label is coloured, the warmer the more, each map scaled to its own maximum; a
picture without colour has nothing that speaks for it.
""",
    "health": """\
Prints what is wrong and what usually helps. The page has the curves, marks where trouble began and
ended, and the verdict of every monitor. Runs watch themselves while they train: health.action=
(warn, stop or rollback) says what they do about it.
""",
}
# Of training, which has too many to show them all.
OFTEN = (
    *("data.root", "labels", "data.image_size", "data.batch_size", "data.on_error"),
    *("trainer.max_steps", "trainer.max_epochs", "trainer.max_minutes", "trainer.devices"),
    *("trainer.precision", "lambda_cls", "lambda_rec", "lambda_gp", "n_critic", "schedule"),
    *("health.action", "checkpoint.every_n_steps", "log.every_n_steps"),
    *("log.samples_every_n_steps", "seed", "run_dir"),
)
WIDTH = 100
NAMES = 28
"""Columns of names, with their margin; a longer name stands on a line of its own."""


def listing(rows: Mapping[str, str], names: int | None = None) -> str:
    """Names and their words in two columns; below a name that is longer than its column.

    Args:
        rows: words by name.
        names: width of the first column; default: what the names need, at most ``NAMES``.
    """
    room = names or min(max(map(len, rows), default=0) + 4, NAMES)
    lines = []
    for name, words in rows.items():
        head = f"  {name}".ljust(room - 2) + "  "
        if len(head) > room:
            lines.append(head.rstrip())
            head = " " * room
        filled = textwrap.wrap(
            words,
            WIDTH,
            initial_indent=head,
            subsequent_indent=" " * room,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += filled or [head.rstrip()] * (head.strip() != "")
    return "\n".join(lines)


def key_rows(keys: Mapping[str, configs.Key]) -> dict[str, str]:
    """``name=default`` with the words of ``conf/``; sections and the list of defaults left out."""
    return {
        f"{name}={key.default}": key.words
        for name, key in keys.items()
        if name != "defaults" and not any(other.startswith(f"{name}.") for other in keys)
    }


def group_text(first: str) -> str:
    """What ``stargan study --help`` prints: the tasks whose first word that is."""
    inner = {t: words for t, words in TASKS.items() if t.startswith(f"{first} ")}
    uses = [ABOVE[task].removeprefix("usage: ") for task in inner]
    usage = "usage: " + "\n       ".join(uses)
    return f"{usage}\n\n{listing(inner)}\n\n  stargan {next(iter(inner))} --help    its keys\n"


def help_text(task: str) -> str:
    """What ``stargan TASK --help`` prints."""
    if task == "train":
        known = configs.documented()
        keys = {k: known[k] if k in known else known[f"method.{k}"] for k in OFTEN}
    else:
        keys = configs.keys_of(configs.config_dir() / f"{configs.file_name(task)}.yaml")
    above = (
        ABOVE[task]
        .rstrip("\n")
        .format(
            experiments=listing(configs.options("experiment")),
            methods=listing(configs.options("method")),
            debug=listing(configs.options("debug")),
            networks=listing(configs.options("network")),
            callbacks=listing(configs.options("callbacks")),
            loggers=listing(configs.options("logger")),
            trainers=listing(configs.options("trainer")),
            suites=listing(configs.options("suite")),
        )
    )
    parts = [above + ("\n" if task == "train" else "\n\nkeys:\n") + listing(key_rows(keys))]
    parts += [BELOW[task].rstrip("\n")] if task in BELOW else []
    return "\n\n".join(parts) + "\n"
