"""Every event scored by a small network inside the flow: 8-32-32-4 on ONNX Runtime, one core."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import onnx
from bytewax.testing import run_main
from onnx import TensorProto, helper, numpy_helper

from benchmarks.job import Job, flow_of
from benchmarks.row import Effort, Row, rate, repeat
from kernels.scorer import Scorer
from operators.stages import score_rows

__all__ = ["network", "rows"]

_WIDTHS = (8, 32, 32, 4)


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the flow with scores beside the network alone."""
    scorer = Scorer.load(network(), backend="onnx-cpu")
    job = Job(effort.events(10_000_000), features=_WIDTHS[0])
    features = np.random.default_rng(0).standard_normal((1 << 20, _WIDTHS[0]), dtype=np.float32)
    alone, _ = repeat(lambda: rate(len(features), lambda: scorer.score(features)), effort)
    value, runs = repeat(lambda: _flow_rate(job, scorer), effort)
    yield Row(
        "flow with an 8-32-32-4 network over every event, CPU", value, "M events/s", 12, runs=runs,
        peer="the network alone, rows in memory", peer_value=alone, note=scorer.provider,
    )  # fmt: skip


def network() -> bytes:
    """Return an 8-32-32-4 network with Relu; the score is the greatest of its four outputs."""
    rng, nodes, weights = np.random.default_rng(0), [], []
    nodes.append(helper.make_node("Transpose", ["features"], ["h0"]))
    for number, (inputs, outputs) in enumerate(pairwise(_WIDTHS)):
        matrix = rng.standard_normal((outputs, inputs), dtype=np.float32) * np.float32(0.1)
        weights.append(numpy_helper.from_array(matrix, f"w{number}"))
        weights.append(numpy_helper.from_array(np.zeros((outputs, 1), np.float32), f"b{number}"))
        last = number == len(_WIDTHS) - 2
        made = f"h{number + 1}" if last else f"g{number}"
        nodes.append(helper.make_node("Gemm", [f"w{number}", f"h{number}", f"b{number}"], [made]))
        if not last:
            nodes.append(helper.make_node("Relu", [made], [f"h{number + 1}"]))
    weights.append(numpy_helper.from_array(np.array([0]), "axes"))
    nodes.append(helper.make_node("ReduceMax", [f"h{len(_WIDTHS) - 1}", "axes"], ["score"], keepdims=0))
    return _described(nodes, weights)


def _described(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]) -> bytes:
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", _WIDTHS[0]])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph(nodes, "benchmark", [given], [score], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    one = '{{"name": "f{}", "words": "noise", "unit": "", "typical": 0, "spread": 1, "rare": 4}}'
    features = ", ".join(one.format(i) for i in range(_WIDTHS[0]))
    said = {
        "role": "event",
        "version": "1",
        "threshold": "1e9",
        "training": "none",
        "features": f"[{features}]",
    }
    helper.set_model_props(model, {f"aura.{key}": value for key, value in said.items()})
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _flow_rate(job: Job, scorer: Scorer) -> float:
    flow, _ = flow_of(job, stage=score_rows(scorer))
    return rate(job.events, lambda: run_main(flow))
