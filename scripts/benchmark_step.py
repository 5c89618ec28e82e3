"""Time and memory of the paper's training step, ours against the plain way of computing it.

    python scripts/benchmark_step.py [--device cuda] [--size 128] [--batch 4] [--cycles 5]
                                     [--json FILE]

Ours is the engine's own step. The plain way computes the same terms on the same
networks as the published code does: a graph through G in D's step, separate passes of D, the
gradient penalty by double backward, the fakes made again for G's step, D not frozen in it.

A cycle is ``n_critic`` steps of D, the last of them with a step of G. Both ways take turns within
one run, so that other load on the machine meets both alike: trust the ratios, not the seconds.
Peak memory comes from one process per way (Linux and macOS).
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stargan import __version__
from stargan.contracts import Batch
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.losses.adversarial import adversarial_loss
from stargan.losses.domain import domain_loss
from stargan.losses.gradient_penalty import autograd_gradient, gradient_penalty
from stargan.losses.reconstruction import reconstruction_loss
from stargan.methods.stargan import StarGAN
from stargan.training.engine import Engine
from stargan.writing import write_whole

LABELS = JointLabelSpace(
    [
        LabelSpace(
            ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"],
            groups=[["Black_Hair", "Blond_Hair", "Brown_Hair"]],
            name="celeba",
        )
    ]
)
WAYS = ("ours", "plain")
MEMORY = "peak memory above imports, MiB"
Row = dict[str, Any]
"""Of the table: unit, what, ours, plain, ratio (plain/ours), where there are several also lowest
and highest."""
# Rounding gives 1e-6 and less over a cycle; a term computed in another way gives far more.
SAME = 1e-3


class Ours(Engine):
    """The method as it trains, with its optimizers at hand instead of a Lightning trainer."""

    method: StarGAN

    def __init__(self, size: int, channels: int, device: torch.device) -> None:
        networks = "stargan.networks.stargan"
        method = StarGAN(
            generator={"_target_": f"{networks}.Generator", "channels": channels},
            discriminator={"_target_": f"{networks}.Discriminator", "channels": channels},
            labels=LABELS.to_plain(),
            image={"size": [size, size], "crop": {"celeba": None}},
        )
        super().__init__(method, max_steps=1_000_000)
        self.to(device)
        self.both = self.configure_optimizers()

    def optimizers(self, use_pl_optimizer: bool = True) -> list[torch.optim.Optimizer]:  # type: ignore[override]
        return self.both

    def manual_backward(self, loss: Tensor, *args: object, **kwargs: object) -> None:
        loss.backward()

    def turn(self, batch: Batch) -> dict[str, Tensor]:
        """One training step."""
        self.training_step(batch, self.step)
        return self.terms


class Plain:
    """The same step as the published code computes it, on copies of the same networks."""

    def __init__(self, method: StarGAN) -> None:
        self.generator: nn.Module = copy.deepcopy(method.generator)
        self.discriminator: nn.Module = copy.deepcopy(method.discriminator)
        self.n_critic = method.n_critic
        self.weights = (method.lambda_cls, method.lambda_rec, method.lambda_gp)
        self.optimizers = [
            torch.optim.Adam(net.parameters(), lr=rate, betas=method.betas)
            for net, rate in (
                (self.generator, method.generator_lr),
                (self.discriminator, method.discriminator_lr),
            )
        ]
        self.step = 0

    def score(self, image: Tensor) -> Tensor:
        score: Tensor = self.discriminator(image)[0]
        return score

    def turn(self, batch: Batch) -> dict[str, Tensor]:
        """One training step."""
        adversarial = adversarial_loss("wgan")
        lambda_cls, lambda_rec, lambda_gp = self.weights
        image, label, dataset, target, draws = batch
        real_score, logits = self.discriminator(image)
        fake = self.generator(image, LABELS.condition(target, dataset))
        fake_score = self.score(fake.detach())
        gradient_of = partial(autograd_gradient, self.score)
        terms = {
            "D/adv": adversarial.d_loss(real_score, fake_score),
            "D/cls": domain_loss(logits, label, dataset, LABELS),
            "D/gp": gradient_penalty(gradient_of, image, fake, draws["alpha"]),
        }
        loss = terms["D/adv"] + lambda_cls * terms["D/cls"] + lambda_gp * terms["D/gp"]
        self.update(loss, self.optimizers[1])

        self.step += 1
        if self.step % self.n_critic == 0:
            fake = self.generator(image, LABELS.condition(target, dataset))
            score, logits = self.discriminator(fake)
            cycled = self.generator(fake, LABELS.condition(label, dataset))
            terms["G/adv"] = adversarial.g_loss(score)
            terms["G/cls"] = domain_loss(logits, target, dataset, LABELS)
            terms["G/rec"] = reconstruction_loss(cycled, image)
            loss = terms["G/adv"] + lambda_cls * terms["G/cls"] + lambda_rec * terms["G/rec"]
            self.update(loss, self.optimizers[0])
        return {name: term.detach() for name, term in terms.items()}

    def update(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        for each in self.optimizers:
            each.zero_grad()
        loss.backward()
        optimizer.step()


def make_batch(size: int, rows: int, device: torch.device) -> Batch:
    """Random images and labels, and what is drawn for the step."""
    image = torch.rand(rows, 3, size, size) * 2 - 1
    hair = torch.eye(3)[torch.randint(3, (rows,))]
    label = torch.cat([hair, torch.randint(2, (rows, 2)).float()], dim=1)
    return Batch(
        image=image.to(device),
        label=label.to(device),
        dataset=torch.zeros(rows, dtype=torch.long, device=device),
        target=label[torch.randperm(rows)].to(device),
        draws={"alpha": torch.rand(rows).to(device)},
    )


def seconds(turn: Callable[[], dict[str, Tensor]], device: torch.device) -> tuple[float, float]:
    """Seconds of the clock and of the processor that a turn takes, the device's queue emptied."""
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    wait()
    began, worked = time.perf_counter(), time.process_time()
    turn()
    wait()
    return time.perf_counter() - began, time.process_time() - worked


def measure_time(ours: Ours, size: int, rows: int, cycles: int) -> tuple[list[Row], float]:
    """Times of both ways, as rows of the table; refuse when they do not compute the same.

    Returns:
        The rows, and the largest relative difference of a loss term in the first cycle.
    """
    device, n = ours.device, ours.method.n_critic
    ways: dict[str, Ours | Plain] = {"ours": ours, "plain": Plain(ours.method)}
    times: dict[str, list[list[tuple[float, float]]]] = {way: [] for way in WAYS}
    worst = 0.0
    for cycle in range(cycles + 1):
        for way in WAYS:
            times[way].append([])
        for turn in range(n):
            batch = make_batch(size, rows, device)
            terms: dict[str, dict[str, Tensor]] = {}

            def run(way: str) -> dict[str, Tensor]:
                terms[way] = ways[way].turn(batch)  # noqa: B023 - called at once
                return terms[way]  # noqa: B023

            # Who goes first changes, for whoever goes second meets warmer caches.
            for way in WAYS if (cycle + turn) % 2 else WAYS[::-1]:
                times[way][-1].append(seconds(partial(run, way), device))
            if cycle == 0:
                for name, other in terms["plain"].items():
                    one = terms["ours"][name]
                    worst = max(worst, ((one - other).abs() / (other.abs() + 0.1)).item())
    if not worst <= SAME:
        raise SystemExit(f"The two ways differ by {worst:.1%}: their times mean nothing.")

    found: list[Row] = []
    # On a CPU that others use too, processor time is the steadier of the two.
    for clock, unit in enumerate(("clock", "processor")[: 1 if device.type == "cuda" else 2]):
        # The first cycle warms up.
        taken = {way: [[turn[clock] for turn in cycle] for cycle in times[way][1:]] for way in WAYS}
        found += compared(taken, f"seconds by the {unit}, median")
    return found, worst


def compared(taken: dict[str, list[list[float]]], unit: str) -> list[Row]:
    """The rows of one clock, from the seconds of every turn of every cycle."""
    n = len(taken["ours"][0])
    rows = {
        "one D step": {w: [t for cycle in taken[w] for t in cycle[:-1]] for w in WAYS},
        "one D step and one G step": {w: [cycle[-1] for cycle in taken[w]] for w in WAYS},
        f"whole cycle, {n} D steps, 1 G step": {w: [sum(c) for c in taken[w]] for w in WAYS},
    }
    found = []
    for name, figures in rows.items():
        ratios = [b / a for a, b in zip(figures["ours"], figures["plain"], strict=True)]
        ours, plain = (statistics.median(figures[way]) for way in WAYS)
        spread = {"lowest": min(ratios), "highest": max(ratios)}
        ratio = statistics.median(ratios)
        found.append(
            {"unit": unit, "what": name, "ours": ours, "plain": plain, "ratio": ratio, **spread}
        )
    return found


def table(rows: list[Row]) -> list[str]:
    """All rows as text, a head for each unit."""
    lines: list[str] = []
    unit = None
    for row in rows:
        if row["unit"] != unit:
            unit = row["unit"]
            lines.append(
                f"{unit:36}{'ours':>8}{'plain':>8}{'plain/ours':>12}{'lowest-highest':>17}"
            )
        digits = 0 if unit == MEMORY else 3
        line = f"{row['what']:36}{row['ours']:8.{digits}f}{row['plain']:8.{digits}f}"
        spread = f"{row['lowest']:.2f}-{row['highest']:.2f}" if "lowest" in row else ""
        lines.append(f"{line}{row['ratio']:12.2f}{spread:>17}".rstrip())
    return lines


def measure_memory(way: str, ours: Ours, size: int, rows: int, before: int) -> float:
    """This process's peak over two cycles, in MiB, above what the imports took."""
    device, n = ours.device, ours.method.n_critic
    trained: Ours | Plain = ours
    if way == "plain":
        trained = Plain(ours.method)
        # Only one way's networks are in memory.
        ours.method.generator = ours.method.discriminator = nn.Identity()
        ours.both = []
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(2 * n):
        trained.turn(make_batch(size, rows, device))
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / unit


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures depend on beside the program."""
    found = {"system": platform.platform(), "processor": platform.machine()}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    return {**found, "instructions": capability, "threads": torch.get_num_threads()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--size", type=int, default=128, help="side of the images")
    parser.add_argument("--batch", type=int, default=4, help="images per step")
    parser.add_argument("--cycles", type=int, default=5, help="cycles measured, after one more")
    parser.add_argument("--channels", type=int, default=64, help="width of both networks")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves them alone")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    parser.add_argument("--memory-of", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    torch.manual_seed(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if given.memory_of:
        ours = Ours(given.size, given.channels, device)
        print(measure_memory(given.memory_of, ours, given.size, given.batch, before))
        return
    print(
        f"{given.size} px, batch {given.batch}, fp32, {device}, "
        f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}, {given.cycles} cycles"
    )
    # Before anything else: on Linux a new process starts from the peak of its parent.
    peaks = []
    for way in WAYS:
        command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", way]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(float(result.stdout.split()[-1]))
    ours = Ours(given.size, given.channels, device)
    rows, worst = measure_time(ours, given.size, given.batch, given.cycles)
    peak = {"unit": MEMORY, "what": "two cycles", "ours": peaks[0], "plain": peaks[1]}
    # Started from a process as large as itself, a small step raises no peak.
    rows.append({**peak, "ratio": peaks[1] / peaks[0] if peaks[0] else math.nan})
    print("\n".join(table(rows)))
    print(f"largest relative difference of a loss term in the first cycle: {worst:.1e}")
    if given.json:
        versions = {"stargan": __version__, "python": platform.python_version()}
        about = {
            "machine": machine(device),
            "versions": {**versions, "torch": torch.__version__},
            "settings": {k: getattr(given, k) for k in ("device", "size", "batch", "cycles")},
        }
        figures = {**about, "rows": rows, "largest_difference": worst}
        write_whole(given.json, json.dumps(figures, indent=1) + "\n")
        print(f"wrote {given.json}")


if __name__ == "__main__":
    main()
