"""A network that tells ten classes apart, with weights drawn from a seed: what the bridge's calls are shown with.

768 values -> 64, Relu -> 10 -> softmax. It is not trained; it has the size of a head on an embedding.
`python -m models.classifier classes.onnx` writes it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["CLASSES", "VALUES", "classifier", "main"]

VALUES, CLASSES = 768, 10
_HIDDEN = 64
_OPSET, _IR = 18, 9


def classifier(seed: int = 0) -> bytes:
    """Return the model of a seed, the same bytes every time."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[Any]] = {
        "w0": rng.normal(0, VALUES**-0.5, (VALUES, _HIDDEN)).astype(np.float32),
        "w1": rng.normal(0, 8 * _HIDDEN**-0.5, (_HIDDEN, CLASSES)).astype(np.float32),
        "ten": np.array([10], np.float32),
        "one": np.array([1], np.float32),
        "ones": np.ones((CLASSES, 1), np.float32),
        "axes": np.array([1]),
    }
    given, found = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])
        for name, size in (("features", VALUES), ("classes", CLASSES))
    )
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(_nodes(), "classifier", [given], [found], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    helper.set_model_props(model, {f"aura.{key}": text for key, text in _said(seed).items()})
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _nodes() -> list[onnx.NodeProto]:
    """Return the graph; exp(x) of x <= 0 is s / (1 - s) with s = sigmoid(x), of the operators that models may use."""
    steps = (
        ("Mul", ["features", "ten"], "scaled"),
        ("MatMul", ["scaled", "w0"], "h"),
        ("Relu", ["h"], "hidden"),
        ("MatMul", ["hidden", "w1"], "logits"),
        ("ReduceMax", ["logits", "axes"], "top"),
        ("Sub", ["logits", "top"], "below"),
        ("Sigmoid", ["below"], "s"),
        ("Sub", ["one", "s"], "rest"),
        ("Div", ["s", "rest"], "exp"),
        ("MatMul", ["exp", "ones"], "sum"),
        ("Div", ["exp", "sum"], "classes"),
    )
    return [helper.make_node(op, inputs, [output]) for op, inputs, output in steps]


def _said(seed: int) -> dict[str, str]:
    inputs = [
        {"name": f"value_{i}", "words": f"value {i}", "unit": "", "typical": 0, "spread": 1, "rare": 4}
        for i in range(VALUES)
    ]
    return {
        "role": "class",
        "version": "1",
        "training": f"none: weights drawn from seed {seed}",
        "threshold": "0.5",
        "features": json.dumps(inputs),
    }


def main(path: Path) -> None:
    """Write the model."""
    path.write_bytes(classifier())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
