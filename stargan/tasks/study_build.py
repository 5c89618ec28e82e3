"""``stargan study build``: a page on which people choose, made from a finished comparison."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from stargan import __version__
from stargan.errors import Plain, UserError
from stargan.evaluation import study
from stargan.evaluation.study_key import KEY, PAGE, Asked, Right, Study, read_key, write_key
from stargan.export import find_device
from stargan.hints import did_you_mean, nearest
from stargan.reports.study import page, page_data
from stargan.writing import write_whole


def main(config: Plain) -> Study:
    """Build as configured, see ``conf/study_build.yaml``.

    Raises:
        UserError: anything in it that cannot be.
    """
    check(config)
    output = Path(config["output"]).expanduser()
    if output.exists() and not output.is_dir():
        raise UserError(f"output={output} is a file: give a folder.")
    compared = chosen(study.read_comparison(config["compare"]), config["methods"])
    device = str(find_device(config["device"]))
    trust = tuple(config["trust"] or ())
    console = Console(stderr=True, highlight=False)
    rooms = []
    for name, entries in compared.items():
        with console.status(f"opening {len(entries)} methods of {name}"):
            rooms.append(study.open_room(name, entries, device, trust))
    study.chosen_columns(rooms, config["columns"])
    questions = []
    for room in rooms:
        with console.status(f"making the pictures of {room.name}"):
            questions += study.questions_of(
                room, config["columns"], config["count"], config["seed"], config["batch_size"]
            )
    if not questions:
        raise UserError("there is no change that all methods can make: choose fewer by methods=[].")
    checks = study.checks_of(rooms[0], config["checks"], config["seed"])
    each = min(config["questions"] or len(questions), len(questions))
    data = page_data(config["title"], each, questions, checks)
    there = {m for question in questions for m in question.methods.values()}
    titles = {e.method: e.title for entries in compared.values() for e in entries}
    key = Study(
        data["study"],
        config["title"],
        each,
        {method: title for method, title in titles.items() if method in there},
        {q.name: Asked(q.column, q.wish, q.methods) for q in questions},
        {c.name: Right(list(c.made), c.right) for c in checks},
        {"version": __version__, "seed": config["seed"], "compare": str(config["compare"])},
    )
    if (output / KEY).exists() and read_key(output).fingerprint != key.fingerprint:
        raise UserError(f"output={output} holds another study, with its key: give another folder.")
    text = page(data)
    write_key(key, output)
    write_whole(output / PAGE, text)
    report(key, config, output, len(text.encode()))
    return key


def report(key: Study, config: Plain, output: Path, size: int) -> None:
    """Say what was made, and what was fewer than asked for."""
    columns: dict[str, int] = {}
    for asked in key.questions.values():
        columns[asked.column] = columns.get(asked.column, 0) + 1
    print(f"{len(key.questions)} questions: {', '.join(f'{c} {n}' for c, n in columns.items())}")
    print(f"each voter gets {key.each} of them and {len(key.checks)} attention checks")
    for name, number in columns.items():
        if number < config["count"]:
            print(f"of {name} there are {number} photos, not {config['count']}")
    if len(key.checks) < config["checks"]:
        print(f"the photos allow {len(key.checks)} attention checks, not {config['checks']}")
    print(f"wrote {output / PAGE} ({size / 1e6:.1f} MB): for voters")
    print(f"wrote {output / KEY}: which result is whose, for you alone")


def chosen(
    compared: dict[str, list[study.Entry]], methods: list[str] | None
) -> dict[str, list[study.Entry]]:
    """The data sets on which at least two of the chosen methods compete."""
    if methods is None:
        return compared
    known = list(dict.fromkeys(e.method for entries in compared.values() for e in entries))
    for name in methods:
        if name not in known:
            hint = did_you_mean(nearest(str(name), known))
            raise UserError(
                f"the comparison has no method '{name}'.{hint} It has {', '.join(known)}."
            )
    kept = {data: [e for e in of if e.method in methods] for data, of in compared.items()}
    found = {data: of for data, of in kept.items() if len(of) > 1}
    if not found:
        raise UserError(f"methods=[{','.join(methods)}] compete nowhere: name two or more.")
    return found


def check(config: Plain) -> None:
    """Refuse what can be seen to be wrong before anything is opened."""
    for key, least in (
        ("count", 1),
        ("questions", 1),
        ("checks", 0),
        ("seed", 0),
        ("batch_size", 1),
    ):
        value = config[key]
        if value is None and key == "questions":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"{key}={value} must be a whole number of at least {least}.")
    if config["methods"] is not None and not isinstance(config["methods"], list):
        raise UserError(f"methods={config['methods']} must be a list, such as [stargan,diat].")
    if not str(config["title"]).strip():
        raise UserError("title= is empty.")
