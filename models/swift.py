"""A model small enough to be written by hand: it finds the fastest of the simulated agents, one report in 100,000.

    score = sigmoid(2 speed_mps - 32.8)        above 0.9 from 17.5 m/s on

It is what the demonstration's alerts come from; docs/your-model.md makes one like it. `python -m models.swift` writes it
and prints its hash.
"""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

__all__ = ["PATH", "swift"]

PATH = Path(__file__).with_name("swift.onnx")
_OPSET, _IR = 18, 9
_SPEED = {"name": "speed_mps", "words": "speed", "unit": "m/s", "typical": 4.7, "spread": 2.5, "rare": 10.0}
_SAID = {
    "role": "event",
    "version": "1",
    "training": "none: by hand, for the simulated population in a world of 1 km",
    "threshold": "0.9",
    "features": json.dumps([_SPEED]),
}


def swift() -> bytes:
    """Return the model, the same bytes every time."""
    weights = {"w": np.array([2.0], np.float32), "b": np.array(-32.8, np.float32)}
    steps = (
        ("MatMul", ["features", "w"], "sum"),
        ("Add", ["sum", "b"], "logit"),
        ("Sigmoid", ["logit"], "score"),
    )
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 1])
    found = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    nodes = [helper.make_node(op, inputs, [output]) for op, inputs, output in steps]
    graph = helper.make_graph(nodes, "swift", [given], [found], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    helper.set_model_props(model, {f"aura.{key}": text for key, text in _SAID.items()})
    data: bytes = model.SerializeToString(deterministic=True)
    return data


if __name__ == "__main__":
    PATH.write_bytes(swift())
    print(sha256(PATH.read_bytes()).hexdigest())
