from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from stargan.contracts import Batch, UserError
from stargan.data.datamodule import DataModule
from stargan.data.image_folder import ImageFolder
from stargan.data.synthetic_faces import SyntheticFaces
from stargan.regions import box_of


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faces")


def folder(root: Path, count: int = 6, size: tuple[int, int] = (20, 24)) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return root


def faces(drawn: Path, **arguments: object) -> DataModule:
    sources = {
        kind: partial(SyntheticFaces, kind=kind, size=16, count=24, cache_dir=drawn)
        for kind in ("attributes", "expressions")
    }
    settings: dict[str, object] = {"batch_size": 4, "max_steps": 10, **arguments}
    return DataModule(sources, 16, **settings)  # type: ignore[arg-type]


def files(root: Path, **arguments: object) -> DataModule:
    settings: dict[str, object] = {"batch_size": 4, "max_steps": 6, **arguments}
    return DataModule({"mine": partial(ImageFolder, root)}, **{"image_size": 16, **settings})  # type: ignore[arg-type]


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(x, y)
        for a, b in zip(first, second, strict=True)
        for x, y in zip(a, b, strict=True)
    )


def test_batches_have_joint_labels(drawn: Path) -> None:
    data = faces(drawn)
    loader = data.train_dataloader()
    assert len(loader) == 10
    batches = list(loader)
    assert len(batches) == 10
    assert data.labels.size == 13
    for step, batch in enumerate(batches):
        source = step % 2
        assert batch.image.shape == (4, 3, 16, 16)
        assert batch.image.dtype == batch.label.dtype == torch.float32
        assert -1 <= batch.image.min() < batch.image.max() <= 1
        assert batch.source.tolist() == [source] * 4
        part = data.labels.slices[source]
        data.labels.spaces[source].check(batch.label[:, part])
        assert batch.label.sum() == batch.label[:, part].sum()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kept", [True, False])
def test_a_resume_is_exact_whatever_loads_the_images(drawn: Path, workers: int, kept: bool) -> None:
    whole = list(faces(drawn, cache=False).train_dataloader())
    again = faces(drawn, cache=kept, num_workers=workers)
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
    assert batch.source.tolist() == [0] * 8 + [1] * 8
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
    with pytest.raises(UserError, match="'expression' is no source"):
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
    small = DataModule(data._sources, 8, crop=12)
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
        ({"batch_size": 1}, "at least 2"),
        ({"flip": 1.5}, "probability"),
        ({"num_workers": -1}, "negative"),
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
        assert (luma - g.image).abs().max() < 1.5 / 127.5
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
    assert batch.source.tolist() == [0, 0, 1, 1]
    assert (batch.label.bool() & ~data.labels.known(batch.source)).sum() == 0
