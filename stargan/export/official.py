"""Weights of the published code, yunjey/stargan: read, and written so that it loads them.

That code saves ``torch.save(network.state_dict())`` as ``200000-G.ckpt`` and ``200000-D.ckpt``.
Its instance norms keep running statistics that it never uses, for it translates in training mode:
they are dropped here, and written as fresh ones, because it loads strictly. Nothing else differs:
``networks.stargan`` has its names and its order.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from stargan import building, networks
from stargan.errors import Plain, UserError
from stargan.export.description import describe, reads
from stargan.export.parts import Parts, load_weights
from stargan.export.rules import conditional
from stargan.labels import JointLabelSpace
from stargan.writing import write_whole

RUNNING = ("running_mean", "running_var", "num_batches_tracked")
GENERATOR = "stargan.networks.stargan.Generator"
DISCRIMINATOR = "stargan.networks.stargan.Discriminator"


def read_official(
    generator: Path,
    discriminator: Path | None,
    labels: JointLabelSpace,
    crops: Mapping[str, int | None],
    image_size: int | None = None,
) -> tuple[dict[str, nn.Module], Plain, list[str]]:
    """Networks, description and what was found, of checkpoints of the published code.

    Args:
        generator: such as ``200000-G.ckpt``.
        discriminator: such as ``200000-D.ckpt``; without it the model reads no labels.
        labels: must have the size of the condition that the generator takes.
        crops: the training's centre crop for each label space.
        image_size: of the training; None: what the discriminator tells, else 128.

    Raises:
        UserError: no such file, no such layout, another number of labels.
    """
    state, dropped = _state(generator, "main.0.weight")
    first = state["main.0.weight"]
    blocks = sum(key.endswith("main.0.weight") and key.count(".") == 4 for key in state)
    channels, found = first.shape[0], first.shape[1] - 3
    if found != labels.condition_size:
        mask = f" and a mask of {len(labels.spaces)}" if len(labels.spaces) > 1 else ""
        raise UserError(
            f"'{generator}' takes a condition of {found} values, the labels given make "
            f"{labels.condition_size} ({labels.size} labels{mask}): give the labels that it was "
            "trained with, in their order."
        )
    size, judge = image_size, None
    if discriminator is not None:
        judge, _ = _state(discriminator, "conv2.weight")
        layers = sum(key.startswith("main.") and key.endswith(".weight") for key in judge)
        if judge["conv2.weight"].shape[0] != labels.size:
            raise UserError(
                f"'{discriminator}' tells {judge['conv2.weight'].shape[0]} labels apart, "
                f"{labels.size} are given: the two files do not belong together."
            )
        tells = judge["conv2.weight"].shape[-1] * 2**layers
        if size is not None and size != tells:
            raise UserError(
                f"'{discriminator}' was trained on images of {tells} pixels, not {size}: leave "
                "image_size out."
            )
        size = tells
    size = size or 128
    described: dict[str, Plain] = {
        "generator": {
            "_target_": GENERATOR,
            "channels": channels,
            "blocks": blocks,
            "image_size": [size, size],
            "condition_size": labels.condition_size,
        }
    }
    states = {"generator": state}
    if judge is not None:
        described["classifier"] = {
            "_target_": DISCRIMINATOR,
            "channels": judge["main.0.weight"].shape[0],
            "layers": layers,
            "image_size": [size, size],
            "label_size": labels.size,
        }
        states["classifier"] = judge
    files = {"generator": generator, "classifier": discriminator}
    parts = {name: _build(config, states[name], files[name]) for name, config in described.items()}
    training: Plain = {"method": "yunjey/stargan, imported"}
    steps = generator.name.partition("-")[0]
    if steps.isdecimal():
        training["steps"] = int(steps)
    training["sha256"] = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (generator, discriminator)
        if file is not None
    }
    roles = {"translate": conditional("generator")}
    if judge is not None:
        roles["read"] = reads("classifier")
    description = describe(
        networks=described,
        roles=roles,
        labels=labels,
        image={"size": [size, size], "crop": dict(crops)},
        training=training,
    )
    count = sum(p.numel() for p in parts["generator"].parameters())
    said = [
        f"generator: condition of {found}, {channels} channels, {blocks} residual blocks, "
        f"{count:,} parameters; takes images of any size that 4 divides",
        f"left out: {dropped} running statistics, which the published code keeps and never uses",
    ]
    if judge is None:
        said.append(
            f"image size: {size}, "
            + ("as given" if image_size else "the published default; image_size= says otherwise")
        )
        said.append("no discriminator: the photo's own labels must be given (labels=)")
    else:
        count = sum(p.numel() for p in parts["classifier"].parameters())
        said.append(
            f"discriminator: {labels.size} labels, {described['classifier']['channels']} channels, "
            f"{layers} layers, so images of {size} pixels, {count:,} parameters"
        )
    return parts, description, said


def write_official(path: Path, parts: Parts) -> tuple[list[Path], list[str]]:
    """Write what the published code loads with ``--test_iters`` or ``--resume_iters``.

    Args:
        path: must end in ``-G.ckpt``, as that code names its files; the discriminator goes
            beside it as ``-D.ckpt``.
        parts: of a translator with the paper's networks.

    Returns:
        The files, and what to say of them: the command line of that code that fits them, and
        whether the discriminator was in half precision where it comes from.

    Raises:
        UserError: another name or network, or more than two label spaces.
    """
    steps, sign, _ = path.name.rpartition("-G.ckpt")
    if not sign or not steps.isdecimal():
        raise UserError(
            f"'{path.name}' is no name that the published code looks for: call it like "
            "200000-G.ckpt (steps, then -G.ckpt)."
        )
    rule = parts.plain["roles"]["translate"]
    config = parts.plain["networks"][rule["networks"][0]]
    if rule["rule"] != "conditional" or building.current(config["_target_"]) != GENERATOR:
        raise UserError(
            f"the published code has the paper's generator only, this model has "
            f"{config['_target_']}: train with method=stargan."
        )
    if len(parts.labels.spaces) > 2:
        raise UserError("the published code knows two data sets at most, this model has more.")
    files = {path: _with_statistics(parts.networks[rule["networks"][0]])}
    judge = parts.role("read")
    square = parts.size[0] == parts.size[1]
    reader = building.current(_reader(parts)["_target_"]) if judge is not None else ""
    said = [_command(path, steps, parts)]
    if judge is not None and square and reader == DISCRIMINATOR:
        beside = path.with_name(f"{steps}-D.ckpt")
        files[beside] = dict(judge.state_dict())
        if all(torch.equal(p, p.half().float()) for p in judge.parameters()):
            said.append(
                f"{beside.name} has the three digits to which the file given keeps D: export the "
                "run folder, whose checkpoint has them all, before you train on from it"
            )
    for file, state in files.items():
        buffer = io.BytesIO()
        torch.save({name: value.cpu().clone() for name, value in state.items()}, buffer)
        write_whole(file, buffer.getvalue())
    return list(files), said


def _reader(parts: Parts) -> Plain:
    """How the network that reads labels is made; empty where there is none."""
    names = parts.plain["roles"].get("read", {"networks": []})["networks"]
    found: Plain = parts.plain["networks"][names[0]] if names else {}
    return found


def _command(path: Path, steps: str, parts: Parts) -> str:
    spaces = parts.labels.spaces
    (name,) = parts.plain["roles"]["translate"]["networks"]
    generator, judge = parts.plain["networks"][name], _reader(parts)
    words = ["python main.py --mode test"]
    first = spaces[0]
    if len(spaces) == 2:
        words.append(f"--dataset Both --c_dim {first.size} --c2_dim {spaces[1].size}")
    else:
        words.append(f"--dataset {'RaFD' if first.categorical else 'CelebA'} --c_dim {first.size}")
    if not first.categorical:
        words.append(f"--selected_attrs {' '.join(first.names)}")
    words.append(f"--image_size {parts.size[0]}")
    words.append(f"--g_conv_dim {generator.get('channels', 64)}")
    words.append(f"--g_repeat_num {generator.get('blocks', 6)}")
    words.append(f"--d_conv_dim {judge.get('channels', 64)}")
    layers = 6
    reader = parts.role("read")
    if reader is not None:
        state = reader.state_dict()
        layers = sum(key.startswith("main.") and key.endswith(".weight") for key in state)
    words.append(f"--d_repeat_num {layers}")
    words.append(f"--model_save_dir {path.parent} --test_iters {steps}")
    return " ".join(words)


def _with_statistics(network: nn.Module) -> dict[str, Tensor]:
    """A state dict with the fresh running statistics of its instance norms."""
    state: dict[str, Tensor] = dict(network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, nn.InstanceNorm2d):
            fresh = nn.InstanceNorm2d(module.num_features, affine=True, track_running_stats=True)
            statistics = fresh.state_dict()
            state |= {f"{name}.{key}": statistics[key] for key in RUNNING}
    return state


def _state(path: Path, key: str) -> tuple[dict[str, Tensor], int]:
    """The tensors of a file less running statistics, and how many of these there were."""
    if not path.is_file():
        raise UserError(f"'{path}' does not exist: give a file like 200000-G.ckpt.")
    loaded = load_weights(path, mmap=False)
    state = loaded if isinstance(loaded, Mapping) else {}
    if not all(isinstance(value, Tensor) for value in state.values()) or key not in state:
        raise UserError(
            f"'{path}' is no {'generator' if key == 'main.0.weight' else 'discriminator'} of the "
            f"published code: it has no weights {key}."
        )
    kept = {k: v for k, v in state.items() if k.rpartition(".")[2] not in RUNNING}
    if kept[key].dim() != 4:
        raise UserError(f"'{path}' is no file of the published code: {key} is no convolution.")
    return kept, len(state) - len(kept)


def _build(config: Plain, state: Mapping[str, Tensor], path: Path | None) -> nn.Module:
    network = networks.build(config)
    try:
        network.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        wrong = set(network.state_dict()) ^ set(state)
        detail = f" ({', '.join(sorted(wrong)[:3])})" if wrong else ""
        raise UserError(
            f"'{path}' has not the layout of the published code: weights are missing, too many or "
            f"of other shapes{detail}."
        ) from error
    return network.eval().requires_grad_(False)
