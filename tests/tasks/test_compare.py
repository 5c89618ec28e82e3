"""``stargan compare`` at tiny sizes: from nothing to the page, killed and gone on, bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from stargan import cli, configs
from stargan.errors import UserError
from stargan.evaluation import runs
from stargan.evaluation.ballots import DATABASE, Answer, Ballot, BallotBox
from stargan.evaluation.study_key import read_key
from stargan.labels import LabelSpace
from tests.tiny import MOODS, write_judge

EXPRESSIONS = "labels=[angry,happy,neutral]"
SMALL_G = ["method.generator.channels=8", "method.generator.blocks=1"]
SMALL_D = ["method.discriminator.channels=8"]


def counts(name: str) -> list[str]:
    """So few drawn faces."""
    few = {"train": 24, "val": 8, "test": 24}
    return [f"data.{name}.count.{split}={number}" for split, number in few.items()]


def suite(folder: Path, **changes: Any) -> Path:
    """A suite of two data sets, three methods and a joint model; its conf folder."""
    attributes, expressions = counts("attributes"), counts("expressions")
    plain = {
        "name": "tiny",
        "minutes": None,
        "steps": 2,
        "seeds": 1,
        "count": 24,
        "words": [
            *("data.image_size=32", "data.batch_size=4", "trainer.accelerator=cpu"),
            "schedule=late",
            *("log.tensorboard=false", "checkpoint.every_n_steps=1", "trainer.precision=32-true"),
        ],
        "judge": None,
        "data": {
            "attributes": ["experiment=demo", *attributes],
            "expressions": ["experiment=demo", "data=expressions", EXPRESSIONS, *expressions],
        },
        "methods": {
            "stargan": {
                "title": "StarGAN", "paper": "StarGAN", "models": "one",
                "words": ["method=stargan", "method.n_critic=1", *SMALL_G, *SMALL_D],
                # Not in the order of the suite.
                "data": {"expressions": [], "attributes": []},
            },
            "diat": {
                "title": "DIAT", "paper": "DIAT", "models": "targets",
                "words": ["method=diat", *SMALL_G, *SMALL_D],
                "each": ["method.target={target}", "method.inputs={inputs}"],
                "data": {"expressions": []},
            },
            "both": {
                "title": "Joint", "paper": None, "models": "one", "joint": True,
                "words": [
                    *("experiment=demo_joint", "method=stargan", "method.n_critic=1", *SMALL_G),
                    *(*SMALL_D, *attributes, *expressions),
                    EXPRESSIONS.replace("labels", "data.expressions.labels"),
                ],
                "data": {"expressions": []},
            },
        },
        "side_by_side": {
            "single": "stargan", "joint": "both", "labels": "expressions", "faces": "attributes"
        },
    }  # fmt: skip
    path = folder / "conf" / "suite" / "tiny.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "# Tiny.\n" + yaml.safe_dump({**plain, **changes}, sort_keys=False), encoding="utf-8"
    )
    return path.parent.parent


def words(conf: Path, output: Path, *more: str) -> list[str]:
    """What is typed."""
    given = [f"conf={conf}", "suite=tiny", f"output={output}", "device=cpu", "curve=1", "cases=1"]
    return ["compare", *given, *more]


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Judges with random weights, so that nobody waits for training one."""
    folder = tmp_path_factory.mktemp("judges")
    hair = ("Black_Hair", "Blond_Hair", "Brown_Hair")
    faces = LabelSpace((*hair, "Male", "Young"), [hair], name="attributes")
    moods = LabelSpace(("angry", "happy", "neutral"), categorical=True, name="expressions")
    return {
        "both": str(write_judge(folder / "both.safetensors", moods, faces)),
        "moods": str(write_judge(folder / "moods.safetensors", MOODS)),
    }


def test_from_nothing_to_the_page_and_again(tmp_path: Path, judges: dict[str, str]) -> None:
    conf, output = suite(tmp_path), tmp_path / "out"
    line = words(conf, output, f"judge={judges['both']}")
    cli.run(line)
    found = json.loads((output / "report.json").read_text(encoding="utf-8"))
    attributes, expressions = found["data"]
    assert [m["method"] for m in attributes["methods"]] == ["stargan"]
    assert attributes["votes"] == {}, "nobody to compete with"
    assert [m["method"] for m in expressions["methods"]] == ["stargan", "diat", "both"]
    star, diat, _ = expressions["methods"]
    # Each data set has its own models: of other labels, so of another size.
    assert attributes["methods"][0]["parameters"] != star["parameters"]
    assert [diat["models"], len(diat["runs"]), star["models"]] == [2, 2, 1]
    # From neutral alone, to the two others: that is all that DIAT's models can.
    neutral = star["sets"][1]["all"]["error"]["count"]
    assert neutral == diat["sets"][1]["all"]["error"]["count"] > 0
    # DIAT chooses by the target: it makes every change but that to neutral.
    assert "neutral (0 of" in diat["note"]
    assert not star["note"]
    shares = expressions["votes"]["angry/happy/neutral"]
    assert sum(share["value"] for share in shares.values()) == pytest.approx(1)
    assert [row["label"] for row in found["masks"]] == ["angry", "happy"]
    names = [row["label"] for row in attributes["methods"][0]["sets"][0]["together"]]
    assert names == ["Hair + Male", "Hair + Young", "Male + Young", "Hair + Male + Young"]
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.count('class="level2" href="#part') == page.count("<h2 id=") > 5
    for name in ("report.html", "report.md", "report.json"):
        assert "pytest-of-" not in (output / name).read_text(encoding="utf-8"), name
    assert diat["runs"][0] == "runs/expressions/diat/seed_1/angry"
    assert "`runs/expressions/stargan/seed_1`" in page.replace("<code>", "`").replace(
        "</code>", "`"
    )
    # What is wrong stands before all tables.
    assert page.index('class="warning"') < page.index("<h2 ")
    assert page.index("DIAT: The model has no network for some") < page.index("<h2 ")
    text = (output / "report.md").read_text(encoding="utf-8")
    assert "| StarGAN |" in text
    assert "2.12%" in text
    assert "printed" in text
    assert "Votes of the judge, not of people" in text

    made = sorted((output / "runs").glob("**/last.ckpt"))
    assert len(made) == 5
    times = [path.stat().st_mtime_ns for path in made]
    parts = {p: p.stat().st_mtime_ns for p in (output / "evaluation").glob("**/*.safetensors")}
    cli.run(line)
    assert [path.stat().st_mtime_ns for path in made] == times, "nothing is trained twice"
    assert {p: p.stat().st_mtime_ns for p in parts} == parts, "nor measured twice"

    # People are asked: about a set of models and a model of both data sets, too.
    study = tmp_path / "study"
    cli.run(["study", "build", f"compare={output}", f"output={study}", "count=3", "device=cpu"])
    key = read_key(study)
    assert {q.column for q in key.questions.values()} == {"angry/happy/neutral"}
    assert "neutral" not in {q.wish for q in key.questions.values()}, "DIAT has no network for it"
    for voter in (1, 2):
        answers = {
            name: Answer(next(a for a, method in q.answers.items() if method == "diat"), 1)
            for name, q in key.questions.items()
        }
        answers |= {name: Answer(check.right, 1) for name, check in key.checks.items()}
        BallotBox(study / DATABASE, key).add(Ballot(f"{voter:032x}", answers))
    cli.run(["study", "tally", f"study={study}", f"output={tmp_path / 'votes.json'}"])
    cli.run([*line, f"study={tmp_path / 'votes.json'}"])
    text = (output / "report.md").read_text(encoding="utf-8")
    assert "**Votes of people**, from the study" in text
    assert "Votes of the judge" not in text
    assert re.search(r"\| DIAT \| 100\.0%.*\|", text)

    # Bad input to a folder that is there already.
    with pytest.raises(UserError, match=r"was trained with other settings .*max_steps=3"):
        cli.run([*line, "steps=3"])
    other = suite(tmp_path / "other", name="another")
    with pytest.raises(UserError, match="holds a comparison of the suite 'tiny', not 'another'"):
        cli.run(words(other, output, f"judge={judges['both']}"))
    lost = output / "runs" / "expressions" / "diat" / "seed_1" / "happy"
    lost.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="DIAT with seed 1 is not all there, 1 of its 2 models"):
        cli.run([*line, "train=false"])


def test_a_killed_comparison_goes_on(tmp_path: Path, judges: dict[str, str]) -> None:
    """Killed twice, in the first run and in a later one; what was finished is not touched."""
    conf, output = suite(tmp_path, steps=40), tmp_path / "out"
    line = words(conf, output, "methods=[stargan,diat]", f"judge={judges['both']}", "count=6")
    first = output / "runs/expressions/stargan/seed_1/checkpoints/last.ckpt"
    second = output / "runs/attributes/stargan/seed_1/checkpoints/last.ckpt"
    for target in (first, second):
        process = subprocess.Popen([sys.executable, "-m", "stargan", *line], env=os.environ.copy())
        deadline = time.monotonic() + 300
        while not target.is_file():
            assert process.poll() is None, "ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = first.stat().st_mtime_ns
    cli.run(line)
    assert first.stat().st_mtime_ns == finished
    found = json.loads((output / "report.json").read_text(encoding="utf-8"))
    steps = [m["steps"] for data in found["data"] for m in data["methods"]]
    assert steps == [40, 40, 80]


def test_runs_at_once_by_a_launcher_of_hydra_s(tmp_path: Path, judges: dict[str, str]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    conf, output = suite(tmp_path), tmp_path / "out"
    line = words(conf, output, "methods=[stargan,diat]", f"judge={judges['both']}", "count=6")
    with pytest.raises(UserError, match="nowhere"):
        cli.run([*line, "launcher=nowhere"])
    assert not list(output.glob("**/last.ckpt"))
    with pytest.raises(UserError, match=r"hydra\.launcher\.n_jobs=2 needs launcher=NAME"):
        cli.run([*line, "hydra.launcher.n_jobs=2"])
    cli.run([*line, "launcher=joblib", "hydra.launcher.n_jobs=2"])
    made = sorted(output.glob("runs/**/last.ckpt"))
    assert len(made) == 4
    times = [path.stat().st_mtime_ns for path in made]
    found = json.loads((output / "report.json").read_text(encoding="utf-8"))
    assert [m["steps"] for data in found["data"] for m in data["methods"]] == [2, 2, 4]
    # One after the other or at once: the same runs.
    cli.run(line)
    assert [path.stat().st_mtime_ns for path in made] == times


def test_steps_win_over_the_minutes_of_a_suite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], judges: dict[str, str]
) -> None:
    conf = suite(tmp_path, minutes=6, steps=None)
    more = (f"judge={judges['both']}", "plan=true", "steps=9", "methods=[stargan]")
    cli.run(words(conf, tmp_path / "out", *more))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("trainer.max_steps=9 trainer.max_minutes=null" in line for line in lines)


def test_the_plan_says_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], judges: dict[str, str]
) -> None:
    conf, output = suite(tmp_path, minutes=6, steps=None), tmp_path / "out"
    judge = f"judge={judges['both']}"
    cli.run(words(conf, output, judge, "plan=true", "seeds=2", "methods=[diat,both]"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert not output.exists()
    # A set shares its method's minutes; a joint model has those of its two data sets.
    diat = [line for line in lines if "method=diat" in line]
    assert len(diat) == 4
    assert all("trainer.max_minutes=3 " in line for line in diat)
    assert sum("method.target=happy method.inputs=neutral" in line for line in diat) == 2
    assert all("trainer.max_minutes=12 " in line for line in lines if line not in diat)
    assert lines[0].endswith(f"run_dir={output}/runs/expressions/diat/seed_1/angry")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["suite=demmo"], "Did you mean suite=demo"),
        (["methods=[stargna]"], "Did you mean 'stargan'"),
        (["methods=[]"], "names no method"),
        (["labels=[angri]"], "unknown label 'angri'"),
        (["judge=JUDGE"], "the data set needs 'attributes' (Black_Hair"),
        (["judge=nowhere"], "'nowhere' does not exist"),
        (["minutes=0"], "minutes=0 must be above 0"),
        (["seeds=0"], "seeds=0"),
        (["method.lambda_clss=2"], "lambda_clss"),
        (["seeeds=2"], "Did you mean seeds="),
        (["study=FILE"], "is no tally of a study"),
        (["study=OTHER"], "is of other methods (pix2pix) than this comparison (stargan, diat)"),
        (["output=FILE"], "is a file"),
        (["output=RUNS"], "has a folder runs/ of something else"),
        (["train=perhaps"], "train=perhaps is neither"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(
    tmp_path: Path, judges: dict[str, str], more: list[str], says: str
) -> None:
    (tmp_path / "file").write_text("[]", encoding="utf-8")
    (tmp_path / "used" / "runs").mkdir(parents=True)
    share = {"value": 1.0, "low": None, "high": None, "count": 3}
    other = json.dumps({"preference": {"Male": {"pix2pix": share}}})
    (tmp_path / "other").write_text(other, encoding="utf-8")
    places = {"JUDGE": judges["moods"], "FILE": tmp_path / "file", "RUNS": tmp_path / "used"}
    places["OTHER"] = tmp_path / "other"
    for name, path in places.items():
        more = [word.replace(name, str(path)) for word in more]
    with pytest.raises(UserError) as caught:
        cli.run(words(suite(tmp_path), tmp_path / "out", "methods=[stargan,diat]", *more))
    assert says in str(caught.value)
    assert not list(tmp_path.glob("**/last.ckpt"))


def test_pictures_of_a_method_without_the_labels_are_refused(tmp_path: Path) -> None:
    told = {"single": "diat", "joint": "both", "labels": "attributes", "faces": "expressions"}
    with pytest.raises(UserError, match="by 'diat', which the suite does not train on attributes"):
        cli.run(words(suite(tmp_path, side_by_side=told), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_run_that_never_saved_begins_anew(tmp_path: Path) -> None:
    run = runs.Training(tmp_path / "run", ("experiment=demo",))
    (run.folder / "checkpoints").mkdir(parents=True)
    (run.folder / "config.yaml").write_text("name: demo\n")
    assert runs.state(run) == "missing"


@pytest.mark.parametrize("name", sorted(configs.options("suite")))
def test_every_run_of_every_suite_composes(name: str, tmp_path: Path) -> None:
    """All settings that a suite names exist, whatever data a person has."""
    config = cli.load("compare", [f"suite={name}", f"output={tmp_path}"], True)
    plain = config["suite"]
    roots = {
        "celeba": ["data.root=x"],
        "rafd": ["data.root=x"],
        "joint": ["data.celeba.root=x", "data.rafd.root=y"],
    }.get(name, [])
    filled = {"target": "Male=0", "inputs": "null", "pair": "[Male]"}
    for method in plain["methods"].values():
        for data, own in method["data"].items():
            base = [] if method.get("joint") else plain["data"][data]
            each = [word.format(**filled) for word in method.get("each", ())]
            given = [*base, *plain["words"], *method["words"], *own, *each, *roots]
            last = {word.partition("=")[0]: word for word in given}
            assert configs.of_training(list(last.values()))["method"]
    if plain["judge"]:
        assert configs.of_training([*plain["judge"], *roots])["method"]
