"""The page "a method from scratch": its file and its yaml are taken from it and trained."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "method.md"
SMALL = (
    *("data.image_size=16", "data.batch_size=4", "data.limit=32", "trainer.max_steps=6"),
    *("data.attributes.count.train=64", "data.attributes.count.val=16"),
    *("data.attributes.count.test=16", "trainer.max_minutes=null"),
    *("log.every_n_steps=2", "log.samples_every_n_steps=4", "log.tensorboard=false"),
    *("trainer.accelerator=cpu", "trainer.precision=32-true"),
)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    root = str(PAGE.parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "stargan", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_page_trains_a_method_of_ones_own(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (python,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.S)
    command, evaluate = re.findall(r"^stargan (.*)$", text, flags=re.M)
    (tmp_path / "mylab.py").write_text(python, encoding="utf-8")
    config = tmp_path / "myconf" / "method" / "matching.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(yaml, encoding="utf-8")

    done = run(tmp_path, *command.split(), *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    log = (tmp_path / "RUN" / "metrics.csv").read_text(encoding="utf-8")
    assert {"D/wrong", "G/change", "lr/G"} <= set(log.splitlines()[0].split(","))

    # A run folder is a file's word: it needs the person's.
    longer = ("train", "resume=RUN", "trainer.max_steps=8", "schedule=late")
    refused = run(tmp_path, *longer)
    assert refused.returncode == 2
    assert "trust=mylab" in refused.stderr
    resumed = run(tmp_path, *longer, "trust=mylab")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr

    judged = run(tmp_path, *evaluate.split(), "count=4", "cycle=false")
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert (tmp_path / "DIR" / "report.html").is_file()
