"""Scores by both backends, in any batching, explained in words; and every model that is refused."""

import json
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kernels.errors import ConfigError
from kernels.onnx_model import ALLOWED
from kernels.onnx_numpy import OPERATORS
from kernels.scorer import Scorer

_F = 5
_BACKENDS = ("numpy", "onnx-cpu")
_FEATURES = [
    {
        "name": f"metric_{i}",
        "words": f"metric {i}",
        "unit": "m/s",
        "typical": 10.0 * i,
        "spread": 2.0,
        "rare": 6.0,
    }
    for i in range(_F)
]
_SAID = {
    "aura.role": "event",
    "aura.version": "1",
    "aura.training": "made up",
    "aura.threshold": "0.5",
    "aura.features": json.dumps(_FEATURES),
}


def _node(op: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], **attributes)


def _model(nodes: list[onnx.NodeProto], **weights: NDArray[Any]) -> onnx.ModelProto:
    """Return a model from `features` [N, 5] to `score` [N] with weights of these names."""
    tensors = [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()]
    given_features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", _F])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph(nodes, "test", [given_features], [score], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, _SAID)
    return model


@cache
def _network(width: int = 16) -> bytes:
    """Return a network with two layers whose last sums the squared residuals of all features, as bytes."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> NDArray[np.float32]:
        return rng.normal(size=shape).astype(np.float32)

    nodes = [
        _node("IsNaN", ["features"], "null"),
        _node("Where", ["null", "zero", "features"], "known"),
        _node("Clip", ["known", "low", "high"], "z"),
        _node("Gemm", ["z", "w0", "b0"], "g0"),
        _node("Tanh", ["g0"], "h0"),
        _node("Gemm", ["h0", "w1", "b1"], "g1", transB=1),
        _node("Sub", ["z", "g1"], "residual"),
        _node("Mul", ["residual", "residual"], "squared"),
        _node("MatMul", ["squared", "ones"], "sum"),
        _node("Sqrt", ["sum"], "root"),
        _node("ReduceMax", ["root", "axes"], "score", keepdims=0),
    ]
    low, high, zero = (np.float32(value) for value in (-8, 8, 0))
    model = _model(
        nodes, w0=random(_F, width), b0=random(width), w1=random(_F, width), b1=random(_F),
        ones=np.ones((_F, 1), np.float32), axes=np.array([1]), low=low, high=high, zero=zero,
    )  # fmt: skip
    return model.SerializeToString()


def _simple() -> onnx.ModelProto:
    """Return the smallest model: the largest feature."""
    return _model([_node("ReduceMax", ["features", "axes"], "score", keepdims=0)], axes=np.array([1]))


def _rows(count: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 3, (count, _F)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.05] = np.nan
    return rows


@cache
def _scorer(backend: str) -> Scorer:
    return Scorer.load(_network(), backend=backend)


@pytest.mark.parametrize("backend", _BACKENDS)
def test_says_what_it_is(backend: str) -> None:
    """A scorer has the model's features, threshold and role, its hash, and what runs it."""
    scorer = Scorer.load(_network(), sha256=sha256(_network()).hexdigest(), backend=backend)
    assert scorer.features == tuple(f"metric_{i}" for i in range(_F))
    assert (scorer.threshold, scorer.role, scorer.sha256) == (0.5, "event", sha256(_network()).hexdigest())
    assert scorer.provider == {"numpy": "numpy", "onnx-cpu": "CPUExecutionProvider"}[backend]


def test_backends_agree() -> None:
    """Numpy and ONNX Runtime give the same scores to a few roundings."""
    rows = _rows(5000)
    np.testing.assert_allclose(
        _scorer("numpy").score(rows), _scorer("onnx-cpu").score(rows), rtol=2e-6, atol=2e-6
    )


def test_the_score_is_that_of_the_formula() -> None:
    """The score of one row is what the network's formula gives in float64."""
    row = np.array([1, -2, np.nan, 100, 0], np.float32)
    w = {t.name: numpy_helper.to_array(t) for t in onnx.ModelProto.FromString(_network()).graph.initializer}
    z = np.array([1, -2, 0, 8, 0], np.float64)
    residual = z - (np.tanh(z @ w["w0"] + w["b0"]) @ w["w1"].T + w["b1"])
    assert _scorer("numpy").score(row[None])[0] == pytest.approx(np.sqrt((residual**2).sum()), rel=1e-5)


@pytest.mark.parametrize("backend", _BACKENDS)
@given(cuts=st.lists(st.integers(0, 4000), max_size=8))
@settings(max_examples=15, deadline=None)
def test_any_batching_gives_the_same_bits(backend: str, cuts: list[int]) -> None:
    """However rows are cut into batches, empty ones and single rows too, each has the same score, bit for bit."""
    scorer, rows = _scorer(backend), _rows(4000)
    parts = [scorer.score(part) for part in np.split(rows, sorted({*cuts, 1, 2}))]
    assert np.concatenate(parts).tobytes() == scorer.score(rows).tobytes()


@pytest.mark.parametrize("backend", _BACKENDS)
def test_the_place_of_a_row_does_not_matter(backend: str) -> None:
    """Rows in another order have the same scores, bit for bit."""
    rows, order = _rows(4000), np.random.default_rng(1).permutation(4000)
    assert _scorer(backend).score(rows[order]).tobytes() == _scorer(backend).score(rows)[order].tobytes()


@pytest.mark.parametrize("backend", _BACKENDS)
def test_no_rows(backend: str) -> None:
    """No rows have no scores."""
    assert _scorer(backend).score(np.empty((0, _F), np.float32)).shape == (0,)


@pytest.mark.parametrize(
    "rows", [np.zeros((3, _F)), np.zeros((3, _F + 1), np.float32), np.zeros(_F, np.float32)]
)
def test_other_rows_are_refused(rows: NDArray[Any]) -> None:
    """Rows of another type or width are refused with what was expected and what came."""
    with pytest.raises(ConfigError, match=r"takes float32 \[N, 5\], got"):
        _scorer("numpy").score(rows)


# What gives `y` [N, 5] of `features`, for each operator that does; `row` is [5], `square` [5, 5], `half` a number.
_TO_Y: dict[str, list[onnx.NodeProto]] = {
    **{op: [_node(op, ["features"], "y")] for op in ("Abs", "Log", "Neg", "Relu", "Sigmoid", "Sqrt", "Tanh")},
    **{op: [_node(op, ["features", "row"], "y")] for op in ("Add", "Div", "Max", "Min", "Mul", "Sub")},
    "Clip": [_node("Clip", ["features", "", "half"], "y")],
    "Gemm": [_node("Gemm", ["features", "square", "row"], "y", alpha=0.5, beta=2.0, transB=1)],
    "IsNaN": [_node("IsNaN", ["features"], "null"), _node("Where", ["null", "row", "features"], "y")],
    "MatMul": [_node("MatMul", ["features", "square"], "y")],
    "ReduceMin": [
        _node("ReduceMin", ["features", "axes"], "least"),
        _node("Sub", ["features", "least"], "y"),
    ],
    "Transpose": [
        _node("Transpose", ["features"], "turned"),
        _node("Gemm", ["turned", "square"], "y", transA=1),
    ],
}
_TO_Y |= {"ReduceMax": _TO_Y["Abs"], "Where": _TO_Y["IsNaN"]}


@pytest.mark.parametrize("op", sorted(ALLOWED))
def test_each_operator(op: str) -> None:
    """Each operator that is allowed gives the same in numpy as in ONNX Runtime."""
    square = np.arange(_F * _F, dtype=np.float32).reshape(_F, _F) / 7
    model = _model(
        [*_TO_Y[op], _node("ReduceMax", ["y", "axes"], "score", keepdims=0)],
        axes=np.array([1]), row=np.arange(1, _F + 1, dtype=np.float32), half=np.float32(0.5), square=square,
    )  # fmt: skip
    rows = _rows(100) if op in {"IsNaN", "Where"} else np.nan_to_num(_rows(100))
    rows = np.abs(rows) if op in {"Log", "Sqrt"} else rows
    one, other = (
        Scorer.load(model.SerializeToString(), backend=backend).score(rows) for backend in _BACKENDS
    )
    np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6)


def test_numpy_has_all_operators() -> None:
    """What a model may use and what numpy runs are the same operators."""
    assert set(OPERATORS) == ALLOWED


def test_another_threshold() -> None:
    """A scorer with another threshold has the same model and scores; a threshold that is no number is refused."""
    scorer = _scorer("numpy").with_threshold(0.9)
    assert (scorer.threshold, scorer.sha256) == (0.9, _scorer("numpy").sha256)
    assert scorer.score(_rows(10)).tobytes() == _scorer("numpy").score(_rows(10)).tobytes()
    with pytest.raises(ConfigError, match="threshold is nan"):
        scorer.with_threshold(float("nan"))


_COMBINATION = "an unusual combination of usual values"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([0, 10, 4020, 30, 40], "metric 2 is 4,020 m/s (typically 20 ± 2)"),
        ([0, 10, 60, 31, -11], "metric 4 is -11 m/s (typically 40 ± 2); metric 2 is 60 m/s (typically 20 ± 2)"),
        ([1, 10, 20, 30, 40], f"{_COMBINATION}, first of all metric 0 is 1 m/s (typically 0 ± 2)"),
        ([np.nan] * 5, "nothing is known of it: every feature is null"),
        ([np.nan, 10, np.nan, -np.inf, 40], "metric 3 is -inf m/s (typically 30 ± 2)"),
    ],
)  # fmt: skip
def test_reasons(row: list[float], words: str) -> None:
    """The reason names the one or two values that lie further from typical than one in 1,000 does."""
    assert _scorer("numpy").explain(np.array(row, np.float32)) == words


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
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", _F]))


def _fixed_rows(model: onnx.ModelProto) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 8


def _wide(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = _F + 1


def _double(model: onnx.ModelProto) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE


def _across_events(model: onnx.ModelProto) -> None:
    nodes = [
        _node("ReduceMax", ["features", "first"], "top", keepdims=1),
        _node("Sub", ["features", "top"], "y"),
        _node("ReduceMax", ["y", "axes"], "score", keepdims=0),
    ]
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _events_by_events(model: onnx.ModelProto) -> None:
    nodes = [
        _node("Transpose", ["features"], "turned"),
        _node("MatMul", ["turned", "features"], "y"),
        _node("ReduceMax", ["y", "axes"], "score", keepdims=0),
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
    model.graph.node.extend([_node("Abs", ["features"], f"a{i}") for i in range(300)])


def _unknown_input(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nowhere"


def _switch(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute[0].i = 36


def _bias(model: onnx.ModelProto) -> None:
    nodes = [
        _node("Transpose", ["features"], "turned"),
        _node("Gemm", ["square", "turned", "row"], "y"),
        _node("ReduceMax", ["y", "first"], "score", keepdims=0),
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    added = {"square": np.ones((_F, _F), np.float32), "row": np.ones(_F, np.float32), "first": np.array([0])}
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in added.items())


def _opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 9


def _said(key: str, value: str | None) -> Change:
    def change(model: onnx.ModelProto) -> None:
        said = _SAID | {key: value}
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
        (_said("aura.features", json.dumps([_FEATURES[0]] * _F)), "a name twice"),
        (_said("aura.features", json.dumps([{**_FEATURES[0], "spread": 0}])), "a spread of 0"),
        (_said("aura.features", json.dumps(_FEATURES[:2])), r"score \['N'\], expected \['N', 2\]"),
    ],
)
def test_refused_models(change: Change, message: str) -> None:
    """A model that breaks a rule is refused by every backend with what it has and what was expected."""
    model = _simple()
    Scorer.load(model.SerializeToString(), backend="numpy")
    change(model)
    for backend in _BACKENDS:
        with pytest.raises(ConfigError, match=message):
            Scorer.load(model.SerializeToString(), backend=backend)


def test_the_wrong_hash() -> None:
    """A model with another hash than expected is refused before it is parsed, and both hashes are named."""
    with pytest.raises(ConfigError, match=r"SHA-256 [0-9a-f]{64}, expected 0000"):
        Scorer.load(b"not even ONNX", sha256="0" * 64)


def test_a_truncated_model() -> None:
    """A model cut short at any byte is refused."""
    data = _simple().SerializeToString()
    for length in range(len(data)):
        with pytest.raises(ConfigError):
            Scorer.load(data[:length], backend="numpy")


@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_a_corrupt_model(flips: list[tuple[int, int]]) -> None:
    """A model with flipped bytes is refused by its hash; without a hash it is refused or scores, nothing worse."""
    data = bytearray(_network())
    for at, bits in flips:
        data[at % len(data)] ^= bits
    if bytes(data) == _network():
        return
    with pytest.raises(ConfigError, match="SHA-256"):
        Scorer.load(bytes(data), sha256=sha256(_network()).hexdigest())
    try:
        scorer = Scorer.load(bytes(data), backend="numpy")
    except ConfigError:
        return
    assert scorer.score(_rows(3)).shape == (3,)


def test_a_model_that_is_too_large() -> None:
    """A file above the limit is refused by its size alone."""
    with pytest.raises(ConfigError, match="more than 16 MiB"):
        Scorer.load(bytes((16 << 20) + 1))


def test_an_unknown_backend() -> None:
    """A backend that there is not is refused with those that there are."""
    with pytest.raises(ConfigError, match="numpy, onnx-cpu, onnx-cuda, got 'tpu'"):
        Scorer.load(_network(), backend="tpu")


def _has_gpu() -> bool:
    try:
        return Scorer.load(_network(), backend="onnx-cuda").provider == "CUDAExecutionProvider"
    except ConfigError:
        return False


@pytest.mark.skipif(_has_gpu(), reason="there is a GPU")
def test_cuda_without_a_gpu() -> None:
    """Where there is no GPU the backend onnx-cuda is refused, never run on the CPU in silence."""
    with pytest.raises(ConfigError, match="CUDAExecutionProvider"):
        Scorer.load(_network(), backend="onnx-cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not _has_gpu(), reason="needs a CUDA GPU")
def test_cuda_agrees() -> None:
    """A GPU gives the scores of the CPU to a few roundings, and the same bits in any batching."""
    scorer, rows = Scorer.load(_network(), backend="onnx-cuda"), _rows(4000)
    np.testing.assert_allclose(scorer.score(rows), _scorer("onnx-cpu").score(rows), rtol=1e-5, atol=1e-5)
    parts = [scorer.score(part) for part in np.split(rows, [1, 2, 1000])]
    assert np.concatenate(parts).tobytes() == scorer.score(rows).tobytes()
