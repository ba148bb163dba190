"""A model file, checked before anything runs it: its hash, its form, its operators, its description.

The rules. A model maps `features` float32 [N, F] to `score` float32 [N], or to `classes` [N, K] if it tells classes
apart, each event by itself: every value inside has N as the length of one axis and nothing is summed along it, so how
events are batched cannot reach a score. It is one graph of the operators of `ALLOWED`, with all weights in the file,
without subgraphs, functions or custom domains. Its metadata says what it is (`aura.*`, see `Model`).

A sum over features is written as a MatMul: ReduceMean and ReduceSum of ONNX Runtime change bits with the place of an
event in the block, which is why they are not allowed.
"""

from hashlib import sha256 as _sha256
from typing import Any, NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its stubs are not among the tools
from numpy.typing import NDArray
from onnx import numpy_helper

from kernels.errors import ConfigError
from kernels.model_description import REMAKE, Feature, broken, described

__all__ = ["ALLOWED", "MAX_BYTES", "Model", "Node", "check_hash", "read_model"]

ALLOWED = frozenset(
    {
        "Abs", "Add", "Clip", "Div", "Gemm", "IsNaN", "Log", "MatMul", "Max", "Min", "Mul", "Neg", "ReduceMax",
        "ReduceMin", "Relu", "Sigmoid", "Sqrt", "Sub", "Tanh", "Transpose", "Where",
    }
)  # fmt: skip
"""Operators that a model may use; `kernels.onnx_numpy` has each of them."""

_OPSETS = range(18, 24)  # 18: axes of a reduction became an input; 23: the last that ONNX Runtime 1.22 knows
MAX_BYTES = 16 << 20
"""Of a model file, at most."""
_MAX_NODES = 256
_MAX_WIDTH = 4096  # columns of any value: with blocks of 1,536 rows 25 MB
_NEEDS_WEIGHT = frozenset({"Gemm", "MatMul", "ReduceMax", "ReduceMin"})
_SOURCE = "Use the file and the hash of its model card"


class Node(NamedTuple):
    """One operator of the graph."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


class Model(NamedTuple):
    """A checked model.

    Attributes
    ----------
    data, sha256
        The file, and its hash, which is the model's identity.
    role
        `aura.role`: what it scores, `event` or `cell`; or `class`.
    version, training
        `aura.version` and `aura.training`: what it was trained on, in words.
    features
        `aura.features`: the F inputs in order.
    threshold
        `aura.threshold`: higher scores are alerts.
    nodes, weights
        The graph in order of execution, and its constants.
    output, width
        The name of what it gives, and that value's axes after N: `score` and (), `classes` and (K,).
    """

    data: bytes
    sha256: str
    role: str
    version: str
    training: str
    features: tuple[Feature, ...]
    threshold: float
    nodes: tuple[Node, ...]
    weights: dict[str, NDArray[Any]]
    output: str = "score"
    width: tuple[int, ...] = ()


def read_model(data: bytes, *, sha256: str | None = None) -> Model:
    """Check a model file and take it apart.

    Parameters
    ----------
    data
        The bytes of an ONNX file.
    sha256
        The hash it must have, in hexadecimal; None accepts any.

    Raises
    ------
    ConfigError
        It is too large, has another hash, is damaged, or breaks one of the rules above.
    """
    found = check_hash(data, sha256)
    try:
        proto = onnx.ModelProto.FromString(data)
        return _take_apart(proto, data, found)
    except (DecodeError, TypeError, ValueError) as error:  # the latter two come of text that is not UTF-8
        what = f"the model of {len(data)} bytes is not an ONNX file, or not all of it"
        raise ConfigError(what, _SOURCE) from error


def check_hash(data: bytes, sha256: str | None) -> str:
    """Return the SHA-256 of a model file; nothing of it is parsed.

    Raises
    ------
    ConfigError
        It is too large, or `sha256` is given and another.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError(f"the model has more than {MAX_BYTES >> 20} MiB, the most that is accepted", REMAKE)
    found = _sha256(data).hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise ConfigError(f"the model has the SHA-256 {found}, expected {sha256}", _SOURCE)
    return found


def _take_apart(proto: onnx.ModelProto, data: bytes, sha256: str) -> Model:
    _check_form(proto)
    weights = {tensor.name: _weight(tensor) for tensor in proto.graph.initializer}
    nodes = tuple(_node(node, weights) for node in proto.graph.node)
    said = described(proto)
    output, width = _check_shapes(proto, said["role"], len(said["features"]))
    return Model(data, sha256, nodes=nodes, weights=weights, output=output, width=width, **said)


def _check_form(proto: onnx.ModelProto) -> None:
    graph = proto.graph
    opsets = [(entry.domain, entry.version) for entry in proto.opset_import]
    if len(opsets) != 1 or opsets[0][0] not in ("", "ai.onnx") or opsets[0][1] not in _OPSETS:
        raise broken(f"operator sets {opsets}", f"the standard one, version {_OPSETS[0]} to {_OPSETS[-1]}")
    if proto.functions or proto.training_info or graph.sparse_initializer or graph.quantization_annotation:
        raise broken("functions, training data, sparse or quantised weights", "one graph with dense weights")
    if not 1 <= len(graph.node) <= _MAX_NODES:
        raise broken(f"{len(graph.node)} operators", f"1 to {_MAX_NODES}")
    names = [value.name for value in graph.input], [value.name for value in graph.output]
    if names[0] != ["features"] or names[1] not in (["score"], ["classes"]):
        wanted = "the input 'features' and the output 'score' or 'classes'"
        raise broken(f"inputs {names[0]} and outputs {names[1]}", wanted)


def _weight(tensor: onnx.TensorProto) -> NDArray[Any]:
    if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise broken(f"weight {tensor.name!r} in another file", "all weights inside")
    if tensor.data_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64):
        raise broken(f"weight {tensor.name!r} of ONNX type {tensor.data_type}", "float32, or int64 for axes")
    if len(tensor.dims) > 2 or any(not 1 <= size <= _MAX_WIDTH for size in tensor.dims):
        raise broken(
            f"weight {tensor.name!r} of shape {list(tensor.dims)}", f"at most 2 axes of 1 to {_MAX_WIDTH}"
        )
    try:
        weight = numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise broken(
            f"weight {tensor.name!r} that does not fill its shape ({error})", "whole weights"
        ) from error
    if not np.isfinite(weight).all():
        raise broken(f"weight {tensor.name!r} with NaN or infinity", "finite weights")
    return weight


def _node(node: onnx.NodeProto, weights: dict[str, NDArray[Any]]) -> Node:
    if node.domain not in ("", "ai.onnx") or node.op_type not in ALLOWED:
        raise broken(
            f"the operator {node.domain or 'ai.onnx'}.{node.op_type}", f"only {', '.join(sorted(ALLOWED))}"
        )
    if len(node.output) != 1:
        raise broken(f"{node.op_type} with {len(node.output)} outputs", "one output an operator")
    scalar = (onnx.AttributeProto.INT, onnx.AttributeProto.FLOAT)
    if any(a.type not in scalar or a.i not in (0, 1) for a in node.attribute):
        raise broken(f"{node.op_type} with an attribute that is no number or switch", "those alone")
    if node.op_type in _NEEDS_WEIGHT and not any(name in weights for name in node.input[:2]):
        raise broken(
            f"{node.op_type} of {list(node.input)}, all of them computed", "a weight among the first two"
        )
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return Node(node.op_type, tuple(node.input), node.output[0], attributes)


def _check_shapes(proto: onnx.ModelProto, role: str, features: int) -> tuple[str, tuple[int, ...]]:
    """Check the shape of every value; return the name of the output and its axes after N."""
    try:
        onnx.checker.check_model(proto, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True).graph
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise broken(f"an invalid graph ({str(error).splitlines()[0]})", "a valid one") from error
    (first,), (last,) = inferred.input, inferred.output
    rows = first.type.tensor_type.shape.dim[0].dim_param if first.type.tensor_type.shape.dim else ""
    shapes = {
        value.name: _shape(value) for value in (*inferred.input, *inferred.value_info, *inferred.output)
    }
    given, width = shapes["features"], shapes[last.name][1:]
    named, axes = ("classes", 1) if role == "class" else ("score", 0)
    sized = last.name == named and len(width) == axes
    if not rows or given != (rows, features) or not sized or shapes[last.name][:1] != (rows,):
        expected = f"['N', {features}] and {named} {['N', 'K'][: 1 + axes]}, as its metadata says"
        raise broken(f"features {list(given)} and {last.name} {list(shapes[last.name])}", expected)
    if {first.type.tensor_type.elem_type, last.type.tensor_type.elem_type} != {onnx.TensorProto.FLOAT}:
        raise broken(f"features or {last.name} of another type", "float32")
    _check_axes(inferred, shapes, rows)
    return last.name, tuple(int(size) for size in width)


def _check_axes(graph: onnx.GraphProto, shapes: dict[str, tuple[str | int, ...]], rows: str) -> None:
    """Check that every value has one axis of N rows, and lengths for the others."""
    for node in graph.node:
        shape = shapes.get(node.output[0], ())
        if shape.count(rows) != 1 or not all(
            size == rows or (isinstance(size, int) and size > 0) for size in shape
        ):
            raise broken(
                f"{node.op_type} that gives {node.output[0]!r} the shape {list(shape)}", f"one axis {rows!r}"
            )


def _shape(value: onnx.ValueInfoProto) -> tuple[str | int, ...]:
    return tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
