"""The engine on a method of two numbers, whose losses write down what they see."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stargan.contracts import Batch
from stargan.errors import UserError
from stargan.methods.base import Method
from stargan.methods.phases import Average, Group, Phase, Shared, Terms, Until, Update
from stargan.networks.averaging import start_average, update_average
from stargan.training.engine import Engine
from stargan.training.schedules import SCHEDULES, lr_factor
from tests.rig import SINGLE, Watch, fit, image_of, make_batch, make_engine


class Number(nn.Module):
    """One weight, and a buffer that counts its passes."""

    passes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("passes", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.passes += 1
        return self.weight * x


class Seen(NamedTuple):
    """What a loss saw."""

    group: str
    flags: Mapping[str, bool]
    trained: str
    shared_has_graph: bool | None
    drawn: float


class Toy(Method):
    """Groups A of ``a`` and B of ``b``. Both losses have gradient 1: Adam goes down by the rate.

    Args:
        phases: the phases, made of the method.
        lr: of both groups.
        averages: of group A.
    """

    def __init__(
        self,
        phases: Callable[[Toy], tuple[Phase, ...]],
        lr: float = 0.01,
        averages: tuple[Average, ...] = (),
    ) -> None:
        super().__init__(labels=SINGLE.to_plain(), image=image_of(SINGLE, 8))
        self.a, self.b = Number(), Number()
        self.kept = start_average(self.a)
        self.lr, self.averages = lr, averages
        self.seen: list[Seen] = []
        self.made: list[bool] = []
        self._phases = phases(self)

    def groups(self) -> dict[str, Group]:
        return {
            "A": Group(("a",), self.lr, (0.0, 0.0), averages=self.averages),
            "B": Group(("b",), self.lr, (0.0, 0.0)),
        }

    def phases(self) -> tuple[Phase, ...]:
        return self._phases

    def fakes(self, batch: Batch) -> Shared:
        self.made.append(torch.is_grad_enabled())
        return {"fake": self.a(torch.ones(2, 1)), "other": torch.ones(1)}

    def see(self, group: str, shared: Shared, flags: Mapping[str, bool]) -> None:
        names = [n for n in ("a", "b", "kept") if getattr(self, n).weight.requires_grad]
        graph = shared["fake"].requires_grad if "fake" in shared else None
        self.seen.append(Seen(group, flags, "".join(names), graph, float(torch.rand(()))))

    def loss_a(self, batch: Batch, shared: Shared, **flags: bool) -> tuple[Tensor, Terms]:
        self.see("A", shared, flags)
        loss = self.a(torch.ones(1)).sum() * self.b.weight.sum() / self.b.weight.detach().sum()
        return loss, {"A/loss": loss}

    def loss_b(self, batch: Batch, shared: Shared, **flags: bool) -> tuple[Tensor, Terms]:
        self.see("B", shared, flags)
        loss = self.b(torch.ones(1)).sum() + 0 * shared.get("fake", torch.zeros(1)).sum()
        return loss, {"B/loss": loss}

    @property
    def order(self) -> str:
        """The groups in the order in which they stepped."""
        return "".join(one.group for one in self.seen)


def both(toy: Toy, **settings: Any) -> Phase:
    return Phase("both", (Update("A", toy.loss_a), Update("B", toy.loss_b)), **settings)


def only(toy: Toy, group: str, until: Until | None = None, **settings: Any) -> Phase:
    loss = toy.loss_a if group == "A" else toy.loss_b
    return Phase(group, (Update(group, loss, **settings),), until=until)


def run(toy: Toy, steps: int, *callbacks: pl.Callback, **settings: Any) -> Engine:
    return fit(make_engine(toy, **settings), [make_batch(toy)] * steps, *callbacks)


# Phases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "steps"),
    [
        (Until(steps=3), 3),
        (Until(share=0.4), 4),
        (Until(steps=3, share=0.4), 3),
        (Until(steps=7, share=0.4), 4),
        (Until(steps=0), 0),
        (Until(), 10),
    ],
)
def test_a_phase_lasts_for_its_steps_or_its_share_of_them(until: Until, steps: int) -> None:
    toy = Toy(lambda toy: (only(toy, "A", until), only(toy, "B")))
    engine = run(toy, 10, max_steps=10)
    assert toy.order == "A" * steps + "B" * (10 - steps)
    assert engine.counts == {"A": steps, "B": 10 - steps}
    assert engine.step == 10
    assert (engine.phase_number, engine.phase_step) == ((1, 10 - steps) if steps < 10 else (0, 10))


def test_phases_come_in_their_order_and_the_last_one_stays() -> None:
    toy = Toy(lambda toy: (only(toy, "A", Until(2)), only(toy, "B", Until(1)), both(toy)))
    engine = run(toy, 5)
    assert toy.order == "AAB" + "ABAB"
    assert engine.phase.name == "both"


class Clock(pl.Callback):
    """Ten seconds a step, as if all processes had heard so."""

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        module.clock = 10.0 * module.step


@pytest.mark.parametrize(
    ("until", "steps"), [(Until(share=0.4), 4), (Until(steps=6), 6), (Until(steps=6, share=0.4), 4)]
)
def test_a_share_is_of_the_time_too_where_it_is_limited(until: Until, steps: int) -> None:
    toy = Toy(lambda toy: (only(toy, "A", until), only(toy, "B")))
    run(toy, 8, Clock(), max_steps=1000, max_seconds=100.0)
    assert toy.order == "A" * steps + "B" * (8 - steps)
    # Without a limit the time does not matter.
    toy = Toy(lambda toy: (only(toy, "A", Until(share=0.007)), only(toy, "B")))
    run(toy, 8, Clock(), max_steps=1000)
    assert toy.order == "A" * 7 + "B"


def test_a_share_of_the_time_is_counted_from_the_beginning_of_the_phase() -> None:
    """Ten seconds a step, of a hundred: half, then a fifth, then the rest."""
    toy = Toy(
        lambda toy: (
            only(toy, "A", Until(share=0.5)),
            only(toy, "B", Until(share=0.2)),
            only(toy, "A"),
        )
    )
    engine = run(toy, 9, Clock(), max_steps=1000, max_seconds=100.0)
    assert toy.order == "A" * 5 + "B" * 2 + "A" * 2
    assert engine.state()["phase_began"] == 70.0
    # A checkpoint of before there was such a word is of a first phase, or of a last one.
    state = {k: v for k, v in engine.state().items() if k != "phase_began"}
    engine.restore(state)
    assert engine.phase_began == 0.0


class Modes(pl.Callback):
    """Whether the two networks were in training mode in each step."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, bool]] = []

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        self.seen.append((module.method.a.training, module.method.b.training))


def test_a_phase_says_which_networks_are_in_evaluation_mode() -> None:
    toy = Toy(
        lambda toy: (
            only(toy, "A", Until(2)),
            both(toy, until=Until(1), evaluating=("a",)),
            only(toy, "B"),
        )
    )
    modes = Modes()
    run(toy, 4, modes)
    assert modes.seen == [(True, True)] * 2 + [(False, True)] + [(True, True)]
    assert float(toy.a.passes) == 2, "its third pass left no trace"


def test_a_phase_without_updates_makes_what_is_shared_and_moves_nothing() -> None:
    toy = Toy(lambda toy: (Phase("passes", (), shared=toy.fakes, until=Until(3)), only(toy, "B")))
    watch = Watch()
    engine = run(toy, 4, watch)
    assert toy.made == [False] * 3, "no graph is made"
    assert float(toy.a.passes) == 3
    assert watch.moved == [{"a"}] * 3 + [{"b"}], "a by its buffer alone"
    assert float(toy.a.weight) == 1
    assert engine.counts == {"A": 0, "B": 1}
    assert (engine.step, engine.stepped) == (4, ("B",))


def test_running_statistics_agree_in_a_phase_without_updates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[int, int]] = []

    def average(parameters: Any, statistics: Any) -> None:
        told.append((len(list(parameters)), len(list(statistics))))

    monkeypatch.setattr("stargan.training.engine.world_size", lambda: 2)
    monkeypatch.setattr("stargan.training.engine.average_gradients", average)
    toy = Toy(lambda toy: (Phase("passes", (), shared=toy.fakes, until=Until(2)), both(toy)))
    toy.a.norm = nn.BatchNorm1d(3)
    run(toy, 3)
    # With updates, at the last one of a step.
    assert told == [(0, 2), (0, 2), (3, 0), (1, 2)]


def test_what_no_step_has_moved_is_known() -> None:
    toy = Toy(lambda toy: (only(toy, "B", Until(2)), both(toy)))
    toy.prefixes = lambda: {"one": "a", "two": "b", "mean": "kept"}  # type: ignore[method-assign]
    toy.averages = (Average("kept", "a", 0.9),)
    toy.roles = lambda: {"read": {"networks": ["two"]}}  # type: ignore[method-assign]
    engine = make_engine(toy)
    assert engine.untrained() == ["one", "two", "mean"]
    fit(engine, [make_batch(toy)] * 2)
    assert engine.untrained() == ["one", "mean"]
    assert not engine.translates, "it has nothing to translate with"
    toy.roles = lambda: {"translate": {"networks": ["mean"]}}  # type: ignore[method-assign]
    assert not engine.translates
    fit(engine, [make_batch(toy)])
    assert engine.untrained() == []
    assert engine.translates


# Updates ------------------------------------------------------------------------------------------


def test_every_is_counted_in_the_steps_of_the_phase() -> None:
    toy = Toy(
        lambda toy: (
            only(toy, "B", Until(2)),
            Phase("gan", (Update("B", toy.loss_b), Update("A", toy.loss_a, every=3))),
        )
    )
    watch = Watch()
    engine = run(toy, 9, watch)
    assert watch.steps_of("a") == [5, 8]
    assert watch.steps_of("b") == list(range(1, 10))
    assert engine.counts == {"A": 2, "B": 9}
    assert engine.stepped == ("B",)
    assert set(engine.terms) == {"B/loss"}


def test_lazy_flags_are_counted_in_the_steps_of_the_group() -> None:
    toy = Toy(
        lambda toy: (
            only(toy, "B", Until(1)),
            Phase(
                "gan",
                (
                    Update("B", toy.loss_b, lazy={"r1": 2, "often": 1}),
                    Update("A", toy.loss_a, every=2, lazy={"cycle": 3}),
                ),
            ),
        )
    )
    run(toy, 9, max_steps=100)
    of_b = [one.flags for one in toy.seen if one.group == "B"]
    assert of_b[0] == {}, "the other phase's update has none"
    # Its step in the first phase counts.
    assert [flags["r1"] for flags in of_b[1:]] == [False, True] * 4
    assert all(flags["often"] for flags in of_b[1:])
    of_a = [one.flags["cycle"] for one in toy.seen if one.group == "A"]
    assert of_a == [True, False, False, True]


def test_only_the_networks_of_the_group_have_gradients() -> None:
    toy = Toy(lambda toy: (both(toy),))
    engine = run(toy, 2)
    assert [one.trained for one in toy.seen] == ["a", "b", "a", "b"]
    assert [p.requires_grad for p in toy.parameters()] == [True, True, False]
    # A's loss reads b's weight, and yet b's gradient is that of its own loss.
    assert float(toy.b.weight.grad) == 1  # type: ignore[arg-type]
    assert toy.kept.weight.grad is None
    assert engine.parameters_of("A") == [toy.a.weight]


def test_a_loss_that_fails_leaves_no_network_frozen() -> None:
    def broken(batch: Batch, shared: Shared) -> tuple[Tensor, Terms]:
        raise ValueError("broken")

    toy = Toy(lambda toy: (Phase("x", (Update("A", broken),)),))
    with pytest.raises(ValueError, match="broken"):
        run(toy, 1)
    assert toy.b.weight.requires_grad


def test_images_cross_as_bytes_and_become_floats() -> None:
    toy = Toy(lambda toy: (only(toy, "A"),))
    batch = make_batch(toy)
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    seen = make_engine(toy).on_after_batch_transfer(batch._replace(image=pixels), 0)
    assert seen.image.dtype == torch.float32
    torch.testing.assert_close(seen.image, pixels.double().div(127.5).sub(1).float())
    assert torch.equal(make_engine(toy).on_after_batch_transfer(batch, 0).image, batch.image)


# What updates have in common ----------------------------------------------------------------------


def test_what_updates_share_is_made_once_and_has_a_graph_for_its_owner_alone() -> None:
    toy = Toy(
        lambda toy: (
            Phase(
                "gan",
                (Update("B", toy.loss_b), Update("A", toy.loss_a, every=2)),
                shared=toy.fakes,
                shared_by="A",
            ),
        )
    )
    engine = run(toy, 4)
    # No graph is made in a step without A's update.
    assert toy.made == [False, True, False, True]
    graphs = {name: [s.shared_has_graph for s in toy.seen if s.group == name] for name in "AB"}
    assert graphs == {"A": [True, True], "B": [False] * 4}
    assert engine.fake is not None
    assert engine.fake.shape == (2, 1), "what is called fake, and nothing else"
    assert not engine.fake.requires_grad


def test_a_phase_without_fakes_shows_none() -> None:
    toy = Toy(lambda toy: (both(toy, shared=toy.fakes, until=Until(1)), only(toy, "B")))
    engine = run(toy, 1)
    assert engine.fake is not None
    fit(engine, 1)
    assert engine.fake is None


# Learning rates -----------------------------------------------------------------------------------


def falls(weights: list[float]) -> list[float]:
    """How far the weight went down at each step; it begins at 1."""
    return [a - b for a, b in zip([1.0, *weights], weights, strict=False)]


class Weights(pl.Callback):
    """The two numbers after each step."""

    def __init__(self) -> None:
        self.a: list[float] = []
        self.b: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        self.a.append(module.method.a.weight.item())
        self.b.append(module.method.b.weight.item())


def test_rates_follow_the_schedule_except_where_an_update_has_its_own() -> None:
    toy = Toy(
        lambda toy: (Phase("x", (Update("A", toy.loss_a), Update("B", toy.loss_b, lr=0.05))),)
    )
    weights = Weights()
    run(toy, 4, weights, schedule="paper", max_steps=4)
    assert falls(weights.a) == pytest.approx([0.01, 0.01, 0.01, 0.005], rel=1e-3)
    assert falls(weights.b) == pytest.approx([0.05] * 4, rel=1e-3)


def test_a_ramp_rises_over_the_steps_of_its_phase() -> None:
    toy = Toy(lambda toy: (only(toy, "A", Until(2)), only(toy, "B", lr=0.04, ramp=4)))
    weights = Weights()
    run(toy, 8, weights)
    assert falls(weights.b[2:]) == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.04, 0.04], rel=1e-3)
    assert falls(weights.a)[:2] == pytest.approx([0.01, 0.01], rel=1e-3)


def test_rollbacks_scale_all_rates() -> None:
    toy = Toy(
        lambda toy: (
            Phase("x", (Update("A", toy.loss_a), Update("B", toy.loss_b, lr=0.04, ramp=2))),
        )
    )
    engine, weights = make_engine(toy), Weights()
    engine.lr_scale = 0.5
    fit(engine, [make_batch(toy)] * 2, weights)
    assert falls(weights.a) == pytest.approx([0.005, 0.005], rel=1e-3)
    assert falls(weights.b) == pytest.approx([0.01, 0.02], rel=1e-3)
    assert engine.learning_rates() == pytest.approx({"A": 0.005, "B": 0.02})


def test_schedules() -> None:
    def factors(name: str, steps: int, *at: int) -> list[float]:
        return [lr_factor(name, step, steps) for step in at]

    assert factors("paper", 200_000, 0, 99_999, 100_000, 150_000, 200_000) == [1, 1, 1, 0.5, 0]
    assert factors("paper", 5, 0, 1, 2, 3, 4) == pytest.approx([1, 1, 1, 2 / 3, 1 / 3])
    official = factors("official", 200_000, 0, 100_000, 101_000, 200_000)
    assert official == pytest.approx([1, 1, 1 - 1e-5, 0.999])
    assert factors("constant", 100, 0, 10**9) == [1, 1]
    assert factors("late", 100, 0, 70, 85, 100) == pytest.approx([1, 1, 0.5, 0])
    # Of the time or of the steps, whichever is nearer its end.
    assert lr_factor("late", 10, 100, 0.85) == pytest.approx(0.5)
    assert lr_factor("late", 85, 100, 0.1) == pytest.approx(0.5)
    assert lr_factor("late", 10, 100, 1.5) == 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_never_rise_and_stay_in_their_bounds(name: str) -> None:
    values = [lr_factor(name, step, 1000) for step in range(1001)]
    assert values[0] == 1
    assert all(0 <= b <= a for a, b in itertools.pairwise(values))


def test_the_schedule_follows_the_time_that_all_have_heard() -> None:
    toy = Toy(lambda toy: (only(toy, "A"),))
    weights = Weights()
    run(toy, 11, weights, Clock(), schedule="late", max_steps=1000, max_seconds=100.0)
    expected = [0.01] * 8 + [0.01 * f for f in (2 / 3, 1 / 3, 0)]
    assert falls(weights.a) == pytest.approx(expected, rel=1e-3, abs=1e-6)


# Averages -----------------------------------------------------------------------------------------


def test_an_average_follows_its_group_with_a_warm_up_and_copies_buffers() -> None:
    average = Average("kept", "a", 0.15)
    toy = Toy(
        lambda toy: (Phase("x", (Update("B", toy.loss_b), Update("A", toy.loss_a, every=2))),),
        averages=(average,),
    )
    watch, weights = Watch(), Weights()
    run(toy, 6, watch, weights)
    assert watch.steps_of("kept") == [2, 4, 6]
    kept = 1.0
    for count, weight in enumerate((weights.a[1], weights.a[3], weights.a[5])):
        decay = min(0.15, (1 + count) / (10 + count))
        kept = decay * kept + (1 - decay) * weight
    assert float(toy.kept.weight) == pytest.approx(kept, rel=1e-5)
    assert torch.equal(toy.kept.passes, toy.a.passes)
    assert float(toy.kept.passes) == 3


def test_an_average_is_slow_once_it_is_warm() -> None:
    network = Number()
    average = start_average(network)
    with torch.no_grad():
        network.weight.fill_(3.0)
    update_average(average, network, 0.999, count=1_000_000)
    assert float(average.weight) == pytest.approx(1.002)
    update_average(average, network, 0.999, count=0)
    assert float(average.weight) == pytest.approx(0.1 * 1.002 + 0.9 * 3)
    assert not average.weight.requires_grad
    assert network.weight.requires_grad


# What a method's author got wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        (lambda toy: (Phase("x", (Update("C", toy.loss_a),)),), "C is no group"),
        (lambda toy: (only(toy, "A"), only(toy, "B")), "without an end"),
        (lambda toy: (), "no phase"),
        (lambda toy: (both(toy, shared=toy.fakes, shared_by="G"),), "G is no group"),
        (lambda toy: (only(toy, "A", every=0),), "every=0"),
        (lambda toy: (only(toy, "A", lazy={"r1": 0}),), "r1=0"),
        (lambda toy: (both(toy, evaluating=("c",)),), "c is no network"),
    ],
)
def test_wrong_phases_are_refused(phases: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_engine(Toy(phases))


def test_wrong_networks_are_refused() -> None:
    toy = Toy(lambda toy: (only(toy, "A"),), averages=(Average("nothing", "a", 0.9),))
    with pytest.raises(ValueError, match="nothing is no network"):
        make_engine(toy)
    toy = Toy(lambda toy: (only(toy, "A"),))
    toy.b = None  # type: ignore[assignment]
    with pytest.raises(ValueError, match="group B: b is no network"):
        make_engine(toy)


# Randomness ---------------------------------------------------------------------------------------


def drawn(monkeypatch: pytest.MonkeyPatch, rank: int = 0, rollbacks: int = 0, seed: int = 0) -> Any:
    """What losses draw from torch's own generator in three steps."""
    monkeypatch.setattr(Engine, "global_rank", property(lambda engine: rank))
    toy = Toy(lambda toy: (only(toy, "A"),))
    engine = make_engine(toy, seed=seed)
    engine.rollbacks = rollbacks
    torch.rand(rank + 1)
    fit(engine, [make_batch(toy)] * 3)
    return [one.drawn for one in toy.seen]


def test_dropout_is_a_function_of_seed_attempt_step_and_rank(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = drawn(monkeypatch)
    assert first == drawn(monkeypatch)
    others = [drawn(monkeypatch, **{name: 1}) for name in ("rank", "rollbacks", "seed")]
    assert len({*first, *(number for other in others for number in other)}) == 12


# Saving -------------------------------------------------------------------------------------------


def test_state_comes_back_and_training_goes_on_exactly() -> None:
    def toy() -> Toy:
        return Toy(
            lambda toy: (only(toy, "B", Until(4)), both(toy)),
            averages=(Average("kept", "a", 0.99),),
        )

    whole = run(toy(), 7)
    first = run(toy(), 3)
    first.lr_scale, first.rollbacks = 1.0, 2
    state, weights = first.state(), {k: v.clone() for k, v in first.state_dict().items()}
    saved = [o.state_dict() for o in first.trainer.optimizers]
    fit(first, [make_batch(first.method)])
    assert state["counts"] == {"A": 0, "B": 3}, "a state is of its own moment"
    assert list(state.pop("steps_in").values()) == [3, 0]
    assert state | {"seconds": 0.0} == {
        **{"step": 3, "phase_number": 0, "phase_step": 3, "counts": {"A": 0, "B": 3}},
        **{"seconds": 0.0, "lr_scale": 1.0, "rollbacks": 2, "max_steps": 10, "phase_began": 0.0},
        **{"schedule": "constant", "max_seconds": None, "data": {}},
    }

    class Restore(pl.Callback):
        def on_fit_start(self, trainer: Any, module: Any) -> None:
            module.load_state_dict(weights)
            module.restore(state)
            for optimizer, one in zip(trainer.optimizers, saved, strict=True):
                optimizer.load_state_dict(one)

    again = make_engine(toy())
    fit(again, [make_batch(again.method)] * 4, Restore())
    assert again.counts == whole.counts == {"A": 3, "B": 7}
    assert (again.phase_number, again.phase_step) == (1, 3)
    assert list(again.steps_in.values()) == list(whole.steps_in.values()) == [4, 3]
    assert again.rollbacks == 2
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_an_engine_s_weights_are_those_of_its_method() -> None:
    toy = Toy(lambda toy: (only(toy, "A"),))
    assert set(make_engine(toy).state_dict()) == set(toy.state_dict())


@pytest.mark.parametrize("name", ["counts", "phase_step", "rollbacks"])
def test_a_checkpoint_of_before_is_refused_in_one_sentence(name: str) -> None:
    engine = make_engine(Toy(lambda toy: (only(toy, "A"),)))
    state = engine.state()
    del state[name]
    with pytest.raises(UserError, match="earlier version of stargan") as caught:
        engine.restore(state)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_other_groups_is_refused() -> None:
    engine = make_engine(Toy(lambda toy: (only(toy, "A"),)))
    state = engine.state() | {"counts": {"G": 1, "D": 1}}
    with pytest.raises(UserError, match="earlier version"):
        engine.restore(state)


def test_progress_in_words() -> None:
    engine = run(Toy(lambda toy: (both(toy),)), 2)
    assert engine.progress() == "2 of A, 2 of B"
