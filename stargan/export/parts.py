"""Models as networks and tensors: exported files, checkpoints, and what they hold.

``generator.safetensors`` and its like hold each network's tensors under its name (``generator.*``)
and, as JSON under the metadata key ``stargan``, the description, see ``description``. A network of
a translator that only reads labels is kept in half precision, all others in fp32.

Checkpoints carry the description as ``hyper_parameters["export"]`` and, where a network's tensors
have another prefix in the state dict than its name, ``hyper_parameters["tensors"]``: network name
to prefix, such as ``{"generator": "ema"}``. Opening either runs no code from the file: tensors and
plain data only, and networks of this package only, unless the person who opens it trusts another
(``building``).
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from stargan import building, networks
from stargan.building import Packages, Trust
from stargan.errors import Plain, UserError
from stargan.export import hub
from stargan.export.description import PRODUCTS, Framing, check, parse, without
from stargan.export.rules import Rule, make_rule
from stargan.labels import JointLabelSpace
from stargan.runs import newest_run
from stargan.shipped import MODEL, shipped
from stargan.writing import write_whole

SUFFIXES = (".ckpt", ".safetensors", ".onnx", ".pt2")
_SORTS = "a file that ends in .ckpt, .safetensors, .onnx or .pt2"


def save_export(
    path: str | Path,
    networks: Mapping[str, nn.Module],
    description: Plain,
    half: bool = False,
) -> None:
    """Write an exported model, whole or not at all.

    Args:
        path: usually ``generator.safetensors``; an old file is replaced.
        networks: all that the description names (the average, where there is one).
        description: what ``describe`` gives.
        half: keep all in half precision; they still compute in fp32.

    Raises:
        UserError: the place cannot be written to, or the description would not open again.
    """
    plain = check(description, str(path)).plain
    if set(networks) != set(plain["networks"]):
        odd = ", ".join(sorted(set(networks) ^ set(plain["networks"])))
        raise UserError(f"'{path}' is not written: its description and networks differ in {odd}.")
    halved = set(networks) if half else only_read(plain)
    tensors = {
        f"{name}.{key}": _stored(value, torch.float16 if name in halved else torch.float32)
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    # safetensors' own save_file makes private files (0600).
    write_whole(Path(path), save(tensors, metadata={"stargan": json.dumps(plain)}))


def only_read(plain: Plain) -> set[str]:
    """The networks of a translator that only read labels.

    Half precision halves the file, and only the sign and order of their logits matter.
    """
    roles = plain["roles"]
    if "translate" not in roles or "read" not in roles:
        return set()
    return set(roles["read"]["networks"]) - set(roles["translate"]["networks"])


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().cpu()
    # A copy of its own: safetensors refuses tensors that share memory.
    return tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True).contiguous()


@dataclass(eq=False)
class Parts:
    """What a file holds, opened on the CPU, for evaluation.

    Attributes:
        networks: by name.
        plain: the whole description.
        labels: the joint label space.
        framing: how images are brought before the networks.
    """

    networks: dict[str, nn.Module]
    plain: Plain
    labels: JointLabelSpace
    framing: Framing

    @classmethod
    def of(cls, networks: Mapping[str, nn.Module], description: Plain) -> Parts:
        """From networks in memory and what ``describe`` gives of them."""
        plain, labels, framing = check(description, "the model")
        return cls(dict(networks), plain, labels, framing)

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` of the images."""
        return self.framing.size

    @property
    def training(self) -> Plain:
        """Where the model comes from."""
        return dict(self.plain["training"])

    def role(self, role: str) -> nn.Module | None:
        """The one network of a role, None where the model has no such role."""
        if role not in self.plain["roles"]:
            return None
        (name,) = self.plain["roles"][role]["networks"]
        return self.networks[name]

    def need(self, role: str) -> nn.Module:
        """The one network of a role that makes the model what it is."""
        network = self.role(role)
        assert network is not None, f"a model of this kind has the role '{role}'"
        return network

    def rule(self) -> Rule:
        """How a translator translates, with its networks."""
        return make_rule(self.plain["roles"]["translate"], self.labels, self.networks)

    def without(self, role: str) -> Parts:
        """The same model less a role and the networks that only this role needs."""
        plain = without(self.plain, role)
        kept = {name: self.networks[name] for name in plain["networks"]}
        return Parts(kept, plain, self.labels, self.framing)


def open_parts(path: str | Path, kind: str, trust: Packages = ()) -> Parts:
    """The networks of a run folder, checkpoint or exported file of this kind.

    Args:
        path: of a run folder, the exported file is taken unless ``checkpoints/last.ckpt`` has made
            more steps.
        kind: one of ``PRODUCTS``.
        trust: packages whose networks the file may name, see ``building``.

    Raises:
        UserError: nothing there, of another kind, damaged, of another format, or it names code
            that is not trusted; says which.
    """
    file = find(path, kind)
    if file.suffix not in (".safetensors", ".ckpt"):
        raise UserError(
            f"'{file}' is a graph without trainable weights: give the run folder, .ckpt or "
            ".safetensors that it was exported from."
        )
    read = _read_safetensors if file.suffix == ".safetensors" else _read_checkpoint
    described, tensors, prefixes = read(file)
    plain, labels, framing = check(described, str(file))
    found = plain["kind"]
    if found != kind:
        raise UserError(f"'{file}' is a {found}, not a {kind}: give the run or file of a {kind}.")
    trusted = building.from_file(trust)
    # All of it: a network may build another from its arguments.
    building.admit(plain["networks"], trusted, f"'{file}'")
    opened = {
        name: _restore(config, tensors, f"{prefixes.get(name, name)}.", file, trusted)
        for name, config in plain["networks"].items()
    }
    return Parts(opened, plain, labels, framing)


def find(path: str | Path, kind: str, revision: str | None = None) -> Path:
    """The file to open: of a folder its model, of a name on the hub what was downloaded.

    Args:
        path: a folder (of several runs the newest is meant), a file, ``owner/name`` on the hub, or
            ``demo``, the translator that comes with the package.
        kind: one of ``PRODUCTS``.
        revision: of a model on the hub.

    Raises:
        UserError: nothing there, or a file of another sort.
    """
    if hub.is_hub_name(path):
        return hub.fetch(Path(path).as_posix(), revision)
    if own := shipped(path, MODEL):
        return own
    path = Path(path).expanduser()
    path = newest_run(path) or path
    if path.is_dir():
        product = PRODUCTS[kind]
        places = product, hub.WEIGHTS, "checkpoints/last.ckpt"
        found = [path / place for place in places if (path / place).is_file()]
        if not found:
            raise UserError(
                f"the folder '{path}' holds no model (neither {product} nor {hub.WEIGHTS} nor "
                f"checkpoints/last.ckpt): give a run folder or {_SORTS}."
            )
        # By steps, for copying a folder changes the times. max keeps the first of equals.
        return found[0] if len(found) == 1 else max(found, key=_steps)
    if not path.exists():
        raise UserError(f"'{path}' does not exist: give a run folder or {_SORTS}.")
    if path.suffix not in SUFFIXES:
        raise UserError(f"'{path}' is no model: give a run folder or {_SORTS}.")
    return path


def _steps(path: Path) -> int:
    """How many steps the model in a file has been trained; -1 where it does not say."""
    try:
        if path.suffix == ".ckpt":
            plain = load_weights(path)["hyper_parameters"]["export"]
        elif path.name == hub.WEIGHTS:
            plain = parse((path.parent / hub.CONFIG).read_bytes())
        else:
            with safe_open(path, framework="pt") as file:
                plain = parse(file.metadata()["stargan"])
        return int(plain["training"]["steps"])
    except (UserError, OSError, SafetensorError, KeyError, TypeError, ValueError):
        return -1


def _read_safetensors(path: Path) -> tuple[Any, dict[str, Tensor], dict[str, str]]:
    """Description and tensors of an exported file; the prefixes are the networks' names."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "stargan" not in metadata:
                raise UserError(
                    f"'{path}' is a safetensors file of another program, not an exported "
                    "generator: give the generator.safetensors of a run."
                )
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"'{path}' is damaged, cut short or no safetensors file.") from error
    try:
        return parse(metadata["stargan"]), tensors, {}
    except ValueError as error:
        raise UserError(f"'{path}' is damaged: its description is not readable.") from error


def load_weights(path: Path, mmap: bool = True) -> Any:
    """What a torch file holds, on the CPU, weights-only.

    Args:
        path: an existing file.
        mmap: read only what is used; files of torch before 1.6 cannot be read so.

    Raises:
        UserError: the file is damaged, or holds more than tensors and plain data.
    """
    try:
        # mmap: the optimizers' moments, most of the file, are never read.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"'{path}' holds more than tensors and plain data, which could run code: "
            "it is not opened."
        ) from error
    except Exception as error:  # torch.load raises almost anything on damaged files.
        raise UserError(f"'{path}' is damaged, cut short or no checkpoint.") from error


def _read_checkpoint(path: Path) -> tuple[Any, dict[str, Tensor], dict[str, str]]:
    """Description and tensors of a checkpoint, and the prefixes of its networks."""
    loaded = load_weights(path)
    parts = loaded if isinstance(loaded, dict) else {}
    settings, state = parts.get("hyper_parameters"), parts.get("state_dict")
    if not isinstance(settings, dict) or not isinstance(state, dict) or "export" not in settings:
        raise UserError(
            f"'{path}' is not a checkpoint of a stargan method: give the last.ckpt of a run."
        )
    prefixes = settings.get("tensors")
    if not isinstance(prefixes, dict):
        # Written before checkpoints said so: one average, of the generator, which makes the better
        # pictures, and a discriminator that reads.
        prefixes = {}
        if any(key.startswith("ema.") for key in state):
            prefixes["generator"] = "ema"
        if any(key.startswith("discriminator.") for key in state):
            prefixes["classifier"] = "discriminator"
    return settings["export"], state, prefixes


def _restore(
    config: Any, tensors: Mapping[str, Tensor], prefix: str, path: Path, trust: Trust
) -> nn.Module:
    """A network with its weights, strictly all of them, for evaluation."""
    if not isinstance(config, Mapping):
        raise UserError(f"'{path}' is damaged: its description names no network.")
    network = networks.build(config, trust=trust, where=f"'{path}'")
    state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise UserError(
            f"the weights '{prefix}*' in '{path}' do not fit the network they name "
            f"({config['_target_']}): the file is damaged or of another version."
        ) from error
    if not all(torch.isfinite(p).all() for p in network.parameters()):
        raise UserError(
            f"the weights '{prefix}*' in '{path}' are not finite: the training diverged, "
            "take an earlier checkpoint."
        )
    return network.eval().requires_grad_(False)
