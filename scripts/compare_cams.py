"""Trains the networks of class activation maps on the embedded faces and compares them.

    python scripts/compare_cams.py runs/cams            about 100 minutes of one CPU core
    python scripts/compare_cams.py runs/cams resnet18   only this one; the table has what is there
    python scripts/compare_cams.py runs/few --faces 300 alexnet alexnet_gap alexnet_star_gap

``--steps`` and ``--size`` make shorter runs on smaller images, ``--test`` asks for fewer faces.

Every network: the same joint data (attributes and expressions of drawn faces, 160 px), 3,000 steps
of batch 16. The three AlexNets go the paper's way: the whole network is trained for 2,000 steps,
then cut (or not), extended, and trained for 1,000 more, its last layer anew. A network that is
there already is not trained again; a run that was interrupted goes on. The table goes to the
terminal and to table.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

from stargan import cli, configs, imaging
from stargan.data.datamodule import DataModule
from stargan.evaluation.origin import evaluation_data
from stargan.judges import cam
from stargan.judges.judge import Judge, open_judge
from stargan.judges.localisation import Case, locate_labels, summarise
from stargan.metrics.classification import reading
from stargan.writing import write_whole

# Without batch norm the AlexNets bear a smaller rate only.
ALEXNET = ["method.lr=2e-4"]
NETWORKS: dict[str, list[str]] = {
    "alexnet_start": [*ALEXNET, "network=alexnet", "trainer.max_steps=2000"],
    **{
        name: [*ALEXNET, f"network={name}", "trainer.max_steps=1000", "method.weights={start}"]
        for name in ("alexnet", "alexnet_gap", "alexnet_star_gap")
    },
    # A quarter of the channels: the whole VGG is sixteen times as much work.
    "vggnet_gap": ["network=vggnet_gap", "method.classifier.width=0.25"],
    "googlenet_gap": ["network=googlenet_gap"],
    "resnet18": ["network=resnet18", "method.classifier.imagenet_scale=false"],
}
SETTINGS = [
    *("experiment=demo_classifier", "data=attributes_expressions", "data.mixed=true"),
    *("data.image_size=160", "data.batch_size=16", "method.lr=5e-4", "method.augment=0.1"),
    *("trainer.max_steps=3000", "log.test_every_n_steps=500", "log.tensorboard=false"),
]
SHOWN = {
    "attributes": {"Blond_Hair": 1, "Black_Hair": 0, "Male": 1},
    "expressions": {"happy": 0, "angry": 0, "surprised": 0, "disgusted": 0},
}
"""Labels in maps.png, and of which of the faces that have them."""
TEST = 1000
"""Faces of each kind that the tables are about; during training half of them are read."""


def counts(train: int, test: int) -> list[str]:
    """How many faces of each kind."""
    return [
        f"data.{dataset}.count.{split}={count}"
        for dataset in ("attributes", "expressions")
        for split, count in (("train", train), ("test", test))
    ]


def train(name: str, run: Path, more: list[str]) -> None:
    """Train one network, or go on where it stopped; ``more`` settings come before its own."""
    if (run / "checkpoints" / "last.ckpt").is_file():
        steps = configs.load_yaml(run / "config.yaml")["trainer"]["max_steps"]
        if open_judge(run).training["steps"] < steps:
            cli.run(["train", f"resume={run}"])
        return
    start = run.parent / "alexnet_start"
    own = [word.format(start=start) for word in NETWORKS[name]]
    # The last of two values of one setting holds.
    words = {word.partition("=")[0]: word for word in [*SETTINGS, *own, *more]}
    if str(start) in words.get("method.weights", ""):
        train("alexnet_start", start, more)
    cli.run(["train", *words.values(), f"run_dir={run}"])


def compare(folder: Path, more: list[str]) -> list[str]:
    """Markdown tables of all networks that are there, on the test faces of these settings."""
    runs = [
        n
        for n in NETWORKS
        if n != "alexnet_start" and (folder / n / "classifier.safetensors").is_file()
    ]
    judges = {name: open_judge(folder / name) for name in runs}
    config = configs.compose("train", [*SETTINGS, *more])
    data = evaluation_data(config["data"], next(iter(judges.values())))
    with_maps = {n: j for n, j in judges.items() if hasattr(j.network, "maps")}
    imaging.save_png(side_by_side(with_maps, data), folder / "maps.png")
    classified = [
        "| network | parameters | maps | hair | Male | Young | expressions |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    located = [
        "| network | label | top-1 loc. error | top-5 | class known | mean IoU | loc. error, IoU "
        "at 50 % | peak inside | evidence inside | area |",
        "|---|---|---:|---:|---:|---:|---|---:|---:|---:|",
    ]
    for name, judge in judges.items():
        classified.append(f"| {name} | {size_of(judge)} | {' | '.join(errors(judge, data))} |")
        if name in with_maps:
            located += [f"| {name} | {row}" for row in figures(judge, data)]
    return ["Classification error.", "", *classified, "", "Localisation.", "", *located]


def size_of(judge: Judge) -> str:
    """Parameters, and the side of the maps."""
    millions = sum(p.numel() for p in judge.network.parameters()) / 1e6
    if not hasattr(judge.network, "maps"):
        return f"{millions:.1f}M | none"
    side = cam.label_maps(judge, torch.zeros(1, 3, *judge.size)).shape[-1]
    return f"{millions:.1f}M | {side} x {side}"


def errors(judge: Judge, data: DataModule) -> list[str]:
    """Classification error: of the hair colour, Male, Young and the expression."""
    found = []
    for i, name in enumerate(data.test):
        read, label = [], []
        for batch in data.test_batches(name, 64):
            read.append(judge.read(batch.image, i))
            label.append(batch.label[:, data.labels.slices[i]])
        one = reading(torch.cat(read), torch.cat(label), data.labels.spaces[i])
        found += [1 - table.accuracy for table in one.confusions]
        if not data.labels.spaces[i].categorical:
            found += [1 - one.accuracy[n] for n in ("Male", "Young")]
    return [f"{value:.1%}" for value in found]


def figures(judge: Judge, data: DataModule) -> list[str]:
    """Localisation of Blond_Hair, of all hair, and of the expressions; the rest of each row."""
    rows = []
    for name in data.test:
        cases, strict = (
            locate_labels(judge, data, name, share, relative=True).cases
            for share in (cam.SHARE, 0.5)
        )
        hair = [n for n in data.labels.spaces[list(data.test).index(name)].names if "Hair" in n]
        groups = {"Blond_Hair": ["Blond_Hair"], "hair": hair} if hair else {"expressions": None}
        for title, names in groups.items():
            few = [summarise(title, chosen(c, names)) for c in (cases, strict)]
            one, other = few
            top5 = "-" if one.located5 is None else f"{one.located5:.1%}"
            rows.append(
                f"{title} | {one.located1:.1%} | {top5} | {one.known:.1%} | {one.overlap:.2f} | "
                f"{other.known:.1%}, {other.overlap:.2f} | {one.hit:.1%} | "
                f"{one.inside:.1%} | {one.area:.1%} |"
            )
    return rows


def chosen(cases: list[Case], names: list[str] | None) -> list[Case]:
    """The cases of some labels, or all."""
    return [c for c in cases if names is None or c.label in names]


def side_by_side(judges: dict[str, Judge], data: DataModule) -> Image.Image:
    """The same faces with each network's map of one label that they have."""
    rows, sides = [], []
    for i, (name, labels) in enumerate(SHOWN.items()):
        space, table = data.labels.spaces[i], data.test[name].images.labels
        for label in labels:
            index = int(torch.nonzero(table[:, space.index(label)])[labels[label]])
            pixels = data.test[name].pixels(index)
            assert pixels is not None
            picture = Image.fromarray(pixels)
            row = [picture]
            for judge in judges.values():
                maps = cam.label_maps(judge, imaging.to_tensor(picture)[None], relative=True)
                own = judge.column(space, label)
                heat = cam.enlarge(maps[:, own], data.image_size)[0]
                row.append(cam.overlay(picture, cam.normalise(heat)))
            rows.append(row)
            sides.append(label)
    return imaging.grid(rows, ["input", *judges], sides, 1)


def main() -> None:
    """Train what is missing, then compare all that is there."""
    parser = argparse.ArgumentParser(description="Networks of class activation maps compared.")
    parser.add_argument("folder", type=Path, help="where the runs and table.md go")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--faces", type=int, default=2000, help="training faces of each kind")
    parser.add_argument("--test", type=int, default=TEST, help="test faces of each kind")
    parser.add_argument("--size", type=int, default=160, help="side of the images")
    parser.add_argument("--steps", type=int, help="of every network; default: see above")
    given = parser.parse_intermixed_args()
    unknown = set(given.networks) - set(NETWORKS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: choose of {', '.join(NETWORKS)}")
    size = f"data.image_size={given.size}"
    more = [size, *counts(given.faces, given.test // 2)]
    more += [f"trainer.max_steps={given.steps}"] if given.steps else []
    for name in given.networks or NETWORKS:
        train(name, given.folder / name, more)
    lines = compare(given.folder, [size, *counts(1, given.test)])
    write_whole(given.folder / "table.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
