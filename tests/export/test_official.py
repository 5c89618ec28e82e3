"""Weights of the published code: the layout is rebuilt here from its description."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stargan import cli
from stargan.errors import UserError
from stargan.export import open_model, open_parts
from stargan.export.official import read_official, write_official
from stargan.labels import JointLabelSpace
from stargan.tasks import import_official
from tests.tiny import FACES, MOODS, settings, tiny_networks, write_checkpoint, write_export


def norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=True)


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        layers = [nn.Conv2d(c, c, 3, 1, 1, bias=False), norm(c), nn.ReLU()]
        self.main = nn.Sequential(*layers, nn.Conv2d(c, c, 3, 1, 1, bias=False), norm(c))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


class Published(nn.Module):
    """G of the paper's table 4, statistics tracked, as the published files have it."""

    def __init__(self, condition: int, channels: int = 8, blocks: int = 2) -> None:
        super().__init__()
        c = channels
        layers: list[nn.Module] = [nn.Conv2d(3 + condition, c, 7, 1, 3, bias=False), norm(c)]
        layers.append(nn.ReLU())
        for size in (c, 2 * c):
            layers += [nn.Conv2d(size, 2 * size, 4, 2, 1, bias=False), norm(2 * size), nn.ReLU()]
        layers += [Residual(4 * c) for _ in range(blocks)]
        for size in (4 * c, 2 * c):
            up = nn.ConvTranspose2d(size, size // 2, 4, 2, 1, bias=False)
            layers += [up, norm(size // 2), nn.ReLU()]
        layers += [nn.Conv2d(c, 3, 7, 1, 3, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        planes = condition[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return self.main(torch.cat([image, planes], 1))


class PublishedJudge(nn.Module):
    """D of table 5 with three layers, for 32 px."""

    def __init__(self, labels: int, channels: int = 8, layers: int = 3) -> None:
        super().__init__()
        sizes = [3, *(channels * 2**i for i in range(layers))]
        main: list[nn.Module] = []
        for before, after in pairwise(sizes):
            main += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.01)]
        self.main = nn.Sequential(*main)
        self.conv1 = nn.Conv2d(sizes[-1], 1, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(sizes[-1], labels, 4, bias=False)


def published(folder: Path, condition: int, labels: int) -> tuple[Published, Path, Path]:
    """Networks that trained a little, so that their statistics are not fresh, and their files."""
    torch.manual_seed(0)
    generator, judge = Published(condition), PublishedJudge(labels)
    with torch.no_grad():
        for p in generator.parameters():
            p.normal_(std=0.3)
        for _ in range(3):
            generator(torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, condition))
    files = folder / "200000-G.ckpt", folder / "200000-D.ckpt"
    torch.save(generator.state_dict(), files[0])
    torch.save(judge.state_dict(), files[1])
    return generator.train(), *files


LAYOUTS = {
    "celeba5": ("celeba5", 5, 5),
    "rafd8": ("rafd8", 8, 8),
    "joint": ("joint", 15, 13),
    "own": (["Male", "Smiling"], 2, 2),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_translates_as_the_published_code_in_its_own_mode(tmp_path: Path, name: str) -> None:
    words, condition, size = LAYOUTS[name]
    generator, g_file, d_file = published(tmp_path, condition, size)
    import_official.main(
        {
            "generator": str(g_file),
            "discriminator": str(d_file),
            "labels": words,
            "output": str(tmp_path / "model.safetensors"),
            "image_size": None,
            "crop": "auto",
        }
    )
    model = open_model(tmp_path / "model.safetensors")
    assert model.size == (32, 32)  # D tells.
    image = torch.rand(3, 3, 32, 32) * 2 - 1
    label = torch.zeros(3, size)
    label[:, 0] = 1
    dataset = torch.zeros(3, dtype=torch.long)
    with torch.no_grad():
        expected = generator(image, model.labels.condition(label, dataset))
    assert (model(image, 1 - label, label, dataset) - expected).abs().max() < 1e-5
    assert expected.std() > 0.1
    # In evaluation mode the published network is another one: the statistics matter.
    with torch.no_grad():
        wrong = generator.eval()(image, model.labels.condition(label, dataset))
    assert (wrong - expected).abs().max() > 0.01


@pytest.mark.parametrize("spaces", [(FACES,), (FACES, MOODS)], ids=["single", "joint"])
def test_writes_what_the_published_code_loads_strictly(tmp_path: Path, spaces: tuple) -> None:
    parts = open_parts(write_export(tmp_path / "g.safetensors", settings(*spaces)), "translator")
    files, (command, *more) = write_official(tmp_path / "1000-G.ckpt", parts)
    # Of an exported file, which keeps D in half precision.
    assert "before you train on from it" in " ".join(more)
    assert [f.name for f in files] == ["1000-G.ckpt", "1000-D.ckpt"]
    generator = Published(parts.labels.condition_size, blocks=1)
    generator.load_state_dict(torch.load(files[0], weights_only=True))
    judge = PublishedJudge(parts.labels.size)
    judge.load_state_dict(torch.load(files[1], weights_only=True))
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    condition = torch.rand(2, parts.labels.condition_size)
    with torch.no_grad():
        difference = generator.train()(image, condition) - parts.networks["generator"](
            image, condition
        )
    assert difference.abs().max() < 1e-5
    assert "--c_dim 5" in command
    assert ("--c2_dim 3" in command) == (len(spaces) == 2)


def test_refuses_other_files_in_one_sentence(tmp_path: Path) -> None:
    _, g_file, d_file = published(tmp_path, 5, 5)
    faces, moods = JointLabelSpace([FACES]), JointLabelSpace([MOODS])
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"a": torch.zeros(1)}, tmp_path / "foreign.ckpt")
    state = torch.load(g_file, weights_only=True)
    state.pop("main.1.weight")
    torch.save(state, tmp_path / "part.ckpt")
    for generator, judge, labels, size, words in [
        ("nowhere.ckpt", None, faces, None, "does not exist"),
        ("text.ckpt", None, faces, None, "damaged"),
        ("foreign.ckpt", None, faces, None, "no generator of the published code"),
        ("part.ckpt", None, faces, None, "layout"),
        (g_file.name, None, moods, None, "takes a condition of 5 values"),
        (g_file.name, g_file.name, faces, None, "no discriminator of the published code"),
        (g_file.name, d_file.name, faces, 64, "trained on images of 32 pixels"),
    ]:
        with pytest.raises(UserError, match=words) as caught:
            read_official(
                tmp_path / generator, None if judge is None else tmp_path / judge, labels, {}, size
            )
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["celeba", 5, [], [["a"]], [["a"], []], ["a", ["b"]]])
def test_refuses_labels_that_are_none(value: object) -> None:
    with pytest.raises(UserError):
        import_official.label_spaces(value)


def test_presets_have_the_paper_s_sizes() -> None:
    sizes = {
        name: import_official.label_spaces(name).condition_size for name in LAYOUTS if name != "own"
    }
    assert sizes == {"celeba5": 5, "rafd8": 8, "joint": 15}
    assert import_official.label_spaces("classes:[a, b]").spaces[0].categorical


def test_a_run_gives_its_discriminator_with_all_digits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, plain = tmp_path / "run", settings(FACES)
    write_export(run / "generator.safetensors", plain)
    write_checkpoint(run / "checkpoints" / "last.ckpt", plain)
    _, trained = tiny_networks(plain, 0)
    words = ["export", f"output={tmp_path / '1000-G.ckpt'}"]

    def written() -> dict[str, Tensor]:
        found: dict[str, Tensor] = torch.load(tmp_path / "1000-D.ckpt", weights_only=True)
        assert {tensor.dtype for tensor in found.values()} == {torch.float32}
        return found

    def largest(found: dict[str, Tensor]) -> float:
        return max(float((v - found[k]).abs().max()) for k, v in trained.state_dict().items())

    cli.run([*words, f"model={run}"])
    assert largest(written()) == 0
    assert "keeps D" not in capsys.readouterr().out
    # The exported file alone keeps D in half precision: that is said.
    cli.run([*words, f"model={run / 'generator.safetensors'}"])
    assert 0 < largest(written()) < 1e-3
    assert "three digits to which the file given keeps D" in capsys.readouterr().out
