"""The server of a preference study: shows one page, takes votes as small JSON, nothing else."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from stargan.errors import UserError
from stargan.evaluation.ballots import BallotBox, BallotError, FullError, OtherStudyError, parse
from stargan.evaluation.study_key import Study
from stargan.web.guard import Gate

VOTES = "votes"
ALONE = '<meta name="votes" content="">'
"""How the page says that it has no server; it then offers a file."""


def booth(page: Path, study: Study, box: BallotBox) -> Gate:
    """The application.

    Args:
        page: what ``stargan study build`` wrote.
        study: its key; nothing of it is ever sent.
        box: where votes go.

    Raises:
        UserError: the page is missing or damaged, or is of another study.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"'{page}' cannot be read: build the study again.") from error
    if ALONE not in text or study.fingerprint not in text:
        raise UserError(f"'{page}' is not the page of the study beside it: build the study again.")
    served = text.replace(ALONE, f'<meta name="votes" content="{VOTES}">', 1)

    async def show(request: Request) -> Response:
        return HTMLResponse(served, headers={"cache-control": "no-cache"})

    async def take(request: Request) -> Response:
        # Another site's form cannot send this type unasked.
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return PlainTextResponse("Only JSON is taken here.", 415)
        try:
            ballot = parse(await request.body(), study)
            await run_in_threadpool(box.add, ballot)
        except OtherStudyError:
            return PlainTextResponse("this page is of another study, load it again", 409)
        except BallotError as error:
            return PlainTextResponse(str(error), 400)
        except FullError:
            return PlainTextResponse("there are voters enough", 403)
        except UserError as error:
            print(f"stargan: {error}", flush=True)
            return PlainTextResponse("the server cannot write", 503)
        return JSONResponse({"kept": len(ballot.answers)})

    routes = [Route("/", show), Route(f"/{VOTES}", take, methods=["POST"])]
    return Gate(Starlette(routes=routes), ("/", f"/{VOTES}"))
