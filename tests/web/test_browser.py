"""The page in a real browser: what a visitor does, and that nothing leaves this machine.

Screenshots go to ``$STARGAN_SCREENSHOTS``, else to pytest's temporary folder.
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from stargan.web.limits import Limits
from stargan.web.server import PageServer
from stargan.web.studio import Studio
from tests.web.conftest import colourful
from tests.web.test_limits import bomb

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True}
LIMITS = Limits(megabytes=1, megapixels=4)


@pytest.fixture(scope="module")
def server(studio: Studio) -> Iterator[PageServer]:
    with PageServer(studio, LIMITS, port=0) as running:
        running.start()
        yield running


@pytest.fixture
def visit(browser: Browser, server: PageServer) -> Iterator[Callable[..., Page]]:
    """Opens the page for a new visitor; at the end asserts that nothing went elsewhere."""
    contexts: list[Any] = []
    foreign: list[str] = []
    complaints: list[str] = []

    def open_page(**settings: Any) -> Page:
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)

        def asked(request: Any) -> None:
            if not request.url.startswith((server.address, "data:", "blob:")):
                foreign.append(request.url)

        context.on("request", asked)
        # A blocked request never becomes one: the browser complains instead.
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.address)
        page.wait_for_selector("#row img")
        page.wait_for_selector("#slider img >> nth=1")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert foreign == []
    # A small upload is over before its progress has been asked for: Gradio answers 404.
    ours = [c for c in complaints if "404" not in c and c != "Response"]
    assert ours == []


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("STARGAN_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shown(page: Page, which: int = 1) -> np.ndarray:
    """The pixels under the slider: 0 the photo, 1 the result."""
    url = page.locator("#slider img").nth(which).get_attribute("src") or ""
    return pixels(url)


def pixels(url: str) -> np.ndarray:
    image = Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
    return np.asarray(image, dtype=np.int16)


def differ(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape != other.shape or float(np.abs(one - other).mean()) > 0.5


def until(happens: Callable[[], Any], what: str, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


def upload(page: Page, file: Path) -> None:
    """Choose a file as a visitor does, in place of the photo that is there."""
    close = page.locator("#photo button[aria-label='Remove Image']")
    if close.count():
        close.click()
        page.wait_for_selector("#row img", state="detached")
    page.set_input_files("#photo input[type=file]", str(file))


def uploaded(page: Page, file: Path) -> None:
    upload(page, file)
    page.wait_for_selector("#row img")
    page.wait_for_selector("#slider img >> nth=1")


def files(server: PageServer) -> list[Path]:
    return [p for p in server.folder.rglob("*") if p.is_file()]


def test_a_visit(
    visit: Callable[..., Page], server: PageServer, tmp_path: Path, shots: Path
) -> None:
    page = visit(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    page.screenshot(path=shots / "desk.png", full_page=True)
    # The page begins with an example and a label that it does not have.
    assert differ(shown(page, 0), shown(page, 1))

    colourful(7, (300, 200)).save(tmp_path / "mine.jpg")
    uploaded(page, tmp_path / "mine.jpg")
    until(lambda: "Choose a label" in page.locator("#result").inner_text(), "no edit yet")
    photo, before = shown(page, 0), shown(page, 1)
    assert not differ(photo, before)
    chips = page.locator(".chip").all_inner_texts()
    assert len(chips) == 5
    assert all(re.search(r"\d+%$", chip) for chip in chips)

    # Another label, another picture; each radio button is told from the others.
    own_hair = [c for c in page.locator(".chip.yes").all_inner_texts() if "hair" in c]
    names = [n for n in ("Black", "Blond", "Brown") if not any(n in c for c in own_hair)]
    results = []
    for name in names[:2]:
        last = shown(page)
        page.get_by_test_id(f"{name}-radio-label").first.click()
        until(lambda: differ(last, shown(page)), f"another picture for {name}")  # noqa: B023
        assert f"{name} hair" in page.locator("#result").inner_text()
        results.append(shown(page))
    assert differ(*results)

    # Half the strength lies elsewhere than the whole.
    page.locator(".strength input[type=range]:visible").first.fill("0.5")
    until(lambda: "50%" in page.locator("#result").inner_text(), "half the strength")
    until(lambda: differ(results[1], shown(page)), "another picture at half the strength")

    # A switch, on top of the hair.
    half = shown(page)
    page.locator(".switch label:visible").first.click()
    until(lambda: differ(half, shown(page)), "another picture for the switch")
    assert page.locator("#compare img").count() == 2

    with page.expect_download() as saved:
        page.locator("a.download").click()
    png = Image.open(saved.value.path())
    assert (png.format, png.size) == ("PNG", (32, 32))
    assert saved.value.suggested_filename.endswith(".png")
    assert not differ(
        pixels(page.locator("a.download").get_attribute("href")), np.asarray(png, np.int16)
    )

    # A press on the picture of a label chooses that label alone.
    page.locator("#row [data-pick=Blond_Hair]").click()
    until(lambda: "Blond hair\n" in page.locator("#result").inner_text(), "the pressed label alone")
    page.screenshot(path=shots / "desk_result.png", full_page=True)

    # The other model, the same label.
    first = shown(page)
    page.locator("#model label", has_text="second").click()
    until(lambda: differ(first, shown(page)), "the other model's picture")
    assert "Blond hair" in page.locator("#result").inner_text()

    # An example: what was chosen goes with it.
    last = shown(page, 0)
    page.locator("#examples [data-pick='1']").click()
    until(lambda: differ(last, shown(page, 0)), "the example")
    assert "Blond hair" in page.locator("#result").inner_text()


def test_the_camera(visit: Callable[..., Page]) -> None:
    page = visit(viewport={"width": 1200, "height": 900}, permissions=["camera"])
    example = shown(page, 0)
    page.locator("#photo button[aria-label='Remove Image']").click()
    page.locator("#photo button[aria-label='Capture from camera']").click()
    page.locator("#photo button:has(.icon-wrap):visible").click()
    # Before its first frame there is nothing to capture.
    page.wait_for_function(
        "() => { const v = document.querySelector('#photo video');"
        " return v !== null && v.readyState >= 2 && v.videoWidth > 0; }"
    )
    page.locator("#photo button[aria-label='capture photo']").click()
    page.wait_for_selector("#slider img >> nth=1")
    until(lambda: differ(example, shown(page, 0)), "the camera's picture")


def test_bad_files_are_told_in_words(
    visit: Callable[..., Page], server: PageServer, tmp_path: Path, shots: Path
) -> None:
    page = visit()
    (tmp_path / "notes.png").write_text("these are no pixels")
    (tmp_path / "large.png").write_bytes(os.urandom(1_500_000))
    bomb(tmp_path / "bomb.png", 9_000)
    for name, words in (
        ("notes.png", "not a picture that can be read"),
        ("bomb.png", "too many pixels (9000 x 9000): 4 million are allowed"),
    ):
        upload(page, tmp_path / name)
        until(lambda: words in page.locator("#trouble").inner_text(), words)  # noqa: B023
        assert page.locator("#photo img").count() == 0
        assert page.locator("#row img").count() == 0
    page.screenshot(path=shots / "trouble.png", full_page=True)
    upload(page, tmp_path / "large.png")
    page.wait_for_selector("text=exceed the maximum allowed size of 1.0 Mb")
    assert "Traceback" not in page.content()
    assert "<pre" not in page.locator("#trouble").inner_html()
    # The page goes on as if nothing had been.
    colourful(8).save(tmp_path / "good.png")
    uploaded(page, tmp_path / "good.png")
    until(lambda: page.locator("#trouble p").count() == 0, "the words go")


def test_two_visitors_each_see_their_own(
    visit: Callable[..., Page], server: PageServer, tmp_path: Path
) -> None:
    one, two = visit(), visit()
    for page, colour in ((one, (220, 30, 30)), (two, (30, 30, 220))):
        Image.new("RGB", (64, 64), colour).save(tmp_path / "same_name.png")
        uploaded(page, tmp_path / "same_name.png")
    for page, red in ((one, True), (two, False), (one, True)):
        page.locator("#row [data-pick=Young]").click()
        until(lambda: "oung" in page.locator("#result").inner_text(), "an edit")  # noqa: B023
        mean = shown(page, 0).mean((0, 1))
        assert (mean[0] > mean[2]) == red
    assert differ(shown(one), shown(two))


def test_nothing_is_kept_after_the_visit(
    visit: Callable[..., Page], server: PageServer, tmp_path: Path
) -> None:
    def kept() -> tuple[int, int]:
        return len(server.page.visits), len(server.page.blocks.state_holder.session_data)

    until(lambda: kept() == (0, 0), "earlier visitors are forgotten")
    page = visit()
    colourful(9).save(tmp_path / "private.png")
    uploaded(page, tmp_path / "private.png")
    assert kept()[0] == 1
    # The photo goes from the disk as soon as it has been shown, the page still open.
    until(lambda: files(server) == [], "the upload is deleted")
    page.locator("#row [data-pick=Young]").click()
    until(lambda: "oung" in page.locator("#result").inner_text(), "the page works without the file")
    page.close()
    until(lambda: kept() == (0, 0), "the visit is forgotten")
    assert files(server) == []


def test_a_forgotten_visitor_is_told(visit: Callable[..., Page], server: PageServer) -> None:
    page = visit()
    for session in list(server.page.blocks.state_holder.session_data):
        server.page.visits.forget(session)
    page.get_by_test_id("Brown-radio-label").first.click()
    until(lambda: "choose one" in page.locator("#trouble").inner_text(), "words")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(visit: Callable[..., Page], shots: Path, scheme: str) -> None:
    page = visit(**PHONE, color_scheme=scheme)
    for part in ("photo", "reading", "framing", "slider", "result", "row"):
        box = page.locator(f"#{part}").bounding_box()
        assert box["x"] >= 10
        assert box["x"] + box["width"] <= 380
    order = ("#photo", "#slider", "#result", ".labels:visible", "#framing", "#row")
    tops = [page.locator(part).bounding_box()["y"] for part in order]
    assert tops == sorted(tops)
    # The whole result is on the first screen.
    box = page.locator("#slider").bounding_box()
    assert box["y"] + box["height"] <= PHONE["viewport"]["height"]
    page.screenshot(path=shots / f"phone_{scheme}_first.png")
    # Fingers need room.
    for target in (".choice label:visible", ".switch label:visible", "a.download"):
        assert page.locator(target).first.bounding_box()["height"] >= 28
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(n) for n in re.findall(r"\d+", background)[:3]) / 3
    assert (brightness < 60) == (scheme == "dark")
    page.screenshot(path=shots / f"phone_{scheme}.png", full_page=True)
