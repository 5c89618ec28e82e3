from __future__ import annotations

import copy
import logging
import os
import pickle
import tempfile
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from stargan.contracts import Batch, Draw, Feed, Stratum
from stargan.data import datamodule
from stargan.data.datamodule import DataModule
from stargan.data.drawn.faces import SyntheticFaces
from stargan.data.image_folder import ImageFolder
from stargan.data.prepared import PreparedImages
from stargan.errors import UserError
from stargan.imaging.regions import box_of
from stargan.imaging.tensors import to_float
from stargan.labels.targets import Edited, Permuted
from tests.data.counted import Counted


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faces")


def folder(
    root: Path,
    count: int = 6,
    size: tuple[int, int] = (20, 24),
    splits: tuple[str, ...] = ("train", "test"),
) -> Path:
    rng = np.random.default_rng(0)
    for split in splits:
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return root


def faces(drawn: Path, **arguments: object) -> DataModule:
    datasets = {
        kind: partial(SyntheticFaces, kind=kind, size=16, count=24, cache_dir=drawn)
        for kind in ("attributes", "expressions")
    }
    settings: dict[str, object] = {"batch_size": 4, "max_steps": 10, **arguments}
    return DataModule(datasets, 16, **settings)  # type: ignore[arg-type]


def files(root: Path, **arguments: object) -> DataModule:
    settings: dict[str, object] = {"batch_size": 4, "max_steps": 6, **arguments}
    return DataModule({"mine": partial(ImageFolder, root)}, **{"image_size": 16, **settings})  # type: ignore[arg-type]


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        all(map(torch.equal, a[:4], b[:4]))
        and a.draws.keys() == b.draws.keys()
        and all(torch.equal(a.draws[name], b.draws[name]) for name in a.draws)
        for a, b in zip(first, second, strict=True)
    )


FEED = Feed(
    targets=Permuted(0.5),
    draws={"alpha": Draw(shape=(1, 1, 1)), "noise": Draw("normal", (3,), repeat=2)},
    period=2,
)


def fed(data: DataModule, feed: Feed = FEED, **attributes: int) -> DataModule:
    data.feed = feed
    for name, value in attributes.items():
        setattr(data, name, value)
    return data


def test_batches_have_joint_labels(drawn: Path) -> None:
    data = faces(drawn)
    loader = data.train_dataloader()
    assert len(loader) == 10
    batches = list(loader)
    assert len(batches) == 10
    assert data.labels.size == 13
    for step, batch in enumerate(batches):
        dataset = step % 2
        assert batch.image.shape == (4, 3, 16, 16)
        assert batch.image.dtype == torch.uint8
        assert batch.image.is_contiguous()
        assert batch.image.min() < 60 < 180 < batch.image.max()
        assert batch.label.dtype == torch.float32
        assert torch.equal(batch.target, batch.label)
        assert batch.draws == {}
        assert batch.dataset.tolist() == [dataset] * 4
        part = data.labels.slices[dataset]
        data.labels.spaces[dataset].check(batch.label[:, part])
        assert batch.label.sum() == batch.label[:, part].sum()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kept", [True, False])
def test_a_resume_is_exact_whatever_loads_the_images(drawn: Path, workers: int, kept: bool) -> None:
    whole = list(fed(faces(drawn, cache=False, num_workers=0)).train_dataloader())
    again = fed(faces(drawn, cache=kept, num_workers=workers))
    assert same(list(again.train_dataloader()), whole)
    again.start_step = 3
    loader = again.train_dataloader()
    assert len(loader) == 7
    assert same(list(loader), whole[3:])


def test_images_are_cropped_resized_and_flipped(tmp_path: Path) -> None:
    root = folder(tmp_path)
    plain = files(root, flip=0.0, image_size=[20, 20], crop=20).train_dataloader()
    flipped = files(root, flip=1.0, image_size=[20, 20], crop=20).train_dataloader()
    for a, b in zip(plain, flipped, strict=True):
        assert torch.equal(a.image.flip(-1), b.image)
    data = files(root, image_size=[20, 20], crop=20)
    batch = next(data.test_batches("mine", 1))
    pixels = np.asarray(Image.open(root / "test" / "a" / "0.png"))[2:22]
    wanted = torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 127.5 - 1
    assert torch.allclose(batch.image[0], wanted, atol=1e-6)


def test_non_square_images(tmp_path: Path) -> None:
    data = files(folder(tmp_path), image_size=[24, 12])
    assert next(iter(data.train_dataloader())).image.shape == (4, 3, 24, 12)
    assert data.image_size == (24, 12)
    assert data.crops == {"folder": None}


def test_a_short_data_set_repeats(tmp_path: Path) -> None:
    data = files(folder(tmp_path, count=2), batch_size=16)
    assert next(iter(data.train_dataloader())).image.shape[0] == 16


def test_a_crop_larger_than_the_image_names_it(tmp_path: Path) -> None:
    data = files(folder(tmp_path), crop=22, on_error="skip")
    with pytest.raises(UserError, match=r"image '.*' of .*crop=22 is larger"):
        list(data.train_dataloader())


def test_unreadable_images_are_named(tmp_path: Path) -> None:
    bad = folder(tmp_path) / "train" / "a" / "3.png"
    bad.write_bytes(b"broken")
    for workers in (0, 2):
        with pytest.raises(UserError, match=rf"^'{bad}'[^\n]*$"):
            list(files(tmp_path, num_workers=workers).train_dataloader())


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_images_are_replaced_and_counted(
    tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    root = folder(tmp_path)
    for split, name in (("train", "a/3.png"), ("train", "b/0.png"), ("test", "b/1.png")):
        (root / split / name).write_bytes(b"broken")
    first = files(root, on_error="skip", num_workers=workers, max_steps=12)
    with caplog.at_level(logging.WARNING):
        batches = list(first.train_dataloader())
    if not workers:
        assert sum("3.png" in r.getMessage() for r in caplog.records) == 1
    assert all(len(b.image) == 4 for b in batches)
    assert same(batches, list(files(root, on_error="skip", max_steps=12).train_dataloader()))
    assert first.skipped == {"mine": 2}
    assert any("2 unreadable" in line for line in first.describe())
    assert sum(len(b.image) for b in first.test_batches("mine", 5)) == 11
    assert first.test_indices("mine") == [i for i in range(12) if i != 7]
    assert first.skipped == {"mine": 3}


def test_a_substitute_brings_its_own_label(tmp_path: Path) -> None:
    root = folder(tmp_path)
    for file in (root / "train" / "a").iterdir():
        file.write_bytes(b"broken")
    for batch in files(root, on_error="skip").train_dataloader():
        assert batch.label.tolist() == [[0, 1]] * 4


def test_nothing_but_unreadable_images(tmp_path: Path) -> None:
    for file in folder(tmp_path).rglob("*.png"):
        file.write_bytes(b"broken")
    data = files(tmp_path, on_error="skip")
    with pytest.raises(UserError, match="not one image"):
        list(data.train_dataloader())
    with pytest.raises(UserError, match="not one image"):
        data.validation_batch(2)


def test_validation_batch_is_fixed_and_balanced(drawn: Path) -> None:
    batch = faces(drawn).validation_batch(8)
    assert same([batch], [faces(drawn, batch_size=7).validation_batch(8)])
    assert batch.dataset.tolist() == [0] * 8 + [1] * 8
    assert batch.label[8:, 5:].sum(0).tolist() == [1] * 8
    assert batch.label[:8, 3].sum() == batch.label[:8, 4].sum() == 4
    assert batch.label[:8, :3].sum(0).min() >= 2


def test_test_batches_come_in_order(drawn: Path) -> None:
    data = faces(drawn)
    batches = list(data.test_batches("expressions", 10))
    assert [len(b.image) for b in batches] == [10, 10, 4]
    label = torch.cat([b.label for b in batches])
    assert torch.equal(label[:, 5:], data.test["expressions"].images.labels)
    assert not label[:, :5].any()
    assert data.test_indices("expressions") == list(range(24))
    with pytest.raises(UserError, match="'expression' is no dataset"):
        next(data.test_batches("expression", 2))


def test_regions_follow_the_crop(drawn: Path, tmp_path: Path) -> None:
    data = faces(drawn)
    data.setup()
    prepared = data.test["attributes"]
    assert prepared.about_regions() == "all pixels that the label may change"
    for label, mask in enumerate(prepared.images.regions(0)):  # type: ignore[attr-defined]
        region = prepared.region(0, label)
        assert region is not None
        assert np.array_equal(region.pixels, mask)
        assert region.boxes == (box_of(mask),)
    small = DataModule(data._datasets, 8, crop=12)
    small.setup()
    cut = small.test["attributes"].region(0, 0)
    assert cut is not None
    assert cut.pixels.shape == (8, 8)
    other = files(folder(tmp_path))
    other.setup()
    assert other.test["mine"].about_regions() is None
    assert other.test["mine"].region(0, 0) is None


def test_describe_counts_every_label(drawn: Path) -> None:
    data = faces(drawn)
    text = "\n".join(data.describe())
    assert "attributes: 24 training and 24 test images" in text
    line = next(x for x in data.describe() if "surprised" in x)
    assert line.split() == ["12", "surprised", "3", "train", "3", "test"]


def test_balance_reaches_the_sampler(drawn: Path) -> None:
    plain, balanced = (list(faces(drawn, balance=b).train_dataloader()) for b in (False, True))
    assert not same(plain, balanced)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"flip": 1.5}, "probability"),
        ({"num_workers": -1}, "choose auto"),
        ({"num_workers": "many"}, "choose auto"),
        ({"seed": -1}, "negative"),
        ({"on_error": "ignore"}, "raise or skip"),
        ({"cache": "yes"}, "auto, true or false"),
        ({"crop": {"elsewhere": 8}}, "'elsewhere'"),
    ],
)
def test_impossible_arguments(drawn: Path, arguments: dict[str, object], word: str) -> None:
    with pytest.raises(UserError, match=word):
        faces(drawn, **arguments)


def test_sources_and_steps_are_needed(drawn: Path) -> None:
    with pytest.raises(UserError, match="no data set"):
        DataModule({}, 16)
    with pytest.raises(UserError, match="image_size"):
        DataModule({"a": partial(SyntheticFaces)}, [1, 2, 3])
    with pytest.raises(UserError, match="max_steps"):
        faces(drawn, max_steps=None).train_dataloader()


def test_two_sources_of_one_space_are_refused(tmp_path: Path) -> None:
    make = partial(ImageFolder, folder(tmp_path))
    with pytest.raises(UserError, match="same name"):
        DataModule({"a": make, "b": make}, 16).setup()


class _Recorder(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Batch] = []
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.automatic_optimization = False

    def training_step(self, batch: Batch, index: int) -> None:
        self.seen.append(batch)
        self.optimizers().step()  # type: ignore[union-attr]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def test_lightning_trains_on_it_as_it_is(drawn: Path) -> None:
    method = _Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=10,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(method, datamodule=faces(drawn))
    assert same(method.seen, list(faces(drawn).train_dataloader()))


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    colour, grey = files(folder(tmp_path)), files(tmp_path, channels=1)
    for c, g in zip(colour.train_dataloader(), grey.train_dataloader(), strict=True):
        assert c.image.shape == (4, 3, 16, 16)
        assert g.image.shape == (4, 1, 16, 16)
        # Luma, rounded to 8 bits.
        weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        luma = (c.image * weights).sum(1, keepdim=True)
        assert (luma - g.image).abs().max() < 1.5
        assert torch.equal(c.label, g.label)
    assert grey.validation_batch(2).image.shape == (2, 1, 16, 16)
    assert next(grey.test_batches("mine", 4)).image.shape == (4, 1, 16, 16)
    assert "grey" in grey.describe()[0]
    assert "grey" not in colour.describe()[0]
    with pytest.raises(UserError, match="channels=2"):
        files(tmp_path, channels=2)


def test_a_mixed_batch_must_be_shared_out_evenly(drawn: Path) -> None:
    make = partial(SyntheticFaces, size=16, count={"train": 4, "test": 2}, cache_dir=drawn)
    two = {kind: partial(make, kind=kind) for kind in ("attributes", "expressions")}
    with pytest.raises(UserError, match="multiple of 2"):
        DataModule(two, 16, batch_size=5, mixed=True)
    data = DataModule(two, 16, batch_size=4, mixed=True, max_steps=1)
    (batch,) = data.train_dataloader()
    assert batch.dataset.tolist() == [0, 0, 1, 1]
    assert (batch.label.bool() & ~data.labels.known(batch.dataset)).sum() == 0


def test_targets_and_numbers_come_with_the_batch(drawn: Path) -> None:
    plain = list(fed(faces(drawn), Feed(period=2)).train_dataloader())
    batches = list(fed(faces(drawn)).train_dataloader())
    data = faces(drawn)
    data.setup()
    moved = 0
    for before, batch in zip(plain, batches, strict=True):
        assert all(map(torch.equal, before[:3], batch[:3])), "the same images, in the same order"
        assert {n: tuple(d.shape) for n, d in batch.draws.items()} == {
            "alpha": (4, 1, 1, 1),
            "noise": (8, 3),
        }
        assert batch.target.dtype == batch.draws["noise"].dtype == torch.float32
        number = int(batch.dataset[0])
        part = data.labels.slices[number]
        data.labels.spaces[number].check(batch.target[:, part])
        assert batch.target.sum() == batch.target[:, part].sum()
        moved += int((batch.target != batch.label).any(1).sum())
    assert moved > 20
    values = torch.cat([b.draws["alpha"].flatten() for b in batches])
    assert len(values.unique()) == len(values) == 40
    # One more name, another target rule: nothing else changes.
    more = Feed(Permuted(0.0), {**FEED.draws, "beta": Draw()}, period=2)
    for batch, other in zip(batches, fed(faces(drawn), more).train_dataloader(), strict=True):
        assert torch.equal(batch.image, other.image)
        assert all(torch.equal(batch.draws[n], other.draws[n]) for n in batch.draws)


def place(data: DataModule, rank: int, world_size: int) -> DataModule:
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, num_devices=2)  # type: ignore[assignment]
    return data


def test_a_batch_is_a_function_of_seed_attempt_step_rank_and_processes(drawn: Path) -> None:
    def batches(seed: int = 0, attempt: int = 0, rank: int = 0, world_size: int = 2) -> list[Batch]:
        data = place(fed(faces(drawn, seed=seed), attempt=attempt), rank, world_size)
        return list(data.train_dataloader())

    first = batches()
    assert same(first, batches())
    others = [batches(seed=1), batches(attempt=1), batches(attempt=2), batches(rank=1)]
    for other in others:
        for one, two in zip(first, other, strict=True):
            assert not torch.equal(one.image, two.image)
            assert (one.draws["alpha"] != two.draws["alpha"]).all()
    # A resume after a rollback goes on in that attempt.
    for workers in (0, 1):
        later = fed(faces(drawn, num_workers=workers), attempt=1, start_step=4)
        assert same(list(place(later, 0, 2).train_dataloader()), batches(attempt=1)[4:])


def test_steps_do_not_share_their_numbers(drawn: Path) -> None:
    whole = torch.cat([b.draws["noise"].flatten() for b in fed(faces(drawn)).train_dataloader()])
    assert len(whole.unique()) == len(whole) == 240


STRATA = (
    Stratum(1, {"happy": 1}),
    Stratum(0, {"Male": 1, "Young": 0}),
)


def test_batches_of_strata(drawn: Path) -> None:
    data = fed(faces(drawn, batch_size=1), Feed(Edited({"Male": 0}), {"x": Draw()}, STRATA))
    data.check_feed()
    happy, male, young = (data.labels.names.index(n) for n in ("happy", "Male", "Young"))
    for batch in data.train_dataloader():
        assert batch.image.shape == (2, 3, 16, 16)
        assert batch.dataset.tolist() == [1, 0]
        assert batch.label[0, happy] == batch.label[1, male] == 1
        assert batch.label[1, young] == 0
        assert torch.equal(batch.target[0], batch.label[0])
        assert batch.target[1, male] == 0
        assert batch.draws["x"].shape == (2,)
    table = [s.images.labels for s in data.train.values()]
    inner = [int(table[1][:, happy - 5].sum()), int((table[0][:, 3] * (1 - table[0][:, 4])).sum())]
    assert data.steps_per_epoch == max(1, round(sum(inner) / 2))


def test_a_feed_that_the_data_cannot_give(drawn: Path) -> None:
    impossible = Stratum(0, {"Black_Hair": 1, "Blond_Hair": 1})
    for method in (DataModule.check_feed, DataModule.train_dataloader):
        with pytest.raises(UserError, match=r"of 'attributes' has Black_Hair=1 and Blond_Hair=1"):
            method(fed(faces(drawn), Feed(strata=(*STRATA, impossible))))
        with pytest.raises(UserError, match="unknown label 'joy'"):
            method(fed(faces(drawn), Feed(strata=(Stratum(1, {"joy": 1}),))))


@pytest.mark.parametrize(
    ("batch_size", "mixed", "feed", "fits"),
    [
        (1, False, Feed(), True),
        (1, False, Feed(Permuted(1.0)), True),
        (1, False, Feed(Permuted(0.9)), False),
        (2, False, Feed(Permuted()), True),
        (2, True, Feed(Permuted()), False),
        (2, True, Feed(), True),
        (4, True, Feed(Permuted()), True),
        (1, False, Feed(Permuted(), strata=STRATA), False),
        (1, False, Feed(Permuted(), strata=STRATA[:1] * 2), True),
    ],
)
def test_a_permutation_needs_two_of_a_data_set(
    drawn: Path, batch_size: int, mixed: bool, feed: Feed, fits: bool
) -> None:
    data = fed(faces(drawn, batch_size=batch_size, mixed=mixed, max_steps=2), feed)
    if fits:
        assert len(list(data.train_dataloader())) == 2
    else:
        with pytest.raises(UserError, match="at least 2 are needed"):
            data.check_feed()


def test_what_a_rule_refuses_arrives_as_one_sentence(drawn: Path) -> None:
    for workers in (0, 1):
        data = fed(faces(drawn, num_workers=workers), Feed(Edited({"happy": 0.0})))
        with pytest.raises(UserError, match=r"^removing 'happy' leaves an image[^\n]*$"):
            list(data.train_dataloader())


def test_training_images_are_the_same_as_those_to_look_at(tmp_path: Path) -> None:
    data = files(folder(tmp_path), flip=0.0)
    shown = [image for b in data.batches("mine", "train", 5) for image in b.image]
    batches = list(data.train_dataloader())
    found = [
        next(i for i, other in enumerate(shown) if torch.equal(to_float(image), other))
        for b in batches
        for image in b.image
    ]
    assert sorted(found[:12]) == list(range(12))


@pytest.mark.parametrize(
    ("cores", "environment", "processes", "devices", "wanted"),
    [
        (16, None, 1, 1, 8),
        (6, None, 1, 1, 5),
        (1, None, 1, 1, 0),
        (16, None, 4, 4, 3),
        (16, None, 16, 4, 3),  # Four nodes: four processes on each.
        (16, "2", 8, 4, 7),  # torchrun knows.
    ],
)
def test_auto_workers_share_the_cores(
    drawn: Path,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    environment: str | None,
    processes: int,
    devices: int,
    wanted: int,
) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if environment:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", environment)
    monkeypatch.setattr(datamodule, "count_cores", lambda: cores)
    monkeypatch.setattr(datamodule, "free_shared_memory", lambda: 2**30)
    data = faces(drawn, cache=False, processes=processes)
    data.trainer = SimpleNamespace(num_devices=devices)  # type: ignore[assignment]
    assert data.count_workers() == wanted
    kept = faces(drawn, processes=processes)
    assert kept.count_workers() == 0, "they fit into memory"
    assert faces(drawn, num_workers=3).count_workers() == 3


def test_auto_workers_leave_room_in_shared_memory(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(datamodule, "count_cores", lambda: 32)
    # Two batches of 4 x 16 x 16 x 3 bytes wait per worker, in half of the room.
    monkeypatch.setattr(datamodule, "free_shared_memory", lambda: 12 * 4 * 16 * 16 * 3)
    data = faces(drawn, cache=False)
    assert data.count_workers() == 3
    assert fed(data, Feed(strata=STRATA)).count_workers() == 1


def test_cores_are_those_that_the_process_may_use() -> None:
    assert 1 <= datamodule.count_cores() <= (os.cpu_count() or 1)
    assert datamodule.free_shared_memory() > 0


def counted(root: Path, **arguments: object) -> DataModule:
    return DataModule(
        {"mine": partial(Counted, root)},
        16,
        **{"batch_size": 4, "max_steps": 6, "cache": True, **arguments},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_share_what_is_kept(tmp_path: Path, method: str) -> None:
    root = folder(tmp_path)
    data = counted(root, num_workers=1)
    data.start_method = method
    data.setup()
    data.train["mine"].pixels(0)  # Kept before there are workers.
    wanted = list(files(root).train_dataloader())
    assert same(list(data.train_dataloader()), wanted)
    loaded = (root / "loaded").read_text().split()
    assert sorted(loaded) == [f"{c}_{i}" for c in "ab" for i in range(6)], "once in two epochs"
    for i in range(12):
        data.train["mine"].pixels(i)
    data._num_workers = 2
    assert same(list(data.train_dataloader()), wanted)
    assert (root / "loaded").read_text().split() == loaded, "kept here and for the next workers"


def test_spawned_workers_tell_what_is_wrong_in_one_sentence(tmp_path: Path) -> None:
    bad = folder(tmp_path) / "train" / "a" / "3.png"
    bad.write_bytes(b"broken")
    data = counted(tmp_path, num_workers=1)
    data.start_method = "spawn"
    with pytest.raises(UserError, match=rf"^'{bad}'[^\n]*$"):
        list(data.train_dataloader())
    skipping = counted(tmp_path, num_workers=1, on_error="skip")
    skipping.start_method = "spawn"
    assert len(list(skipping.train_dataloader())) == 6
    assert skipping.skipped == {"mine": 1}


def kept_files(folder: Path) -> list[Path]:
    return list(folder.glob("stargan-*.images"))


def test_the_file_of_kept_images_goes_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.mkstemp", partial(tempfile.mkstemp, dir=room))
    images = counted(folder(tmp_path / "data"))
    images.setup()
    prepared = images.train["mine"]
    first = prepared.pixels(3)
    assert first is not None
    assert not kept_files(room), "memory will do as long as nothing travels"
    twin = copy.deepcopy(prepared)
    assert len(kept_files(room)) == 1
    assert np.array_equal(twin.pixels(3), first)  # type: ignore[arg-type]
    travelled = bytes(ForkingPickler.dumps(prepared))
    assert len(travelled) < 20_000, "the images themselves do not travel"
    third = pickle.loads(travelled)
    fourth = prepared.pixels(4)
    assert np.array_equal(third.pixels(4), fourth)
    assert (tmp_path / "data" / "loaded").read_text().split() == ["a_3", "a_4"]
    del third, twin
    assert len(kept_files(room)) == 1, "a copy's end leaves it to its owner"
    late = pickle.dumps(prepared)
    if (child := os.fork()) == 0:
        del images, prepared
        os._exit(0)
    os.waitpid(child, 0)
    assert len(kept_files(room)) == 1, "so does a forked child's"
    del prepared, images
    assert not kept_files(room)
    assert np.array_equal(pickle.loads(late).pixels(3), first)


def test_workers_load_anew_where_there_is_no_room_to_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    data = counted(folder(tmp_path))
    data.setup()
    with caplog.at_level(logging.WARNING):
        travelled = pickle.loads(pickle.dumps(data.train["mine"]))
    assert "each loads them anew" in caplog.text
    assert isinstance(travelled, PreparedImages)
    assert np.array_equal(travelled.pixels(2), data.train["mine"].pixels(2))  # type: ignore[arg-type]


def test_validation_splits(tmp_path: Path, drawn: Path) -> None:
    root = folder(tmp_path / "with", splits=("train", "valid", "test"))
    (root / "valid" / "a" / "5.png").unlink()
    datasets = {
        "mine": partial(ImageFolder, root),
        "faces": partial(
            SyntheticFaces,
            kind="expressions",
            size=16,
            count={"train": 16, "test": 8},
            cache_dir=drawn,
        ),
    }
    data = DataModule(datasets, 16, batch_size=4, max_steps=2, limit=4)
    data.setup()
    assert list(data.val) == ["mine"]
    assert (len(data.train["mine"]), len(data.val["mine"]), len(data.test["mine"])) == (4, 11, 12)
    assert data.selection("mine") == ("val", data.val["mine"])
    assert data.selection("faces") == ("test", data.test["faces"])
    batches = list(data.batches("mine", "val", 4))
    assert [len(b.image) for b in batches] == [4, 4, 3]
    assert all(b.image.dtype == torch.float32 for b in batches)
    assert torch.cat([b.label for b in batches])[:, :2].sum(0).tolist() == [5, 6]
    assert data.indices("mine", "val") == list(range(11))
    pixels = data.val["mine"].pixels(0)
    assert torch.equal(
        batches[0].image[0],
        to_float(torch.from_numpy(pixels.copy()).permute(2, 0, 1)),  # type: ignore[union-attr]
    )
    lines = data.describe()
    assert lines[0].startswith("mine: 4 training, 11 validation and 12 test images")
    assert lines[1].split() == ["0", "a", "2", "train", "5", "val", "6", "test"]
    assert any(line.startswith("faces: 4 training and 8 test images") for line in lines)
    with pytest.raises(UserError, match="'faces' has no split 'val': choose train, test"):
        data.batches("faces", "val", 4).__next__()
    with pytest.raises(UserError, match="'face' is no dataset"):
        data.selection("face")


def test_unreadable_validation_images_are_counted(tmp_path: Path) -> None:
    root = folder(tmp_path, splits=("train", "val", "test"))
    (root / "val" / "a" / "1.png").write_bytes(b"broken")
    data = files(root, on_error="skip")
    assert sum(len(b.image) for b in data.batches("mine", "val", 5)) == 11
    assert data.indices("mine", "val") == [0, *range(2, 12)]
    assert data.skipped == {"mine": 1}


def test_splits_must_have_the_same_labels(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "one"), tmp_path / "two"
    for split in ("train", "test"):
        (second / split).mkdir(parents=True)
        for old, new in (("a", "a"), ("b", "c")):
            (second / split / new).symlink_to(first / split / old)

    def make(split: str) -> ImageFolder:
        made = ImageFolder(second if split == "val" else first, "test" if split == "val" else split)
        made.splits = ("train", "val", "test")
        return made

    with pytest.raises(UserError, match="train and val splits of 'mine' have different labels"):
        DataModule({"mine": make}, 16).setup()
