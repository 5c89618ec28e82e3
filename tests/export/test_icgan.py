"""A trained IcGAN in every format: two networks that translate and one that reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stargan import Translator
from stargan.errors import UserError
from stargan.export import open_model
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.tasks import export
from stargan.training import checkpoints
from tests.rig import ATTRIBUTES, EXPRESSIONS, fit, make_engine, make_icgan
from tests.tiny import photo


@pytest.mark.parametrize("space", [ATTRIBUTES, EXPRESSIONS], ids=["attributes", "expressions"])
def test_all_formats_give_the_same(tmp_path: Path, space: LabelSpace) -> None:
    method = make_icgan(JointLabelSpace([space]), cgan_share=0.4, statistics_steps=1)
    fit(make_engine(method), 8)
    file = checkpoints.export(method, tmp_path)
    before = Translator.from_pretrained(file)
    assert set(before.model.parts.networks) == {"encoder", "generator", "classifier"}  # type: ignore[union-attr]
    wish = space.names[-1]
    images = torch.rand(5, 3, 16, 16) * 2 - 1
    expected = before(images, wish)
    # As the method itself translates.
    own = torch.stack([space.read(torch.randn(space.size)) for _ in range(5)])
    target = torch.stack([space.read(torch.randn(space.size)) for _ in range(5)])
    given = (images, own, target, torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(open_model(file)(*given), method.translate(*given))
    for name in ("m.safetensors", "m.onnx", "m.pt2", "folder"):
        place = tmp_path / name
        told = {"format": None if place.suffix else "hub", "precision": "fp32", "images": None}
        told |= {"tolerance": None, "classifier": True, "device": "cpu"}
        export.main({"model": str(file), "output": str(place), **told})
        after = Translator.from_pretrained(place, batch_size=2)
        assert (after(images, wish) - expected).abs().max() < 1e-4, name
        one, other = (np.asarray(t(photo(), like=photo(seed=1)), int) for t in (after, before))
        assert np.abs(one - other).max() <= 1
        assert after.predict(photo()) == pytest.approx(before.predict(photo()), abs=2e-3)
    told = {"model": str(file), "output": str(tmp_path / "i.onnx"), "precision": "int8"}
    told |= {"format": None, "images": None, "tolerance": None, "classifier": True, "device": "cpu"}
    with pytest.raises(UserError, match="one conditional generator only"):
        export.main(told)


def test_the_sign_of_the_published_output_is_the_label(tmp_path: Path) -> None:
    method = make_icgan()
    fit(make_engine(method, max_steps=4), 4)
    translator = Translator.from_pretrained(checkpoints.export(method, tmp_path))
    image = torch.rand(3, 16, 16) * 2 - 1
    method.eval()
    signs = method.label_encoder.signs(image[None])[0]
    for name, value in zip(translator.labels, signs.tolist(), strict=True):
        chance = translator.predict(image)[name]
        # Kept in half precision.
        assert chance == pytest.approx((1 + max(-0.999, min(value, 0.999))) / 2, abs=2e-3)
