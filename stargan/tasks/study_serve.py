"""``stargan study serve``: shows the page of a study and keeps the votes."""

from __future__ import annotations

from pathlib import Path

from stargan.errors import Plain, UserError
from stargan.evaluation.ballots import DATABASE, BallotBox
from stargan.evaluation.study_key import PAGE, read_key
from stargan.web.host import Server, require, until_ended


def main(config: Plain) -> None:
    """Serve until Ctrl-C, see ``conf/study_serve.yaml``.

    Raises:
        UserError: no study, a damaged one, a port in use.
    """
    require("uvicorn", "study serve")
    most = config["voters"]
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise UserError(f"voters={most} must be a whole number of at least 1.")
    from stargan.web.booth import booth

    folder = Path(config["study"]).expanduser()
    study = read_key(folder)
    box = BallotBox(folder / DATABASE, study, most)
    app = booth(folder / PAGE, study, box)
    with Server(config["host"], config["port"]) as server:
        server.serve(app)
        until_ended(server)
    print(f"ended; {len(box.ballots())} voters are in {folder / DATABASE}.")
