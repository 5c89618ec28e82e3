"""Do the monitors find planted failures, and nothing else? Several seeds of each, with its twin.

    python scripts/failure_table.py      # 7 failures x 5 seeds x 2 runs, one at a time
    python scripts/failure_table.py seeds=8 root=DIR only=tiny_kernel,no_capacity [KEY=VALUE ...]

A run that is there is not made again, so the script goes on where it was interrupted. A twin is the
same run with the planted thing taken back. Other words are settings of all runs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from stargan import configs
from stargan.callbacks.gan_health import read_log
from stargan.training.metrics_log import read_rows

# Experiment: the monitor that should speak, and what takes the failure back.
FAILURES = {
    "no_capacity": (
        "discriminator_wins",
        ["method.generator.channels=8", "method.generator.noise_size=100"],
    ),
    "aggressive_adam": (
        "losses_explode",
        ["method.generator_lr=1.0e-3", "method.discriminator_lr=5.0e-4"],
    ),
    "huge_kernel": (
        "mode_collapse",
        ["method.generator.kernel=5", "method.discriminator.kernel=5"],
    ),
    "tiny_kernel": (
        "discriminator_blind",
        ["method.generator.kernel=5", "method.discriminator.kernel=5"],
    ),
    "mode_collapse": ("mode_collapse", ["method.discriminator_lr=5.0e-4"]),
    "one_dimension": ("mode_collapse", ["method.generator.noise_size=100"]),
    "label_ignored": ("label_ignored", ["method.lambda_sparse=1.0"]),
}


def main() -> None:
    """Make the runs that are missing, print the table."""
    told = dict(word.split("=", 1) for word in sys.argv[1:])
    root = Path(told.pop("root", "runs/failures"))
    seeds = int(told.pop("seeds", "5"))
    only = told.pop("only", None)
    settings = [f"{key}={value}" for key, value in told.items()]
    names = only.split(",") if only else list(FAILURES)
    if unknown := set(names) - set(FAILURES):
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(FAILURES)}")
    for seed in range(1, seeds + 1):
        for name in names:
            for twin in (False, True):
                make(root, name, seed, twin, settings)
    print(table(root, names, seeds))


def make(root: Path, name: str, seed: int, twin: bool, settings: list[str]) -> None:
    """One run, unless it is there."""
    folder = place(root, name, seed, twin)
    if finished(folder):
        return
    shutil.rmtree(folder, ignore_errors=True)  # Cut off in the middle.
    words = [f"experiment=failure/{name}", f"seed={seed}", f"run_dir={folder}"]
    words += [*(FAILURES[name][1] if twin else []), *settings]
    began = time.perf_counter()
    command = [sys.executable, "-m", "stargan", "train", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    found = ", ".join(sorted(troubles(folder))) or "nothing"
    kind = "twin" if twin else "failure"
    seconds = time.perf_counter() - began
    print(f"{name} seed {seed} {kind}: {found} ({seconds:.0f} s)", flush=True)


def finished(folder: Path) -> bool:
    """Whether a run has made all its steps (one that was asked to stop has a report too)."""
    if not (folder / "report.md").is_file():
        return False
    steps = configs.load_yaml(folder / "config.yaml")["trainer"]["max_steps"]
    return bool(read_rows(folder / "metrics.csv")[-1]["step"] == steps)


def place(root: Path, name: str, seed: int, twin: bool) -> Path:
    """The folder of a run."""
    return root / f"{name}{'_twin' if twin else ''}" / f"seed_{seed}"


def troubles(folder: Path) -> set[str]:
    """The monitors that spoke in a run."""
    lines = read_log(folder / "health.jsonl")
    return {line["monitor"] for line in lines if line["event"] == "trouble"}


def table(root: Path, names: list[str], seeds: int) -> str:
    """Markdown: found, other monitors in the failing runs, any monitor in the twins."""
    lines = [
        "| failure | its monitor | found | another monitor spoke | false alarms in the twin |",
        "|---|---|---:|---:|---:|",
    ]
    sums = [0, 0, 0]
    for name in names:
        monitor = FAILURES[name][0]
        failing = [troubles(place(root, name, s, False)) for s in range(1, seeds + 1)]
        twins = [troubles(place(root, name, s, True)) for s in range(1, seeds + 1)]
        counts = [
            sum(monitor in found for found in failing),
            sum(bool(found - {monitor}) for found in failing),
            sum(bool(found) for found in twins),
        ]
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
        cells = " | ".join(f"{c}/{seeds}" for c in counts)
        lines.append(f"| {name} | {monitor} | {cells} |")
    of = seeds * len(names)
    lines.append(f"| all | | {' | '.join(f'{c}/{of}' for c in sums)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
