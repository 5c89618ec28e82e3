"""Make what comes with the package: a small translator and pictures to try it on.

    python scripts/train_shipped.py                        an hour or two on one CPU core
    python scripts/train_shipped.py --run DIR              of a run that is there already
    python scripts/train_shipped.py trainer.max_steps=50   settings after those below

Trains on the embedded faces at 64 x 64 pixels and writes ``demo.safetensors`` in half precision and
``inputs/``, drawn faces that the training has not seen, into ``stargan/shipped``. The same machine
makes the same file again; another one rounds otherwise and makes another, as good.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from stargan import imaging
from stargan.data.drawn.faces import SyntheticFaces
from stargan.errors import UserError
from stargan.export.parts import open_parts, save_export
from stargan.shipped import HERE, INPUTS, MODEL
from stargan.training import train

RUN = Path("runs") / "shipped"
WORDS = (
    *("experiment=demo", "name=shipped", "seed=1", "data.image_size=64"),
    *("method.generator.channels=32", "method.generator.width=96"),
    *("method.discriminator.channels=32", "method.discriminator.width=96"),
    *("trainer.max_minutes=null", "trainer.max_steps=7000"),
)
MOST = 3_000_000
"""Bytes of the model, so that the package stays small."""
FACES = 8


def main(arguments: list[str] | None = None) -> None:
    """Train, or take a run, and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="more settings of the run")
    parser.add_argument("--run", type=Path, help="a run that is there; trains nothing")
    parser.add_argument("--output", type=Path, default=HERE, help="where to write")
    given = parser.parse_args(arguments)
    run = given.run
    if run is None:
        run = RUN
        train([*WORDS, f"run_dir={run}", *given.words])
    parts = open_parts(run, "translator")
    model, inputs = given.output / MODEL.name, given.output / INPUTS.name
    save_export(model, parts.networks, parts.plain, half=True)
    size = model.stat().st_size
    if size > MOST:
        model.unlink()
        raise UserError(f"the model has {size:,} bytes, at most {MOST:,} are wanted.")
    shutil.rmtree(inputs, ignore_errors=True)
    faces = SyntheticFaces("test", "attributes", parts.size, FACES)
    for i in range(len(faces)):
        imaging.save_png(faces.load(i), inputs / f"face_{i + 1}.png")
    print(f"wrote {model} ({size / 1e6:.2f} MB) and {len(faces)} faces to {inputs}")


if __name__ == "__main__":
    main()
