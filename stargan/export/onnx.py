"""ONNX files: written and opened; they run with onnxruntime alone.

The graph is ``image (batch, 3, H, W) and condition (batch, C) -> translated``, fp32 in and out, in
[-1, 1]; of a model with several networks ``image, own (batch, L) and target (batch, L)``, see
``graph``. The metadata hold, by key:

``stargan``
    the description as JSON: labels, images, networks, roles, training, see ``description``.
``inputs``
    in words, what the graph takes beside the image.
``preprocessing``
    the same in words.
``classifier``
    a second ONNX model, ``image -> logits``, in base64: it reads a photo's own labels. Inside, so
    that one file is the whole model; apart from the graph, since onnxruntime computes all of a
    graph whichever output is asked for.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stargan.errors import Plain, UserError
from stargan.export.description import check, parse
from stargan.export.graph import Reading, Traced, examples, trace, translation
from stargan.export.model import Model
from stargan.export.parts import Parts
from stargan.export.rules import make_rule
from stargan.writing import write_whole

OPSET = 18
PREPROCESSING = (
    "RGB, upright; the largest centre crop of the image size's aspect ratio (or the crop in "
    "pixels that the description names); resize, antialiased bilinear; value / 127.5 - 1; "
    "planes before rows before columns. The result is clipped to [-1, 1]; back: "
    "(value + 1) * 127.5, rounded."
)
INPUTS = {
    "condition": "condition: the target labels in the order of the description's labels, each 0 "
    "to 1; of several label spaces the others' labels are 0, and one more value for each space "
    "follows, 1 for the one that is meant.",
    "own": "own: the image's own labels in the order of the description's labels, each 0 or 1, 0 "
    "in other label spaces than the one that is meant.",
    "target": "target: the labels that are asked for, like own. A change that the model has no "
    "network for gives NaN.",
}
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def save_onnx(path: Path, parts: Parts, precision: str, photos: Tensor | None = None) -> None:
    """Write an ONNX file.

    Args:
        path: usually ``*.onnx``.
        parts: of a translator; without a classifier the file cannot read labels.
        precision: of the translation, see ``graph``: ``fp32``, ``fp16``, or ``int8``: weights and
            activations of the convolutions between the first and the last in 8 bits, of one
            conditional generator only.
        photos: ``(N, 3, H, W)`` in [-1, 1] on which the activations' ranges are measured, for
            ``int8`` only.

    Raises:
        UserError: the packages are missing, the network has no graph, or the model no 8 bits.
    """
    need("onnx"), need("onnxscript")
    rule = parts.rule()
    if precision == "int8" and rule.takes != ("condition",):
        raise UserError(
            "precision=int8 is there for models of one conditional generator only: take fp32 or "
            "fp16."
        )
    inputs = examples(parts)
    dtype = torch.float16 if precision == "fp16" else torch.float32
    model = _convert(translation(rule, dtype), inputs, "translated")
    if precision == "int8":
        if photos is None:
            raise ValueError("int8 needs photos")
        model = quantise(model, photos, parts)
    description = {**parts.plain, "precision": precision}
    metadata = {
        "preprocessing": PREPROCESSING,
        "inputs": " ".join(INPUTS[name] for name in rule.takes),
    }
    reader = parts.role("read")
    if reader is not None:
        second = _convert(Reading(reader), {"image": inputs["image"]}, "logits")
        metadata["classifier"] = base64.b64encode(second.SerializeToString()).decode("ascii")
    metadata["stargan"] = json.dumps(description)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name = "stargan"
    write_whole(path, model.SerializeToString())


def _convert(network: nn.Module, inputs: dict[str, Tensor], output: str) -> Any:
    """A network as an ``onnx.ModelProto``."""
    program = trace(network, inputs)
    with _quiet():
        converted: Any = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, output_names=[output], verbose=False
        )
    model = converted.model_proto
    # Batch sizes get names like s17 otherwise.
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    # Of the intermediate values: their batch has the old name still.
    del model.graph.value_info[:]
    return model


def quantise(model: Any, photos: Tensor, parts: Parts) -> Any:
    """Static quantisation to 8 bits by onnxruntime, QDQ, weights per channel.

    The first and the last convolution stay in fp32: they see the pixels and make them. Transposed
    convolutions too, for which onnxruntime has no 8-bit kernel on a CPU.

    Args:
        model: an ``onnx.ModelProto`` with inputs ``image`` and ``condition``.
        photos: ``(N, 3, H, W)`` in [-1, 1]; each is shown under several of the model's labels.
        parts: the label spaces.

    Returns:
        An ``onnx.ModelProto``.
    """
    need("onnxruntime")
    onnx = need("onnx")
    quantization = importlib.import_module("onnxruntime.quantization")
    feeds = iter(list(_feeds(photos, parts)))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined]
        def get_next(self) -> Any:
            return next(feeds, None)

    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        before, after = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, before)
        quantization.quantize_static(
            before,
            after,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_ends(model, convolutions),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(after)


def _ends(model: Any, convolutions: list[str]) -> list[str]:
    """The convolutions that touch pixels: those whose channels in or out are few."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    by_name = {node.name: node for node in model.graph.node}
    few = 8
    found = []
    for name in convolutions:
        weight = shapes.get(by_name[name].input[1])
        if weight is None or min(weight[:2]) <= few:
            found.append(name)
    return found


def _feeds(photos: Tensor, parts: Parts) -> Iterator[dict[str, Any]]:
    """Photos under targets of every label space, one at a time."""
    labels = parts.labels
    draws = torch.Generator().manual_seed(0)
    for i in range(len(photos)):
        for dataset, space in enumerate(labels.spaces):
            own = torch.zeros(1, space.size)
            if space.categorical:
                own[0, int(torch.randint(space.size, (), generator=draws))] = 1
            else:
                own = space.read(torch.randn(1, space.size, generator=draws))
            label = labels.expand(own, dataset)
            condition = labels.condition(label, torch.tensor([dataset]))
            yield {"image": photos[i : i + 1].numpy(), "condition": condition.numpy()}


class Session(nn.Module):
    """An ONNX model run by onnxruntime, as a network whose tensors are on the CPU.

    Args:
        session: onnxruntime's.
        data: the file, so that the state dict tells one model from another.
    """

    def __init__(self, session: Any, data: bytes) -> None:
        super().__init__()
        self.session = session
        digest = bytearray(hashlib.sha256(data).digest())
        self.register_buffer("digest", torch.frombuffer(digest, dtype=torch.uint8))
        self.names = [value.name for value in session.get_inputs()]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs in their order, to the one output."""
        feed = {
            name: value.detach().float().contiguous().cpu().numpy()
            for name, value in zip(self.names, inputs, strict=True)
        }
        return torch.from_numpy(self.session.run(None, feed)[0])


def open_onnx(path: Path, device: str | torch.device = "cpu") -> Model:
    """Open an ONNX file that ``save_onnx`` wrote; reads no other file, runs no code from it.

    Args:
        path: the file.
        device: ``cpu``, ``cuda`` (with onnxruntime-gpu), or ``auto`` for the best there is.

    Raises:
        UserError: onnxruntime is missing or has no such device, or the file is damaged or none
            of ours.
    """
    runtime = need("onnxruntime")
    provider = _provider(runtime, device)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"'{path}' cannot be read ({error.strerror or error}).") from error
    session = _session(runtime, data, provider, path)
    metadata = session.get_modelmeta().custom_metadata_map
    if "stargan" not in metadata:
        raise UserError(
            f"'{path}' is an ONNX file of another program: give one that stargan export wrote."
        )
    try:
        plain: Plain = parse(metadata["stargan"])
        second = base64.b64decode(metadata.get("classifier", ""), validate=True)
    except ValueError as error:
        raise UserError(f"'{path}' is damaged: its description is not readable.") from error
    plain, labels, framing = check(plain, str(path))
    reader = Session(_session(runtime, second, provider, path), second) if second else None
    return Model(
        rule=Traced(make_rule(plain["roles"]["translate"], labels), Session(session, data)),
        reader=reader,
        labels=labels,
        framing=framing,
        training=dict(plain["training"]),
    )


def _session(runtime: Any, data: bytes, provider: str, path: Path) -> Any:
    options = runtime.SessionOptions()
    # As many threads as torch takes, so that one setting holds for both.
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    # Not a guess from the bytes, which have been read as ONNX.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        _check(memoryview(data), "model", path)
    except (IndexError, ValueError, RecursionError) as error:
        raise UserError(f"'{path}' is damaged, cut short or no ONNX file.") from error
    try:
        return runtime.InferenceSession(data, options, providers=[provider])
    except Exception as error:  # onnxruntime raises classes of its own on damaged files.
        raise UserError(f"'{path}' is damaged, cut short or no ONNX file.") from error


_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Numbers of the fields of onnx.proto in which nodes and tensors lie."""
_DOMAINS = (b"", b"ai.onnx")


def _check(data: memoryview, part: str, path: Path) -> None:
    """Refuse a model that reads other files or has operators of its own.

    By hand, since opening a model needs onnxruntime alone, not the package onnx.

    Raises:
        UserError: it does.
        ValueError, IndexError: no such protocol buffer.
    """
    for number, value in _fields(data):
        found = ""
        if part == "tensor" and number in (13, 14) and value:
            found = "keeps weights in another file"
        elif part == "node" and number == 7 and bytes(_bytes(value)) not in _DOMAINS:
            found = (
                f"has operators of its own ({bytes(_bytes(value))[:40].decode(errors='replace')!r})"
            )
        elif part == "model" and number in (20, 25):
            found = "has functions of its own"
        if found:
            raise UserError(
                f"'{path}' {found}, which stargan export never writes: it is not opened."
            )
        inner = _INSIDE[part].get(number)
        if inner is not None:
            _check(_bytes(value), inner, path)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Numbers and values of a protocol buffer's fields."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("no such number")

    while at < len(data):
        key = varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            yield number, varint()
            continue
        size = varint() if wire == 2 else {1: 8, 5: 4}.get(wire, -1)
        if size < 0 or at + size > len(data):
            raise ValueError("no such field")
        yield number, data[at : at + size]
        at += size


def _bytes(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where there should be a part")
    return value


def _provider(runtime: Any, device: str | torch.device) -> str:
    there = runtime.get_available_providers()
    kind = str(device).partition(":")[0]
    if kind == "auto":
        kind = "cuda" if PROVIDERS["cuda"] in there else "cpu"
    if PROVIDERS.get(kind) not in there:
        raise UserError(
            f"onnxruntime has no device '{device}' here: take device=cpu, or install "
            "onnxruntime-gpu for cuda."
        )
    return PROVIDERS[kind]


def need(package: str) -> Any:
    """A package of the extra ``onnx``.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"ONNX files need the package {package}: pip install 'stargan[onnx]'."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' notes on their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
