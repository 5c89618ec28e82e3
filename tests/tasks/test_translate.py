from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stargan import cli
from stargan.data.datamodule import DataModule
from stargan.errors import UserError
from stargan.evaluation import origin
from stargan.imaging.decode import open_image
from stargan.imaging.sheet import grid
from stargan.imaging.tensors import to_tensor
from stargan.inference.names import output_names
from stargan.inference.translator import Translator
from stargan.judges.judge import Judge, open_judge
from stargan.labels import LabelSpace
from stargan.reports.what_changed import changed_sheet
from stargan.tasks import translate as task
from stargan.tasks.translate import translate
from tests.tiny import FACES, MOODS, photo, settings, write_export, write_judge


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(tmp_path_factory.mktemp("model") / "g.safetensors", settings(FACES, MOODS))


@pytest.fixture
def cfg(tmp_path: Path, model: Path) -> dict[str, Any]:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        photo(seed=i).save(folder / f"p{i}.png")
    return {
        "model": str(model),
        "input": str(folder),
        "to": "Blond_Hair,Young=0",
        "output": str(tmp_path / "out"),
        "labels": None,
        "batch_size": 2,
        "device": "cpu",
        "contact_sheet": True,
        "on_error": "skip",
    }


def written(cfg: dict[str, Any]) -> list[str]:
    return sorted(p.name for p in Path(cfg["output"]).iterdir())


def test_a_folder(cfg: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    translate(cfg)
    names = [f"p{i}_Blond_Hair_Young-0.png" for i in range(3)]
    assert written(cfg) == ["contact_sheet.png", *names]
    out = capsys.readouterr().out
    assert "wrote 3 images of 3 inputs to" in out
    assert "contact_sheet.png" in out
    translator = Translator.from_pretrained(cfg["model"], batch_size=2)
    for i, image in enumerate(translator([photo(seed=i) for i in range(2)], cfg["to"])):
        saved = open_image(Path(cfg["output"]) / names[i])
        assert np.array_equal(np.asarray(saved), np.asarray(image))


def test_one_image_every_label_without_a_sheet(cfg: dict[str, Any]) -> None:
    dataset = str(Path(cfg["input"]) / "p1.png")
    translate({**cfg, "input": dataset, "to": "all", "contact_sheet": False, "labels": "Male=1"})
    assert written(cfg) == sorted(f"p1_{name}.png" for name in FACES.names + MOODS.names)
    translator = Translator.from_pretrained(cfg["model"])
    for name, image in translator.all(photo(seed=1), {"Male": 1}):
        saved = open_image(Path(cfg["output"]) / f"p1_{name}.png")
        assert np.array_equal(np.asarray(saved), np.asarray(image))


def test_photos_like_another(
    cfg: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "the other.png"
    photo(seed=9).save(other)
    translate({**cfg, "to": None, "like": str(other)})
    names = [f"p{i}_like-the-other.png" for i in range(3)]
    assert written(cfg) == ["contact_sheet.png", *names]
    translator = Translator.from_pretrained(cfg["model"], batch_size=2)
    there = [name for name, value in translator.labels_of(other).items() if value]
    assert f"the other.png is read as: {', '.join(there)}" in capsys.readouterr().out
    expected = translator(photo(seed=1), like=photo(seed=9))
    saved = open_image(Path(cfg["output"]) / names[1])
    # In a batch of another size numbers round otherwise.
    assert np.abs(np.asarray(saved, int) - np.asarray(expected, int)).max() <= 1
    # Three columns: the input, the other photo, the result.
    like = open_image(Path(cfg["output"]) / "contact_sheet.png").width
    translate({**cfg, "output": str(tmp_path / "usual")})
    assert open_image(tmp_path / "usual" / "contact_sheet.png").width < like


def test_a_judge_reads_the_other_photo_of_a_model_that_cannot(
    cfg: dict[str, Any], tmp_path: Path
) -> None:
    model = write_export(tmp_path / "mute.safetensors", settings(FACES), classifier=False)
    judge = write_judge(tmp_path / "judge.safetensors", FACES)
    other = tmp_path / "other.png"
    photo(seed=9).save(other)
    cfg |= {"model": str(model), "to": None, "like": str(other)}
    with pytest.raises(UserError, match="add judge="):
        translate(cfg)
    translate({**cfg, "judge": str(judge)})
    translator = Translator.from_pretrained(model)
    read = open_judge(judge).read(to_tensor(translator.prepare(photo(seed=9)))[None])[0]
    wish = dict(zip(FACES.names, read.tolist(), strict=True))
    saved = open_image(Path(cfg["output"]) / "p2_like-other.png")
    expected = translator(photo(seed=2), wish)
    assert np.abs(np.asarray(saved, int) - np.asarray(expected, int)).max() <= 1


@pytest.mark.parametrize(
    "to", [["Blond_Hair", "Young=0"], {"Blond_Hair": 1, "Young": 0}, " Blond_Hair , Young = 0 "]
)
def test_edits_in_other_forms(cfg: dict[str, Any], to: Any) -> None:
    translate({**cfg, "to": to})
    assert "p0_Blond_Hair_Young-0.png" in written(cfg)


def test_the_sheet_shows_inputs_and_outputs_with_captions(
    cfg: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def watch(rows: Any, columns: Any, titles: Any, scale: Any) -> Image.Image:
        seen.append((rows, columns, titles, scale))
        return grid(rows, columns, titles, scale)

    monkeypatch.setattr(task.imaging, "grid", watch)
    translate({**cfg, "scale": 4})
    ((rows, columns, titles, scale),) = seen
    assert columns == ["input", "Blond_Hair, Young=0"]
    assert titles == ["p0.png", "p1.png", "p2.png"]
    assert scale == 4
    translator = Translator.from_pretrained(cfg["model"])
    assert np.array_equal(np.asarray(rows[2][0]), np.asarray(translator.prepare(photo(seed=2))))
    saved = open_image(Path(cfg["output"]) / "p2_Blond_Hair_Young-0.png")
    assert np.array_equal(np.asarray(rows[2][1]), np.asarray(saved))


def test_the_sheet_of_all_labels_tells_flipped_from_chosen(
    cfg: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(
        task.imaging, "grid", lambda rows, columns, *_: (seen.append(columns), rows[0][0])[1]
    )
    translate({**cfg, "to": "all"})
    faces = [*FACES.names[:3], "Male flipped", "Young flipped"]
    assert seen == [["input", *faces, *MOODS.names]]


def test_a_long_sheet_is_cut_and_says_so(
    cfg: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(task, "SHEET_ROWS", 2)
    translate(cfg)
    assert "(the first 2 of 3)" in capsys.readouterr().out
    assert len(written(cfg)) == 4


def test_unreadable_images(cfg: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(cfg["input"])
    (folder / "p1.png").write_bytes((folder / "p1.png").read_bytes()[:500])
    translate(cfg)
    assert len(written(cfg)) == 3
    assert "skipped 1 unreadable: p1.png" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"p1\.png"):
        translate({**cfg, "on_error": "raise"})
    for name in "p0.png", "p2.png":
        (folder / name).write_bytes(b"")
    for to in "Male", "all":
        with pytest.raises(UserError, match="none of the 3 images"):
            translate({**cfg, "to": to})


def test_refuses_a_configuration_that_cannot_work(cfg: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for changes, words in (
        ({"to": None}, "to= is missing, or like="),
        ({"like": "p0.png"}, "to= and like= both"),
        ({"to": None, "like": "nowhere.png"}, "nowhere.png"),
        ({"model": "nowhere"}, "nowhere"),
        ({"input": "nowhere"}, "nowhere"),
        ({"input": str(tmp_path / "empty")}, "no image"),
        ({"output": cfg["input"]}, "is the input folder"),
        ({"output": cfg["input"] + "/../photos"}, "is the input folder"),
        ({"output": str(tmp_path / "file")}, "is a file"),
        ({"to": "Blond_Hare"}, "Did you mean 'Blond_Hair'"),
        ({"to": "Blond_Hair,Black_Hair"}, "exclude"),
        ({"labels": "Male=x"}, "number"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": "many"}, "batch_size=many"),
        ({"device": "abacus"}, "abacus"),
        ({"scale": 0}, "scale=0"),
        ({"on_error": "ignore"}, "on_error=ignore"),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            translate({**cfg, **changes})
    assert not Path(cfg["output"]).exists()


Looks = list[tuple[list[str], list[str]]]


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """For each sheet: the captions, and of each row ``space.label`` of the judge's map."""
    seen: Looks = []

    def watch(before: Any, after: Any, looks: Any, names: Any) -> Image.Image:
        found = []
        for judge, column in looks:
            rows = [f"{s.name}.{name}" for s in judge.labels.spaces for name in s.names]
            found.append(rows[column])
        seen.append((list(names), found))
        return changed_sheet(before, after, looks, names)

    monkeypatch.setattr(task, "changed_sheet", watch)
    return seen


def test_cam_shows_the_map_of_every_label_asked_for(
    cfg: dict[str, Any], tmp_path: Path, looked: Looks
) -> None:
    judge = write_judge(tmp_path / "judge.safetensors", MOODS, FACES)
    cfg |= {"cam": True, "judge": str(judge)}
    translate({**cfg, "to": "Young=0,happy"})
    assert looked == [(["Young", "happy"], ["faces.Young", "moods.happy"])] * 3
    sheets = [f"p{i}_Young-0_happy_cam.png" for i in range(3)]
    assert set(sheets) <= set(written(cfg))
    height = open_image(Path(cfg["output"]) / sheets[0]).height
    looked.clear()
    one = {**cfg, "input": str(Path(cfg["input"]) / "p0.png"), "output": str(tmp_path / "all")}
    translate({**one, "to": "all"})
    assert [found for _, found in looked] == [
        *([f"faces.{name}"] for name in FACES.names),
        *([f"moods.{name}"] for name in MOODS.names),
    ]
    # A row for each label.
    assert open_image(tmp_path / "all" / "p0_happy_cam.png").height < height


def test_cam_tells_labels_of_one_name_apart(
    cfg: dict[str, Any], tmp_path: Path, looked: Looks
) -> None:
    spaces = [LabelSpace(("happy", "sad"), categorical=True, name=name) for name in ("a", "b")]
    model = write_export(tmp_path / "two.safetensors", settings(*spaces))
    cfg |= {"model": str(model), "cam": True, "to": "b.sad"}
    judge = write_judge(tmp_path / "judge.safetensors", *spaces)
    translate({**cfg, "judge": str(judge)})
    assert looked == [(["b.sad"], ["b.sad"])] * 3
    others = [LabelSpace(s.names, categorical=True, name=f"other_{s.name}") for s in spaces]
    judge = write_judge(tmp_path / "others.safetensors", *others)
    with pytest.raises(UserError, match=r"several label spaces fit each other: .*'b' \(sad\)"):
        translate({**cfg, "judge": str(judge)})


def test_cam_of_embedded_faces_takes_the_judge_of_each_space(
    cfg: dict[str, Any], tmp_path: Path, looked: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = cli.load("train", ["experiment=demo_joint"], True)["data"]
    for name in data["use"]:
        data[name]["count"] = {"train": 8, "test": 8}
    asked: list[str] = []

    def judge_of(data: DataModule, name: str, *_: Any) -> tuple[Judge, str]:
        asked.append(name)
        space = data.test[name].images.space
        return open_judge(write_judge(tmp_path / f"{name}.safetensors", space)), name

    monkeypatch.setattr(origin, "own_judge", judge_of)
    module = origin.build_data({"data": data, "seed": 0})
    module.setup()
    plain = settings(*module.labels.spaces)
    model = write_export(
        tmp_path / "drawn.safetensors", plain | {"training": {"method": "stargan", "data": data}}
    )
    cfg |= {"model": str(model), "cam": True, "judge": None}
    translate({**cfg, "to": "Male,happy"})
    assert asked == ["attributes", "expressions"]
    assert looked == [(["Male", "happy"], ["attributes.Male", "expressions.happy"])] * 3
    asked.clear()
    translate({**cfg, "to": "happy"})
    assert asked == ["expressions"]


def test_cam_refuses_a_judge_that_cannot_say(cfg: dict[str, Any], tmp_path: Path) -> None:
    judge = write_judge(tmp_path / "judge.safetensors", MOODS)
    with pytest.raises(
        UserError, match=r"needs 'faces' \(Male\), and the judge has 'moods' \(happy"
    ):
        translate({**cfg, "to": "Male", "cam": True, "judge": str(judge)})
    with pytest.raises(UserError, match="cam=true needs judge="):
        translate({**cfg, "to": "Male", "cam": True})
    assert not Path(cfg["output"]).exists()


def test_never_overwrites_an_input(cfg: dict[str, Any]) -> None:
    dataset = Path(cfg["input"]) / "contact_sheet.png"
    photo(seed=9).save(dataset)
    with pytest.raises(UserError, match="overwrite an input"):
        translate({**cfg, "input": str(dataset), "output": cfg["input"]})
    assert np.array_equal(np.asarray(open_image(dataset)), np.asarray(photo(seed=9)))


def test_output_names() -> None:
    def names(files: list[str], *captions: str) -> list[list[str]]:
        return output_names([Path(f) for f in files], captions, taken=["contact_sheet.png"])

    assert names(["a.jpg"], "Male, Young=0.5") == [["a_Male_Young-0.5.png"]]
    assert names(["a.jpg", "A.png", "b.png"], "x") == [
        ["a_jpg_x.png"],
        ["A_png_x.png"],
        ["b_x.png"],
    ]
    assert names(["a.JPG", "a.jpg"], "x") == [["a_jpg_x.png"], ["a_jpg_x_2.png"]]
    assert names(["a.png", "a_b.png"], "b_c", "c") == [
        ["a_b_c.png", "a_c.png"],
        ["a_b_b_c.png", "a_b_c_2.png"],
    ]
    assert names(["contact.png"], "sheet") == [["contact_sheet_2.png"]]
    assert names(["a.png"], "../b/c:d", "e f") == [["a_..-b-c-d.png", "a_e-f.png"]]
    ((long, other),) = names(["s" * 250 + ".png"], "y" * 400, "y" * 399 + "z")
    assert len(long) < 255
    assert long != other


def test_a_photo_that_is_framed_otherwise_is_told(
    cfg: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(cfg["input"])
    for file in folder.iterdir():
        with Image.open(file) as image:
            image.resize((200, 200)).save(file)
    translate(cfg)
    assert capsys.readouterr().err == ""
    for i in range(2):
        Image.new("RGB", (300, 200)).save(folder / f"p{i}.png")
    translate(cfg)
    assert capsys.readouterr().err == (
        "note: the model was trained on the largest middle square of each image, resized to "
        "32 x 32. 2 of 3 photos may be framed otherwise: p0.png: only the middle 200 x 200 of the "
        "photo's 300 x 200 pixels is seen; p1.png: only the middle 200 x 200 of the photo's "
        "300 x 200 pixels is seen.\n"
    )
