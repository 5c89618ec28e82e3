"""How long the published experiments are, how their rates fall, and in which order data sets come.

Choi et al., CVPR 2018, section 5 (10 + 10 epochs of CelebA, 100 + 100 of RaFD, batches of 16), and
the published code: ``num_iters`` 200,000 of ``main.py``; ``train_multi`` of ``solver.py``.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image

from stargan import cli, configs
from stargan.data.datamodule import DataModule
from stargan.data.sampler import StepSampler
from stargan.errors import UserError
from stargan.evaluation.suite import composed as suite_composed
from stargan.evaluation.suite import plan
from stargan.labels import LabelSpace
from stargan.training.run import check, run_length
from stargan.training.schedules import lr_factor
from tests.rig import ATTRIBUTES, EXPRESSIONS, JOINT, Watch, fit, make_engine, make_stargan

ROOTS = {
    "celeba": ["data.root=x"],
    "rafd": ["data.root=x"],
    "joint": ["data.celeba.root=x", "data.rafd.root=x"],
}


def composed(*words: str) -> dict[str, Any]:
    name = words[0].partition("=")[2]
    config = configs.of_training([*words, *ROOTS[name]])
    check(config)
    return config


class Many:
    """So many images that nobody loads."""

    where = "nowhere"

    def __init__(self, space: LabelSpace, count: int) -> None:
        self.space, self.labels = space, torch.zeros(count, space.size)
        self.labels[:, 0] = 1

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Image.Image:
        raise NotImplementedError

    def name(self, index: int) -> str:
        return str(index)


def module(space: LabelSpace, count: int) -> DataModule:
    return DataModule({"x": lambda split: Many(space, count)}, 128, 16, cache=False)


# Training images of the paper: 202,599 - 2,000 of CelebA, 90 % of 4,824 of RaFD.
@pytest.mark.parametrize(
    ("name", "space", "images", "epochs", "steps"),
    [("celeba", ATTRIBUTES, 200_599, 20, 250_740), ("rafd", EXPRESSIONS, 4_342, 200, 54_200)],
)
def test_length_of_paper_and_code(
    name: str, space: LabelSpace, images: int, epochs: int, steps: int
) -> None:
    data = module(space, images)
    code = composed(f"experiment={name}")
    assert run_length(code, data) == 200_000
    assert code["length"] == "official"
    paper = composed(f"experiment={name}", "length=paper")
    assert paper["trainer"]["max_epochs"] == epochs
    assert run_length(paper, data) == steps
    for config, length in ((code, 200_000), (paper, steps)):
        assert config["schedule"] == "paper"
        assert config["method"]["generator_lr"] == config["method"]["discriminator_lr"] == 1e-4
        # Constant for the first half; paper: 10 of 20 epochs, code: 100,000 of 200,000 steps.
        factors = [lr_factor("paper", at, length) for at in (length // 2, length // 2 + 1, length)]
        assert factors[0] == 1 > factors[1]
        assert factors[2] == 0
    # A length that is typed needs no word about the other.
    assert run_length(composed(f"experiment={name}", "trainer.max_steps=7"), data) == 7
    with pytest.raises(UserError, match="both say how long the run is"):
        composed(f"experiment={name}", "length=paper", "trainer.max_steps=7")
    null = composed(f"experiment={name}", "trainer.max_epochs=3", "trainer.max_steps=null")
    assert run_length(null, data) == 3 * (steps // epochs)


def test_a_comparison_is_as_long_as_it_says() -> None:
    config = cli.load("compare", ["suite=rafd", "length=paper", "data.root=x", "output=y"], True)
    comparison = plan(config, {"expressions": EXPRESSIONS})
    judge, *runs = comparison.trainings
    assert judge is comparison.judge
    assert all("length=paper" in run.words for run in runs)
    # The judge has its own.
    for run, epochs in ((judge, None), (runs[-1], 200)):
        assert suite_composed(run)["trainer"]["max_epochs"] == epochs


def test_joint_is_two_hundred_thousand_iterations_of_two_steps() -> None:
    config = composed("experiment=joint")
    assert config["trainer"]["max_steps"] == 400_000
    assert config["method"]["order"] == "official"
    assert composed("experiment=joint", "length=single")["trainer"]["max_steps"] == 200_000
    # Other methods keep their own length.
    modern = composed("experiment=joint", "method=stargan_modern")
    assert modern["trainer"]["max_steps"] == modern["method"]["max_steps"] == 100_000
    assert composed("experiment=joint", "trainer.max_epochs=3")["trainer"]["max_epochs"] == 3
    with pytest.raises(UserError, match=r"length=paper is unknown\. Known: official, single"):
        composed("experiment=joint", "length=paper")
    # Rates fall over the last 100,000 iterations; official: by 1e-5 of them in every 1,000.
    official = [lr_factor("official", s, 400_000, round=2) for s in (201_999, 202_000, 400_000)]
    assert official == pytest.approx([1, 1 - 1e-5, 0.999], abs=1e-12)
    assert [lr_factor("paper", s, 400_000) for s in (200_000, 300_000)] == [1, 0.5]


def published(iterations: int, n_critic: int) -> list[tuple[str, int]]:
    """The updates of ``train_multi``: for each data set D, and in every fifth iteration G."""
    found = []
    for i in range(iterations):
        for dataset in (0, 1):
            found.append(("D", dataset))
            if (i + 1) % n_critic == 0:
                found.append(("G", dataset))
    return found


def ours(steps: int, **settings: Any) -> list[tuple[str, int]]:
    method = make_stargan(JOINT, n_critic=5, **settings)
    (phase,) = method.phases()
    tables = [torch.eye(3, 5), torch.eye(3)]
    period = method.feed().period
    sampler = StepSampler(tables, [ATTRIBUTES, EXPRESSIONS], 2, steps, period=period)
    return [
        (update.group, sampler.batch(step)[0].dataset)
        for step in range(steps)
        for update in phase.updates
        if (step // update.round + 1) % update.every == 0
    ]


def test_joint_order_is_the_published_codes() -> None:
    assert ours(40, order="official") == published(20, 5)
    letters = "".join(group for group, _ in ours(10, order="official"))
    assert letters == "DDDDDDDDDGDG"
    assert "".join(group for group, _ in ours(10, order="turns")) == "DDDDDGDDDDDG"
    with pytest.raises(UserError, match=r"they have no order: add method\.order=turns"):
        composed("experiment=joint", "data.mixed=true")
    assert composed("experiment=joint", "data.mixed=true", "method.order=turns")
    # In turns G sees each data set, too.
    assert {d for g, d in ours(20, order="turns") if g == "G"} == {0, 1}
    with pytest.raises(UserError, match="order=paper is unknown: choose official or turns"):
        make_stargan(JOINT, order="paper")


def test_with_one_data_set_the_orders_are_one() -> None:
    one, other = (make_stargan(order=order) for order in ("official", "turns"))
    assert one.round == other.round == 1
    assert one.feed() == other.feed()


def test_the_engine_keeps_order_and_schedule_of_iterations() -> None:
    method, watch = make_stargan(JOINT, n_critic=3, order="official"), Watch()
    engine = make_engine(method, max_steps=400_000, schedule="official")
    engine.step = 201_994  # Even, as a new phase of a run begins.
    fit(engine, 10, watch)
    # The third iteration: its two steps move G, too.
    assert watch.steps_of("discriminator") == list(range(1, 11))
    assert watch.steps_of("generator") == [5, 6]
    rates = [rate["D"] for rate in watch.rates]
    assert rates[5] == pytest.approx(1e-4, abs=1e-15)
    assert rates[6] == pytest.approx(0.99999e-4, abs=1e-15)
