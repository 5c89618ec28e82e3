"""Run folders: which one a path means, wherever one may be named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

CONFIG = "config.yaml"
LAST = "checkpoints/last.ckpt"
DATED = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
"""What a run folder is called that nobody named."""
PRODUCTS = ("generator.safetensors", "classifier.safetensors", "last.ckpt")
"""Files that stand for their run."""
ENDINGS = (".safetensors", ".ckpt", ".onnx", ".pt2")


def run_folder(path: str | Path) -> Path | None:
    """The run folder that a path means: ``resume=``, ``model=``, ``run=`` and ``judge=`` alike.

    A run folder itself, a file in one or in its ``checkpoints/``, or a folder of runs
    (``runs/NAME``), of which the newest is meant, see ``newest_run``.

    Returns:
        The folder as it was given, not resolved; None where there is none.
    """
    path = Path(path).expanduser()
    inner = newest_run(path)
    if inner is not None:
        return inner
    place = path.absolute()
    steps = [path, path.parent, path.parent.parent]
    if path.is_dir():
        # RUN/checkpoints is as good as a file in it; the parent of another folder is not meant.
        steps = steps[: 2 if place.name == "checkpoints" else 1]
    return next((step for step in steps if (step / CONFIG).is_file()), None)


def newest_run(path: str | Path) -> Path | None:
    """The newest run of a folder of runs that are named by their time, such as ``runs/NAME``.

    Runs that have saved something come before those that have not.

    Returns:
        None where it is no such folder (a set of models has folders of other names).
    """
    path = Path(path)
    if not path.is_dir() or (path / CONFIG).is_file():
        return None
    runs = [p for p in path.iterdir() if DATED.match(p.name) and (p / CONFIG).is_file()]
    return max(runs, key=lambda run: (_has_saved(run), run.name), default=None)


def named_place(path: str | Path) -> Path:
    """What a model is named by: its file, or the run folder whose product the file is."""
    place = Path(path).expanduser().resolve()
    if place.name in PRODUCTS and len(place.parts) > 2:
        place = place.parent
    if place.name == "checkpoints" and len(place.parts) > 2:
        place = place.parent
    return place


def short_names(paths: Sequence[str | Path]) -> list[str]:
    """What titles, tables and reports call models and judges: all different, none a path.

    The run's name, whatever the time at which it was made; of another checkpoint the run and the
    step; of an exported file its own name. What is called alike is told apart by the folder above,
    else by the time, else by a number.

    ::

        short_names(["runs/demo/2026-11-25_20-14-01"])                   # ["demo"]
        short_names(["runs/a/generator.safetensors", "b.safetensors"])   # ["a", "b"]
    """
    parts = [_name_parts(path) for path in paths]
    ways = [[words[-place:][:1] for words, _ in parts] for place in (1, 2, 3)]
    ways += [[words[-count:] for words, _ in parts] for count in (2, 3)]
    for way in ways:
        found = ["/".join(words) for words in way]
        if len(set(found)) == len(found):
            return found
    found = [words[-1] for words, _ in parts]
    counts = Counter(found)
    found = [
        f"{name} {more}".strip() if counts[name] > 1 else name
        for name, (_, more) in zip(found, parts, strict=True)
    ]
    seen: Counter[str] = Counter()
    for i, name in enumerate(found):
        seen[name] += 1
        found[i] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return found


def _name_parts(path: str | Path) -> tuple[list[str], str]:
    """The folders that lead to a model, the best name last; and what else tells it from others:
    the time of a run that has no other name, the kind of a file."""
    place = named_place(path)
    step = place.stem if place.parent.name == "checkpoints" and place.suffix else ""
    folder = place.parent.parent if step else place
    more = place.suffix[1:] if place.suffix in ENDINGS and not step else ""
    if DATED.match(folder.name) and folder.parent.name:
        day, _, clock = folder.name.partition("_")
        more = f"{day} {clock.replace('-', ':')}"
        folder = folder.parent
    words = [word for word in folder.parts if word != folder.anchor] or [str(folder)]
    for ending in ENDINGS:
        words[-1] = words[-1].removesuffix(ending)
    if step:
        words[-1] += f"/{step}"
    return words, more


def _has_saved(run: Path) -> bool:
    return (run / LAST).is_file() or any(run.glob("*.safetensors"))
