"""A study in a real browser: three made-up voters, from a file and through the server.

Screenshots go to ``$STARGAN_SCREENSHOTS``, else to pytest's temporary folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stargan import cli
from stargan.evaluation.ballots import BallotBox
from stargan.evaluation.study_key import read_key
from stargan.evaluation.votes import read_tally
from stargan.web.booth import booth
from stargan.web.host import Server
from tests.studies import comparison
from tests.web.test_browser import PHONE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
TOUCH = {**PHONE, "has_touch": True}
ARRIVED = "() => document.getElementById('status').innerText.includes('arrived')"
Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compared = comparison(tmp_path_factory.mktemp("compared"))
    output = tmp_path_factory.mktemp("study")
    words = ["count=2", "questions=4", "checks=1", "columns=[Hair,Male,Hair + Male]", "device=cpu"]
    cli.run(["study", "build", f"compare={compared}", f"output={output}", *words])
    return output


@pytest.fixture(scope="module")
def address(study: Path) -> Iterator[str]:
    key = read_key(study)
    with Server("127.0.0.1", 0) as server:
        server.serve(booth(study / "study.html", key, BallotBox(study / "votes.sqlite", key)))
        server.start()
        yield server.address


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("STARGAN_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Opens an address for a new voter; at the end asserts that nothing went elsewhere."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(place: str, **settings: Any) -> Page:
        context = browser.new_context(**settings)
        contexts.append(context)
        host = re.escape(place.rstrip("/"))

        def asked(request: Any) -> None:
            if not re.match(rf"({host}/?(votes)?$|data:|blob:)", request.url):
                complaints.append(request.url)

        context.on("request", asked)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(place)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # The browser says by itself that a server is busy.
    assert [c for c in complaints if "status of 503" not in c] == []


class Voter:
    """Somebody who knows which picture is whose, as a test may."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.key = read_key(folder)
        data = json.loads(page.locator("#study").text_content() or "")
        every = [*data["questions"], *data["checks"]]
        self.names = {
            a["picture"] + q["photo"]: (q["name"], a["name"]) for q in every for a in q["answers"]
        }

    def shown(self) -> list[tuple[str, str]]:
        """Question and answer of each picture on the screen."""
        photo = self.page.locator("#photo").get_attribute("src") or ""
        pictures = self.page.locator("#answers img").all()
        return [self.names[(one.get_attribute("src") or "") + photo] for one in pictures]

    def place(self, method: str, attentive: bool = True) -> int:
        """Where the picture of a method is; at a check, where the right one is, or a wrong one."""
        for i, (question, answer) in enumerate(self.shown()):
            if question in self.key.checks:
                if (answer == self.key.checks[question].right) == attentive:
                    return i
            elif self.key.questions[question].answers[answer] == method:
                return i
        raise AssertionError("no such picture")

    def count(self) -> str:
        return self.page.locator("#count").inner_text()

    def settled(self) -> None:
        """The page takes no answer in the first moment of a question, against double taps."""
        self.page.wait_for_timeout(320)

    def choose(self, at: int, how: str) -> None:
        before = self.count()
        self.settled()
        if how == "keys":
            self.page.keyboard.press(str(at + 1))
        elif how == "tap":
            self.page.locator("#answers button").nth(at).tap()
        else:
            self.page.locator("#answers button").nth(at).focus()
            self.page.keyboard.press("Enter")
        self.page.wait_for_function(
            "before => document.getElementById('ask').hidden"
            " || document.getElementById('count').innerText !== before",
            arg=before,
        )

    def vote(self, method: str, how: str, attentive: bool = True) -> None:
        """All questions that are left."""
        while self.page.locator("#ask").is_visible():
            self.choose(self.place(method, attentive), how)

    def save(self, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.page.locator("#save").click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


def test_three_voters_and_the_table(
    visit: Open, study: Path, address: str, shots: Path, tmp_path: Path
) -> None:
    file = (study / "study.html").as_uri()
    votes = tmp_path / "votes"
    votes.mkdir()

    # At a desk, from a file, with the keyboard; interrupted, and changing their mind.
    page = visit(file)
    one = Voter(page, study)
    page.screenshot(path=shots / "study_intro.png")
    assert "5 questions" in page.locator("#length").inner_text()
    assert "stay in this browser" in page.locator("#privacy").inner_text()
    page.locator("#start").press("Enter")
    assert page.evaluate("document.activeElement.id") == "words"
    assert one.count() == "1 of 5"
    orders = [one.shown()]
    one.choose(one.place("diat"), "keys")
    page.screenshot(path=shots / "study_question.png")
    one.choose(one.place("stargan"), "button")
    assert one.count() == "3 of 5"
    page.reload()
    assert one.count() == "3 of 5", "a reload goes on there"
    one.settled()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert one.count() == "1 of 5"
    assert one.shown() == orders[0], "in the same order"
    pressed = page.locator("#answers button[aria-pressed=true] img")
    assert pressed.get_attribute("alt") == f"Result {one.place('diat') + 1}"
    one.choose(one.place("stargan"), "keys")
    page.keyboard.press("ArrowRight")
    assert one.count() == "3 of 5"
    one.vote("stargan", "keys")
    page.screenshot(path=shots / "study_end.png")
    assert "Save your answers" in page.locator("#status").inner_text()
    page.locator("#other").click()
    assert page.locator("#sure").is_visible(), "nothing is lost unasked"
    first = one.save(votes)
    assert "Send it" in page.locator("#status").inner_text()
    assert re.fullmatch(r"votes-[0-9a-f]{6}-[0-9a-f]{8}\.json", first.name)

    # Another person on the same device: from a file too, and without looking.
    page.locator("#other").click()
    page.locator("#start").click()
    one.vote("cyclegan", "keys", attentive=False)
    second = one.save(votes)
    assert first.name != second.name

    # On a phone, through the server.
    page = visit(address, **TOUCH)
    phone = Voter(page, study)
    assert "computer that shows this page" in page.locator("#privacy").inner_text()
    page.screenshot(path=shots / "study_phone_intro.png")
    page.locator("#start").tap()
    page.screenshot(path=shots / "study_phone.png")
    phone.vote("diat", "tap")
    page.wait_for_function(ARRIVED)
    assert not page.locator("#save").is_visible()
    page.screenshot(path=shots / "study_phone_end.png")
    page.reload()
    assert "arrived" in page.locator("#status").inner_text()

    output = tmp_path / "tally.json"
    cli.run(["study", "tally", f"study={study}", f"votes={votes}", f"output={output}"])
    plain = json.loads(output.read_text(encoding="utf-8"))
    assert (plain["voters"], plain["complete"], plain["votes"]) == (2, 2, 8)
    assert plain["left_out"] == {"failed": 1, "unchecked": 0}
    shares = read_tally(output).shares
    total = {m: sum(of[m].value * of[m].count for of in shares.values()) for m in of_all(shares)}
    assert total == pytest.approx({"stargan": 4, "diat": 4, "cyclegan": 0})


def of_all(shares: Any) -> list[str]:
    return list(next(iter(shares.values())))


def test_a_phone_fits_a_question_on_its_screen(visit: Open, study: Path, shots: Path) -> None:
    for scheme in ("light", "dark"):
        page = visit((study / "study.html").as_uri(), **TOUCH, color_scheme=scheme)
        box = page.locator("#start").bounding_box()
        assert box["y"] + box["height"] <= 844
        page.locator("#start").tap()
        voter = Voter(page, study)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, "nothing to the side"
        last = page.locator("#answers button").last.bounding_box()
        assert last["y"] + last["height"] <= 844, "all of it without scrolling"
        assert all(b.bounding_box()["height"] >= 100 for b in page.locator("#answers button").all())
        voter.choose(0, "tap")
        assert page.locator("#back").bounding_box()["height"] >= 44, "fingers need room"
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(int(n) for n in re.findall(r"\d+", background)[:3]) / 3
        assert (brightness < 60) == (scheme == "dark")
        page.screenshot(path=shots / f"study_phone_{scheme}.png")


def test_each_voter_has_an_order_of_their_own(visit: Open, study: Path) -> None:
    """Questions, and the places of the methods; a double tap answers one question."""
    seen, firsts = set(), set()
    for _ in range(6):
        page = visit((study / "study.html").as_uri())
        page.locator("#start").click()
        shown = Voter(page, study).shown()
        seen.add(tuple(shown))
        firsts.add(shown[0])
    assert len(seen) > 3
    assert len(firsts) > 1
    voter = Voter(page, study)
    voter.settled()
    page.locator("#answers button").first.dblclick()
    page.wait_for_timeout(400)
    assert voter.count() == "2 of 5"


def test_a_server_that_is_away_loses_nothing(visit: Open, study: Path, tmp_path: Path) -> None:
    key = read_key(study)
    box = BallotBox(tmp_path / "votes.sqlite", key)
    with Server("127.0.0.1", 0) as server:
        server.serve(booth(study / "study.html", key, box))
        server.start()
        page = visit(server.address)
        page.route("**/votes", lambda route: route.fulfill(status=503, body="busy"))
        page.locator("#start").click()
        voter = Voter(page, study)
        voter.vote("stargan", "keys")
        assert "could not be sent (busy)" in page.locator("#status").inner_text()
        assert page.locator("#save").is_visible()
        assert box.ballots() == []
        page.unroute("**/votes")
        page.locator("#again").click()
        page.wait_for_function(ARRIVED)
        (kept,) = box.ballots()
        assert len(kept.answers) == 5
