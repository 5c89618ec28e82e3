"""The server of a study: one page, small JSON, nothing else; what it acknowledged it keeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from stargan.errors import UserError
from stargan.evaluation.ballots import BallotBox
from stargan.evaluation.study_key import Study, write_key
from stargan.web.booth import ALONE, booth
from stargan.web.guard import BODY
from tests.studies import as_text, ballot, made_up

JSON = {"content-type": "application/json"}


def write_study(folder: Path) -> Study:
    """A key and a page that says whose it is."""
    study = made_up()
    write_key(study, folder)
    (folder / "study.html").write_text(f"<p>{ALONE} {study.fingerprint} ü</p>", encoding="utf-8")
    return study


def client(folder: Path, most: int = 9) -> tuple[TestClient, BallotBox, Study]:
    study = write_study(folder)
    box = BallotBox(folder / "votes.sqlite", study, most)
    return TestClient(booth(folder / "study.html", study, box)), box, study


def test_the_page_knows_that_it_is_served(tmp_path: Path) -> None:
    web, _, _ = client(tmp_path)
    answer = web.get("/")
    assert answer.status_code == 200
    assert '<meta name="votes" content="votes">' in answer.text
    assert "ü" in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        *("/key.json", "/votes.sqlite", "/../key.json", "/%2e%2e/key.json", "/study.html"),
        *("/votes/", "/votes/../key.json", "/docs", "/openapi.json"),
    ],
)
def test_nothing_else_is_there(tmp_path: Path, path: str) -> None:
    web, _, _ = client(tmp_path)
    assert web.get(path, follow_redirects=False).status_code == 404
    assert web.get("/votes").status_code == 405


def test_votes_are_kept_once(tmp_path: Path) -> None:
    web, box, study = client(tmp_path, most=2)
    for _ in range(3):
        answer = web.post("/votes", content=as_text(ballot(1, "aab-"), study), headers=JSON)
        assert (answer.status_code, answer.json()) == (200, {"kept": 4})
    assert [b.answers for b in box.ballots()] == [ballot(1, "aab-").answers]
    web.post("/votes", content=as_text(ballot(2, "bbbb"), study), headers=JSON)
    full = web.post("/votes", content=as_text(ballot(3, "bbbb"), study), headers=JSON)
    assert (full.status_code, full.text) == (403, "there are voters enough")
    again = web.post("/votes", content=as_text(ballot(1, "cccc", at=9), study), headers=JSON)
    assert again.status_code == 200
    assert {b.answers["q1"].name for b in box.ballots()} == {"q1-c", "q1-b"}


@pytest.mark.parametrize(
    ("text", "headers", "status"),
    [
        ("{", JSON, 400),
        ("[]", JSON, 400),
        ('{"study": "0000000000000000"}', JSON, 409),
        ("FINE", {"content-type": "text/plain"}, 415),
        ("FINE", {}, 415),
        ("FINE" + " " * BODY, JSON, 413),
    ],
)
def test_anything_else_is_refused(
    tmp_path: Path, text: str, headers: dict[str, str], status: int
) -> None:
    web, box, study = client(tmp_path)
    text = text.replace("FINE", as_text(ballot(1, "aab-"), study))
    answer = web.post("/votes", content=text, headers=headers)
    assert answer.status_code == status
    assert "Traceback" not in answer.text
    assert box.ballots() == []
    # Chunks of no declared length: counted as they come.
    if status == 413:
        chunks = (text[i : i + 9999].encode() for i in range(0, len(text), 9999))
        assert web.post("/votes", content=chunks, headers=JSON).status_code == 413
        assert box.ballots() == []


def test_a_box_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    web, box, study = client(tmp_path)
    box.path = tmp_path / "gone" / "votes.sqlite"
    answer = web.post("/votes", content=as_text(ballot(1, "aab-"), study), headers=JSON)
    assert (answer.status_code, answer.text) == (503, "the server cannot write")
    assert "cannot be used as a database" in capsys.readouterr().out


def test_a_page_of_another_study_is_refused(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    box = BallotBox(tmp_path / "votes.sqlite", study)
    for text in ("", f"{ALONE} of another study"):
        (tmp_path / "study.html").write_text(text)
        with pytest.raises(UserError, match="is not the page of the study beside it"):
            booth(tmp_path / "study.html", study, box)


@pytest.mark.slow
def test_a_killed_server_has_kept_what_it_acknowledged(tmp_path: Path) -> None:
    """Killed between votes, at once after its answer; started again it goes on."""
    study = write_study(tmp_path)
    command = [sys.executable, "-m", "stargan", "study", "serve", f"study={tmp_path}", "port=0"]
    for voter in (1, 2):
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy())
        assert server.stdout is not None
        address = server.stdout.readline().split()[2]
        for chosen in ("a---", "aa--", "aab-"):
            assert send(address, as_text(ballot(voter, chosen), study)) == 200
        server.send_signal(signal.SIGKILL)
        server.wait()
        server.stdout.close()
    kept = BallotBox(tmp_path / "votes.sqlite", study).ballots()
    assert [b.voter for b in kept] == [ballot(v, "aab-").voter for v in (1, 2)]
    assert all(b.answers == ballot(1, "aab-").answers for b in kept)


def send(address: str, text: str) -> Any:
    assert json.loads(text)
    request = urllib.request.Request(f"{address}/votes", text.encode(), JSON)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status


def test_the_server_starts_without_torch() -> None:
    """Votes are text: nobody should wait for Lightning to keep them."""
    code = (
        "import sys, stargan.tasks.study_serve, stargan.web.booth\n"
        "assert not {'torch', 'gradio', 'PIL', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ.copy(), check=True, timeout=100)
