from __future__ import annotations

import os
import time
from pathlib import Path

from stargan.web.visits import Visit, Visits, discard_soon, sweep


def test_visits_are_remembered_each_for_itself() -> None:
    visits = Visits(10, 60)
    one, two = Visit(edits={"Male": 1.0}), Visit()
    visits.keep("one", one)
    visits.keep("two", two)
    assert visits.find("one") is one
    assert visits.find("two") is two
    visits.forget("one")
    visits.forget("never seen")
    assert visits.find("one") is None
    assert len(visits) == 1


def test_the_visit_idle_longest_makes_room() -> None:
    visits = Visits(2, 60)
    for name in "ab":
        visits.keep(name, Visit())
    visits.find("a")
    visits.keep("c", Visit())
    assert ("a" in visits, "b" in visits, "c" in visits) == (True, False, True)


def test_idle_visits_are_forgotten() -> None:
    now = [0.0]
    visits = Visits(10, 60, lambda: now[0])
    visits.keep("a", Visit())
    visits.keep("b", Visit())
    now[0] = 50
    visits.find("a")
    now[0] = 100
    visits.forget_idle()
    assert ("a" in visits, "b" in visits) == (True, False)


def test_an_upload_is_deleted_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "hash").mkdir()
    for name in ("a", "b"):
        (tmp_path / "hash" / name).write_text("x")
        discard_soon(tmp_path / "hash" / name, seconds=0.1)
    discard_soon(tmp_path / "hash" / "never there", seconds=0.1)
    assert (tmp_path / "hash" / "b").exists()
    time.sleep(0.5)
    assert list(tmp_path.iterdir()) == []


def test_the_same_picture_sent_again_stays_for_its_reader(tmp_path: Path) -> None:
    file, again = tmp_path / "hash" / "a", tmp_path / "again"
    file.parent.mkdir()
    file.write_text("x")
    discard_soon(file, seconds=0.1)
    again.write_text("x")
    again.replace(file)
    time.sleep(0.5)
    assert file.exists()


def test_a_sweep_takes_what_is_old_and_nothing_outside(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    outside = tmp_path / "kept.png"
    outside.write_text("x")
    for name in ("old/a.png", "old/deep/b.png", "tmp123", "new/c.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / "link").symlink_to(outside)
    long_ago = time.time() - 1000
    for path in folder.rglob("*"):
        if "new" not in path.parts:
            os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    sweep(folder, 300)
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["c.png"]
    assert outside.exists()
    sweep(folder / "missing", 300)
