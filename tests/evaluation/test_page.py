"""The page: one file, nothing outside it, everything escaped, the same tables as Markdown."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from stargan.errors import UserError
from stargan.reports.page import Page

VOID = {"meta", "img", "wbr"}


class Balance(HTMLParser):
    """Fails on a tag that is closed out of turn or never."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def full_page() -> Page:
    page = Page("A <title> & more", "under")
    page.items({"model": "`a/<b>.safetensors`"})
    page.warning("only **12** images")
    page.heading("Figures")
    page.table(["label", "a|b"], [["Blond_Hair", "2.1 %\n1 - 3"]], "what *it* is")
    page.heading("Curves")
    page.plot({"D/adv": [(20.0 * i, float(i)) for i in range(1000)]}, "one", marks=[(40, "<rose>")])
    page.plot({"a": [(1, float("nan")), (2, 3.0)], "b": []}, "two", log=True)
    page.plot({"empty": []}, "three")
    page.heading("Pictures")
    page.grid(
        [[torch.zeros(3, 8, 8), None]], ["input", "Blond_Hair"], ["face\nread: Male"], "cases"
    )
    page.picture(torch.zeros(3, 80, 80), "large")
    return page


def test_one_whole_file_without_links(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    full_page().save(path)
    text = path.read_text(encoding="utf-8")
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert parser.seen.count("svg") == 2
    assert parser.seen.count("img") == 2
    assert not re.search(r"https?:|src=\"(?!data:)|url\(|<script|<link", text)
    assert "A &lt;title&gt; &amp; more" in text
    assert "&lt;rose&gt;" in text
    assert "<code>a/&lt;b&gt;.safetensors</code>" in text
    assert "prefers-color-scheme:dark" in text
    assert 'name="viewport"' in text
    # Plots that follow each other share a row; the next block ends it.
    assert text.count('<div class="plots">') == 1
    assert list(tmp_path.glob("**/*.part")) == []


def test_contents_list_every_heading_and_lead_to_it(tmp_path: Path) -> None:
    page = full_page()
    page.heading("Within <it>", 3)
    page.save(tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    listed = re.findall(r'<a class="level(\d)" href="#(\w+)">(.*?)</a>', text)
    there = re.findall(r'<h(\d) id="(\w+)">(.*?)</h', text)
    assert listed == there
    assert [name for _, _, name in there] == [
        *("Figures", "Curves", "Pictures", "Within &lt;it&gt;")
    ]
    assert len({mark for _, mark, _ in there}) == 4
    empty = Page("nothing")
    empty.save(tmp_path / "b.html")
    assert "<nav" not in (tmp_path / "b.html").read_text(encoding="utf-8")


def test_only_a_live_page_is_read_again(tmp_path: Path) -> None:
    for refresh, count in ((None, 0), (7, 1)):
        page = Page("a", refresh=refresh)
        page.save(tmp_path / "a.html")
        text = (tmp_path / "a.html").read_text(encoding="utf-8")
        assert text.count('<meta http-equiv="refresh" content="7">') == count


def test_many_short_rows_stand_side_by_side(tmp_path: Path) -> None:
    tile = torch.zeros(3, 4, 4)
    for rows, columns, tables in ((5, 3, 2), (3, 3, 1), (5, 7, 1)):
        page = Page("a")
        page.grid([[tile] * columns] * rows, ["x"] * columns, [f"r{i}" for i in range(rows)])
        page.save(tmp_path / "a.html")
        text = (tmp_path / "a.html").read_text(encoding="utf-8")
        assert text.count('<table class="grid">') == text.count("<thead>") == tables
        assert text.count("<img") == rows * columns
        assert re.findall(r"r\d", text) == [f"r{i}" for i in range(rows)], "none lost, in order"


def test_long_curves_are_thinned_without_moving_their_ends_far(tmp_path: Path) -> None:
    full_page().save(tmp_path / "a.html")
    curve = re.search(r'class="curve c0" d="([^"]+)"', (tmp_path / "a.html").read_text())
    assert curve is not None
    assert 300 <= curve[1].count("L") <= 400


def test_markdown_has_tables_and_no_empty_headings(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    full_page().save_markdown(path)
    text = path.read_text(encoding="utf-8")
    assert "| label | a\\|b |\n| --- | ---: |\n| Blond_Hair | 2.1 % 1 - 3 |" in text
    assert "## Figures" in text
    assert "## Curves" not in text
    assert "## Pictures" not in text


def test_mistakes_of_the_caller_are_told() -> None:
    page = Page("a")
    with pytest.raises(ValueError, match="under 2 columns"):
        page.table(["a", "b"], [["1"]])
    with pytest.raises(ValueError, match="another length"):
        page.grid([[None]], ["a", "b"])
    with pytest.raises(ValueError, match="at most 6"):
        page.plot({str(i): [] for i in range(7)})


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        full_page().save(tmp_path / "file" / "report.html")
