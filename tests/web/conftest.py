"""Studios of tiny models, and a browser where there is one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from stargan.inference.translator import Translator
from stargan.web.studio import Studio
from tests.tiny import FACES, settings, write_export

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--no-first-run", "--disable-dev-shm-usage"),
    # A camera that needs no camera and asks nobody.
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
]


@pytest.fixture(scope="session", autouse=True)
def own_temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Gradio makes folders of an earlier server again, in the same process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("tmp")))
        yield


def tiny_translator(folder: Path, seed: int = 0, classifier: bool = True, *spaces) -> Translator:
    path = folder / f"tiny{seed}.safetensors"
    return Translator.from_pretrained(
        write_export(path, settings(*(spaces or (FACES,))), seed, classifier)
    )


def colourful(seed: int = 0, size: tuple[int, int] = (90, 80)) -> Image.Image:
    """A smooth picture (width, height), another for each seed."""
    small = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    for i in range(2):
        colourful(100 + i).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Studio:
    """Two models with the same labels."""
    folder = tmp_path_factory.mktemp("models")
    models = {"first": tiny_translator(folder, 0), "second": tiny_translator(folder, 1)}
    return Studio(models, examples=examples)


# Not for the session: its event loop would be in the way of tests that run one of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window. Missing: skipped, in CI (``CI=true``) a failure."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        reason = f"no browser here: install one of {', '.join(BROWSERS)} (make browser)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()
