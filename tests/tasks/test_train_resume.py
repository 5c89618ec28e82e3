"""The default recipe goes on exactly, wherever it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stargan import cli, configs
from stargan.errors import UserError
from stargan.training import checkpoints, saving
from stargan.training.engine import Engine
from stargan.training.metrics_log import read_rows
from tests.tasks.test_train import TINY

# Two data sets in turn; three steps of warm-up; G, R1 and the cycle every second step or turn.
MODERN = [
    *("method=stargan_modern", "data.image_size=32", "data.batch_size=4", "method.n_critic=2"),
    *("method.generator.channels=8", "method.generator.width=16", "method.generator.blocks=1"),
    *("method.discriminator.channels=8", "method.r1_every=2", "method.rec_every=2"),
    *("method.warmup_steps=3", "schedule=late", "trainer.max_steps=14", "trainer.accelerator=cpu"),
    *("log.every_n_steps=2", "log.samples_every_n_steps=1000", "log.sample_rows=2"),
    *("log.tensorboard=false", "callbacks.gan_health.gradients_every=1000"),
]


def joint(celeba: Path, classes: Path, run: Path, *more: str) -> list[str]:
    return [
        *("train", "experiment=joint", f"data.celeba.root={celeba}", f"data.rafd.root={classes}"),
        *("labels=[Blond_Hair,Male]", "data.celeba.crop=40", "data.celeba.partition=official"),
        *(f"run_dir={run}", *MODERN, *more),
    ]


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """End a run after a step as a signal does, whatever its length."""
    original: Any = ORIGINAL

    def ask(self: Any, trainer: Any, module: Engine, *rest: Any) -> None:
        if module.step == step:
            self.ask("the test")
        original(self, trainer, module, *rest)

    monkeypatch.setattr(saving.StopCleanly, "on_train_batch_end", ask)


ORIGINAL = saving.StopCleanly.on_train_batch_end


def assert_same(one: Path, two: Path) -> None:
    """Weights, averages, moments of Adam, counts and the log, bit for bit."""
    a, b = (checkpoints.load(run / "checkpoints" / "last.ckpt") for run in (one, two))
    for name, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][name]), name
    for mine, theirs in zip(a["optimizer_states"], b["optimizer_states"], strict=True):
        for key, state in mine["state"].items():
            for name, value in state.items():
                assert torch.equal(value, theirs["state"][key][name]), name
    # Readings of a clock.
    ignored = {"seconds": 0, "phase_began": 0}
    assert a["stargan"] | ignored == b["stargan"] | ignored


def terms(run: Path) -> dict[int, dict[str, float]]:
    rows = read_rows(run / "metrics.csv")
    return {int(row["step"]): {k: v for k, v in row.items() if k != "seconds"} for row in rows}


def write_another(folder: Path) -> str:
    """A method of one's own making: a discriminator that scores patches, and another game.

    The words that choose it.
    """
    method: Any = configs.compose("train", MODERN)["method"]
    method["discriminator"] = {
        "_target_": "stargan.networks.stargan.Discriminator",
        **{"channels": 8, "layers": None},
    }
    method |= {"lambda_gp": 0.0, "adversarial": "hinge", "precision": "32-true"}
    (folder / "method").mkdir(parents=True)
    (folder / "method" / "another.yaml").write_text(configs.to_yaml(method), encoding="utf-8")
    return f"conf={folder}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "stops"),
    [
        # Within the warm-up, at its end, and between two turns of G, R1 and the cycle.
        ("fp32", (2, 3, 8)),
        ("bf16 and workers", (3, 10)),
        ("another discriminator", (5,)),
    ],
)
def test_it_goes_on_exactly(
    kind: str,
    stops: tuple[int, ...],
    class_folder: Path,
    celeba_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    narrow = ["method.discriminator.width=16"]
    more = {
        "fp32": [*narrow, "trainer.precision=32-true"],
        "bf16 and workers": [*narrow, "trainer.precision=bf16-mixed", "data.num_workers=2"],
        "another discriminator": [],
    }[kind]
    if kind == "another discriminator":
        more = [write_another(tmp_path / "conf"), "method=another"]
    cli.run(joint(celeba_folder, class_folder, whole, *more))
    for i, step in enumerate(stops):
        stop_at(monkeypatch, step)
        cli.run(
            ["train", f"resume={parts}"] if i else joint(celeba_folder, class_folder, parts, *more)
        )
        saved = checkpoints.load(parts / "checkpoints" / "last.ckpt")["stargan"]
        assert saved["step"] == step
        assert saved["counts"] == {"D": step, "G": max(step - 3, 0) // 2}
        assert saved["phase_number"] == (0 if step <= 3 else 1)
    monkeypatch.undo()
    cli.run(["train", f"resume={parts}"])
    assert_same(whole, parts)
    mine, theirs = terms(whole), terms(parts)
    assert set(mine) <= set(theirs), "a stop writes a row of its own"
    assert mine[14] == theirs[14]
    assert all(value == value for value in mine[14].values())
    made = checkpoints.load(whole / "checkpoints" / "last.ckpt")["hyper_parameters"]
    expected = "stargan" if kind == "another discriminator" else "modern"
    assert made["discriminator"]["_target_"] == f"stargan.networks.{expected}.Discriminator"


def test_the_average_of_a_resumed_run_is_as_warm(
    class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its decay goes by the steps of G that were made before the resume too."""
    runs = {}
    for decay in ("0.999", "0.2"):
        run = tmp_path / decay
        words = ["train", "experiment=folder", f"data.root={class_folder}", f"run_dir={run}"]
        words += [*MODERN, f"method.ema_decay={decay}", "method.warmup_steps=0"]
        stop_at(monkeypatch, 6)
        cli.run([*words, "method.n_critic=1"])
        monkeypatch.undo()
        cli.run(["train", f"resume={run}"])
        runs[decay] = checkpoints.load(run / "checkpoints" / "last.ckpt")["state_dict"]
        assert any(name.startswith("ema.") for name in runs[decay])
    warm, cold = runs["0.999"], runs["0.2"]
    names = [n for n in warm if n.startswith("generator.") and "weight" in n]
    assert all(torch.equal(warm[n], cold[n]) for n in names), "the average moves nothing else"

    def lag(state: dict[str, Any]) -> float:
        """How far the average is behind G."""
        pairs = [(state[n], state[n.replace("generator.", "ema.", 1)]) for n in names]
        return float(sum((a - b).abs().sum() for a, b in pairs))

    # After 14 steps the decay is (1 + 13) / (10 + 13) = 0.61, far below 0.999.
    assert lag(cold) < lag(warm) < 20 * lag(cold)


def test_sixteen_bits_are_refused_in_one_sentence(class_folder: Path, tmp_path: Path) -> None:
    words = ["train", "experiment=folder", f"data.root={class_folder}", *TINY]
    for precision in ("16-mixed", "bf16-true", "16-true"):
        with pytest.raises(UserError, match="32-true or bf16-mixed") as caught:
            cli.run([*words, f"run_dir={tmp_path / 'run'}", f"trainer.precision={precision}"])
        assert "\n" not in str(caught.value)


def test_a_run_of_before_is_refused_in_one_sentence(class_folder: Path, tmp_path: Path) -> None:
    """Its steps drew other numbers: it cannot go on exactly, but its model opens."""
    run = tmp_path / "run"
    words = ["train", "experiment=folder", f"data.root={class_folder}", *TINY]
    cli.run([*words, f"run_dir={run}", "trainer.max_steps=2"])
    last = run / "checkpoints" / "last.ckpt"
    old = checkpoints.load(last)
    old["stargan"] = {k: old["stargan"][k] for k in ("step", "seconds", "max_steps")}
    torch.save(old, last)
    before = last.read_bytes()
    with pytest.raises(UserError, match="training has to start anew") as caught:
        cli.run(["train", f"resume={run}", "trainer.max_steps=4"])
    assert "\n" not in str(caught.value)
    assert last.read_bytes() == before, "nothing saved is lost"
