from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stargan.data.datamodule import DataModule
from stargan.data.rafd import RaFD, face_window
from stargan.errors import UserError
from stargan.imaging.regions import Region

EXPRESSIONS = [
    "angry",
    "contemptuous",
    "disgusted",
    "fearful",
    "happy",
    "neutral",
    "sad",
    "surprised",
]


def person(path: Path) -> str:
    return path.name.split("_")[1]


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    for who in range(1, 11):
        for expression in EXPRESSIONS:
            for angle in ("000", "045", "090"):
                name = f"Rafd{angle}_{who:02d}_Caucasian_female_{expression}_frontal.jpg"
                (tmp_path / name).touch()
    (tmp_path / "readme.jpg").touch()
    return tmp_path


def test_original_names(flat: Path) -> None:
    train, test = RaFD(flat, "train"), RaFD(flat, "test")
    assert train.space.names == tuple(EXPRESSIONS)
    assert train.space.name == "rafd"
    assert len(train) == 144
    assert len(test) == 16
    assert not set(train.paths) & set(test.paths)
    for path, label in zip(train.paths, train.labels, strict=True):
        assert not path.name.startswith("Rafd000")
        assert EXPRESSIONS[int(label.argmax())] in path.name
    assert train.splits == ("train", "test")
    assert train.notes[0].startswith("80 images of other camera angles")
    assert train.notes[1].startswith("1 images whose names")
    assert len(RaFD(flat, "train", angles=[90])) == 72
    assert RaFD(flat, "test", seed=2).paths != test.paths


def test_split_by_person_has_nobody_twice(flat: Path) -> None:
    train, test = RaFD(flat, "train", by="person"), RaFD(flat, "test", by="person")
    assert len({person(p) for p in test.paths}) == 1
    assert len(test) == 16
    assert not {person(p) for p in train.paths} & {person(p) for p in test.paths}
    by_image = RaFD(flat, "train"), RaFD(flat, "test")
    assert {person(p) for p in by_image[0].paths} & {person(p) for p in by_image[1].paths}


def test_the_split_is_written_when_asked(
    flat: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = sorted(flat.iterdir())
    RaFD(flat, "train")
    assert sorted(flat.iterdir()) == before
    file = tmp_path_factory.mktemp("out") / "deep" / "split.txt"
    test = RaFD(flat, "test", write_split=file)
    rows = [line.split() for line in file.read_text().splitlines()]
    assert len(rows) == 160
    assert {name for split, name in rows if split == "test"} == {p.name for p in test.paths}


def test_class_folders(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for expression in ("sad", "happy", "angry"):
            folder = tmp_path / split / expression
            folder.mkdir(parents=True)
            Image.new("RGB", (9, 9)).save(folder / "0001.jpg")
    train = RaFD(tmp_path, "train")
    assert train.space.names == ("angry", "happy", "sad")
    assert len(train) == 3
    with pytest.raises(UserError, match="split into folders already"):
        RaFD(tmp_path, "train", by="person")
    with pytest.raises(UserError, match="write_split"):
        RaFD(tmp_path, "train", write_split=tmp_path / "split.txt")


def test_class_folders_with_a_val_split(tmp_path: Path) -> None:
    for count, split in enumerate(("train", "test", "valid"), 1):
        for expression in ("sad", "happy"):
            for i in range(count):
                folder = tmp_path / split / expression
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{i}.jpg").touch()
    train = RaFD(tmp_path, "train")
    assert train.splits == ("train", "val", "test")
    assert [len(RaFD(tmp_path, split)) for split in train.splits] == [2, 6, 4]


def test_class_folders_without_split(tmp_path: Path) -> None:
    for expression in ("sad", "happy"):
        (tmp_path / expression).mkdir()
        for i in range(10):
            (tmp_path / expression / f"{i}.jpg").touch()
    assert len(RaFD(tmp_path, "train")) == 18
    assert len(RaFD(tmp_path, "test")) == 2
    assert RaFD(tmp_path, "train").splits == ("train", "test")
    with pytest.raises(UserError, match="does not name its person"):
        RaFD(tmp_path, "train", by="person")


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        RaFD(tmp_path / "nowhere", "train")
    with pytest.raises(UserError, match="no image of RaFD"):
        RaFD(tmp_path, "train")
    with pytest.raises(UserError, match="image or person"):
        RaFD(tmp_path, "train", by="smile")
    (tmp_path / "Rafd090_01_Caucasian_female_angry_frontal.jpg").touch()
    with pytest.raises(UserError, match="one expression"):
        RaFD(tmp_path, "train")
    (tmp_path / "Rafd090_01_Caucasian_female_sad_frontal.jpg").touch()
    with pytest.raises(UserError, match="one person only"):
        RaFD(tmp_path, "train", by="person")


def draw_original(path: Path, size: tuple[int, int] = (681, 1024)) -> None:
    """A grey picture of RaFD's size whose face is red, 256 pixels around its middle."""
    picture = Image.new("RGB", size, (128, 128, 128))
    picture.paste((200, 30, 30), (340 - 128, 400 - 128, 340 + 128, 400 + 128))
    picture.save(path, quality=100, subsampling=0)


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    folder = tmp_path / "rafd"
    folder.mkdir()
    for who in (1, 2):
        for expression in ("angry", "happy", "neutral"):
            draw_original(folder / f"Rafd090_{who:02d}_Caucasian_male_{expression}_left.jpg")
    return folder


def test_the_published_crop_is_the_face_of_an_original(originals: Path) -> None:
    data = DataModule({"rafd": partial(RaFD, originals, face=256)}, 32, 2)
    data.setup()
    faces = data.test["rafd"].pixels(0)
    assert faces is not None
    assert abs(faces.astype(int) - (200, 30, 30)).max() < 12
    # A larger square has the face in its middle, with as much around it on each side.
    wide = np.asarray(RaFD(originals, "train", face=512).load(0))
    assert wide.shape == (512, 512, 3)
    red = wide[:, :, 0] > 165
    assert red[128:384, 128:384].all()
    assert red.sum() == 256 * 256
    # Without it the centre of the picture, where no face is: neck and chin.
    whole = RaFD(originals, "train").load(0)
    assert whole.size == (681, 1024)


def test_boxes_of_whole_originals_fit_the_face(originals: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.csv"
    file = "Rafd090_01_Caucasian_male_happy_left.jpg"
    boxes.write_text(f"image,label,left,top,width,height\n{file},happy,222,292,40,20\n")
    for split in ("train", "test"):
        images = RaFD(originals, split, face=256, regions=boxes)
        names = [path.name for path in images.paths]
        if file in names:
            region = images.region(names.index(file), images.space.index("happy"))
            assert region is not None
            assert region.size == (256, 256)
            assert region.boxes == ((20, 10, 40, 50),)
            return
    pytest.fail("the file is in no split")


def test_a_mask_is_cut_with_the_picture() -> None:
    mask = np.zeros((1024, 681), dtype=bool)
    mask[500:600, 300:500] = True
    region = Region.of_mask(mask).cut(face_window(256))
    assert region.size == (256, 256)
    # Rows from 272 and columns from 212 on, 256 of each.
    assert region.boxes == ((228, 88, 256, 256),)
    assert region.pixels.sum() == 28 * 168


@pytest.mark.parametrize("face", [0, 700, True, "256"])
def test_impossible_faces_are_refused(originals: Path, face: object) -> None:
    with pytest.raises(UserError, match=rf"data\.rafd\.face={face} is impossible.*from 1 to 680"):
        RaFD(originals, "train", face=face)  # type: ignore[arg-type]


def test_a_face_in_other_pictures_is_not_guessed(originals: Path) -> None:
    draw_original(originals / "Rafd090_03_Caucasian_male_happy_left.jpg", (256, 256))
    images = RaFD(originals, "train", face=256, seed=3)
    number = [path.name[:10] for path in images.paths].index("Rafd090_03")
    with pytest.raises(UserError, match="has 256 x 256 pixels, RaFD's originals have 681 x 1024"):
        images.load(number)
