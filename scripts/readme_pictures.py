"""The pictures of README.md, from a run on drawn faces and its report.

    make demo
    stargan evaluate model=runs/demo output=runs/demo_report
    python scripts/readme_pictures.py runs/demo runs/demo_report

Writes ``demo_before_after.jpg``, ``page.jpg`` and ``report.jpg`` into ``docs/images``. Screenshots
need Chromium (``make browser``) and the extra ``dev``.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from stargan import Translator, UserError, imaging
from stargan.data.drawn.faces import SyntheticFaces
from stargan.web.limits import Limits
from stargan.web.server import PageServer
from stargan.web.studio import Studio

OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FACES = 4
DRAWN = 32
WIDTH = 1200
"""Pixels of a screenshot; those in a page are half as wide."""


def main(arguments: list[str] | None = None) -> None:
    """Draw, open, photograph."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", help="a run folder or an exported file of drawn faces")
    parser.add_argument("report", type=Path, help="the folder that stargan evaluate wrote")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where to write")
    given = parser.parse_args(arguments)
    page = given.report / "report.html"
    if not page.is_file():
        raise UserError(f"'{page}' does not exist: give the output= of stargan evaluate.")
    given.output.mkdir(parents=True, exist_ok=True)
    translator = Translator.from_pretrained(given.model)
    save(before_after(translator), given.output / "demo_before_after.jpg")
    with browser() as chromium:
        save(of_report(chromium, page), given.output / "report.jpg")
        # The model that the page opens by itself.
        save(of_page(chromium, Translator.from_pretrained("demo")), given.output / "page.jpg")


def save(image: Image.Image, path: Path) -> None:
    image.convert("RGB").save(path, quality=88, optimize=True)
    print(f"wrote {path} ({path.stat().st_size // 1000} kB)")


def before_after(translator: Translator) -> Image.Image:
    """Faces that no training has seen, each with every label in turn."""
    faces = SyntheticFaces("test", "attributes", translator.model.size, DRAWN)
    # People of different labels.
    first = {tuple(row): i for i, row in reversed(list(enumerate(faces.labels.tolist())))}
    photos = [faces.load(i) for i in sorted(first.values())[:FACES]]
    made = translator.all(photos)
    rows = [[photo, *(images[i] for _, images in made)] for i, photo in enumerate(photos)]
    lone = {name for space in translator.spaces.spaces for name in space.names} - {
        name for space in translator.spaces.spaces for group in space.groups for name in group
    }
    titles = [f"{name} turned over" if name in lone else name for name, _ in made]
    return imaging.grid(rows, ["before", *titles])


def of_report(chromium: Any, page: Path) -> Image.Image:
    """The top of a report."""
    opened = chromium.new_page(viewport={"width": WIDTH, "height": 900})
    opened.goto(page.resolve().as_uri())
    return picture(opened)


def of_page(chromium: Any, translator: Translator) -> Image.Image:
    """The page of ``stargan serve`` as a visitor finds it."""
    with PageServer(Studio({"demo": translator}), Limits(), port=0) as server:
        server.start()
        opened = chromium.new_page(viewport={"width": WIDTH, "height": 900})
        opened.goto(server.address)
        opened.wait_for_selector("#row img")
        opened.wait_for_selector("#slider img >> nth=1")
        return picture(opened)


def picture(opened: Any) -> Image.Image:
    return Image.open(BytesIO(opened.screenshot()))


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, of the system."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise UserError("a screenshot needs Chromium or Chrome: make browser installs it.")
    with sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        chromium = play.chromium.launch(executable_path=path, args=flags)
        yield chromium
        chromium.close()


if __name__ == "__main__":
    main()
