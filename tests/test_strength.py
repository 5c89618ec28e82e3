"""The same wish means the same target on the command line, in Python and on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from stargan import imaging
from stargan.export import Model
from stargan.inference.translator import Translator
from stargan.labels import JointLabelSpace, way
from stargan.tasks.translate import translate
from stargan.web.controls import KEEP, Setting, edits_from
from stargan.web.studio import Studio
from tests.tiny import FACES, MOODS, photo, settings, write_export

LABELS = JointLabelSpace([FACES, MOODS])


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """Own and target labels of every row that a model is asked for."""
    rows: list[tuple[Tensor, Tensor]] = []
    real = Model.__call__

    def record(self: Model, image: Tensor, own: Tensor, target: Tensor, dataset: Tensor) -> Tensor:
        rows.extend(zip(own, target, strict=True))
        return real(self, image, own, target, dataset)

    monkeypatch.setattr(Model, "__call__", record)
    return rows


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("Blond_Hair", v) for v in (1.0, 0.25)],
        *[("Black_Hair", v) for v in (1.0, 0.5)],
        *[("Male", v) for v in (1.0, 0.5, 0.0, -0.25)],
        *[("Young", v) for v in (1.0, 0.5, 0.0, -0.25)],
        *[(mood, v) for mood in MOODS.names for v in (1.0, 0.5)],
    ],
)
def test_a_wish_is_one_target(
    name: str, value: float, seed: int, told: list[tuple[Tensor, Tensor]], tmp_path: Path
) -> None:
    path = write_export(tmp_path / "g.safetensors", settings(FACES, MOODS), seed)
    translator = Translator.from_pretrained(path)
    picture = translator.prepare(photo())
    space = FACES if name in FACES.names else MOODS
    read = translator.predict(picture)
    own = LABELS.expand(
        space.read(torch.tensor([read[n] - 0.5 for n in space.names])), LABELS.spaces.index(space)
    )

    # The definition: part of the way from the own labels to those with it set, or cleared.
    whole, step = own.clone(), way(name, value)
    if step.on:
        whole[[LABELS.names.index(n) for n in space.group_of(name)]] = 0
    whole[LABELS.names.index(name)] = float(step.on)
    expected = own.lerp(whole, step.strength)

    translator(picture, {name: value})
    translator(picture, f"{name}={value:g}")
    assert len(told) == 2
    imaging.save_png(picture, tmp_path / "in" / "a.png")
    words = {"model": path, "input": tmp_path / "in", "output": tmp_path / "out", "device": "cpu"}
    translate({**words, "to": f"{name}={value:g}"})
    assert len(told) == 3

    model = Studio({"m": translator}, examples=tmp_path / "in").models[0]
    seen = model.see(picture)
    controls = model.controls
    assert seen.own is not None
    resting = [Setting(KEEP if c.is_choice else seen.own[c.names[0]]) for c in controls]
    place = next(i for i, c in enumerate(controls) if name in c.names)
    control = controls[place]
    chosen = str(control.names.index(name)) if control.is_choice else step.on
    resting[place] = Setting(chosen, step.strength)
    edits = edits_from(controls, resting, seen.own)
    if edits:
        model.translate(seen, edits)
        assert len(told) == 4
    else:  # A switch that stands where the photo is: nothing is asked for.
        assert torch.equal(own, expected)
    for before, target in told:
        assert torch.equal(before, own)
        torch.testing.assert_close(target, expected)
