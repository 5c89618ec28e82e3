from __future__ import annotations

import io
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageDraw, ImageFont

from stargan import imaging
from stargan.errors import UserError
from stargan.imaging.decode import open_image
from stargan.imaging.files import image_files
from stargan.imaging.framing import crop_resize
from stargan.imaging.saving import save_animation, save_png
from stargan.imaging.sheet import grid
from stargan.imaging.tensors import to_float, to_pil, to_tensor, to_uint8


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", **options)
    return file.getvalue()


def test_open_turns_a_photo_upright(tmp_path: Path) -> None:
    image = noise(20, 30)
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was turned: show it rotated by 90 degrees clockwise.
    image.save(tmp_path / "a.png", exif=exif)
    opened = open_image(tmp_path / "a.png")
    assert opened.size == (20, 30)
    assert np.array_equal(np.asarray(opened), np.rot90(np.asarray(image), -1))


def test_open_lays_transparency_on_white() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = 10, 20, 30, 255
    rgba[0, 1] = 0, 0, 0, 128
    opened = np.asarray(open_image(png(Image.fromarray(rgba))))
    assert opened[0, 0].tolist() == [10, 20, 30]
    assert opened[0, 1].tolist() == [127, 127, 127]
    assert opened[1].tolist() == [[255] * 3] * 2

    grey = np.asarray(open_image(png(Image.fromarray(rgba).convert("LA"))))
    assert grey[1].tolist() == [[255] * 3] * 2
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putdata([0, 1])
    seen = np.asarray(open_image(png(palette, transparency=1)))
    assert seen.tolist() == [[[255, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_open_other_modes(mode: str) -> None:
    square = Image.new("RGB", (8, 8), "white")
    square.paste("black", (0, 0, 4, 8))
    file = io.BytesIO()
    # Compressed: Pillow 12 cannot read back the plain YCbCr files that it writes.
    square.convert(mode).save(file, format="TIFF", compression="tiff_lzw")
    opened = open_image(file.getvalue())
    assert opened.mode == "RGB"
    assert np.abs(np.asarray(opened).astype(int) - np.asarray(square)).max() <= 2


def test_open_scales_16_bit_grey() -> None:
    grey = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    opened = np.asarray(open_image(png(Image.fromarray(grey))))
    assert opened[0, :, 0].tolist() == [0, 1, 128, 255]
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32)).save(file, format="TIFF")
    assert np.asarray(open_image(file.getvalue()))[0, :, 1].tolist() == [0, 128, 255]


def test_open_refuses_what_is_no_image(tmp_path: Path) -> None:
    whole = png(noise(64, 64))
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    file = io.BytesIO()
    noise(64, 64).save(file, format="JPEG")
    (tmp_path / "cut.jpg").write_bytes(file.getvalue()[:1000])
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in "cut.png", "cut.jpg", "text.png", "empty.png", "missing.png":
        with pytest.raises(UserError, match=name):
            open_image(tmp_path / name)
    with pytest.raises(UserError, match="folder"):
        open_image(tmp_path)
    with pytest.raises(UserError, match="the image"):
        open_image(b"no")


def test_open_refuses_a_decompression_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = png(noise(40, 40))
    for limit in 1000, 500:  # Pillow only warns up to twice its limit, and raises above it.
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with (
            pytest.raises(UserError, match="too many pixels"),
            pytest.warns(Image.DecompressionBombWarning) if limit == 1000 else nullcontext(),
        ):
            open_image(bomb)


def test_crop_resize_takes_the_centre() -> None:
    image = noise(218, 178)
    expected = image.crop((0, 20, 178, 198)).resize((32, 32), Image.Resampling.BILINEAR)
    for crop in 178, None:
        assert np.array_equal(np.asarray(crop_resize(image, (32, 32), crop)), np.asarray(expected))
    small = crop_resize(image, (40, 40), 40)  # No resize: the pixels themselves.
    assert np.array_equal(np.asarray(small), np.asarray(image)[89:129, 69:109])


def test_crop_resize_keeps_the_aspect_of_the_target() -> None:
    wide = crop_resize(noise(100, 100), (32, 64), None)
    expected = noise(100, 100).crop((0, 25, 100, 75)).resize((64, 32), Image.Resampling.BILINEAR)
    assert wide.size == (64, 32)
    assert np.array_equal(np.asarray(wide), np.asarray(expected))
    assert crop_resize(noise(1, 500), (8, 8), None).size == (8, 8)


def test_crop_resize_never_pads() -> None:
    for crop, size in (101, (32, 32)), (0, (32, 32)), (None, (0, 32)):
        with pytest.raises(UserError):
            crop_resize(noise(100, 120), size, crop)


def test_tensor_and_back_is_exact() -> None:
    image = noise(9, 7)
    tensor = to_tensor(image)
    assert tensor.shape == (3, 9, 7)
    assert tensor.dtype == torch.float32
    assert tensor.min() >= -1
    assert tensor.max() <= 1
    assert np.array_equal(np.asarray(to_pil(tensor)), np.asarray(image))


def test_to_pil_rounds_and_clamps() -> None:
    values = torch.tensor([-3.0, -1.0, 0.004, 0.9999, 5.0, float("nan")])
    pixels = np.asarray(to_pil(values.expand(3, 1, 6).requires_grad_()))
    assert pixels[0, :, 2].tolist() == [0, 0, 128, 255, 255, 0]


def test_image_files(tmp_path: Path) -> None:
    for name in "img10.png", "img2.JPG", "Img1.jpeg", "notes.txt", "._img3.png":
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in image_files(tmp_path)] == ["Img1.jpeg", "img2.JPG", "img10.png"]
    assert image_files(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    with pytest.raises(UserError, match="no image"):
        image_files(tmp_path / "folder.png")
    with pytest.raises(UserError, match="does not exist"):
        image_files(tmp_path / "nowhere")


def test_grid_enlarges_tiny_images_and_places_tiles() -> None:
    red, blue = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    sheet = grid([[red, to_tensor(blue)], [blue]], ["a", "b"], ["one", "two"])
    pixels = np.asarray(sheet)
    counts = [int((pixels == colour).all(2).sum()) for colour in ([255, 0, 0], [0, 0, 255])]
    assert counts == [96 * 96, 2 * 96 * 96]
    large = grid([[red.resize((128, 128))]], [""])
    assert (np.asarray(large) == [255, 0, 0]).all(2).sum() == 128 * 128
    assert (np.asarray(grid([[red]], [""], scale=2)) == [255, 0, 0]).all(2).sum() == 64 * 64


@pytest.mark.parametrize("size", [16, 32, 128, 256])
def test_grid_captions_are_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every letter is drawn, inside the sheet, over no other text and over no tile."""
    drawn: list[tuple[tuple[float, float, float, float], str]] = []
    real = ImageDraw.ImageDraw.text

    def spy(self: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, **kw: object) -> None:
        drawn.append((self.textbbox(xy, text, font=kw["font"], anchor=kw["anchor"]), text))
        real(self, xy, text, **kw)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    columns = ["input", "Young=0, Blond_Hair=0.5, Male", "x" * 300, "contemptuous"]
    rows = ["000001.jpg", "W" * 90, "a name of several words which goes on for some time"]
    tile = Image.new("RGB", (size, size), "red")
    sheet = grid([[tile] * 4] * 3, columns, rows)

    letters = "".join(text for _, text in drawn)
    assert letters.replace(" ", "") == "".join(columns + rows).replace(" ", "")
    boxes = [box for box, text in drawn if text]
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        assert x0 >= 0
        assert y0 >= 0
        assert x1 <= sheet.width
        assert y1 <= sheet.height
        for u0, v0, u1, v1 in boxes[:i]:
            assert min(x1, u1) <= max(x0, u0) or min(y1, v1) <= max(y0, v0)
    tiles = (np.asarray(sheet) == [255, 0, 0]).all(2).sum()
    side = size if size >= 96 else 96
    assert tiles == 12 * side * side


def test_grid_refuses_wrong_captions() -> None:
    tile = Image.new("RGB", (8, 8))
    for rows, columns, titles in ([], [], None), ([[tile]], [], None), ([[tile]], ["a"], []):
        with pytest.raises(ValueError, match=r"grid|titles"):
            grid(rows, columns, titles)


def test_save_png_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "a.png"
    save_png(noise(8, 8), path)
    assert ImageChops.difference(open_image(path), noise(8, 8)).getbbox() is None

    def fail(self: Image.Image, file: io.BytesIO, format: str) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(UserError, match="No space left"):
        save_png(noise(8, 8, seed=1), path)
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]
    assert ImageChops.difference(open_image(path), noise(8, 8)).getbbox() is None


def test_grey_tensors_become_grey_images() -> None:
    grey = torch.linspace(-1, 1, 256).view(1, 16, 16)
    image = to_pil(grey)
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image).ravel(), np.arange(256))


def test_animation(tmp_path: Path) -> None:
    frames = [Image.new("L", (12, 10), value) for value in (0, 90, 255)]
    path = tmp_path / "new" / "a.gif"
    save_animation(frames, path, 0.2, last=1.5)
    assert [p.name for p in path.parent.iterdir()] == ["a.gif"]
    with Image.open(path) as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (3, (12, 10), 0)
        shown = []
        for i in range(3):
            gif.seek(i)
            shown.append((gif.convert("L").getpixel((5, 5)), gif.info["duration"]))
    assert shown == [(0, 200), (90, 200), (255, 1500)]


def test_save_png_where_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        save_png(noise(8, 8), tmp_path / "file" / "a.png")


def test_the_captions_are_set_in_a_real_font() -> None:
    assert isinstance(ImageFont.load_default(13), ImageFont.FreeTypeFont)


def test_every_byte_becomes_the_same_float_everywhere() -> None:
    pixels = torch.arange(256, dtype=torch.uint8)
    values = to_float(pixels)
    assert torch.equal(values, pixels.float().div(127.5).sub(1))
    assert values.dtype == torch.float32
    assert (values[0], values[-1]) == (-1, 1)
    assert pixels.tolist() == list(range(256)), "the input is left alone"
    assert torch.equal(to_uint8(values), pixels)
    image = noise(4, 6)
    planes = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert torch.equal(to_tensor(image), to_float(planes))
    with pytest.raises(TypeError, match="float32"):
        to_float(values)


@pytest.mark.parametrize(
    ("photo", "crops", "says"),
    [
        # CelebA's own photos and their likes get the training's crop.
        ((218, 178), [178], None),
        ((222, 222), [178], None),
        # Others are not cut by pixels: what is known is said, and no more.
        (
            (223, 223),
            [178],
            "all of the photo's 223 x 223 pixels are seen, where",
        ),
        (
            (300, 400),
            [178],
            "only the middle 300 x 300 of the photo's 400 x 300 pixels is seen, where the",
        ),
        ((300, 400), [None], "only the middle 300 x 300 of the photo's 400 x 300 pixels is seen"),
        ((300, 330), [None], None),
        ((600, 600), [None], None),
        ((64, 64), [None], "it is enlarged from 64 x 64 pixels, so it is not sharp"),
        # Of several data sets one fits.
        ((700, 690), [178, 681], None),
        ((100, 100), [178, 681], "their middle 178 x 178 or 681 x 681 pixels"),
    ],
)
def test_what_is_done_to_a_photo_that_is_framed_otherwise(
    photo: tuple[int, int], crops: list[int | None], says: str | None
) -> None:
    words = imaging.framed_otherwise(photo, (128, 128), crops)
    assert words is None if says is None else words is not None and says in words
    # The words are of what is done.
    image = Image.new("RGB", photo[::-1])
    assert imaging.frame(image, (128, 128), crops).size == (128, 128)


def test_the_trainings_framing_in_words() -> None:
    words = imaging.framing_words
    assert words((128, 128), {"celeba": 178}) == (
        "the middle 178 x 178 pixels of each image, resized to 128 x 128"
    )
    assert words((32, 32), {"a": None, "b": None}) == (
        "the largest middle square of each image, resized to 32 x 32"
    )
    assert words((64, 48), {"a": None}) == (
        "the largest middle part of shape 48 : 64 of each image, resized to 48 x 64"
    )
    assert words((128, 128), {"celeba": 178, "rafd": 681}) == (
        "of celeba the middle 178 x 178 pixels of each image, of rafd the middle 681 x 681 pixels "
        "of each image, resized to 128 x 128"
    )
