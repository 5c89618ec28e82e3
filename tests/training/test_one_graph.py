"""A loss is one graph for torch.compile, waits for no device, and a compiled step is the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from stargan import building, configs
from stargan.methods.base import Method
from stargan.training import checkpoints
from tests.rig import (
    GIVEN,
    JOINT,
    SINGLE,
    fit,
    image_of,
    make_batch,
    make_engine,
    make_modern,
    make_stargan,
)

METHODS = sorted(configs.options("method"))
# Every term that a loss may have.
EVERY_TERM = {
    "warmup_steps": 1,
    "lambda_r1": 0.1,
    "r1_every": 2,
    "rec_every": 2,
    "lambda_sparse": 0.5,
    "lambda_gp": 10.0,
    "lambda_idt": 0.5,
    "ema_decay": 0.9,
    "n_critic": 1,
}
SMALL = {"channels": 8, "width": 16, "blocks": 1}


def tiny(name: str) -> Method:
    """A method of conf/method with all its terms, at a tiny size, on two data sets at once."""
    settings: Any = configs.compose("train", [f"method={name}"], mandatory=False)["method"]
    for key in ("schedule", "precision", "max_steps", "joint_max_steps", "batch_size", "settings"):
        settings.pop(key, None)
    for key, value in settings.items():
        if isinstance(value, dict):
            value |= {k: v for k, v in SMALL.items() if k in value}
        elif key in EVERY_TERM:
            settings[key] = EVERY_TERM[key]
    settings |= GIVEN.get(name, {})
    # Some methods take one data set only.
    method = building.resolve(settings["_target_"], checkpoints.METHOD)
    labels = JOINT if method.joint else SINGLE
    plain = {**settings, "labels": labels.to_plain(), "image": image_of(labels, 32)}
    return checkpoints.build_method(plain)


def passes(method: Method) -> list[tuple[str, Any, dict[str, bool], dict[str, Tensor]]]:
    """Every loss of every phase with each setting of its flags, and what it is given."""
    batch, found = make_batch(method), []
    for phase in method.phases():
        shared = phase.shared(batch) if phase.shared is not None else {}
        bare = {name: tensor.detach() for name, tensor in shared.items()}
        for update in phase.updates:
            given = shared if update.group == phase.shared_by else bare
            for value in (False, True) if update.lazy else (False,):
                flags = dict.fromkeys(update.lazy, value)
                found.append((f"{phase.name} {update.group} {flags}", update.loss, flags, given))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_loss_is_one_graph(name: str) -> None:
    method = tiny(name)
    batch = make_batch(method)
    for title, loss, flags, shared in passes(method):
        torch._dynamo.reset()
        found = torch._dynamo.explain(loss)(batch, shared, **flags)
        reasons = [reason.reason for reason in found.break_reasons]
        assert (found.graph_count, found.graph_break_count) == (1, 0), (title, reasons)


@pytest.mark.slow
@pytest.mark.parametrize("make", [make_stargan, make_modern], ids=["paper", "modern"])
def test_a_compiled_step_is_the_same(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    changes: Any = {"n_critic": 1, "lambda_r1": 0.1, "r1_every": 2}
    plain = fit(make_engine(make(JOINT, **changes)), 4)
    # As a run compiles, but all in one graph or not at all, and without a C++ compiler.
    as_it_is = torch.compile
    compiled: list[Any] = []

    def compile_whole(loss: Any, **settings: Any) -> Any:
        compiled.append(loss)
        return as_it_is(loss, **settings, backend="aot_eager", fullgraph=True)

    monkeypatch.setattr(torch, "compile", compile_whole)
    engine = fit(make_engine(make(JOINT, **changes), compile=True), 4)
    assert len(compiled) == len(engine.losses) >= 2
    assert engine.terms.keys() == plain.terms.keys()
    for name, value in plain.terms.items():
        torch.testing.assert_close(engine.terms[name], value, rtol=1e-3, atol=1e-4)
    for name, value in plain.state_dict().items():
        # Adam's first steps are as long as the rate, whatever the gradient: signs may differ.
        distance = (value - engine.state_dict()[name]).abs().float()
        assert distance.mean() < 1e-5, name
    torch._dynamo.reset()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", METHODS)
def test_a_step_never_waits_for_the_gpu(name: str) -> None:
    method = tiny(name).cuda()
    engine = make_engine(method)
    optimizers = engine.configure_optimizers()
    engine.optimizers = lambda: optimizers  # type: ignore[method-assign, assignment, return-value]
    engine.manual_backward = Tensor.backward  # type: ignore[method-assign, assignment]
    batch = make_batch(method)
    there = batch._replace(draws={k: v.cuda() for k, v in batch.draws.items()})
    there = there._replace(
        **{k: getattr(batch, k).cuda() for k in ("image", "label", "dataset", "target")}
    )

    def step() -> None:
        engine.on_train_batch_start(there, 0)
        engine.training_step(engine.on_after_batch_transfer(there, 0), 0)

    for _ in range(4):  # Through all phases; the first ones set things up.
        step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(4):
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
