"""What a row is scored must not depend on the rows that it is scored with, or on its place among them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.backend import get_backend
from kernels.blocks import BLOCK_ROWS
from kernels.onnx_model import Model, read_model

MODELS = Path(__file__).resolve().parents[2] / "models"


def rows_of(model: Model, count: int) -> NDArray[np.float32]:
    """Rows around what is typical for the model."""
    rng = np.random.default_rng(7)
    middle, spread = (np.array([getattr(f, name) for f in model.features]) for name in ("typical", "spread"))
    return (middle + spread * rng.standard_normal((count, len(middle)))).astype(np.float32)


@pytest.mark.parametrize("backend", ["numpy", "onnx-cpu"])
@pytest.mark.parametrize("name", ["event", "cell"])
class TestOfTheFlights:
    """The models of the flights, bit by bit."""

    def test_every_place_of_a_block_gives_the_same(self, name: str, backend: str) -> None:
        """A row repeated through a block has one score."""
        model = read_model((MODELS / f"{name}.onnx").read_bytes())
        for row in rows_of(model, 40):
            scores = get_backend(backend).predict(model, np.tile(row, (BLOCK_ROWS, 1)))
            assert len(set(scores.view(np.uint32).tolist())) == 1

    def test_every_cut_of_a_table_gives_the_same(self, name: str, backend: str) -> None:
        """Whatever rows come together, in rows or in columns, and however they lie in memory."""
        model, runs = read_model((MODELS / f"{name}.onnx").read_bytes()), get_backend(backend)
        rows, rng = rows_of(model, 4000), np.random.default_rng(8)
        expected = runs.predict(model, rows).tobytes()
        for _ in range(10):
            cuts = [0, *sorted(rng.choice(4000, 5, replace=False).tolist()), 4000]
            parts = [rows[first:end] for first, end in pairwise(cuts)]
            for given in (parts, [np.asfortranarray(part) for part in parts]):
                assert b"".join(runs.predict(model, part).tobytes() for part in given) == expected
            columns = [runs.predict_columns(model, list(part.T)) for part in parts]
            assert np.concatenate(columns).tobytes() == expected
