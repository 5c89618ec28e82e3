"""What README.md and the pages of docs/ print for a reader to type: commands and Python."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
SHELL = ("", "bash", "sh", "console", "shell")
OTHER = ("text", "yaml", "json", "nginx", "toml", "bibtex")
"""Languages of blocks that nobody types."""
PROGRAMS = ("stargan", "make", "pip", "python", "pytest", "hf", "mkdocs", "pre-commit", "sbatch")
_BLOCK = re.compile(r"^( *)```([\w-]*)[^\n]*\n(.*?)^ *```", flags=re.S | re.M)
_INDENTED = re.compile(r"(^ {4,}\S[^\n]*\n)+", flags=re.M)
_SPAN = re.compile(r"`([^`]+)`")
_COMMENT = re.compile(r"(^|\s)#.*")


@dataclass(frozen=True)
class Printed:
    """Something that a page says to type.

    Attributes:
        page: its file, from the root of the repository.
        line: where it begins.
        text: in one line, without comment; of Python the whole block.
        block: it stands in a fenced block of its own, so a reader copies it; else it is mentioned
            in a sentence, or stands in a list.
    """

    page: str
    line: int
    text: str
    block: bool = True

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text.splitlines()[0]}"


def commands() -> list[Printed]:
    """All commands of all pages, in their order."""
    found = []
    for page in PAGES:
        found += _commands(page)
    return found


def python_blocks() -> list[Printed]:
    """All blocks of Python of all pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            if block[2] == "python":
                found.append(Printed(_name(page), _line(text, block.start()), block[3]))
    return found


def unknown_blocks() -> list[str]:
    """Fenced blocks in a language that this file does not know what to do with."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            if block[2] not in (*SHELL, *OTHER, "python"):
                found.append(f"{_name(page)}:{_line(text, block.start())}: {block[2]}")
    return found


def _commands(page: Path) -> list[Printed]:
    text = page.read_text(encoding="utf-8")
    found = []
    for block in _BLOCK.finditer(text):
        if block[2] in SHELL:
            found += _lines(page, block[3], _line(text, block.start()) + 1, block=True)
    # What is left: sentences, and blocks that are indented instead of fenced.
    rest = _BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    for block in _INDENTED.finditer(rest):
        listed = _lines(page, block[0], _line(rest, block.start()), block=False)
        found += [c for c in listed if c.text.startswith(tuple(f"{p} " for p in PROGRAMS))]
    for span in _SPAN.finditer(rest):
        words = " ".join(span[1].split())
        if words.startswith(tuple(f"{program} " for program in PROGRAMS)):
            found.append(Printed(_name(page), _line(rest, span.start()), words, block=False))
    return found


def _lines(page: Path, text: str, first: int, block: bool) -> list[Printed]:
    """The commands of a block, continued lines joined, several in a line apart."""
    found, begun = [], ""
    for number, line in enumerate(text.splitlines(), first):
        if line.rstrip().endswith("\\"):
            begun += line.rstrip()[:-1] + " "
            continue
        whole, begun = _COMMENT.sub("", begun + line), ""
        for part in re.split(r";\s+|\s+&&\s+", whole):
            if part.strip():
                found.append(Printed(_name(page), number, " ".join(part.split()), block))
    return found


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
