from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from stargan.contracts import LabeledImages
from stargan.data.mnist import MNIST
from stargan.errors import UserError


def write_files(root: Path, name: str = "MNIST", count: int = 20) -> Path:
    """The four files of torchvision's layout: image i is all grey i, of class i modulo 10."""
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    for part, number in (("train", count), ("t10k", 10)):
        pixels = np.repeat(np.arange(number, dtype=np.uint8), 28 * 28)
        header = struct.pack(">4i", 2051, number, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        labels = (np.arange(number) % 10).astype(np.uint8)
        header = struct.pack(">2i", 2049, number)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_files(tmp_path)


def test_both_splits(root: Path) -> None:
    train, test = MNIST(root, "train"), MNIST(root, "test")
    assert isinstance(train, LabeledImages)
    assert (len(train), len(test)) == (20, 10)
    assert train.space.names == tuple("0123456789")
    assert train.space.categorical
    assert train.labels.argmax(1).tolist() == [i % 10 for i in range(20)]
    image = train.load(17)
    assert (image.mode, image.size, image.getpixel((5, 5))) == ("RGB", (28, 28), (17, 17, 17))
    assert train.name(17) == "mnist_train_00017"


def test_the_folder_itself_and_its_raw_are_understood(root: Path) -> None:
    for folder in (root / "MNIST", root / "MNIST" / "raw"):
        assert len(MNIST(folder, "train")) == 20


def test_some_classes(root: Path) -> None:
    data = MNIST(root, "train", labels=[7, "3"])
    assert data.space.names == ("7", "3")
    assert [data.load(i).getpixel((0, 0))[0] for i in range(len(data))] == [3, 7, 13, 17]
    assert data.labels.argmax(1).tolist() == [1, 0, 1, 0]


def test_fashion(tmp_path: Path) -> None:
    data = MNIST(write_files(tmp_path, "FashionMNIST"), "test", name="FashionMNIST")
    assert data.space.names[0] == "T-shirt/top"
    assert data.space.name == "fashionmnist"


def refused(*arguments: object, **named: object) -> str:
    with pytest.raises(UserError) as caught:
        MNIST(*arguments, **named)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_wrong_is_said(root: Path, tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "no", "train")
    assert "choose MNIST" in refused(root, "train", name="mnist")
    assert "no split 'val'" in refused(root, "val")
    assert "'11'" in refused(root, "train", labels=[11])
    empty = tmp_path / "empty"
    empty.mkdir()
    said = refused(empty, "train")
    assert "train-images-idx3-ubyte" in said
    assert "data.download=true" in said


def test_nothing_is_downloaded_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("downloads")

    monkeypatch.setattr(datasets.MNIST, "download", fail)
    refused(tmp_path, "train")
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    refused(tmp_path, "train")


def test_a_failed_download_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nTried this\nTried that")

    monkeypatch.setattr(datasets.MNIST, "download", fail)
    assert "cannot be downloaded" in refused(tmp_path / "new", "train", download=True)


def test_packed_and_damaged_files(root: Path) -> None:
    raw = root / "MNIST" / "raw"
    images = raw / "train-images-idx3-ubyte"
    whole = images.read_bytes()
    images.write_bytes(whole[:100])
    assert "damaged or cut short" in refused(root, "train")
    images.write_bytes(struct.pack(">4i", 2051, 4, 28, 28) + bytes(4 * 28 * 28))
    assert "do not belong together" in refused(root, "train")
    images.rename(raw / "train-images-idx3-ubyte.gz")
    assert "gunzip" in refused(root, "train")
