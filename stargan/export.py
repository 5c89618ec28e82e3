"""The exported model: one file that knows its networks, labels and image size.

``generator.safetensors`` holds the tensors ``generator.*`` (fp32) and ``classifier.*`` (fp16: the
discriminator, which reads a photo's own labels) and, as JSON under the metadata key ``stargan``::

    {"format": 1,
     "kind": "translator", "classifier" or "sampler"; a translator where it is missing,
     "network": {"_target_": "stargan.networks....", **arguments}, or null (a classifier),
     "classifier": the same, or null,
     "labels": JointLabelSpace.to_plain(),
     "image": {"size": [height, width], "crop": {space name: pixels or null}},
     "training": {method, experiment, steps, version, date}}

Checkpoints carry the same dictionary as ``hyper_parameters["export"]``. Opening either runs no
code from the file: tensors and plain data only, and networks of this package only.
"""

from __future__ import annotations

import json
import pickle
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from stargan import networks
from stargan.contracts import Plain, UserError
from stargan.labels import JointLabelSpace

FORMAT = 1
PRODUCTS = {
    "translator": "generator.safetensors",
    "sampler": "generator.safetensors",
    "classifier": "classifier.safetensors",
}
"""What a run folder's exported file is called, by the kind of model."""


@dataclass(eq=False)
class Model:
    """An opened model, ready to translate tensors: a ``contracts.Translate``.

    Attributes:
        generator: ``(image, condition) -> image``.
        classifier: an image to label logits ``(B, L)``, alone or last of a tuple; None if the
            file has none.
        labels: what conditions are built from.
        size: ``(height, width)`` of the images.
        crops: the training's centre crop for each label space, in pixels or None.
        training: where the model comes from.
    """

    generator: nn.Module
    classifier: nn.Module | None
    labels: JointLabelSpace
    size: tuple[int, int]
    crops: dict[str, int | None]
    training: Plain

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.generator.parameters()).device

    @torch.inference_mode()
    def __call__(self, image: Tensor, label: Tensor, source: Tensor) -> Tensor:
        """Images to images, told by target labels.

        Args:
            image: ``(B, 3, H, W)`` in [-1, 1], of the model's size, on any device.
            label: ``(B, L)`` joint target labels.
            source: ``(B,)`` int64, the label space that each row's labels belong to.

        Returns:
            ``(B, 3, H, W)`` in [-1, 1], on the model's device.
        """
        device = self.device
        condition = self.labels.condition(label.to(device), source.to(device))
        translated: Tensor = self.generator(image.to(device), condition)
        return translated.clamp(-1, 1)

    @torch.inference_mode()
    def classify(self, image: Tensor) -> Tensor:
        """The classifier's logits ``(B, L)`` for images ``(B, 3, H, W)``.

        Raises:
            UserError: the model has no classifier.
        """
        if self.classifier is None:
            raise UserError(
                "this model cannot read labels off an image (it was exported without a "
                "classifier): give the labels yourself."
            )
        out = self.classifier(image.to(self.device))
        logits: Tensor = out[-1] if isinstance(out, tuple) else out
        return logits


def describe(
    network: Mapping[str, Any] | None,
    classifier: Mapping[str, Any] | None,
    labels: JointLabelSpace,
    image: Mapping[str, Any],
    training: Mapping[str, Any],
    kind: str = "translator",
) -> Plain:
    """The dictionary that opens a model again; plain data.

    Args:
        network: ``{"_target_": ..., **arguments}`` that rebuilds the generator; None of a
            classifier.
        classifier: the same of what reads labels (of a translator the discriminator), or None.
        labels: the joint label space.
        image: ``{"size": [height, width], "crop": {space name: pixels or None}}``.
        training: provenance.
        kind: one of ``PRODUCTS``.
    """
    return {
        "format": FORMAT,
        "kind": kind,
        "network": None if network is None else dict(network),
        "classifier": None if classifier is None else dict(classifier),
        "labels": labels.to_plain(),
        "image": dict(image),
        "training": dict(training),
    }


def save_export(path: str | Path, parts: Mapping[str, nn.Module], description: Plain) -> None:
    """Write an exported model, whole or not at all.

    Args:
        path: usually ``generator.safetensors``; an old file is replaced.
        parts: ``generator`` (the average, where there is one), ``classifier`` (of a translator
            stored in half precision), or both.
        description: what ``describe`` gives.

    Raises:
        UserError: the place cannot be written to, or the description would not open again.
    """
    _settings(description, str(path))
    # Half precision halves the file; only the sign and order of D's logits matter here.
    half = {"classifier"} if description["kind"] == "translator" else set()
    tensors = {
        f"{part}.{key}": _stored(value, torch.float16 if part in half else torch.float32)
        for part, network in parts.items()
        for key, value in network.state_dict().items()
    }
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Not save_file: its files are private (0600), and the export is made to be shared.
            temporary.write_bytes(save(tensors, metadata={"stargan": json.dumps(description)}))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"'{path}' cannot be written ({error.strerror or error}).") from error


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().cpu()
    # A copy of its own: safetensors refuses tensors that share memory.
    return tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True).contiguous()


def open_model(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """Open a run folder, a checkpoint or an exported file.

    Of a run folder, ``generator.safetensors`` is taken unless ``checkpoints/last.ckpt`` is newer.

    Args:
        path: a folder, ``.ckpt`` or ``.safetensors``.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto`` for the best there is.

    Raises:
        UserError: nothing there, not a model, damaged, of another format; says which.
    """
    place = find_device(device)
    parts = open_parts(path, "translator")
    classifier = parts.networks.get("classifier")
    return Model(
        generator=parts.networks["generator"].to(place),
        classifier=None if classifier is None else classifier.to(place),
        labels=parts.labels,
        size=parts.size,
        crops=parts.crops,
        training=parts.training,
    )


@dataclass(eq=False)
class Parts:
    """What a file holds, opened on the CPU, for evaluation.

    Attributes:
        networks: ``generator``, ``classifier`` or both.
        plain: the whole description.
        labels, size, crops, training: see ``Model``.
    """

    networks: dict[str, nn.Module]
    plain: Plain
    labels: JointLabelSpace
    size: tuple[int, int]
    crops: dict[str, int | None]

    @property
    def training(self) -> Plain:
        """Where the model comes from."""
        return dict(self.plain["training"])


def open_parts(path: str | Path, kind: str) -> Parts:
    """The networks of a run folder, checkpoint or exported file of this kind.

    Args:
        path: of a run folder, the exported file is taken unless ``checkpoints/last.ckpt`` is newer.
        kind: one of ``PRODUCTS``.

    Raises:
        UserError: nothing there, of another kind, damaged, of another format; says which.
    """
    file = _find(Path(path).expanduser(), PRODUCTS[kind])
    read = _read_safetensors if file.suffix == ".safetensors" else _read_checkpoint
    plain, tensors = read(file)
    labels, size, crops = _settings(plain, str(file))
    found = plain.get("kind", "translator")
    if found != kind:
        raise UserError(f"'{file}' is a {found}, not a {kind}: give the run or file of a {kind}.")
    described = {"generator": plain["network"], "classifier": plain["classifier"]}
    opened = {
        part: _restore(config, tensors, f"{part}.", file)
        for part, config in described.items()
        if config is not None
    }
    return Parts(opened, plain, labels, size, crops)


def find_device(name: str | torch.device) -> torch.device:
    """A device by name; ``auto`` is CUDA, else Apple's GPU, else the CPU.

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device '{name}' is not available here: try auto or cpu.") from error
    return device


def _find(path: Path, product: str) -> Path:
    """The file to open; ``product`` is the name of a run's exported file."""
    if path.is_dir():
        exported, last = path / product, path / "checkpoints" / "last.ckpt"
        found = [p for p in (exported, last) if p.is_file()]
        if not found:
            raise UserError(
                f"the folder '{path}' holds no model (neither {product} nor "
                "checkpoints/last.ckpt): give a run folder, a .ckpt or a .safetensors file."
            )
        # max keeps the first of equals: the export.
        return max(found, key=lambda p: p.stat().st_mtime_ns)
    if not path.exists():
        raise UserError(
            f"'{path}' does not exist: give a run folder, a .ckpt or a .safetensors file."
        )
    if path.suffix not in (".ckpt", ".safetensors"):
        raise UserError(f"'{path}' is no model: give a run folder, a .ckpt or a .safetensors file.")
    return path


def _read_safetensors(path: Path) -> tuple[Any, dict[str, Tensor]]:
    """Settings and tensors of an exported file."""
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
        return json.loads(metadata["stargan"]), tensors
    except ValueError as error:
        raise UserError(f"'{path}' is damaged: its description is not readable.") from error


def _read_checkpoint(path: Path) -> tuple[Any, dict[str, Tensor]]:
    """Settings of a checkpoint, and its tensors by the names of an exported file."""
    try:
        # mmap: the optimizers' moments, most of the file, are never read.
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"'{path}' holds more than tensors and plain data, which could run code: "
            "it is not opened."
        ) from error
    except Exception as error:  # torch.load raises almost anything on damaged files.
        raise UserError(f"'{path}' is damaged, cut short or no checkpoint.") from error
    parts = loaded if isinstance(loaded, dict) else {}
    settings, state = parts.get("hyper_parameters"), parts.get("state_dict")
    if not isinstance(settings, dict) or not isinstance(state, dict) or "export" not in settings:
        raise UserError(
            f"'{path}' is not a checkpoint of a stargan method: give the last.ckpt of a run."
        )
    # The running average of the generator, where there is one, makes the better pictures.
    source = "ema." if any(key.startswith("ema.") for key in state) else "generator."
    names = {source: "generator.", "discriminator.": "classifier.", "classifier.": "classifier."}
    tensors = {
        new + key.removeprefix(old): tensor
        for key, tensor in state.items()
        for old, new in names.items()
        if key.startswith(old)
    }
    return settings["export"], tensors


def _settings(
    plain: Any, where: str
) -> tuple[JointLabelSpace, tuple[int, int], dict[str, int | None]]:
    """Labels, image size and crops of an export's dictionary, all of it checked."""
    damaged = f"'{where}' is damaged: its description is incomplete or contradicts itself."
    if not isinstance(plain, dict) or "format" not in plain:
        raise UserError(damaged)
    if plain["format"] != FORMAT:
        raise UserError(
            f"'{where}' has format {plain['format']}, this version of stargan reads "
            f"format {FORMAT}: update stargan, or export the model again."
        )
    try:
        labels = JointLabelSpace.from_plain(plain["labels"])
        height, width = (int(n) for n in plain["image"]["size"])
        given = dict(plain["image"].get("crop") or {})
        crops = {s.name: int(given[s.name]) if given.get(s.name) else None for s in labels.spaces}
        sizes = {"condition_size": labels.condition_size, "label_size": labels.size}
        kind = plain.get("kind", "translator")
        if kind not in PRODUCTS or not plain["classifier" if kind == "classifier" else "network"]:
            raise UserError(damaged)
        for network in plain["network"] or {}, plain["classifier"] or {}:
            if any(network.get(name, size) != size for name, size in sizes.items()):
                raise UserError(damaged)
        dict(plain["training"])
    except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
        raise UserError(damaged) from error
    if min(height, width) < 1:
        raise UserError(damaged)
    return labels, (height, width), crops


def _restore(config: Any, tensors: Mapping[str, Tensor], prefix: str, path: Path) -> nn.Module:
    """A network with its weights, strictly all of them, for evaluation."""
    if not isinstance(config, Mapping):
        raise UserError(f"'{path}' is damaged: its description names no network.")
    network = networks.build(config)
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
