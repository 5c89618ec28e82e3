"""IcGAN, a set of DIATs and a set of CycleGANs: all that one does with StarGAN works on them.

Tiny runs of IcGAN, and sets whose weights are random: what they look like is not asked.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from stargan import Translator, cli, configs
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.tasks import serve
from stargan.training import checkpoints
from tests.export.test_sets import put
from tests.rig import fit, make_cyclegan, make_diat, make_engine, make_icgan
from tests.tiny import photo, write_judge

HAIR = ["Black_Hair", "Blond_Hair"]
SPACE = LabelSpace([*HAIR, "Male"], [HAIR], name="celeba")
LABELS = JointLabelSpace([SPACE])
KINDS = ("icgan", "diat", "cyclegan")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    icgan = make_icgan(LABELS, size=32, cgan_share=0.4, statistics_steps=1)
    engine = fit(make_engine(icgan), 8)
    (root / "icgan").mkdir()
    checkpoints.export(icgan, root / "icgan", engine.facts())
    diat = {
        "black": make_diat(LABELS, target="Black_Hair", seed=1),
        "blond": make_diat(LABELS, target="Blond_Hair", seed=2),
        "male": make_diat(LABELS, target="Male", seed=3),
        "female": make_diat(LABELS, target="Male=0", seed=4),
    }
    pairs = {
        "hair": make_cyclegan(LABELS, pair=HAIR, seed=1),
        "male": make_cyclegan(LABELS, pair=["Male"], seed=5),
    }
    put(root / "diat", **diat)
    put(root / "cyclegan", **pairs)
    return {kind: root / kind for kind in KINDS}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # In another order than the models have the labels.
    other = LabelSpace(["Male", *HAIR], [HAIR], name="celeba")
    return write_judge(tmp_path_factory.mktemp("judge") / "classifier.safetensors", other, size=32)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluate(
    kind: str, models: dict[str, Path], judge: Path, celeba_folder: Path, tmp_path: Path
) -> None:
    words = [f"model={models[kind]}", f"judge={judge}", f"output={tmp_path}", "cases=1"]
    data = ["data=celeba", f"data.root={celeba_folder}", "data.celeba.crop=40"]
    cli.run(["evaluate", *words, *data, "cycle=false", "together=[Blond_Hair+Male]"])
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for label in (*HAIR, "Male", "not Male", "Hair + Male"):
        assert f"| {label} |" in text, label


@pytest.mark.parametrize("kind", KINDS)
def test_translate_with_maps(
    kind: str, models: dict[str, Path], judge: Path, tmp_path: Path
) -> None:
    photo().save(tmp_path / "p.png")
    words = [f"model={models[kind]}", f"input={tmp_path / 'p.png'}", f"output={tmp_path / 'out'}"]
    more = ["labels=Black_Hair", "cam=true", f"judge={judge}"]
    cli.run(["translate", *words, "to=Blond_Hair,Male=1", *more])
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert any(name.endswith("_cam.png") for name in names)
    assert len(names) >= 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_translates(
    kind: str, models: dict[str, Path], judge: Path, tmp_path: Path
) -> None:
    settings = configs.compose("serve", [f"model={models[kind]}", f"judge={judge}", "device=cpu"])
    studio = serve._studio(settings)
    (model,) = studio.models
    offered = {name for control in model.controls for name in control.names}
    assert offered == {*HAIR, "Male"}
    visit = studio.see(Image.new("RGB", (40, 40), "blue"))
    seen = visit.seen[0]
    assert seen.own is not None
    absent = next(name for name in HAIR if not seen.own[name])
    wish = {absent: 1.0, "Male": 0.0 if seen.own["Male"] else 1.0}
    others = [name for name in HAIR if seen.own[name]]
    if kind == "cyclegan" and not others:
        wish.pop(absent)  # From no hair colour there is no pair.
    made = model.translate(seen, wish)
    assert made.shape == (3, 32, 32)
    assert not torch.equal(made, seen.photo)
    assert "data:image" in model.row(seen, {})


@pytest.mark.parametrize("kind", KINDS)
def test_export_is_the_same_model(kind: str, models: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "model.safetensors"
    cli.run(["export", f"model={models[kind]}", f"output={output}"])
    before, after = (Translator.from_pretrained(path) for path in (models[kind], output))
    given = {"labels": "Black_Hair"}
    one, other = (t(photo(), "Blond_Hair,Male", **given) for t in (before, after))
    assert one.tobytes() == other.tobytes()
