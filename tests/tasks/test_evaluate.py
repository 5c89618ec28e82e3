"""``stargan evaluate`` from the command line, with tiny models whose weights are random."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stargan import cli
from stargan.errors import UserError
from stargan.labels import LabelSpace
from stargan.training.run import build_data
from tests.tiny import MOODS, settings, write_checkpoint, write_export, write_judge

COUNT = {"train": 24, "test": 24}


def drawn(name: str) -> tuple[dict[str, Any], list[LabelSpace]]:
    """A tiny model's description and spaces for a data set of embedded faces."""
    words = ["experiment=demo", f"data={name}", "data.image_size=32"]
    data = cli.load("train", words, True)["data"]
    for dataset in data["use"]:
        data[dataset]["count"] = COUNT
    module = build_data({"data": data, "seed": 0})
    module.setup()
    spaces = list(module.labels.spaces)
    training = {"method": "stargan", "steps": 1, "data": data}
    return settings(*spaces) | {"training": training}, spaces


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Models and judges of each kind."""
    folder = tmp_path_factory.mktemp("faces")
    found: dict[str, Any] = {}
    for name in ("attributes", "expressions", "attributes_expressions"):
        plain, spaces = drawn(name)
        for seed in (1, 2):
            found[f"{name}{seed}"] = write_export(folder / f"{name}{seed}.safetensors", plain, seed)
        # In another order than the model has them.
        found[f"judge_{name}"] = write_judge(folder / f"j_{name}.safetensors", *spaces[::-1])
        found[f"ckpt_{name}"] = write_checkpoint(folder / name / "last.ckpt", plain, 1)
    found["judge_moods"] = write_judge(folder / "moods.safetensors", MOODS)
    return found


def evaluate(output: Path, *words: str) -> dict[str, Any]:
    cli.run(["evaluate", f"output={output}", "device=cpu", "cases=2", *words])
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") >= 3
    for name in ("report.html", "report.md", "report.json"):
        text = (output / name).read_text(encoding="utf-8")
        assert "pytest-of-" not in text, f"{name} is passed on and names folders of this machine"
    found: dict[str, Any] = json.loads((output / "report.json").read_text(encoding="utf-8"))
    return found


def test_two_models_stand_side_by_side(faces: dict[str, Any], tmp_path: Path) -> None:
    models = f"model=[{faces['attributes1']},{faces['attributes2']}]"
    judge = f"judge={faces['judge_attributes']}"
    found = evaluate(tmp_path, models, judge, "count=6")
    assert [m["model"] for m in found["models"]] == ["attributes1", "attributes2"]
    one, two = (m["data"][0]["sets"][0]["all"]["change"]["value"] for m in found["models"])
    assert one != two
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "The judge was trained on" not in page
    assert "## Side by side" in page
    assert "| mean ± deviation |" in page
    assert page.startswith("# Evaluation of attributes1, attributes2\n")
    assert re.search(r"\| \d+\.\d% \[\d+\.\d, \d+\.\d\] \|", page), "intervals in brackets"
    assert not re.search(r"\d to \d", page)
    # What is wrong comes before all figures, and the worst rows of a table before the others.
    first = page.index("## ")
    assert 0 < page.index("> **Note:**") < first
    assert page.index("the judge reads the wanted label on **") < first
    table = page[page.index("### Does the label arrive?") :].split("\n\n")[1].splitlines()[2:]
    errors = [float(line.split("|")[2].split("%")[0]) for line in table]
    assert table[0].startswith("| all |")
    assert errors[1:] == sorted(errors[1:], reverse=True)
    # A checkpoint is the same model as the file that it was exported to.
    again = evaluate(tmp_path / "b", f"model={faces['ckpt_attributes']}", judge, "count=6")
    assert again["models"][0]["data"][0]["sets"][0]["all"]["change"]["value"] == pytest.approx(one)


def test_a_judge_of_larger_images_is_told(tmp_path: Path) -> None:
    plain, spaces = drawn("attributes")
    model = write_export(tmp_path / "model.safetensors", plain, 1)
    judge = write_judge(tmp_path / "judge.safetensors", *spaces, size=48)
    found = evaluate(tmp_path / "out", f"model={model}", f"judge={judge}", "count=6", "cycle=false")
    (words,) = found["models"][0]["data"][0]["notes"]
    assert words.startswith("The judge was trained on 48 x 48 pixels and sees those of the model, ")
    assert words.endswith("data.image_size=32.")


def test_expressions_from_all_images_and_from_neutral(
    faces: dict[str, Any], tmp_path: Path
) -> None:
    model, judge = f"model={faces['expressions1']}", f"judge={faces['judge_expressions']}"
    found = evaluate(tmp_path, model, judge, "cycle=false")
    (dataset,) = found["models"][0]["data"]
    everything, neutral = dataset["sets"]
    assert [s["from"] for s in dataset["sets"]] == ["all images", "neutral images"]
    assert everything["all"]["error"]["count"] == 24 * 7
    assert 0 < neutral["all"]["error"]["count"] < 24 * 7
    assert neutral["all"]["error"]["count"] % 7 == 0, "each neutral image to the seven others"
    assert "neutral" not in [row["label"] for row in neutral["rows"]]


def test_a_joint_model_is_judged_on_each_data_set(faces: dict[str, Any], tmp_path: Path) -> None:
    model = f"model={faces['attributes_expressions1']}"
    judge = f"judge={faces['judge_attributes_expressions']}"
    found = evaluate(tmp_path, model, judge, "count=8", "cycle=false")
    first, second = found["models"][0]["data"]
    assert [first["data"], second["data"]] == ["attributes", "expressions"]
    assert first["sets"][0]["rows"][3]["label"] == "Male"
    assert second["sets"][0]["rows"][0]["label"] == "angry"
    assert first["sets"][0]["all"]["error"]["count"] == 4 * 8
    assert second["sets"][0]["all"]["error"]["count"] == 7 * 8


def test_the_wrong_mask_of_a_joint_model(
    faces: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = f"model={faces['attributes_expressions1']}"
    judge = f"judge={faces['judge_attributes_expressions']}"
    found = evaluate(tmp_path, model, judge, "count=8", "cycle=false", "masks=true")
    first, second = found["models"][0]["masks"]
    assert (first["faces"], first["labels"]) == ("attributes", "expressions")
    assert (second["faces"], second["labels"]) == ("expressions", "attributes")
    assert first["images"] == 8
    # Every expression but the neutral one, and every attribute.
    assert len(first["rows"]) == 7
    assert [row["label"] for row in second["rows"]][3:] == ["Male", "Young"]
    assert all(0 <= share["value"] <= 1 for row in first["rows"] for share in row["read"])
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## The wrong mask: expressions on faces of attributes" in text
    assert "expressions on 8 faces of attributes: read on" in capsys.readouterr().err
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    # Two faces under either mask, of seven and of five labels.
    assert page.count("mask of attributes, wrong") == page.count("mask of expressions, wrong") == 2


@pytest.mark.parametrize(
    ("model", "more", "says"),
    [
        ("attributes1", [], "needs a joint model with one generator"),
        ("attributes_expressions1", ["data=attributes"], "faces of another data set than 'attrib"),
    ],
)
def test_a_mask_needs_two_data_sets(
    faces: dict[str, Any], tmp_path: Path, model: str, more: list[str], says: str
) -> None:
    judge = f"judge={faces['judge_attributes_expressions']}"
    with pytest.raises(UserError, match=says):
        evaluate(tmp_path, f"model={faces[model]}", judge, "masks=true", *more)
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["judge=missing"], "'missing' does not exist"),
        (["judge=JUDGE_MOODS"], "the model needs '"),
        (["judge=MODEL"], "not a classifier"),
        (["count=1"], "count=1 must be"),
        (["count=many"], "count=many"),
        (["batch_size=0"], "batch_size=0"),
        (["cycle=perhaps"], "cycle=perhaps"),
        (["output=FILE"], "is a file"),
        (["data=unknown"], "unknown data 'unknown'"),
        (["data=expressions"], "unknown label 'Black_Hair'"),
        (["cuont=3"], "Did you mean count="),
        (["model=nowhere"], "'nowhere' does not exist"),
        (["model=[MODEL,MODEL]"], "is given twice"),
        (["model=[MODEL,OTHER]"], "have different labels"),
        (["inception=missing"], "inception=missing does not exist"),
        (["lpips=FILE"], "is not torchvision's AlexNet"),
    ],
)
def test_bad_input_is_refused_in_words(
    faces: dict[str, Any], tmp_path: Path, words: list[str], says: str
) -> None:
    file = tmp_path / "file"
    file.write_text("text", encoding="utf-8")
    given = {
        "JUDGE_MOODS": faces["judge_moods"],
        "MODEL": faces["attributes1"],
        "OTHER": faces["expressions1"],
        "FILE": file,
    }
    base = {"model": "MODEL", "judge": str(faces["judge_attributes"]), "output": "OUT"}
    base |= dict(word.split("=", 1) for word in words)
    line = [f"{key}={value}" for key, value in base.items()]
    for name, path in {**given, "OUT": tmp_path / "out"}.items():
        line = [word.replace(name, str(path)) for word in line]
    with pytest.raises(UserError) as caught:
        cli.run(["evaluate", *line])
    assert says in str(caught.value)
    assert not (tmp_path / "out" / "report.html").exists()


CLASSES = LabelSpace(("blue", "green", "red"), categorical=True, name="folder")


def test_regions_of_the_user(
    class_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model of before there were regions, and boxes for some of its images, corrected later."""
    data = cli.load("train", ["experiment=folder", f"data.root={class_folder}"], True)["data"]
    del data["folder"]["regions"]
    plain = settings(CLASSES) | {"training": {"method": "stargan", "steps": 1, "data": data}}
    model = write_export(tmp_path / "model.safetensors", plain, 1)
    judge = write_judge(tmp_path / "judge.safetensors", CLASSES)
    words = [f"model={model}", f"judge={judge}", "cycle=false"]
    (dataset,) = evaluate(tmp_path / "out", *words)["models"][0]["data"]
    assert "outside" not in dataset["sets"][0]["all"]

    boxes = tmp_path / "boxes.csv"
    head = "image,label,left,top,width,height\n"
    boxes.write_text(head + "test/red/0,red,9,9,20,20\ntest/red/1,red,0,0,40,9\n")
    words.append(f"data.folder.regions={boxes}")
    (dataset,) = evaluate(tmp_path / "out", *words)["models"][0]["data"]
    assert dataset["sets"][0]["all"]["outside"]["count"] == 2 * 2
    assert "not recorded beside it" in dataset["notes"][0]
    assert "is the boxes of boxes.csv" in dataset["notes"][2]
    assert "14 of 18 translations are of images whose region is not given" in dataset["notes"][3]
    boxes.write_text(head + "test/red/0,red,9,9,20,20\n")
    (dataset,) = evaluate(tmp_path / "out", *words)["models"][0]["data"]
    assert dataset["sets"][0]["all"]["outside"]["count"] == 2

    # Regions make no judge.
    with pytest.raises(UserError, match="needs a judge that knows its labels"):
        evaluate(tmp_path / "b", words[0], *words[2:])
    boxes.write_text(head + "test/red/7,red,9,9,20,20\n")
    with pytest.raises(UserError, match=r"line 2: 'test/red/7' is none"):
        evaluate(tmp_path / "b", *words)
