"""Training from Python gives the final figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from stargan.errors import UserError
from stargan.training import train


@pytest.mark.slow
def test_train_returns_the_final_figures(tmp_path: Path) -> None:
    figures = train(
        [
            *("experiment=demo", f"run_dir={tmp_path / 'run'}", "data.image_size=16"),
            *("data.batch_size=4", "data.attributes.count.train=64"),
            *("data.attributes.count.val=8", "data.attributes.count.test=8"),
            *("trainer.max_steps=4", "trainer.max_minutes=null", "trainer.accelerator=cpu"),
            *("log.every_n_steps=2", "log.tensorboard=false", "method.generator.channels=8"),
            *("method.generator.width=16", "method.discriminator.channels=8"),
        ]
    )
    assert figures["step"] == 4
    assert 0 < figures["seconds"] < 600
    assert figures["D/adv"] > 0
    # The judge of the drawn faces has looked at the exported file.
    assert 0 <= figures["attributes/Male/error"] <= 1


def test_bad_words_are_what_the_command_refuses() -> None:
    with pytest.raises(UserError, match="which experiment"):
        train([])
    with pytest.raises(UserError, match="unknown key 'trainer\\.max_stepz'"):
        train(["experiment=demo", "trainer.max_stepz=3"])
