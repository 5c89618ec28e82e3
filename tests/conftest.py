"""Small data that the tests draw themselves, and a cache of their own."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

CLASSES = {"blue": (40, 60, 200), "green": (40, 190, 60), "red": (200, 50, 40)}


# Tests whose outcome depends on how a processor rounds: `make ordinary` runs them once more, as on
# a machine without AVX-512.
NUMERIC = (
    "networks/",
    "losses/",
    "metrics/",
    "methods/",
    "export/",
    "data/test_sampler.py",
    "test_ordinary.py",
    "evaluation/test_figures.py",
    "evaluation/test_health.py",
    "evaluation/test_localisation.py",
    "evaluation/test_sample_set.py",
    "evaluation/test_translate_set.py",
    "test_cam.py",
    "test_images.py",
    "test_inference.py",
    "test_judge.py",
    "test_labels.py",
    "test_sampler.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the numeric tests by their place, so that a new file need not think of it."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix().startswith(NUMERIC):
            item.add_marker("numeric")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Random numbers that a test does not seed itself: the same ones whatever ran before it.

    ``STARGAN_TEST_SEED`` draws others, to see whether a bound holds by luck.
    """
    seed = int(os.environ.get("STARGAN_TEST_SEED", "0"))
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn faces and judges go to a folder that all tests of a run share."""
    root = tmp_path_factory.getbasetemp()
    # Under pytest-xdist every worker has its own basetemp; their parent is common.
    shared = root.parent if root.name.startswith("popen-") else root
    monkeypatch.setenv("STARGAN_CACHE", str(shared / "stargan-cache"))


def draw_square(path: Path, colour: tuple[int, int, int], seed: int, size: int = 40) -> None:
    """A noisy picture of one colour."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-30, 30, (size, size, 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="session")
def class_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train/CLASS/*.png`` and ``test/CLASS/*.png`` with three classes of coloured squares."""
    root = tmp_path_factory.mktemp("classes")
    for split, count in (("train", 8), ("test", 3)):
        for i, (name, colour) in enumerate(CLASSES.items()):
            for k in range(count):
                seed = 1000 * i + k + (500 if split == "test" else 0)
                draw_square(root / split / name / f"{k}.png", colour, seed)
    return root


@pytest.fixture(scope="session")
def celeba_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CelebA's layout with 24 small pictures: Blue and Green hair, and Dark."""
    root = tmp_path_factory.mktemp("celeba")
    names = ["Black_Hair", "Blond_Hair", "Male"]
    rows, parts = [], []
    for i in range(24):
        file = f"{i + 1:06d}.jpg"
        hair, male = i % 3, i % 2
        colour = ((30, 30, 30), (220, 200, 90), (120, 80, 60))[hair]
        draw_square(root / "img_align_celeba" / file, colour, i)
        flags = [hair == 0, hair == 1, male == 1]
        rows.append(f"{file} " + " ".join("1" if f else "-1" for f in flags))
        parts.append(f"{file} {0 if i < 18 else 2}")
    attributes = "\n".join(["24", " ".join(names), *rows])
    (root / "list_attr_celeba.txt").write_text(attributes + "\n", encoding="utf-8")
    (root / "list_eval_partition.txt").write_text("\n".join(parts) + "\n", encoding="utf-8")
    return root
