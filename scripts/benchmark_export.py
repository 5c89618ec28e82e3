"""Parity table of all exported formats: difference, size, time per image at batch 1 on a CPU.

    python scripts/benchmark_export.py [RUN_OR_FILE ...]

Without an argument: the paper's generator at 128 px with fresh weights. Times are the best of
several in turns, in one process; the ratios hold better than the milliseconds.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from stargan import networks
from stargan.errors import Plain
from stargan.export import Parts, conditional, describe, open_model, open_parts, save_export
from stargan.export.onnx import save_onnx
from stargan.export.opening import as_model
from stargan.export.parity import targets
from stargan.export.pt2 import save_pt2
from stargan.labels import JointLabelSpace
from stargan.tasks.export import photos_for
from stargan.tasks.import_official import label_spaces

Run = Callable[..., Tensor]
ROUNDS = 5


def paper() -> Parts:
    """The paper's generator for CelebA at 128 px, fresh weights, no classifier."""
    labels: JointLabelSpace = label_spaces("celeba5")
    name = "stargan.networks.stargan.Generator"
    config: Plain = {"_target_": name, "image_size": [128, 128]}
    config["condition_size"] = labels.condition_size
    plain = describe(
        networks={"generator": config},
        roles={"translate": conditional("generator")},
        labels=labels,
        image={"size": [128, 128], "crop": {"celeba": 178}},
        training={"steps": 0},
    )
    network = networks.build(config).eval().requires_grad_(False)
    return Parts.of({"generator": network}, plain)


def rows(parts: Parts, folder: Path, photos: Tensor) -> dict[str, tuple[Run, float]]:
    """Each way to translate: what takes the image and the rule's inputs, and its size in MB."""
    rule = parts.rule()
    size = sum(p.numel() * p.element_size() for p in rule.parameters()) / 1e6
    alone = parts.without("read")

    def autocast(*inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return rule.graph(*inputs).float()

    found: dict[str, tuple[Run, float]] = {
        "PyTorch, eager": (rule.graph, size),
        "PyTorch, compiled": (cast(Run, torch.compile(copy.deepcopy(rule).graph)), size),
        "PyTorch, bf16 (autocast)": (autocast, size),
    }

    def opened(name: str, write: Callable[[Path], None]) -> None:
        path = folder / name.replace(", ", ".")
        write(path)
        model = open_model(path)
        found[name.split(".")[-1]] = (model.rule.graph, path.stat().st_size / 1e6)

    plain = alone.plain
    nets = alone.networks
    opened("a.safetensors", lambda p: save_export(p, nets, plain))
    opened("b.safetensors", lambda p: save_export(p, nets, plain, half=True))
    found["safetensors, fp16 kept"] = found.pop("safetensors")
    opened("a.safetensors", lambda p: save_export(p, nets, plain))
    found["safetensors, fp32"] = found.pop("safetensors")
    opened("a.pt2", lambda p: save_pt2(p, alone, "fp32"))
    found["pt2, fp32"] = found.pop("pt2")
    opened("b.pt2", lambda p: save_pt2(p, alone, "fp16"))
    found["pt2, fp16 kept"] = found.pop("pt2")
    for precision in ("fp32", "fp16", "int8"):
        opened(f"{precision}.onnx", lambda p, q=precision: save_onnx(p, alone, q, photos))  # type: ignore[misc]
        found[f"onnxruntime, {precision}"] = found.pop("onnx")
    return found


def table(parts: Parts) -> None:
    """Print the table of one model, in Markdown."""
    photos, where = photos_for(parts, None)
    before = as_model(parts, torch.device("cpu"))
    own, target, dataset = targets(before, photos)
    image = photos[torch.arange(len(target)) % len(photos)]
    inputs = (image, *before.rule.feed(own, target, dataset).values())
    four, one = (tuple(tensor[:n] for tensor in inputs) for n in (4, 1))
    first = parts.plain["networks"][parts.plain["roles"]["translate"]["networks"][0]]
    name = first["_target_"].removeprefix("stargan.networks.")
    print(f"\n{name}, {parts.size[0]} px, {torch.get_num_threads()} threads, {where}\n", flush=True)
    print("| | largest difference | mean | size, MB | ms per image | times as fast |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        ways = rows(parts, Path(folder), photos)
        expected = before.rule.graph(*four).clamp(-1, 1)
        best = {way: float("inf") for way in ways}
        differences = {}
        for way, (run, _) in ways.items():
            differences[way] = (run(*four).clamp(-1, 1) - expected).abs()
            run(*one)
        for _ in range(ROUNDS):
            for way, (run, _) in ways.items():
                # Not timed: onnxruntime's threads wait busily for a while after the turn before.
                run(*one)
                start = time.perf_counter()
                run(*one)
                best[way] = min(best[way], 1000 * (time.perf_counter() - start))
        for way, (_, size) in ways.items():
            d, faster = differences[way], best["PyTorch, eager"] / best[way]
            print(
                f"| {way} | {d.max():.1e} | {d.mean():.1e} | {size:.1f} | {best[way]:.1f} "
                f"| {faster:.2f} |",
                flush=True,
            )


def main() -> None:
    """One table for each model named, else that of the paper's generator."""
    for parts in [open_parts(p, "translator") for p in sys.argv[1:]] or [paper()]:
        table(parts)


if __name__ == "__main__":
    main()
