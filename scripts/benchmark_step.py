"""Time and memory of the paper's training step, ours against the plain way of computing it.

    python scripts/benchmark_step.py [--device cuda] [--size 128] [--batch 4] [--cycles 5]

Ours is ``StarGAN.training_step`` itself. The plain way computes the same terms on the same
networks as the published code does: a graph through G in D's step, separate passes of D, the
gradient penalty by double backward, the fakes made again for G's step, D not frozen in it.

A cycle is ``n_critic`` steps of D, the last of them with a step of G. Both ways take turns within
one run, so that other load on the machine meets both alike: trust the ratios, not the seconds.
Peak memory comes from one process per way (Linux and macOS).
"""

from __future__ import annotations

import argparse
import copy
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from stargan.contracts import Batch
from stargan.labels import JointLabelSpace, LabelSpace
from stargan.losses.adversarial import adversarial_loss
from stargan.losses.domain import domain_loss
from stargan.losses.gradient_penalty import autograd_gradient, gradient_penalty
from stargan.losses.reconstruction import reconstruction_loss
from stargan.methods.stargan import StarGAN

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
# Rounding gives 1e-6 and less over a cycle; a term computed in another way gives far more.
SAME = 1e-3


class Ours(StarGAN):
    """The method as it trains, with its optimizers at hand instead of a Lightning trainer."""

    def __init__(self, size: int, device: torch.device) -> None:
        super().__init__(
            generator={"_target_": "stargan.networks.stargan.Generator"},
            discriminator={"_target_": "stargan.networks.stargan.Discriminator"},
            labels=LABELS.to_plain(),
            image={"size": [size, size], "crop": {"celeba": None}},
        )
        self.to(device)
        self.both = self.configure_optimizers()

    def optimizers(self, use_pl_optimizer: bool = True) -> list[torch.optim.Optimizer]:  # type: ignore[override]
        return self.both

    def manual_backward(self, loss: Tensor, *args: object, **kwargs: object) -> None:
        loss.backward()

    def turn(self, batch: Batch, draws: torch.Generator) -> dict[str, Tensor]:
        """One training step. It draws for itself, the same as ``draws``."""
        self.training_step(batch, self.step)
        return self.terms


class Plain:
    """The same step as the published code computes it, on copies of the same networks."""

    def __init__(self, ours: Ours) -> None:
        self.generator: nn.Module = copy.deepcopy(ours.generator)
        self.discriminator: nn.Module = copy.deepcopy(ours.discriminator)
        self.n_critic = ours.n_critic
        self.weights = (ours.lambda_cls, ours.lambda_rec, ours.lambda_gp)
        self.optimizers = [
            torch.optim.Adam(net.parameters(), lr=rate, betas=ours.betas)
            for net, rate in zip((self.generator, self.discriminator), ours.rates, strict=True)
        ]
        self.step = 0

    def score(self, image: Tensor) -> Tensor:
        score: Tensor = self.discriminator(image)[0]
        return score

    def turn(self, batch: Batch, draws: torch.Generator) -> dict[str, Tensor]:
        """One training step with the randomness of ``draws``."""
        adversarial = adversarial_loss("wgan")
        lambda_cls, lambda_rec, lambda_gp = self.weights
        image, label, source = batch
        target = LABELS.draw_targets(label, source, draws)
        real_score, logits = self.discriminator(image)
        fake = self.generator(image, LABELS.condition(target, source))
        fake_score = self.score(fake.detach())
        terms = {
            "D/adv": adversarial.d_loss(real_score, fake_score),
            "D/cls": domain_loss(logits, label, source, LABELS),
            "D/gp": gradient_penalty(
                partial(autograd_gradient, self.score), image, fake, generator=draws
            ),
        }
        loss = terms["D/adv"] + lambda_cls * terms["D/cls"] + lambda_gp * terms["D/gp"]
        self.update(loss, self.optimizers[1])

        self.step += 1
        if self.step % self.n_critic == 0:
            fake = self.generator(image, LABELS.condition(target, source))
            score, logits = self.discriminator(fake)
            cycled = self.generator(fake, LABELS.condition(label, source))
            terms["G/adv"] = adversarial.g_loss(score)
            terms["G/cls"] = domain_loss(logits, target, source, LABELS)
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
    image = torch.rand(rows, 3, size, size) * 2 - 1
    hair = torch.eye(3)[torch.randint(3, (rows,))]
    label = torch.cat([hair, torch.randint(2, (rows, 2)).float()], dim=1)
    return Batch(image.to(device), label.to(device), torch.zeros(rows, dtype=torch.long).to(device))


def seconds(turn: Callable[[], dict[str, Tensor]], device: torch.device) -> tuple[float, float]:
    """Seconds of the clock and of the processor that a turn takes, the device's queue emptied."""
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    wait()
    began, worked = time.perf_counter(), time.process_time()
    turn()
    wait()
    return time.perf_counter() - began, time.process_time() - worked


def measure_time(size: int, rows: int, cycles: int, device: torch.device) -> None:
    """Print the table of times; refuse when the two ways do not compute the same."""
    ours = Ours(size, device)
    ways: dict[str, Ours | Plain] = {"ours": ours, "plain": Plain(ours)}
    n = ours.n_critic
    times: dict[str, list[list[tuple[float, float]]]] = {way: [] for way in WAYS}
    worst = 0.0
    for cycle in range(cycles + 1):
        for way in WAYS:
            times[way].append([])
        for turn in range(n):
            batch = make_batch(size, rows, device)
            draws = ours.draws()
            terms: dict[str, dict[str, Tensor]] = {}

            def run(way: str) -> dict[str, Tensor]:
                terms[way] = ways[way].turn(batch, draws)  # noqa: B023 - called at once
                return terms[way]  # noqa: B023

            # Who goes first changes, for whoever goes second meets warmer caches.
            for way in WAYS if (cycle + turn) % 2 else WAYS[::-1]:
                times[way][-1].append(seconds(partial(run, way), device))
            if cycle == 0:
                for name, term in terms["ours"].items():
                    other = terms["plain"][name]
                    worst = max(worst, ((term - other).abs() / (other.abs() + 0.1)).item())
    if worst > SAME:
        raise SystemExit(f"The two ways differ by {worst:.1%}: their times mean nothing.")

    # On a CPU that others use too, processor time is the steadier of the two.
    for clock, unit in enumerate(("clock", "processor")[: 1 if device.type == "cuda" else 2]):
        # The first cycle warms up.
        taken = {way: [[turn[clock] for turn in cycle] for cycle in times[way][1:]] for way in WAYS}
        print_times(taken, f"seconds by the {unit}, median")
    print(f"largest relative difference of a loss term in the first cycle: {worst:.1e}")


def print_times(taken: dict[str, list[list[float]]], title: str) -> None:
    """The table of one clock, from the seconds of every turn of every cycle."""
    n = len(taken["ours"][0])
    rows = {
        "one D step": {w: [t for cycle in taken[w] for t in cycle[:-1]] for w in WAYS},
        "one D step and one G step": {w: [cycle[-1] for cycle in taken[w]] for w in WAYS},
        f"whole cycle, {n} D steps, 1 G step": {w: [sum(c) for c in taken[w]] for w in WAYS},
    }
    print(f"{title:36}{'ours':>8}{'plain':>8}{'plain/ours':>12}{'lowest-highest':>17}")
    for name, figures in rows.items():
        ratios = [b / a for a, b in zip(figures["ours"], figures["plain"], strict=True)]
        a, b = (statistics.median(figures[way]) for way in WAYS)
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        print(f"{name:36}{a:8.3f}{b:8.3f}{statistics.median(ratios):12.2f}{spread:>17}")


def measure_memory(way: str, size: int, rows: int, device: torch.device) -> None:
    """Print this process's peak over two cycles, in MiB, above what the imports took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours = Ours(size, device)
    n = ours.n_critic
    trained: Ours | Plain = ours
    if way == "plain":
        trained = Plain(ours)
        # Only one way's networks are in memory.
        ours.generator = ours.discriminator = nn.Identity()
        ours.both = []
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(2 * n):
        trained.turn(make_batch(size, rows, device), ours.draws())
    if device.type == "cuda":
        print(torch.cuda.max_memory_allocated(device) / 2**20)
    else:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--size", type=int, default=128, help="side of the images")
    parser.add_argument("--batch", type=int, default=4, help="images per step")
    parser.add_argument("--cycles", type=int, default=5, help="cycles measured, after one more")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves them alone")
    parser.add_argument("--memory-of", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    if arguments.memory_of:
        measure_memory(arguments.memory_of, arguments.size, arguments.batch, device)
        return
    print(
        f"{arguments.size} px, batch {arguments.batch}, fp32, {device}, "
        f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}, "
        f"{arguments.cycles} cycles"
    )
    # Before anything else: on Linux a new process starts from the peak of its parent.
    peaks = []
    for way in WAYS:
        command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", way]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(float(result.stdout.split()[-1]))
    measure_time(arguments.size, arguments.batch, arguments.cycles, device)
    ratio = peaks[1] / peaks[0]
    print(f"{'peak memory above imports, MiB':36}{peaks[0]:8.0f}{peaks[1]:8.0f}{ratio:12.2f}")


if __name__ == "__main__":
    main()
