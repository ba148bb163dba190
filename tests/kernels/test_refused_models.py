"""Every model that is refused, and why."""

import json
from collections.abc import Callable
from hashlib import sha256

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import BACKENDS, FEATURES, SAID, F, network, node, random_rows, simple
from onnx import TensorProto, helper, numpy_helper

from kernels.errors import ConfigError
from kernels.scorer import Scorer

Change = Callable[[onnx.ModelProto], None]


def _domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.acme"


def _operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "ReduceMean"


def _subgraph(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("body", onnx.GraphProto(name="g")))


def _external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def _function(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="com.acme")


def _input_name(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "x"


def _output_name(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[0].output[0] = "y"


def _second_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", F]))


def _fixed_rows(model: onnx.ModelProto) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 8


def _wide(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = F + 1


def _double(model: onnx.ModelProto) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE


def _across_events(model: onnx.ModelProto) -> None:
    nodes = [
        node("ReduceMax", ["features", "first"], "top", keepdims=1),
        node("Sub", ["features", "top"], "y"),
        node("ReduceMax", ["y", "axes"], "score", keepdims=0),
    ]
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _events_by_events(model: onnx.ModelProto) -> None:
    nodes = [
        node("Transpose", ["features"], "turned"),
        node("MatMul", ["turned", "features"], "y"),
        node("ReduceMax", ["y", "axes"], "score", keepdims=0),
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _short_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = b"\x01"


def _huge_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1 << 40]


def _nan_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([np.nan], np.float32), "w"))


def _text_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.STRING, [1], [b"x"]))


def _many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend([node("Abs", ["features"], f"a{i}") for i in range(300)])


def _unknown_input(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nowhere"


def _switch(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute[0].i = 36


def _bias(model: onnx.ModelProto) -> None:
    nodes = [
        node("Transpose", ["features"], "turned"),
        node("Gemm", ["square", "turned", "row"], "y"),
        node("ReduceMax", ["y", "first"], "score", keepdims=0),
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    added = {"square": np.ones((F, F), np.float32), "row": np.ones(F, np.float32), "first": np.array([0])}
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in added.items())


def _opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 9


def _said(key: str, value: str | None) -> Change:
    def change(model: onnx.ModelProto) -> None:
        said = SAID | {key: value}
        del model.metadata_props[:]
        helper.set_model_props(model, {name: text for name, text in said.items() if text is not None})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_domain, "the operator com.acme.ReduceMax, expected only Abs, Add"),
        (_operator, "the operator ai.onnx.ReduceMean, expected only Abs, Add"),
        (_subgraph, "ReduceMax with an attribute that is no number or switch"),
        (_external, "weight 'axes' in another file, expected all weights inside"),
        (_function, "functions, training data"),
        (_input_name, r"inputs \['x'\]"),
        (_output_name, r"outputs \['y'\]"),
        (_second_output, r"outputs \['score', 'features'\]"),
        (_fixed_rows, r"features \[8, 5\] and score \[8\], expected \['N', 5\]"),
        (_wide, r"features \['N', 6\] and score \['N'\], expected \['N', 5\]"),
        (_double, "another type, expected float32"),
        (_across_events, r"ReduceMax that gives 'top' the shape \[1, 5\], expected one axis 'N'"),
        (_events_by_events, "all of them computed, expected a weight"),
        (_short_weight, "weight 'axes' that does not fill its shape"),
        (_huge_weight, "weight 'axes' of shape"),
        (_nan_weight, "weight 'w' with NaN or infinity"),
        (_text_weight, "weight 'w' of ONNX type 8"),
        (_many_nodes, "301 operators, expected 1 to 256"),
        (_unknown_input, "an invalid graph"),
        (_switch, "ReduceMax with an attribute that is no number or switch"),
        (_bias, "does not run|cannot load"),
        (_opset, "operator sets"),
        (_said("aura.role", "oracle"), "aura.role 'oracle', expected 'event', 'cell' or 'class'"),
        (_said("aura.threshold", None), r"no metadata for \['aura.threshold'\]"),
        (_said("aura.threshold", "nan"), "a number in its metadata that is none"),
        (_said("aura.features", "[{}]"), "metadata that cannot be read"),
        (_said("aura.features", "[]"), "aura.features empty"),
        (_said("aura.features", json.dumps([FEATURES[0]] * F)), "a name twice"),
        (_said("aura.features", json.dumps([{**FEATURES[0], "spread": 0}])), "a spread of 0"),
        (_said("aura.features", json.dumps(FEATURES[:2])), r"score \['N'\], expected \['N', 2\]"),
    ],
)
def test_refused_models(change: Change, message: str) -> None:
    """A model that breaks a rule is refused by every backend with what it has and what was expected."""
    model = simple()
    Scorer.load(model.SerializeToString(), backend="numpy")
    change(model)
    for backend in BACKENDS:
        with pytest.raises(ConfigError, match=message):
            Scorer.load(model.SerializeToString(), backend=backend)


def test_the_wrong_hash() -> None:
    """A model with another hash than expected is refused before it is parsed, and both hashes are named."""
    with pytest.raises(ConfigError, match=r"SHA-256 [0-9a-f]{64}, expected 0000"):
        Scorer.load(b"not even ONNX", sha256="0" * 64)


def test_a_truncated_model() -> None:
    """A model cut short at any byte is refused."""
    data = simple().SerializeToString()
    for length in range(len(data)):
        with pytest.raises(ConfigError):
            Scorer.load(data[:length], backend="numpy")


@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=4))
@settings(max_examples=150)
def test_a_corrupt_model(flips: list[tuple[int, int]]) -> None:
    """A model with flipped bytes is refused by its hash; without a hash it is refused or scores, nothing worse."""
    data = bytearray(network())
    for at, bits in flips:
        data[at % len(data)] ^= bits
    if bytes(data) == network():
        return
    with pytest.raises(ConfigError, match="SHA-256"):
        Scorer.load(bytes(data), sha256=sha256(network()).hexdigest())
    try:
        scorer = Scorer.load(bytes(data), backend="numpy")
    except ConfigError:
        return
    assert scorer.score(random_rows(3)).shape == (3,)


def test_a_model_that_is_too_large() -> None:
    """A file above the limit is refused by its size alone."""
    with pytest.raises(ConfigError, match="more than 16 MiB"):
        Scorer.load(bytes((16 << 20) + 1))
