"""The ``stargan`` command: ``stargan TASK [key=value ...]``.

Imports nothing heavy before it must: ``--help`` and ``--cfg job`` answer at once.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from stargan import __version__, configs
from stargan.errors import Plain, UserError
from stargan.help import HELP, TASKS, group_text, help_text, listing
from stargan.hints import did_you_mean, nearest

RUN_KEYS = ("data.", "trainer.", "log.", "checkpoint.", "health.", "method.", "labels=")
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
    task, overrides = task_of(arguments)
    if task not in TASKS:
        print(group_text(task), end="")
        return
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
        print(configs.to_yaml({k: v for k, v in config.items() if k != "typed"}), end="")
        return
    importlib.import_module(f"stargan.tasks.{configs.file_name(task)}").main(config)


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
        config = configs.compose(task, [o for o in overrides if o not in of_runs], mandatory)
        of_runs += [o for o in overrides if o.startswith("conf=")]
        return {**config, "runs": [*config["runs"], *of_runs]}
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
