"""stargan cam from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stargan import cli, configs, networks
from stargan.data.drawn.faces import SPACES
from stargan.errors import UserError
from stargan.export import describe, open_parts, reads, save_export
from stargan.judges.judge import open_judge
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.tasks import cam
from tests.conftest import draw_square
from tests.test_judge import write_judge
from tests.tiny import photo

ATTRIBUTES = JointLabelSpace([SPACES["attributes"]])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        photo(seed=i).save(folder / f"p{i}.png")
    return folder


def test_maps_of_photos(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge = write_judge(tmp_path / "classifier.safetensors")
    (photos / "bad.png").write_bytes(b"no image")
    out = tmp_path / "out"
    cli.run(["cam", f"model={judge}", f"input={photos}", "class=Male,happy", f"output={out}"])
    names = {p.name for p in out.iterdir()}
    assert names == {
        *("p0_Male.png", "p0_happy.png", "p1_Male.png", "p1_happy.png", "contact_sheet.png")
    }
    with Image.open(out / "p0_Male.png") as image:
        assert image.size == (192, 192)
    said = capsys.readouterr()
    assert "wrote 4 maps of 2 images" in said.out
    assert "skipped 1 unreadable: bad.png" in said.err


def test_all_classes_by_default(photos: Path, tmp_path: Path) -> None:
    judge = write_judge(tmp_path / "classifier.safetensors")
    out = tmp_path / "out"
    cli.run(["cam", f"model={judge}", f"input={photos / 'p0.png'}", f"output={out}"])
    assert len(list(out.glob("p0_*.png"))) == 8


def test_class_is_text() -> None:
    words = ["model=m", "output=o", "input=i", "class=Blond_Hair,Male"]
    assert configs.compose("cam", words)["class"] == "Blond_Hair,Male"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["class=Blond"], "unknown label 'Blond'. Did you mean 'Blond_Hair'"),
        (["class=Male,"], "unknown label ''"),
        (["batch_size=0"], "batch_size=0"),
        (["on_error=stop"], "on_error=stop"),
        (["device=gpu7"], "device 'gpu7'"),
        (["input=null"], "nothing to look at"),
        (["input=null", "data=attributes", "threshold=1"], "threshold=1"),
        (["relative=1"], "relative=1"),
    ],
)
def test_bad_words(words: list[str], said: str, photos: Path, tmp_path: Path) -> None:
    judge = write_judge(tmp_path / "classifier.safetensors")
    given = {"model": judge, "input": photos, "output": tmp_path / "out"}
    keys = {w.partition("=")[0] for w in words}
    base = [f"{k}={v}" for k, v in given.items() if k not in keys]
    with pytest.raises(UserError) as error:
        cli.run(["cam", *base, *words])
    assert said in str(error.value)


def test_a_network_without_maps_is_refused(photos: Path, tmp_path: Path) -> None:
    plain = {"_target_": "stargan.networks.gap.AlexNet", "image_size": [64, 64], "label_size": 5}
    about = describe(
        networks={"classifier": plain},
        roles={"read": reads("classifier")},
        labels=ATTRIBUTES,
        image={"size": [64, 64]},
        training={},
    )
    path = tmp_path / "classifier.safetensors"
    save_export(path, {"classifier": networks.build(plain)}, about)
    with pytest.raises(UserError, match="AlexNet has no class activation maps"):
        cli.run(["cam", f"model={path}", f"input={photos}", f"output={tmp_path / 'out'}"])


def test_figures_on_data_with_regions(
    tmp_path: Path, class_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = write_judge(tmp_path / "classifier.safetensors", ATTRIBUTES)
    out = tmp_path / "out"
    counts = ["data.attributes.count.train=20", "data.attributes.count.test=12"]
    cli.run(["cam", f"model={judge}", "data=attributes", *counts, f"output={out}"])
    text = (out / "localisation.md").read_text(encoding="utf-8")
    assert "| Male |" in text
    assert "| all |" in text
    assert "attributes: 12 test images" in capsys.readouterr().out
    assert (out / "localisation_attributes.png").is_file()


CLASSES = LabelSpace(("blue", "green", "red"), categorical=True, name="folder")


def located(tmp_path: Path, *words: str) -> tuple[str, Path]:
    """localisation.md of a tiny judge of coloured squares, and its folder."""
    judge = write_judge(tmp_path / "classifier.safetensors", JointLabelSpace([CLASSES]))
    out = tmp_path / "out"
    cli.run(["cam", f"model={judge}", f"output={out}", *words])
    return (out / "localisation.md").read_text(encoding="utf-8"), out


def test_figures_on_boxes_of_the_user(
    tmp_path: Path, class_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = tmp_path / "my boxes, all.txt"
    lines = ["image label left top width height", *(f"test/red/{i} red 5 5 30 30" for i in (0, 1))]
    boxes.write_text("\n".join([*lines, "test/blue/0 blue 5 5 30 30", "blue/0.png red 1 1 5 5"]))
    words = ["data=folder", f"data.root={class_folder}", f"data.folder.regions={boxes}"]
    with pytest.raises(UserError, match=r"line 5: 'blue/0\.png' may be"):
        located(tmp_path, *words)
    boxes.write_text("\n".join([*lines, "test/blue/0 blue 5 5 30 30", "test/red/1 red 0 0 9 9"]))
    text, out = located(tmp_path, *words)
    assert "is the boxes of my boxes, all.txt (4 in all, of 2 labels). Left out: 6 of 9" in text
    assert "| red | 2 |" in text
    assert "| blue | 1 |" in text
    assert "| all | 3 |" in text
    assert "green |" not in text
    said = capsys.readouterr().out
    assert "Left out: 6 of 9 test images, for whose labels no region is given." in said
    picture = np.asarray(Image.open(out / "localisation_folder.png").convert("RGB"))
    # Three rows: blue with one true box, red with one and with two.
    green = (picture == cam.GREEN).all(2).sum()
    # Seen at 32 pixels of six; three pixels wide.
    large, small = (4 * 3 * round(6 * 32 * n / 40) for n in (30, 9))
    assert 0.9 * 3 * large + small / 2 < green < 3 * large + small


def test_figures_on_masks_of_the_user(tmp_path: Path, class_folder: Path) -> None:
    mask = Image.new("1", (40, 40))
    mask.paste(1, (5, 5, 35, 35))
    for name in ("red", "green", "blue"):
        # Files of train/ and test/ have the same names: their folders tell them apart.
        (tmp_path / "masks" / "test" / name).mkdir(parents=True)
        for i in range(3):
            mask.save(tmp_path / "masks" / "test" / name / f"{i}.png")
    words = ["data=folder", f"data.root={class_folder}"]
    text, _ = located(tmp_path, *words, f"data.folder.regions={tmp_path / 'masks'}")
    assert "is the masks of masks (9 in all, the same for every label).\n" in text
    assert "| all | 9 |" in text
    assert "Left out" not in text
    with pytest.raises(UserError, match=r"add data\.folder\.regions=PATH"):
        located(tmp_path, *words)


def test_of_two_data_sets_one_may_have_regions(tmp_path: Path, celeba_folder: Path) -> None:
    boxes = tmp_path / "list_bbox.txt"
    boxes.write_text("1\nimage_id x_1 y_1 width height\n000020.jpg 1 2 30 20\n")
    hair = LabelSpace(("Black_Hair", "Blond_Hair", "Male"), name="celeba")
    rafd = LabelSpace(("angry", "happy"), categorical=True, name="rafd")
    for name in rafd.names:
        for i in range(3):
            draw_square(tmp_path / "rafd" / name / f"{i}.png", (90, 90, 90), i)
    judge = write_judge(tmp_path / "classifier.safetensors", JointLabelSpace([hair, rafd]))
    words = [
        "data=joint",
        f"data.celeba.root={celeba_folder}",
        f"data.rafd.root={tmp_path / 'rafd'}",
    ]
    out = tmp_path / "out"
    regions = [f"data.celeba.regions={boxes}", "data.celeba.crop=null"]
    cli.run(["cam", f"model={judge}", f"output={out}", *words, *regions])
    text = (out / "localisation.md").read_text(encoding="utf-8")
    assert "## celeba\n\nThe region of a label is the boxes of list_bbox.txt" in text
    assert "## rafd\n\nLeft out: data.rafd.regions is not given." in text


def in_order(path: Path, space: LabelSpace, order: list[str]) -> Path:
    """A judge whose weights are always the same, and whose labels stand in this order."""
    torch.manual_seed(7)
    plain = {
        "_target_": "stargan.networks.classifier.SmallClassifier",
        **{"image_size": [32, 32], "label_size": space.size, "channels": 4},
    }
    network: Any = networks.build(plain)
    rows = [space.index(name) for name in order]
    with torch.no_grad():
        for part in network.head.parameters():
            part.copy_(part[rows].clone())
    named = LabelSpace(order, space.groups, space.categorical, space.name)
    about = describe(
        networks={"classifier": plain},
        roles={"read": reads("classifier")},
        labels=JointLabelSpace([named]),
        image={"size": [32, 32]},
        training={},
    )
    save_export(path, {"classifier": network}, about)
    return path


def test_a_judge_may_have_its_labels_in_another_order(tmp_path: Path, class_folder: Path) -> None:
    boxes = tmp_path / "boxes.csv"
    lines = [f"test/{name}/{i}.png,{name},4,4,30,20" for name in CLASSES.names for i in range(3)]
    boxes.write_text("\n".join(["image,label,left,top,width,height", *lines]) + "\n")
    words = ["data=folder", f"data.root={class_folder}", f"data.folder.regions={boxes}"]
    said = []
    for order in (["blue", "green", "red"], ["red", "blue", "green"]):
        judge = in_order(tmp_path / "classifier.safetensors", CLASSES, order)
        out = tmp_path / "".join(order)
        cli.run(["cam", f"model={judge}", f"output={out}", *words])
        said.append((out / "localisation.md").read_text(encoding="utf-8"))
        assert (out / "localisation_folder.png").is_file()
    assert said[0] == said[1]
    assert "| red | 3 |" in said[0]
    # A judge that does not read all of them is refused.
    judge = in_order(tmp_path / "classifier.safetensors", CLASSES, ["blue", "green", "red"])
    plain = LabelSpace(("blue", "green"), categorical=True, name="folder")
    few = write_judge(tmp_path / "few.safetensors", JointLabelSpace([plain]))
    with pytest.raises(UserError, match="red"):
        cli.run(["cam", f"model={few}", f"output={tmp_path / 'few'}", *words])


def test_the_paper_s_map_is_the_default_and_the_other_is_a_word(
    tmp_path: Path, class_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,label,left,top,width,height\ntest/red/0.png,red,4,4,30,20\n")
    words = ["data=folder", f"data.root={class_folder}", f"data.folder.regions={boxes}"]
    judge = in_order(tmp_path / "classifier.safetensors", CLASSES, list(CLASSES.names))
    opened = open_judge(judge)
    with torch.no_grad():
        # Every class speaks against itself everywhere: the paper's maps are nowhere positive.
        opened.network.head.weight.sub_(10)  # type: ignore[union-attr,operator]
    save_export(judge, {"classifier": opened.network}, open_parts(judge, "classifier").plain)
    found = {}
    for relative in ("false", "true"):
        out = tmp_path / relative
        photo_of = class_folder / "test" / "red" / "0.png"
        more = [f"relative={relative}", f"input={photo_of}"]
        cli.run(["cam", f"model={judge}", f"output={out}", *words, *more])
        found[relative] = (out / "localisation.md").read_text(encoding="utf-8")
    assert "Maps are the paper's own." in found["false"]
    assert "| red | 1 |" in found["false"]
    row = next(line for line in found["false"].splitlines() if line.startswith("| red |"))
    assert "| 0.0% | 0.0% |" in row, "no peak and no evidence inside"
    assert "the mean map of all is taken away" in found["true"]
    other = next(line for line in found["true"].splitlines() if line.startswith("| red |"))
    assert "| 0.0% |" not in other
    said = capsys.readouterr().out
    assert "3 maps have nothing that speaks for their label" in said
    assert "relative=true shows what tells them apart" in said
