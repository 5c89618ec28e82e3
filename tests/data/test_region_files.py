"""Boxes and masks of the user, and what the crop makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stargan.contracts import RegionImages
from stargan.data.celeba import CelebA
from stargan.data.image_folder import ImageFolder
from stargan.data.prepared import PreparedImages
from stargan.data.rafd import RaFD
from stargan.data.region_files import fingerprint
from stargan.errors import UserError
from stargan.imaging.regions import Box, Region

WIDE, HIGH = 60, 40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """``train`` and ``test`` with cats and dogs of 60 x 40 pixels (width x height)."""
    for split in ("train", "test"):
        for animal in ("cat", "dog"):
            folder = tmp_path / "pets" / split / animal
            folder.mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (WIDE, HIGH), "grey").save(folder / f"{animal}{split[:2]}{i}.png")
    return tmp_path / "pets"


def pets(root: Path, regions: Path, **how: object) -> ImageFolder:
    return ImageFolder(root, "test", regions=regions, **how)  # type: ignore[arg-type]


def written(root: Path, text: str, name: str = "boxes.csv") -> Path:
    path = root.parent / name
    path.write_text(text, encoding="utf-8")
    return path


def mask(path: Path, box: Box, size: tuple[int, int] = (HIGH, WIDE), mode: str = "L") -> None:
    pixels = np.zeros(size, np.uint8)
    pixels[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)


BOX = Box(4, 10, 24, 40)


@pytest.mark.parametrize(
    "text",
    [
        "image,label,left,top,width,height\ncatte0.png,cat,10,4,30,20\n",
        "image,left,top,width,height\nCAT\n".replace("CAT", "test/cat/catte0,10,4,30,20"),
        "2\nimage_id x_1 y_1 width height\ncatte0.png    10  4 30 20\n",
        "\ufeffImage;Class;X_Min;Y_Min;X_Max;Y_Max\ncatte0;cat;10;4;40;24\n\n",
        "file\tx0\ty0\tx1\ty1\n.\\cat\\catte0.png\t10.0\t4.0\t40.0\t24.0\n",
        "filename,width,height,class,xmin,ymin,xmax,ymax\ncatte0.png,60,40,cat,10,4,40,24\n",
        'image,label,left,top,width,height\n"catte0.png","",10,4,30,20\n',
    ],
)
def test_texts_of_boxes(root: Path, text: str) -> None:
    images = pets(root, written(root, text))
    assert isinstance(images, RegionImages)
    row = [images.name(i) for i in range(4)].index("catte0")
    assert images.region(row, 0) == Region((HIGH, WIDE), (BOX,))
    assert images.region(row + 1, 0) is None
    about = images.about_regions()
    assert about is not None
    assert about.startswith("the boxes of boxes.csv (1 in all, ")


def test_boxes_of_cub(root: Path) -> None:
    """Numbers instead of names, no header, the names in images.txt."""
    path = written(root, "1 10.0 4.0 30.0 20.0\n3 0.0 0.0 5.0 5.0\n", "bounding_boxes.txt")
    listed = "1 cat/catte0.png\n2 cat/catte1.png\n3 dog/dogtr0.png\n"
    written(root, listed, "images.txt")
    images = pets(root, path)
    assert images.region(0, 0) == Region((HIGH, WIDE), (BOX,))
    assert images.region(1, 0) is None
    written(root, "1 cat/catte0.png\n", "images.txt")
    with pytest.raises(UserError, match=r"line 2: images.txt beside it has no image 3"):
        pets(root, path).about_regions()


def test_labels_of_boxes(root: Path) -> None:
    text = "image,label,left,top,width,height\ncatte0,cat,0,0,4,4\ncatte0,cat,9,9,4,4\n"
    images = pets(root, written(root, text + "catte0,dog,1,1,2,2\ncatte0,,20,20,9,9\n"))
    every = Box(20, 20, 29, 29)
    cat, dog = images.region(0, 0), images.region(0, 1)
    assert cat is not None
    assert dog is not None
    assert cat.boxes == (Box(0, 0, 4, 4), Box(9, 9, 13, 13), every)
    assert dog.boxes == (Box(1, 1, 3, 3), every)
    assert cat.pixels.sum() == 16 + 16 + 81
    # Boxes of labels that the data have, but that are not in use, are passed over.
    only = ImageFolder(root, "test", labels=["dog", "cat"], regions=written(root, text))
    assert only.region(2, 1) is not None


def test_labels_not_in_use_are_known(celeba_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "boxes.txt"
    path.write_text("image label x_1 y_1 width height\n000020.jpg Male 1 2 3 4\n")
    images = CelebA(celeba_folder, "test", labels=["Blond_Hair"], regions=path)
    row = images.paths.index(celeba_folder / "img_align_celeba" / "000020.jpg")
    assert images.region(row, 0) is None
    men = CelebA(celeba_folder, "test", labels=["Male"], regions=path).region(row, 0)
    assert men is not None
    assert men.boxes == (Box(2, 1, 6, 4),)


def test_flat_rafd(tmp_path: Path) -> None:
    names = [f"Rafd090_{i:02d}_Any_male_{e}_frontal" for i in range(9) for e in ("angry", "happy")]
    for name in names:
        mask(tmp_path / "faces" / f"{name}.png", BOX)
        mask(tmp_path / "masks" / "happy" / f"{name}.png", BOX)
    images = RaFD(tmp_path / "faces", "test", regions=tmp_path / "masks")
    angry, happy = images.region(0, 0), images.region(0, 1)
    assert angry is None
    assert happy is not None
    assert happy.boxes == (BOX,)


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "I;16", "P"])
@pytest.mark.parametrize("place", ["catte0.png", "cat/catte0.png", "test/cat/catte0.png"])
def test_masks_of_every_label(root: Path, mode: str, place: str) -> None:
    if mode == "1":
        pixels = Image.new("1", (WIDE, HIGH))
        pixels.paste(1, (10, 4, 40, 24))
        (root.parent / "masks" / place).parent.mkdir(parents=True)
        pixels.save(root.parent / "masks" / place)
    else:
        mask(root.parent / "masks" / place, BOX, mode=mode)
    images = pets(root, root.parent / "masks")
    for label in range(2):
        region = images.region(0, label)
        assert region is not None
        assert region.boxes == (BOX,)
        assert region.pixels.sum() == BOX.area
    assert images.region(1, 0) is None
    assert images.about_regions() == "the masks of masks (1 in all, the same for every label)"


def test_transparent_is_outside(root: Path) -> None:
    picture = Image.new("RGBA", (WIDE, HIGH), (255, 255, 255, 0))
    picture.paste((255, 255, 255, 255), (10, 4, 40, 24))
    picture.paste((0, 0, 0, 255), (10, 4, 40, 14))
    (root.parent / "masks").mkdir()
    picture.save(root.parent / "masks" / "catte0.png")
    region = pets(root, root.parent / "masks").region(0, 0)
    assert region is not None
    assert region.boxes == (Box(14, 10, 24, 40),)


def test_masks_of_a_label(root: Path) -> None:
    masks = root.parent / "masks"
    mask(masks / "cat" / "test" / "cat" / "catte0.png", Box(0, 0, 9, 9))
    mask(masks / "dog" / "catte0.png", BOX)
    mask(masks / "catte1.png", BOX)
    mask(masks / "dog" / "catte1.png", Box(0, 0, 9, 9))
    images = pets(root, masks)
    found = {(i, label): images.region(i, label) for i in range(2) for label in range(2)}
    boxes = {k: r.boxes[0] for k, r in found.items() if r is not None}
    assert boxes == {
        (0, 0): Box(0, 0, 9, 9),
        (0, 1): BOX,
        (1, 0): BOX,
        (1, 1): Box(0, 0, 24, 40),
    }


def test_photos_turned_by_their_camera(root: Path) -> None:
    """Boxes and masks are those of the upright photo, 40 wide and 60 high."""
    path = root / "test" / "cat" / "catte0.jpg"
    (root / "test" / "cat" / "catte0.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDE, HIGH)).save(path, exif=exif)
    boxes = written(root, "image,left,top,right,bottom\ncatte0,0,45,40,60\n")
    images = pets(root, boxes)
    assert images.load(0).size == (HIGH, WIDE)
    assert images.region(0, 0) == Region((WIDE, HIGH), (Box(45, 0, 60, 40),))
    mask(root.parent / "masks" / "catte0.png", Box(45, 0, 60, 40), (WIDE, HIGH))
    turned = pets(root, root.parent / "masks").region(0, 0)
    assert turned is not None
    assert turned.boxes == (Box(45, 0, 60, 40),)


def test_the_crop(root: Path) -> None:
    """40 x 60 to 20 x 20: ten columns go on either side, the rest is halved."""
    text = "image,left,top,width,height\ncatte0,5,3,20,20\ncatte0,0,0,9,40\ncatte1,50,0,10,9\n"
    images = pets(root, written(root, text))
    prepared = PreparedImages(images, (20, 20), None)
    region = prepared.region(0, 0)
    assert region == Region((20, 20), (Box(1.5, 0, 11.5, 7.5),))
    assert region.pixels.sum() == 11 * 8  # rows 1 to 11, columns 0 to 7
    gone = prepared.region(1, 0)
    assert gone == Region((20, 20), ())
    assert not gone.pixels.any()
    mask(root.parent / "masks" / "catte0.png", Box(3, 5, 23, 25))
    mask(root.parent / "masks" / "catte1.png", Box(0, 51, 9, 60))
    masked = PreparedImages(pets(root, root.parent / "masks"), (20, 20), None)
    of_mask = masked.region(0, 0)
    assert of_mask is not None
    assert of_mask.boxes == (Box(1.5, 0, 11.5, 7.5),)
    assert of_mask.pixels[1:12, :8].all()
    assert not of_mask.pixels[14:].any()
    assert masked.region(1, 0) == Region((20, 20), (), pytest.approx(np.zeros((20, 20))))
    # What the crop cuts away of a mask makes the box smaller on every side.
    apart = np.zeros((HIGH, WIDE), bool)
    apart[:2, :5] = apart[20:30, 20:40] = True
    assert Region.of_mask(apart).boxes[0] == Box(0, 0, 30, 40)
    assert Region.of_mask(apart).framed((20, 20), None).boxes == (Box(10, 5, 15, 15),)
    whole = PreparedImages(images, (10, 15), None).region(0, 0)
    assert whole is not None
    assert whole.boxes == (Box(0.75, 1.25, 5.75, 6.25), Box(0, 0, 10, 2.25))
    square = PreparedImages(images, (30, 30), 30).region(0, 0)
    assert square == Region((30, 30), (Box(0, 0, 18, 10),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'{}' is empty: give a header, image,label,left,top,width,height"),
        ("image,left,top,width,height\n", "has no boxes below its header"),
        ("image,left,top,width\ncatte0,1,1,1\n", "line 1: the header has no height: write"),
        ("left,top,width,height\n1,1,1,1\n", "line 1: the header has no image"),
        ("catte0 1 1 5 5\n", "line 1: there is no header: write image,label"),
        ("image,left,top,width,height\ncatte0,1,1,5\n", "line 2: 5 fields are needed, found 4"),
        ("image,left,top,width,height\ncatte0,a,1,5,5\n", "line 2: 'a' for left is no number"),
        ("image,left,top,width,height\ncatte0,nan,1,5,5\n", "line 2: 'nan' for left"),
        ("image,left,top,width,height\ncatte0,1,1,0,5\n", "line 2: the box is nowhere wide"),
        ("image,left,top,right,bottom\ncatte0,9,1,5,5\n", "line 2: the box is nowhere wide"),
        ("image,left,top,width,height\ncow,1,1,5,5\n", "names no image of '"),
        ("image,left,top,width,height\nx/catte0,1,1,5,5\n", "(line 2: 'x/catte0' is none)"),
        (
            "image,label,left,top,width,height\n\ncatte0,cta,1,1,5,5\n",
            "line 3: unknown label 'cta'. Did you mean 'cat'? Known labels: cat, dog.",
        ),
        ("image,left,top,width,height\ncatte0,0.1,0.1,0.5,0.5\n", "look like shares"),
        ("image,left,top,width,height\nsame,1,1,5,5\n", "line 2: 'same' may be"),
    ],
)
def test_bad_boxes(root: Path, text: str, said: str) -> None:
    for animal in ("cat", "dog"):
        Image.new("RGB", (8, 8)).save(root / "test" / animal / "same.png")
    path = written(root, text)
    images = pets(root, path)  # training does not read them
    with pytest.raises(UserError) as error:
        images.about_regions()
    assert said.format(path) in str(error.value)


def test_boxes_of_other_images(root: Path) -> None:
    path = written(root, "image,left,top,width,height\ncatte0,50,20,90,90\ncatte1,55,0,6,5\n")
    images = pets(root, path)
    with pytest.raises(UserError, match=r"line 2: most of the box lies outside of .* 60x40 pixels"):
        images.region(0, 0)
    # One pixel over the edge is cut.
    assert images.region(1, 0) == Region((HIGH, WIDE), (Box(0, 55, 5, 60),))


def test_bad_masks(root: Path) -> None:
    def refused(said: str) -> None:
        with pytest.raises(UserError) as error:
            pets(root, masks).region(0, 0)
        assert said in str(error.value)

    masks = root.parent / "masks"
    refused("masks' do not exist: give a text of boxes or a folder of masks")
    masks.mkdir()
    refused("holds no masks")
    mask(masks / "cow.png", BOX)
    refused("cow.png' has none): name them like their images")
    mask(masks / "catte0.png", BOX, (HIGH, WIDE + 1))
    refused("has 61x40 pixels (width x height), its image")
    (masks / "cow.png").rename(masks / "dogte0.jpg")
    refused("dogte0.jpg' is compressed with loss")
    (masks / "dogte0.jpg").unlink()
    mask(masks / "cta" / "catte0.png", BOX)
    refused("unknown label 'cta'. Did you mean 'cat'?")
    (masks / "cta").rename(masks / "cat")
    refused("' has two masks, '")
    (masks / "cat" / "catte0.png").unlink()
    (masks / "catte0.png").write_bytes(b"no image")
    refused("catte0.png' cannot be read")
    masks = root / "test"
    refused("is an image, no mask: give the folder of the masks")
    picture = root.parent / "boxes.png"
    mask(picture, BOX)
    with pytest.raises(UserError, match="cannot be read as a text of boxes"):
        pets(root, picture).about_regions()


def test_fingerprint(root: Path) -> None:
    path = written(root, "one")
    before = fingerprint(path)
    assert before == fingerprint(str(path))
    written(root, "other")
    assert fingerprint(path) != before
    masks = root.parent / "masks"
    mask(masks / "a.png", BOX)
    before = fingerprint(masks)
    mask(masks / "b.png", BOX)
    assert fingerprint(masks) != before


def test_parts_of_a_mask_have_boxes_of_their_own() -> None:
    mask = np.zeros((12, 12), dtype=np.bool_)
    mask[1:6, 2:9] = True
    assert Region.of_mask(mask).boxes == (Box(1, 2, 6, 9),)
    mask[8:10, 3:5] = True
    assert Region.of_mask(mask).boxes == (Box(1, 2, 10, 9), Box(1, 2, 6, 9), Box(8, 3, 10, 5))


def test_entries_of_other_images_are_left_out_and_told(root: Path) -> None:
    boxes = written(root, "image,left,top,width,height\ncow,1,1,5,5\ncatte0,5,3,20,20\n")
    images = pets(root, boxes)
    assert images.region(0, 0) == Region((HIGH, WIDE), (Box(3, 5, 23, 25),))
    about = images.about_regions()
    assert about is not None
    assert about.endswith("; 1 of other images left out, first line 2: 'cow'")
    masks = root.parent / "masks"
    mask(masks / "catte0.png", BOX)
    mask(masks / "cow.png", BOX)
    about = pets(root, masks).about_regions()
    assert about is not None
    assert "; 1 of other images left out, first '" in about
