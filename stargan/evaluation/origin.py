"""What a model was trained on, from its run folder or the facts that it carries; its judge."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console

from stargan import building, configs
from stargan.building import Packages
from stargan.data.datamodule import DataModule
from stargan.data.drawn.faces import is_drawn
from stargan.errors import Plain, UserError
from stargan.export import Model, open_model
from stargan.judges.drawn import judge_of_faces
from stargan.judges.judge import Judge
from stargan.runs import CONFIG, run_folder
from stargan.training.run import build_data


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


def evaluation_data(settings: Plain, model: Model | Judge) -> DataModule:
    """The data of a configuration in the sizes and labels of a model, set up.

    Raises:
        UserError: a folder that is missing or not given.
    """
    plain = {**settings, "image_size": list(model.size), "limit": None, "balance": False}
    for name in plain["use"]:
        dataset = dict(plain[name])
        if "size" in dataset:
            dataset["size"] = list(model.size)
        if dataset.get("root", "") is None:
            key = f"data.{name}.root" if len(plain["use"]) > 1 else "data.root"
            raise UserError(f"where are the images of '{name}'? Add {key}=FOLDER.")
        by_name = [s for s in model.labels.spaces if s.name == name]
        lone = by_name or (list(model.labels.spaces) if len(model.labels.spaces) == 1 else [])
        if "labels" not in dataset:
            pass  # data=images: has none to choose from
        elif lone and not lone[0].categorical:
            dataset["labels"] = list(lone[0].names)
        elif lone:
            dataset["labels"] = None  # Classes are matched by name, those that are missing said.
        plain[name] = dataset
    data = build_data({"data": plain, "seed": 0})
    data.setup()
    return data


def own_judge(
    data: DataModule, name: str, settings: Plain, device: torch.device, console: Console
) -> tuple[Judge, str]:
    """The judge of a dataset of embedded faces, trained once and kept.

    Raises:
        UserError: other images, which need a judge that the user has trained.
    """
    train = data.train[name].images
    if not is_drawn(train):
        known = name if name in ("celeba", "rafd", "joint") else "celeba"
        raise UserError(
            f"evaluating translations of '{name}' needs a judge that knows its labels: train one, "
            f"stargan train experiment={known}_classifier data.root=FOLDER run_dir=JUDGE, and add "
            "judge=JUDGE."
        )
    judge = judge_of_faces(data, name, settings, console)
    judge.network.to(device)
    return judge, f"small classifier, trained on {len(train):,} drawn faces"
