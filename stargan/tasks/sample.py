"""``stargan sample``: images from noise as PNGs and one sheet, and how good they are."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image
from rich.table import Table
from torch import Tensor

from stargan import configs, imaging
from stargan.building import Packages
from stargan.data.datamodule import DataModule
from stargan.errors import Plain, UserError
from stargan.evaluation.origin import data_of
from stargan.evaluation.samples import SURE, SampleScores, score_lines, score_samples
from stargan.export import refuse_untrained
from stargan.inference.sampler import Sampler, between
from stargan.judges.judge import open_judge
from stargan.progress import Progress, phase, plain_console
from stargan.runs import run_folder, short_names
from stargan.training.run import build_data
from stargan.writing import write_whole

SHEET, WALK, REPORT = "sheet.png", "interpolation.png", "report.md"
SHEET_IMAGES = 100
"""More images than this make a sheet that nobody can look at."""
WALKS = 6


def main(config: Plain) -> None:
    """Make images and write ``sample_00001.png`` and so on, ``sheet.png``, ``interpolation.png``.

    With a judge also ``report.md``: FID in its features and the share of each class.

    Args:
        config: what ``configs.compose("sample", ...)`` gives.

    Raises:
        UserError: anything in ``config`` that cannot be done.
    """
    count, seed, steps = (whole(config, key) for key in ("count", "seed", "interpolate"))
    if steps == 1 or steps < 0:
        raise UserError(f"interpolate={steps}: a walk has at least 2 images, 0 leaves it out.")
    output = Path(config["output"]).expanduser()
    if output.exists() and not output.is_dir():
        raise UserError(f"output={output} is a file: give a folder.")
    batch_size = whole(config, "batch_size")
    judge, trust = None, config.get("trust") or ()
    if config["judge"]:
        folder = run_folder(Path(config["judge"]))
        if folder is not None:
            data_of(folder, trust)  # a stranger's folder is refused before it is opened
        judge = open_judge(config["judge"], config["device"], trust)
        data = real_data(Path(config["judge"]), trust)
    sampler = Sampler.from_pretrained(config["model"], config["device"], batch_size, trust)
    refuse_untrained(sampler.training, str(config["model"]), config.get("force", False))
    noise = sampler.noise(count, seed)
    wide = max(5, len(str(count)))

    made: list[Tensor] = []
    with Progress("sampling", count) as progress:
        for part in noise.split(batch_size):
            batch = sampler.draw(part)
            for i, image in enumerate(batch, sum(map(len, made)) + 1):
                imaging.save_png(imaging.to_pil(image), output / f"sample_{i:0{wide}d}.png")
            made.append(batch)
            progress.advance(len(batch))
    print(f"wrote {count} images to {output}")
    if config["sheet"]:
        shown = torch.cat(made)[:SHEET_IMAGES]
        imaging.save_png(sheet(shown), output / SHEET)
        first = f" (the first {len(shown)} of {count})" if count > len(shown) else ""
        print(f"wrote {output / SHEET}{first}")
    if steps:
        imaging.save_png(walks(sampler, noise, steps), output / WALK)
        print(f"wrote {output / WALK}")
    if judge is not None:
        with phase("real images, to compare with"):
            test, train = real_images(data, count)
        with phase("figures of the samples"):
            scores = score_samples(judge, torch.cat(made), test, train)
        (name,), (judged_by,) = short_names([config["model"]]), short_names([config["judge"]])
        lines = score_lines(scores, name, judged_by)
        lines += ["", f"![samples]({SHEET})"] if config["sheet"] else []
        write_whole(output / REPORT, "\n".join(lines) + "\n")
        show(scores)
        print(f"wrote {output / REPORT}")


def real_data(run: Path, trust: Packages = ()) -> DataModule:
    """The data that a judge was trained on.

    Raises:
        UserError: not a run folder, the data are gone, or their class is not trusted.
    """
    folder = run_folder(run)
    if folder is None:
        raise UserError(
            f"judge={run} must be the run folder of a classifier: its data are the real images."
        )
    seed = configs.load_yaml(folder / "config.yaml").get("seed", 0)
    data = build_data({"data": data_of(folder, trust), "seed": seed})
    data.setup()
    return data


def real_images(data: DataModule, count: int) -> tuple[Tensor, Tensor]:
    """All test images ``(N, C, H, W)`` in [-1, 1] of the first dataset, and some training images.

    Args:
        data: set up.
        count: how many training images, at most as many as there are test images.
    """
    dataset = next(iter(data.test))
    test = torch.cat([batch.image for batch in data.test_batches(dataset, 256)])
    count = min(count, len(test))
    data.start_step, data.max_steps = 0, -(-count // data.batch_size)
    # As training gets them: bytes on their way to the device.
    train = torch.cat([imaging.to_float(batch.image) for batch in data.train_dataloader()])[:count]
    return test, train


def show(scores: SampleScores) -> None:
    """The figures on the terminal."""
    table = Table(title="samples, by the judge", title_justify="left")
    for column in ("class", "real", "samples"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for name, (real, made) in scores.shares.items():
        table.add_row(name, f"{real:.1%}", f"{made:.1%}")
    table.add_section()
    table.add_row(f"sure (p >= {SURE})", *(f"{share:.1%}" for share in scores.sure))
    table.add_row(
        f"FID of {scores.fid.count}", f"{scores.floor.value:.2f}", f"{scores.fid.value:.2f}"
    )
    first, own_score = scores.inception
    table.add_row(
        f"Inception Score of {first.count}", f"{first.value:.2f}", f"{own_score.value:.2f}"
    )
    if scores.bins is not None:
        beside, own = scores.bins
        table.add_row(f"NDB/K of {own.bins} bins", f"{beside.ndb:.2f}", f"{own.ndb:.2f}")
        table.add_row("JSD, bits", f"{beside.jsd:.3f}", f"{own.jsd:.3f}")
    plain_console().print(table)


def whole(config: Plain, key: str) -> int:
    """A whole number of the configuration."""
    value = config[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{key}={value} is no whole number.")
    return value


def sheet(image: Tensor) -> Image.Image:
    """``(N, C, H, W)`` in [-1, 1] in rows, about as wide as high."""
    side = max(1, round(len(image) ** 0.5))
    side += side * side < len(image)
    return imaging.grid([list(row) for row in image.split(side)], [""] * side)


def walks(sampler: Sampler, noise: Tensor, steps: int) -> Image.Image:
    """Each of the first images to the next, one walk per row; a single image to its opposite."""
    ends = noise[: WALKS + 1] if len(noise) > 1 else torch.cat([noise, -noise])
    rows = [list(sampler.draw(between(a, b, steps))) for a, b in pairwise(ends)]
    return imaging.grid(rows, [""] * steps)
