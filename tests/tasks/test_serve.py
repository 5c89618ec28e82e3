from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stargan import cli, configs
from stargan.errors import UserError
from stargan.tasks.serve import serve
from stargan.web import host
from tests.tiny import settings, write_export

ROOT = Path(__file__).resolve().parents[2]


def config(*overrides: str) -> dict[str, Any]:
    return configs.compose("serve", list(overrides))


def test_values_reach_the_task_as_typed() -> None:
    cfg = config("model=a b/c,d.ckpt", "judge=j=1", "host=::1", "limits.megabytes=2")
    assert (cfg["model"], cfg["judge"], cfg["host"]) == ("a b/c,d.ckpt", "j=1", "::1")
    assert (cfg["port"], cfg["limits"]["megabytes"]) == (7860, 2)
    assert config("model=[runs/a,runs/b]")["model"] == ["runs/a", "runs/b"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model=null"], "names no model"),
        (["model=nowhere"], "'nowhere' does not exist"),
        (["model=[]"], "names no model"),
        (["model=x", "limits.megabytes=-1"], "above 0"),
        (["model=x", "limits.megabyte=1"], "limits.megabytes"),
    ],
)
def test_bad_input_is_one_sentence(overrides: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        cli.run(["serve", *overrides])


def test_without_gradio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"serve needs Gradio: pip install 'stargan\[web\]'"):
        serve(config("model=x"))
    with pytest.raises(UserError, match=r"study serve needs Uvicorn: pip install 'stargan\[web\]'"):
        cli.run(["study", "serve", "study=x"])


def test_nothing_else_loads_gradio() -> None:
    code = (
        "import sys, stargan.inference, stargan.cli, stargan.web.studio\n"
        "assert not {'gradio', 'gradio_client', 'fastapi', 'uvicorn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path, how: signal.Signals) -> None:
    model = write_export(tmp_path / "tiny.safetensors", settings())
    temporary, here = tmp_path / "tmp", tmp_path / "here"
    temporary.mkdir()
    here.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "stargan", "serve", f"model={model}", "port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=here,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert re.fullmatch(r"serving on http://127\.0\.0\.1:\d+  \(Ctrl-C ends it\)\n", first)
        assert [p.name[:14] for p in temporary.iterdir()] == ["stargan-serve-"]
        process.send_signal(how)
        rest, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, rest, errors) == (0, "ended; nothing is kept.\n", "")
    assert [*temporary.iterdir(), *here.iterdir()] == []
