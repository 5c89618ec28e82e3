from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from stargan.errors import UserError
from stargan.web.limits import Limits, read_photo, uploaded_file
from tests.web.conftest import colourful


def bomb(path: Path, side: int) -> Path:
    """A PNG that says it has ``side`` x ``side`` pixels and is a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def refused(file: Path, **limits: float) -> str:
    with pytest.raises(UserError) as caught:
        read_photo(file, Limits(**limits))  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_common_pictures_are_read(tmp_path: Path, kind: str) -> None:
    colourful().save(tmp_path / "upload", format=kind)
    photo = read_photo(tmp_path / "upload", Limits())
    assert (photo.mode, photo.size) == ("RGB", (90, 80))


def test_a_phone_s_upright_photo_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    colourful().save(tmp_path / "p.jpg", exif=exif)
    assert read_photo(tmp_path / "p.jpg", Limits()).size == (80, 90)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"x" * 3_000_000)
    assert "2.9 MB, 2 MB are allowed" in refused(tmp_path / "p.png", megabytes=2)


@pytest.mark.parametrize("side", [5_000, 12_000, 60_000])
def test_an_image_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    # 12,000 is over Pillow's warning, 60,000 over its error.
    words = refused(bomb(tmp_path / "p.png", side), megapixels=20)
    assert "too many pixels" in words
    assert "20 million are allowed" in words


def test_damaged_and_other_files_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "t.png").write_text("hello")
    assert "not a picture that can be read" in refused(tmp_path / "t.png")
    assert "damaged" in refused(bomb(tmp_path / "b.png", 500))
    colourful(size=(400, 400)).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert "damaged" in refused(tmp_path / "cut.jpg")
    # A decoder of this format starts another program.
    (tmp_path / "p.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert "not a picture that can be read" in refused(tmp_path / "p.eps")
    for file in tmp_path.iterdir():
        assert str(tmp_path) not in refused(file)


def test_only_files_of_the_upload_folder(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    (folder / "a").mkdir(parents=True)
    mine, other = folder / "a" / "p.png", tmp_path / "secret.png"
    for file in (mine, other):
        colourful().save(file)
    (folder / "link.png").symlink_to(other)
    assert uploaded_file({"path": str(mine)}, folder) == mine.resolve()
    places = [other, folder / ".." / "secret.png", folder / "link.png", "https://a.b/c.png"]
    for path in places:
        with pytest.raises(UserError, match="not uploaded here"):
            uploaded_file({"path": str(path)}, folder)
    for nothing in (None, {}, {"path": None, "url": "data:image/png;base64,AAAA"}, "p.png"):
        with pytest.raises(UserError, match="there is no photo"):
            uploaded_file(nothing, folder)
    for gone in (folder / "b.png", folder / "a"):
        with pytest.raises(UserError, match="is gone"):
            uploaded_file({"path": str(gone)}, folder)
    with pytest.raises(UserError, match="not uploaded here"):
        uploaded_file({"path": "a\0b"}, folder)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"megabytes": 0}, "above 0"),
        ({"parallel": 1.5}, "whole number"),
        ({"waiting": True}, "whole number"),
        ({"megabytes": "many"}, "not a number"),
        ({"megapixels": 1000}, "Pillow opens at most 89"),
    ],
)
def test_impossible_limits(limits: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Limits(**limits)
