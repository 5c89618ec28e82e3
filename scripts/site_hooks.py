"""Used by mkdocs.yml: numbered lists as GitHub reads them, for a parser that wants four spaces.

Python-Markdown ends an item at a paragraph that is indented by the three columns of ``1. ``, and
begins none without an empty line before it.
"""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page whose numbered items are told apart by empty lines and go on at four spaces."""
    lines: list[str] = []
    inside = fenced = False
    for line in markdown.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        begins = not fenced and re.match(r"\d+\. ", line) is not None
        if begins:
            if lines and lines[-1].strip():
                lines.append("")
            line = re.sub(r"^(\d+\.) +", lambda m: f"{m[1]} ".ljust(4), line)
        elif line.strip() and not line.startswith("   "):
            inside = False
        inside = inside or begins
        lines.append(" " + line if inside and line.startswith("   ") and not begins else line)
    return "\n".join(lines) + "\n"
