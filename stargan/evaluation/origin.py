"""What a model was trained on: from its run folder, else from the facts that it carries."""

from __future__ import annotations

from pathlib import Path

from stargan import building, configs
from stargan.building import Packages
from stargan.errors import Plain, UserError
from stargan.export import open_model
from stargan.runs import CONFIG, run_folder


def data_of(model: str | Path, trust: Packages | None = ()) -> Plain:
    """The data settings of a model, as ``conf/data`` has them.

    Of a model without its run folder the folders of the images are unknown: ``root`` is null.

    Args:
        model: a run folder, a checkpoint, or an exported file.
        trust: packages whose data sets and networks it may name, see ``building``.

    Raises:
        UserError: no such model, one that does not say, or that names code that is not trusted.
    """
    path = Path(model).expanduser()
    run = run_folder(path) if path.exists() else None
    if run is not None:
        file = run / CONFIG
        saved = configs.load_yaml(file).get("data")
    else:
        file = path
        saved = open_model(path, trust=trust or ()).training.get("data")
    if not isinstance(saved, dict) or "use" not in saved:
        raise UserError(
            f"'{model}' does not say what it was trained on: add data=NAME (and data.root=FOLDER), "
            f"NAME one of {', '.join(configs.options('data'))}."
        )
    building.admit(saved, building.from_file(trust), f"'{file}'")
    return dict(saved)
