"""`kernels.tensor` as ONNX graphs."""

from onnx import TensorProto

from kernels.onnx_graph import Graph

__all__ = ["tensor_graph"]

_OPERATORS = {"add": "Add", "mul": "Mul", "matmul": "MatMul"}


def tensor_graph(operation: str) -> bytes:
    """Build `tensor.compute`: left, right float32 -> result; (N,) by element, (R, K) and (K, C) for matmul."""
    graph = Graph()
    graph.node(_OPERATORS[operation], "left", "right", output="result")
    left, right, result = (("R", "K"), ("K", "C"), ("R", "C")) if operation == "matmul" else (("N",),) * 3
    inputs = [("left", TensorProto.FLOAT, left), ("right", TensorProto.FLOAT, right)]
    return graph.model(operation, inputs, [("result", TensorProto.FLOAT, result)])
