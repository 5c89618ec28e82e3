from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress
from torch import nn

from stargan.contracts import RegionImages
from stargan.data.drawn.drawing import draw_face
from stargan.data.drawn.faces import SPACES, SyntheticFaces, embedded_faces
from stargan.data.drawn.person import draw_person
from stargan.data.splits import splits_of
from stargan.errors import UserError

KINDS = tuple(SPACES)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faces")


@pytest.mark.parametrize("kind", KINDS)
def test_faces_are_a_function_of_seed_split_kind_and_index(kind: str, cache: Path) -> None:
    faces = SyntheticFaces("train", kind, 32, 8, cache_dir=cache)
    more = SyntheticFaces("train", kind, 32, 12, cache_dir=cache)
    other = SyntheticFaces("train", kind, 32, 8, seed=1, cache_dir=cache)
    test = SyntheticFaces("test", kind, 32, 8, cache_dir=cache)
    for i in range(8):
        assert faces.load(i).tobytes() == more.load(i).tobytes()
    for elsewhere in (other, test):
        for i, j in itertools.product(range(8), range(8)):
            assert faces.load(i).tobytes() != elsewhere.load(j).tobytes()
    assert torch.equal(faces.labels, more.labels[:8])
    assert isinstance(faces, RegionImages)
    assert len({faces.name(i) for i in range(8)}) == 8


@pytest.mark.parametrize("size", [16, 32, 128, (48, 32), (32, 48)])
def test_any_size(size: int | tuple[int, int], cache: Path) -> None:
    faces = SyntheticFaces("train", "attributes", size, 1, cache_dir=cache)
    height, width = (size, size) if isinstance(size, int) else size
    assert faces.load(0).size == (width, height)
    assert faces.load(0).mode == "RGB"
    assert faces.regions(0).shape == (5, height, width)


def test_a_val_split_is_there_where_it_has_a_number(cache: Path) -> None:
    counts = {"train": 5, "val": 4, "test": 3}
    make = partial(embedded_faces, size=16, cache_dir=cache)
    for labels in (None, ["Male"]):
        made = {split: make(split=split, labels=labels, count=counts) for split in counts}
        assert {split: len(faces) for split, faces in made.items()} == counts
        assert all(splits_of(faces) == ("train", "val", "test") for faces in made.values())
    drawings = {faces.load(i).tobytes() for faces in made.values() for i in range(3)}
    assert len(drawings) == 9
    for count in (5, {"train": 5, "test": 3}, {**counts, "val": 0}):
        assert splits_of(make(split="train", count=count)) == ("train", "test")
    # What was drawn before there was a val split is drawn alike.
    for number, split in enumerate(("train", "test")):
        person, look = draw_person(np.random.default_rng([0, number, 0, 1]), "attributes")
        wanted = np.asarray(draw_face(person, look, (16, 16)))
        assert np.array_equal(np.asarray(made[split].load(1)), wanted)


def test_labels_are_possible_and_balanced(cache: Path) -> None:
    attributes = SyntheticFaces("train", "attributes", 16, 150, cache_dir=cache)
    attributes.space.check(attributes.labels)
    assert torch.equal(attributes.labels[:, :3].sum(1), torch.ones(150))
    assert ((attributes.labels.mean(0) > 0.25) & (attributes.labels.mean(0) < 0.6)).all()
    expressions = SyntheticFaces("train", "expressions", 16, 80, cache_dir=cache)
    expressions.space.check(expressions.labels)
    assert torch.equal(expressions.labels.sum(0), torch.full((8,), 10.0))


@pytest.mark.parametrize("kind", KINDS)
def test_counterfactual_of_the_own_label_is_the_picture(kind: str, cache: Path) -> None:
    faces = SyntheticFaces("test", kind, 32, 8, cache_dir=cache)
    for i in range(8):
        assert faces.counterfactual(i, faces.labels[i]).tobytes() == faces.load(i).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_stays_in_its_region_and_is_seen(kind: str, cache: Path) -> None:
    faces = SyntheticFaces("test", kind, 32, 12, cache_dir=cache)
    for i in range(12):
        regions = faces.regions(i)
        own = np.asarray(faces.load(i)).astype(int)
        for name, target in faces.space.targets(faces.labels[i]):
            changed = np.asarray(faces.counterfactual(i, target)).astype(int) != own
            region = regions[faces.space.index(name)]
            assert not changed.any(2)[~region].any()
            if not torch.equal(target, faces.labels[i]):
                assert changed.any(2).sum() >= 8, (name, i)
        assert regions.mean((1, 2)).max() < 0.75


def test_regions_of_labels_differ_and_leave_the_background(cache: Path) -> None:
    faces = SyntheticFaces("test", "attributes", 64, 12, cache_dir=cache)
    corners = np.mean([faces.regions(i)[:, :6, [0, 1, 2, -3, -2, -1]] for i in range(12)])
    assert corners < 0.02
    share = np.mean([faces.regions(i).mean((1, 2)) for i in range(12)], axis=0)
    assert share[0] == share[1] == share[2]
    assert share[4] < share[3]  # Age touches less than sex, which moves the hair.


def test_impossible_counterfactuals(cache: Path) -> None:
    faces = SyntheticFaces("test", "attributes", 32, 8, cache_dir=cache)
    with pytest.raises(UserError, match="no hair colour"):
        faces.counterfactual(0, torch.zeros(5))
    with pytest.raises(UserError, match="exclude each other"):
        faces.counterfactual(0, torch.tensor([1.0, 1, 0, 0, 0]))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"split": "dev"}, "split 'dev'"),
        ({"split": "val", "count": {"train": 4, "test": 4}}, "count"),
        ({"split": "train", "kind": "faces"}, "kind of drawn faces 'faces'"),
        ({"split": "train", "size": 8}, "8x8"),
        ({"split": "train", "count": 0}, "count"),
        ({"split": "train", "count": {"test": 5}}, "count"),
        ({"split": "train", "seed": -1}, "seed"),
    ],
)
def test_impossible_arguments(arguments: dict[str, object], word: str, cache: Path) -> None:
    with pytest.raises(UserError, match=word):
        SyntheticFaces(**arguments, cache_dir=cache)  # type: ignore[arg-type]


def test_cache_is_read_mended_and_travels_by_name(tmp_path: Path) -> None:
    first = SyntheticFaces("train", "attributes", 16, 4, cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    picture = first.load(2).tobytes()
    again = pickle.loads(pickle.dumps(first))
    assert len(pickle.dumps(first)) < 4000
    assert again.load(2).tobytes() == picture
    stamp = file.stat().st_mtime_ns
    SyntheticFaces("train", "attributes", 16, 4, cache_dir=tmp_path)
    assert file.stat().st_mtime_ns == stamp
    file.write_bytes(b"damaged")
    mended = SyntheticFaces("train", "attributes", 16, 4, cache_dir=tmp_path)
    assert mended.load(2).tobytes() == picture


def test_default_cache_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARGAN_CACHE", str(tmp_path / "own"))
    SyntheticFaces("train", "attributes", 16, 1)
    assert len(list((tmp_path / "own").iterdir())) == 1
    monkeypatch.delenv("STARGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    SyntheticFaces("train", "attributes", 16, 1)
    assert len(list((tmp_path / "xdg" / "stargan").iterdir())) == 1


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="STARGAN_CACHE"):
        SyntheticFaces("train", "attributes", 16, 1, cache_dir=tmp_path / "file")


def test_drawing_under_another_progress_bar(tmp_path: Path) -> None:
    with Progress():
        faces = SyntheticFaces("train", "attributes", 16, 3, cache_dir=tmp_path)
        assert faces.regions(0).any()


DRAW = """
import sys
from stargan.data.drawn.faces import SyntheticFaces
faces = SyntheticFaces("train", "attributes", 16, 20, cache_dir=sys.argv[1])
print(faces.load(19).tobytes().hex())
"""


def test_two_processes_may_race(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DRAW, str(tmp_path)]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (process.communicate(timeout=120)[0] for process in racing)
    assert first == second != ""
    assert len(list(tmp_path.iterdir())) == 1


def _pixels(faces: SyntheticFaces) -> torch.Tensor:
    array = np.stack([np.asarray(faces.load(i)) for i in range(len(faces))])
    return torch.from_numpy(array).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_small_classifier_reads_every_label_of_new_people(kind: str, cache: Path) -> None:
    """At 32 px every label is right on at least 99 % of the people it never saw."""
    train = SyntheticFaces("train", kind, 32, 4000, cache_dir=cache)
    test = SyntheticFaces("test", kind, 32, 1600, cache_dir=cache)
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inner, outer in ((3, 32), (32, 64), (64, 128)):
        layers += [
            nn.Conv2d(inner, outer, 3, padding=1),
            nn.BatchNorm2d(outer),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    network = nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(2048, train.space.size)
    )
    image, label = _pixels(train), train.labels
    epochs, batch = 10, 64
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 4e-3, total_steps=epochs * (len(image) // batch)
    )
    loss = nn.CrossEntropyLoss() if train.space.categorical else nn.BCEWithLogitsLoss()
    for _ in range(epochs):
        order = torch.randperm(len(image))
        for rows in order.split(batch)[: len(image) // batch]:
            x = image[rows]
            flip = torch.rand(len(x)) < 0.5
            x[flip] = x[flip].flip(-1)
            optimizer.zero_grad()
            loss(network(x), label[rows]).backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.inference_mode():
        logits = torch.cat([network(x) for x in _pixels(test).split(250)])
    if train.space.categorical:
        guess = logits.argmax(1)
        truth = test.labels.argmax(1)
        accuracy = {n: (guess == truth)[truth == i] for i, n in enumerate(train.space.names)}
    else:
        right = (logits > 0) == (test.labels > 0.5)
        accuracy = {n: right[:, i] for i, n in enumerate(train.space.names)}
    shares = {n: round(float(r.float().mean()), 4) for n, r in accuracy.items()}
    print(kind, shares)
    assert min(shares.values()) >= 0.99, shares
