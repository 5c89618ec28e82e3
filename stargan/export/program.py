"""Graphs of ``torch.export`` carried out from their JSON, node by node.

``torch.export.load`` runs what a file says: pickles among its sample inputs and constants,
expressions of sizes as Python, any function below ``torch``, names that become source code. Nothing
of it is used here. A graph is data: operators by name, each of them in ``OPERATORS``, and numbers.
What is none of that is refused when the file is opened, before anything has run.

The format is that of ``torch/_export/serde/schema.py``, major version 8.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stargan.errors import UserError

SCHEMA = 8
_WORDS = """
    abs acos acosh adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d
    add addcdiv addcmul addmm alias all alpha_dropout amax amin any arange argmax argmin asin asinh
    atan atan2 atanh avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm bitwise_and bitwise_not
    bitwise_or bitwise_xor bmm broadcast_to cat ceil celu channel_shuffle chunk clamp clamp_max
    clamp_min clone concat concatenate constant_pad_nd contiguous conv1d conv2d conv3d
    conv_transpose1d conv_transpose2d conv_transpose3d convolution copy cos cosh cumprod cumsum
    detach diagonal div divide dropout einsum elu eq erf erfc exp expand expand_as expm1 eye
    feature_dropout flatten flip floor floor_divide fmod frac full full_like gather ge gelu glu
    group_norm gt hardsigmoid hardswish hardtanh hstack index_select instance_norm isfinite isinf
    isnan l1_loss layer_norm le leaky_relu lerp linalg_vector_norm linear linspace log log10 log1p
    log2 log_sigmoid log_softmax logical_and logical_not logical_or logical_xor logsumexp lt
    masked_fill matmul max max_pool1d max_pool2d max_pool3d maximum mean meshgrid min minimum mish
    mm movedim moveaxis mse_loss mul multiply mv narrow native_batch_norm native_dropout
    native_group_norm native_layer_norm ne neg negative new_full new_ones new_zeros norm
    normalize numel ones ones_like outer pad permute pixel_shuffle pixel_unshuffle positive pow
    prelu prod reciprocal reflection_pad1d reflection_pad2d reflection_pad3d relu relu6 remainder
    repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape
    reshape_as rms_norm roll rot90 round rsqrt rsub scalar_tensor scaled_dot_product_attention
    select selu sigmoid sign silu sin sinh slice softmax softplus softsign split split_with_sizes
    sqrt square squeeze stack std std_mean sub subtract sum swapaxes swapdims sym_numel sym_size t
    tan tanh tensor_split tile to topk transpose tril triu true_divide trunc type_as unbind
    unflatten unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_linear1d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d var var_mean
    view view_as vstack where xlogy zeros zeros_like _adaptive_avg_pool2d _log_softmax
    _native_batch_norm_legit _native_batch_norm_legit_no_training _softmax _to_copy
    _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact2d
"""
OPERATORS = frozenset(_WORDS.split())
"""Of ``torch.ops.aten``: what networks of images are made of; tensors and numbers in and out. With
or without the underscore of those that work in place."""
_CHECKS = (
    *("_assert_async", "_assert_scalar", "_assert_tensor_metadata"),
    *("sym_constrain_range", "sym_constrain_range_for_size"),
)
"""What the tracer knew of the device and sizes that it traced with."""
_NUMBERS: dict[str, Callable[..., Any]] = {
    **{
        f"_operator.{name}": getattr(operator, name)
        for name in ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "eq", "ne")
    },
    **{f"_operator.{name}": getattr(operator, name) for name in ("lt", "le", "gt", "ge")},
    **{f"math.{name}": getattr(math, name) for name in ("ceil", "floor", "trunc")},
    **{f"torch.sym_{name}": getattr(torch, f"sym_{name}") for name in ("max", "min", "float")},
}
"""Of sizes: numbers in and out."""
_ATEN = "torch.ops.aten."
_AUTOCAST = "torch.ops.higher_order.wrap_with_autocast"
_SET_GRAD = "torch.ops.higher_order.wrap_with_set_grad_enabled"
DTYPES: dict[int, torch.dtype] = {
    **{1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64},
    **{6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16},
}
_MEMORY = {
    **{1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d},
    4: torch.preserve_format,
}
_STRIDED = 7
_PLAIN: dict[str, Any] = {"as_int": int, "as_float": (int, float), "as_bool": bool}
_PLAINS: dict[str, Any] = {"as_ints": int, "as_floats": (int, float), "as_bools": bool}


class RefusedError(Exception):
    """What a graph says that is no operator or number of ours."""


class _Name(NamedTuple):
    """A value of an earlier node."""

    name: str


class _Device:
    """Wherever the program is."""


class _Node(NamedTuple):
    run: Callable[..., Any]
    positional: list[Any]
    keywords: dict[str, Any]
    outputs: list[Any]
    used_up: tuple[str, ...]


class _Graph(NamedTuple):
    inputs: list[str]
    nodes: list[_Node]
    outputs: list[Any]


class Program(nn.Module):
    """A graph with its tensors, as a network.

    Args:
        model: the JSON of ``models/NAME.json``.
        tensors: its weights, buffers and constants by their names in the signature.

    Raises:
        RefusedError: an operator, an argument or a structure that is not known.
        KeyError, TypeError, ValueError, AttributeError, IndexError: no such JSON.
    """

    def __init__(self, model: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        if model["schema_version"]["major"] != SCHEMA:
            raise RefusedError(f"a graph of format {model['schema_version']['major']!r}")
        module = model["graph_module"]
        signature = module["signature"]
        kept: list[tuple[str, str]] = []
        self._inputs: list[str] = []
        self._shapes: list[list[int | None]] = []
        for spec in signature["input_specs"]:
            ((role, said),) = spec.items()
            if role == "user_input":
                name = str(said["arg"]["as_tensor"]["name"])
                self._inputs.append(name)
                sizes = module["graph"]["tensor_values"][name]["sizes"]
                self._shapes.append([size.get("as_int") for size in sizes])
            elif role in ("parameter", "buffer", "tensor_constant"):
                kept.append((str(said["arg"]["name"]), str(said[f"{role}_name"])))
            else:
                raise RefusedError(f"an input of the sort {role!r}")
        outputs = [next(iter(spec)) for spec in signature["output_specs"]]
        if outputs != ["user_output"]:
            raise RefusedError(f"outputs {outputs!r}")
        self._places = {name: f"tensor_{i}" for i, (name, _) in enumerate(kept)}
        for name, full in kept:
            weight = tensors[full]
            if isinstance(weight, nn.Parameter):
                self.register_parameter(self._places[name], weight)
            else:
                self.register_buffer(self._places[name], weight)
        self._graph = _parse(module["graph"], self._place)
        if set(self._graph.inputs) != {*self._places, *self._inputs}:
            raise RefusedError("inputs that the signature does not name")

    def forward(self, *inputs: Tensor) -> Any:
        """The inputs in their order to the one output.

        Raises:
            UserError: inputs of another size than the graph was traced with; a graph that makes no
            sense.
        """
        for value, shape in zip(inputs, self._shapes, strict=True):
            wrong = value.ndim != len(shape) or any(
                size is not None and size != own
                for size, own in zip(shape, value.shape, strict=False)
            )
            if wrong:
                asked = ", ".join("any" if size is None else str(size) for size in shape)
                raise UserError(f"the graph takes tensors of ({asked}), not {tuple(value.shape)}.")
        values: dict[str, Any] = {n: getattr(self, place) for n, place in self._places.items()}
        values |= zip(self._inputs, inputs, strict=True)
        try:
            return _run(self._graph, values, self._place())[0]
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"the graph is damaged, it cannot be run: {first}") from error

    def _place(self) -> torch.device:
        tensor = next(iter((*self.parameters(), *self.buffers())), None)
        return torch.device("cpu") if tensor is None else tensor.device


def _run(graph: _Graph, values: dict[str, Any], place: torch.device) -> list[Any]:
    def fill(argument: Any) -> Any:
        if isinstance(argument, _Name):
            return values[argument.name]
        if isinstance(argument, list):
            return [fill(one) for one in argument]
        return place if isinstance(argument, _Device) else argument

    for node in graph.nodes:
        made = node.run(
            *map(fill, node.positional), **{k: fill(v) for k, v in node.keywords.items()}
        )
        if len(node.outputs) <= 1:
            made = (made,) * len(node.outputs)
        for name, value in zip(node.outputs, made, strict=True):
            if isinstance(name, list):
                values |= zip(name, value, strict=True)
            else:
                values[name] = value
        for name in node.used_up:
            values.pop(name, None)
    return [fill(output) for output in graph.outputs]


def _parse(graph: Mapping[str, Any], place: Callable[[], torch.device]) -> _Graph:
    inputs = [str(entry["as_tensor"]["name"]) for entry in graph["inputs"]]
    nodes = [node for node in (_node(said, place) for said in graph["nodes"]) if node is not None]
    outputs = [_argument(entry) for entry in graph["outputs"]]
    # What nobody needs any more is let go, or all of a network's planes would stay in memory.
    needed = set(_names(outputs))
    for i in reversed(range(len(nodes))):
        node = nodes[i]
        used = {*_names(node.positional), *_names(list(node.keywords.values()))}
        made = {n for o in node.outputs for n in (o if isinstance(o, list) else [o])}
        nodes[i] = node._replace(used_up=tuple((used | made) - needed))
        needed |= used
    return _Graph(inputs, nodes, outputs)


def _node(said: Mapping[str, Any], place: Callable[[], torch.device]) -> _Node | None:
    """A node that can be run; None of a check."""
    target = str(said["target"])
    if target.removeprefix(_ATEN).partition(".")[0] in _CHECKS:
        return None
    outputs = [_output(entry) for entry in said["outputs"]]
    if target in (_AUTOCAST, _SET_GRAD):
        count = 4 if target == _AUTOCAST else 1
        settings = [_argument(entry["arg"]) for entry in said["inputs"][:count]]
        inner = _parse(said["inputs"][count]["arg"]["as_graph"]["graph"], place)
        given = [_argument(entry["arg"]) for entry in said["inputs"][count + 1 :]]
        return _Node(_region(target, settings, inner, outputs, place), given, {}, outputs, ())
    positional, keywords = [], {}
    for entry in said["inputs"]:
        if entry.get("kind", 1) == 2:
            keywords[str(entry["name"])] = _argument(entry["arg"])
        else:
            positional.append(_argument(entry["arg"]))
    run = _operator(target)
    if target in _NUMBERS:
        names = [*positional, *keywords.values()]
        if not all(isinstance(one, (int, float, _Name)) for one in names):
            raise RefusedError(f"{target} of anything but numbers")
    return _Node(run, positional, keywords, outputs, ())


def _operator(target: str) -> Callable[..., Any]:
    if target in _NUMBERS:
        return _NUMBERS[target]
    head, _, rest = target.partition(_ATEN)
    name, _, overload = rest.partition(".")
    known = name in OPERATORS or (name[-1:] == "_" and name[:-1] in OPERATORS)
    packet = getattr(torch.ops.aten, name, None) if not head and known else None
    if packet is None or overload not in packet.overloads():
        raise RefusedError(f"the operator {target!r}")
    found: Callable[..., Any] = getattr(packet, overload)
    return found


def _region(
    target: str,
    settings: list[Any],
    inner: _Graph,
    outputs: list[Any],
    place: Callable[[], torch.device],
) -> Callable[..., Any]:
    """A part of a graph that runs under another autocast, or with other gradients."""

    def run(*inputs: Any) -> Any:
        values = dict(zip(inner.inputs, inputs, strict=True))
        if target == _SET_GRAD:
            with torch.set_grad_enabled(settings[0] and torch.is_grad_enabled()):
                found = _run(inner, values, place())
        else:
            _, dtype, enabled, cached = settings
            with torch.autocast(place().type, dtype, enabled, cached):
                found = _run(inner, values, place())
        return found[0] if len(found) == 1 and not isinstance(outputs[0], list) else found

    return run


def _output(entry: Mapping[str, Any]) -> Any:
    ((sort, said),) = entry.items()
    if sort == "as_tensor":
        return str(said["name"])
    if sort == "as_tensors":
        return [str(one["name"]) for one in said]
    if sort in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return str(said["as_name"])
    raise RefusedError(f"an output of the sort {sort!r}")


_NO_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""What JSON has no number for, as torch.export writes it."""


def _argument(entry: Mapping[str, Any]) -> Any:
    ((sort, said),) = entry.items()
    if sort == "as_none":
        return None
    if sort in _PLAIN and isinstance(said, _PLAIN[sort]):
        return said
    if sort == "as_float" and said in _NO_NUMBERS:
        return _NO_NUMBERS[said]
    if sort in _PLAINS and all(isinstance(one, _PLAINS[sort]) for one in said):
        return list(said)
    if sort == "as_tensor":
        return _Name(str(said["name"]))
    if sort == "as_tensors":
        return [_Name(str(one["name"])) for one in said]
    if sort in ("as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor"):
        return _symbol(said)
    if sort in ("as_sym_ints", "as_sym_floats", "as_optional_tensors"):
        return [_symbol(one) for one in said]
    if sort == "as_scalar_type":
        return DTYPES[said]
    if sort == "as_memory_format":
        return _MEMORY[said]
    if sort == "as_layout" and said == _STRIDED:
        return torch.strided
    if sort == "as_device":
        return _Device()
    if sort == "as_string" and isinstance(said, str):
        return said
    raise RefusedError(f"an argument of the sort {sort!r}")


def _symbol(entry: Mapping[str, Any]) -> Any:
    if "as_name" in entry:
        return _Name(str(entry["as_name"]))
    return _argument(entry)


def _names(arguments: Sequence[Any]) -> list[str]:
    found = []
    for one in arguments:
        if isinstance(one, _Name):
            found.append(one.name)
        elif isinstance(one, list):
            found += _names(one)
    return found
