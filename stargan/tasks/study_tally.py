"""``stargan study tally``: counts the votes of a study."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stargan.errors import Plain, UserError
from stargan.evaluation import ballots, tally
from stargan.evaluation.study_key import read_key
from stargan.reports.study import facts, tables, tally_page
from stargan.writing import write_whole


def main(config: Plain) -> tally.Count:
    """Count as configured, see ``conf/study_tally.yaml``.

    Raises:
        UserError: no study, no votes, a file of votes that is damaged or of another study.
    """
    output = Path(config["output"]).expanduser()
    if output.suffix != ".json":
        raise UserError(f"output={output} must be a .json file; a .md is written beside it.")
    fails = config["fails"]
    if not isinstance(fails, int) or isinstance(fails, bool) or fails < 0:
        raise UserError(f"fails={fails} must be a whole number of at least 0.")
    folder = Path(config["study"]).expanduser()
    study = read_key(folder)
    given = config["votes"] if config["votes"] is not None else []
    paths = [str(path) for path in given] if isinstance(given, list) else [str(given)]
    found = ballots.read_files(paths, study)
    if (folder / ballots.DATABASE).exists():
        found += ballots.BallotBox(folder / ballots.DATABASE, study).ballots()
    counted = tally.count(found, study, fails)
    plain = tally.to_plain(counted, study)
    write_whole(output, json.dumps(plain, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    tally_page(counted, study).save_markdown(output.with_suffix(".md"))
    for name, words in facts(counted, study).items():
        print(f"{name}: {words}")
    console = Console(highlight=False, markup=False)
    found_tables = tables(counted, study)
    for name in ("columns", "agreement"):
        head, rows = found_tables[name]
        table = Table()
        for title in head:
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    print(f"wrote {output}: for stargan compare ... study={output}")
    print(f"wrote {output.with_suffix('.md')}: also wish by wish")
    return counted
