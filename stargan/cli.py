"""The ``stargan`` command: ``stargan TASK [key=value ...]``.

Imports nothing heavy before it must: ``--help`` and ``--cfg job`` answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from stargan import __version__, configs
from stargan.errors import Plain, UserError
from stargan.help import HELP, TASKS, group_text, help_text, listing
from stargan.hints import did_you_mean, nearest

RUN_KEYS = ("data.", "trainer.", "log.", "checkpoint.", "health.", "method.", "labels=", "length=")
"""Beginnings of the settings that ``stargan compare`` hands on to its runs."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a task. Exits with 0, with 2 and one sentence on bad input, with 130 on Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A label may be of any script, and output go into a file of any encoding.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
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
        print(HELP.format(tasks=listing(TASKS)), end="")
        return
    if arguments[0] == "--version":
        print(f"stargan {__version__}")
        return
    if arguments[0] in ("--shell-completion", "-sc"):
        complete(arguments[1:])
        return
    task, overrides = task_of(arguments)
    if task not in TASKS:
        print(group_text(task), end="")
        return
    if "--help" in overrides or "-h" in overrides:
        print(help_text(task), end="")
        return
    options, overrides = split_options(task, overrides)
    if options.cfg:
        show(task, overrides, options)
    elif options.multirun:
        importlib.import_module("stargan.tasks.sweep").main(overrides)
    else:
        config = load(task, overrides, mandatory=True)
        importlib.import_module(f"stargan.tasks.{configs.file_name(task)}").main(config)


class Options(argparse.ArgumentParser):
    """Hydra's options, as far as they are taken."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        self.add_argument("-m", "--multirun", action="store_true")
        self.add_argument("-c", "--cfg", nargs="?", const="job", choices=("job", "hydra", "all"))
        self.add_argument("--resolve", action="store_true")
        self.add_argument("-p", "--package")
        self.add_argument("-cd", "--config-dir")

    def error(self, message: str) -> NoReturn:
        """In a sentence, like all that is refused."""
        raise UserError(f"{message}.")


def split_options(task: str, words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Options and overrides of a task.

    Raises:
        UserError: an unknown option, or one that has no meaning there.
    """
    options, overrides = Options().parse_known_args(words)
    unknown = next((o for o in overrides if o.startswith("-")), None)
    if unknown is not None:
        raise UserError(f"unknown option '{unknown}': see stargan {task} --help.")
    if options.multirun and task != "train":
        raise UserError(f"stargan {task} has no -m: several runs are those of stargan train.")
    if (options.resolve or options.package) and not options.cfg:
        raise UserError("--resolve and --package say how --cfg job shows the configuration.")
    if options.config_dir is not None:
        overrides.append(f"conf={options.config_dir}")
    return options, overrides


def show(task: str, overrides: list[str], options: argparse.Namespace) -> None:
    """Print the configuration, as Hydra's ``--cfg`` does.

    Raises:
        UserError: what the task would refuse, but for values that are still missing; an unknown
            package.
    """
    resumed = any(o.startswith("resume=") and o != "resume=null" for o in overrides)
    if task in ("evaluate", "compare") or resumed:
        # Hydra does not know where the rest of these comes from: a model, a run folder.
        config: Any = load(task, overrides, mandatory=False)
        for made in ("typed", "of_launcher"):
            config.pop(made, None)
        for name in options.package.split(".") if options.package else ():
            config = config.get(name) if isinstance(config, dict) else None
        if config is None:
            raise UserError(f"--package {options.package} is no section of the configuration.")
        print(configs.to_yaml(config), end="")
        return
    configs.show(task, overrides, options.cfg, options.package, options.resolve)


def complete(words: list[str]) -> None:
    """Hydra's shell completion: ``install=bash``, and what the shell asks as one types.

    Raises:
        UserError: another request.
    """
    what, _, shell = words[0].partition("=") if len(words) == 1 else ("", "", "")
    if what not in ("install", "uninstall", "query") or not shell:
        raise UserError("write stargan --shell-completion install=bash (or zsh, or fish).")
    line = os.environ.get("COMP_LINE", "")
    task = "train"
    if what == "query":
        name, _, rest = line.partition(" ")
        task, space, rest = rest.lstrip().partition(" ")
        if not space or task not in TASKS:
            print(" ".join(known for known in TASKS if known.startswith(task)))
            return
        os.environ["COMP_LINE"] = f"{name} {rest}"  # Hydra knows no tasks
    configs.complete(task, words)


def task_of(arguments: list[str]) -> tuple[str, list[str]]:
    """The task, of one word or of two (``study build``), and what follows it.

    Returns:
        The first word alone where help on a task of two words is asked for.

    Raises:
        UserError: no such task, or its second word is missing or unknown.
    """
    first, rest = arguments[0], arguments[1:]
    if first in TASKS:
        return first, rest
    inner = [task.partition(" ")[2] for task in TASKS if task.startswith(f"{first} ")]
    if not inner:
        known = list(dict.fromkeys(task.partition(" ")[0] for task in TASKS))
        hint = did_you_mean(nearest(first, known))
        raise UserError(f"unknown task '{first}'.{hint} Tasks: {', '.join(known)}.")
    second = rest[0] if rest else ""
    if second in ("--help", "-h", "help"):
        return first, []
    if second not in inner:
        said = f"'{second}' is unknown" if second and "=" not in second else "which one"
        hint = did_you_mean(nearest(second, inner)) if "=" not in second else ""
        mark = "." if second and "=" not in second else "?"
        raise UserError(f"stargan {first}: {said}{mark}{hint} Say {', '.join(inner)}.")
    return f"{first} {second}", rest[1:]


def load(task: str, overrides: list[str], mandatory: bool) -> Plain:
    """The configuration: composed, or that of the run to be resumed."""
    if task == "train":
        return configs.of_training(overrides, mandatory)
    if task == "evaluate" and not any(o.startswith("data=") for o in overrides):
        own = [o for o in overrides if o.startswith("data.")]
        config = configs.compose(task, [o for o in overrides if o not in own], mandatory)
        return {**config, "data": model_data(config, own) if mandatory else None}
    if task == "compare":
        # Settings of training are those of all runs, see stargan.evaluation.suite.
        of_runs = [o for o in overrides if o.startswith(RUN_KEYS)]
        of_launcher = [o for o in overrides if o.startswith("hydra.launcher.")]
        rest = [o for o in overrides if o not in (*of_runs, *of_launcher)]
        config = configs.compose(task, rest, mandatory)
        of_runs += [o for o in overrides if o.startswith("conf=")]
        return {**config, "runs": [*config["runs"], *of_runs], "of_launcher": of_launcher}
    return configs.compose(task, overrides, mandatory)


def model_data(config: Plain, overrides: list[str]) -> Plain:
    """The data settings of a model, of the first of several, with some values changed."""
    from stargan.evaluation.origin import data_of

    model = config["model"]
    first = model[0] if isinstance(model, list) and model else model
    data = data_of(str(first), config["trust"])
    for name in set(data["use"]) & {"folder", "celeba", "rafd"}:
        data[name] = {"regions": None, **data[name]}  # runs of before did not know the key
    return dict(configs.merge({"data": data}, overrides)["data"])
