"""LPIPS on a file in torchvision's AlexNet format."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torchmetrics.functional.image.lpips import _LPIPS
from torchvision.models import alexnet

from stargan.errors import UserError
from stargan.metrics.lpips import lpips


def test_the_file_s_weights_are_the_backbone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = alexnet(weights=None)
    path = tmp_path / "alexnet.pth"
    # Without the classifier, nine tenths of the file and no part of LPIPS.
    torch.save({k: v for k, v in network.state_dict().items() if "features" in k}, path)
    distance = lpips(path)
    image = torch.rand(3, 3, 64, 64) * 2 - 1
    other = torch.rand(3, 3, 64, 64) * 2 - 1
    found = distance(image, other)
    assert found.shape == (3,)
    assert (found > 0).all()
    assert torch.equal(distance(image, image), torch.zeros(3))
    torch.testing.assert_close(distance(other, image), found)

    reference = _LPIPS(net="alex", pnet_rand=True)
    names = [n.partition(".")[2] for n in reference.net.state_dict()]
    weights = [network.state_dict()[f"features.{n}"] for n in names]
    reference.net.load_state_dict(dict(zip(reference.net.state_dict(), weights, strict=True)))
    with torch.inference_mode():
        torch.testing.assert_close(reference.eval()(image, other).flatten(), found)

    # Smaller than AlexNet can see: enlarged until the shorter side has 64 pixels.
    small, wide = image[..., :32, :48], other[..., :32, :48]
    large = [F.interpolate(x, (64, 96), mode="bilinear") for x in (small, wide)]
    torch.testing.assert_close(distance(small, wide), distance(*large))
    assert (distance(small, wide) > 0).all()
    # Larger images stay as they are.
    both = [F.interpolate(x, (80, 64), mode="bilinear") for x in (image, other)]
    with torch.inference_mode():
        torch.testing.assert_close(reference(*both).flatten(), distance(*both))


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lpips=.* does not exist"):
        lpips(tmp_path / "missing.pth")
    text, other = tmp_path / "text.pth", tmp_path / "other.pth"
    text.write_text("root:x:0:0", encoding="utf-8")
    torch.save({"features.0.weight": torch.zeros(3)}, other)
    for path in (text, other):
        with pytest.raises(UserError, match="is not torchvision's AlexNet weight file"):
            lpips(path)
