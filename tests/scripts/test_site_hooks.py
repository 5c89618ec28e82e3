"""Numbered lists of the pages stay lists in the site."""

from __future__ import annotations

import re

import pytest

from scripts.site_hooks import on_page_markdown

PAGE = """\
# Title

1. **One.** Words
   go on.

       a command

   A paragraph of it.
2. **Two.**

   | a | b |
   |---|---|
   | 1 | 2 |

After the list.

```
1. no item
   in a block
```
"""


def test_items_keep_their_paragraphs_and_numbers() -> None:
    markdown = pytest.importorskip("markdown")
    extensions = ["sane_lists", "tables", "fenced_code"]
    html = markdown.markdown(on_page_markdown(PAGE), extensions=extensions)
    assert html.count("<ol>") == 1
    assert html.count("<li>") == 2
    first, second = re.findall(r"<li>(.*?)</li>", html, flags=re.S)
    assert "<code>a command" in first
    assert "A paragraph of it." in first
    assert "<table>" in second
    assert "After the list." not in second
    assert "1. no item\n   in a block" in html
    without = markdown.markdown(PAGE, extensions=extensions)
    assert without.count("<li>") != 2 or "A paragraph of it." not in without.partition("</li>")[0]
