"""Learning rate schedules: what the rates are multiplied with at a step."""

from __future__ import annotations

from stargan.errors import UserError

SCHEDULES = ("paper", "official", "late", "constant")


def check_schedule(name: str) -> str:
    """The name. Raises ``UserError`` when there is no such schedule."""
    if name not in SCHEDULES:
        raise UserError(f"schedule={name} is unknown: choose of {', '.join(SCHEDULES)}.")
    return name


def lr_factor(
    name: str, step: int, max_steps: int, time_used: float = 0.0, round: int = 1
) -> float:
    """The factor of a schedule at a step.

    ``paper``: 1 for the first half of the run, then linear to 0 (10 + 10 and 100 + 100 epochs in
    the paper). ``official``: the published code takes 1e-5 of the rate away once per 1,000 steps
    over the last 100,000 of 200,000, so that it ends at 0.999 of it; it counts iterations, which
    on two data sets have a step for each (``round``). ``late``: 1, then linear to 0
    over the last three tenths of the steps or of the time, whichever is nearer its end.
    ``constant``: 1.

    Args:
        name: one of ``SCHEDULES``.
        step: training steps made.
        max_steps: of the whole run.
        time_used: share of the time limit that is used up; 0 without one.
        round: steps of an iteration of the published code, see ``Method.round``.
    """
    if name == "constant":
        return 1.0
    half = max_steps // 2
    if name == "paper":
        return 1.0 if step < half else max(max_steps - step, 0) / (max_steps - half)
    if name == "late":
        left = min(1 - step / max_steps, 1 - time_used)
        return min(1.0, max(left, 0.0) / 0.3)
    first = max(max_steps // round - 100_000, 0)
    return 1.0 - 1e-5 * max(step // round // 1000 - first // 1000, 0)
