"""The pages as a site: every link leads somewhere, and the reference finds what it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.printed import ROOT


@pytest.mark.slow
def test_the_site_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    # Strict: a warning, such as of a link that leads nowhere, ends it.
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    reference = (tmp_path / "reference" / "index.html").read_text(encoding="utf-8")
    assert "from_pretrained" in reference
    # The reader's own fonts: nothing is fetched from elsewhere.
    assert "fonts.g" not in home
