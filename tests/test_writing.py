"""Files that are written whole or not at all; logs that survive a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stargan.errors import UserError
from stargan.writing import append, whole, write_whole


def test_a_file_is_written_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    write_whole(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    write_whole(str(path), b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n"
    assert list(path.parent.iterdir()) == [path]


def test_others_may_read_it_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "file", "")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(error: Exception) -> None:
        with whole(path) as part:
            part.write_text("half")
            assert path.read_text() == "old"
            assert part.parent == tmp_path
            raise error

    with pytest.raises(ZeroDivisionError):
        fail(ZeroDivisionError())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UserError, match=r"'.*file' cannot be written \(No space left on device\)"):
        fail(OSError(28, os.strerror(28)))
    assert path.read_text() == "old"


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_whole(path, "1")
    assert path.read_text() == "1"


def test_a_place_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "inside", tmp_path):
        for write in (write_whole, append):
            with pytest.raises(UserError, match="cannot be written"):
                write(path, "text\n")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("torn", ["", "half", "x" * 4096, "x" * 10000, "grü"])
@pytest.mark.parametrize("before", ["", "first\n", "a" * 4095 + "\n", "b" * 9000 + "\nsecond\n"])
def test_a_torn_line_is_cut_off_by_the_next_one(tmp_path: Path, before: str, torn: str) -> None:
    path = tmp_path / "new" / "log"
    path.parent.mkdir()
    path.write_text(before + torn, encoding="utf-8")
    append(path, "next\n")
    assert path.read_text(encoding="utf-8") == before + "next\n"
    append(path, "one\ntwo\n")
    assert path.read_text(encoding="utf-8") == before + "next\none\ntwo\n"


def test_append_makes_the_file_and_takes_whole_lines(tmp_path: Path) -> None:
    append(tmp_path / "new" / "log", "first\n")
    assert (tmp_path / "new" / "log").read_text() == "first\n"
    with pytest.raises(ValueError, match="whole lines"):
        append(tmp_path / "log", "half")


def test_a_kill_leaves_whole_files(tmp_path: Path) -> None:
    """A process that writes all the time is killed in the middle of it, several times."""
    code = (
        "import sys; from stargan.writing import append, write_whole\n"
        "for i in range(10**9):\n"
        "    write_whole(sys.argv[1], str(i % 10) * 3_000_000)\n"
        "    append(sys.argv[2], str(i % 10) * 999 + '\\n')\n"
    )
    path, log = tmp_path / "file", tmp_path / "log"
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", code, path, log]) as child:
            ends = time.monotonic() + 60
            size = log.stat().st_size if log.exists() else 0
            while not log.exists() or log.stat().st_size <= size + 5000:
                assert time.monotonic() < ends
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
        text = path.read_text()
        assert text == text[0] * 3_000_000
    append(log, "end\n")
    assert all(len(line) == 999 for line in log.read_text().splitlines()[:-1])
