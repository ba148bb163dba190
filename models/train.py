"""Make both models and their cards from the bundled flights: `python -m models.train`, about 10 seconds."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernels.schema import Columns
from kernels.scorer import Scorer
from models.autoencoder import to_onnx, train
from models.cards import write_card
from models.cells import cell_table
from models.evaluate import Report, judge_cells, judge_events
from models.features import CELL, EVENT, Input
from models.flights import FLIGHTS, event_features, file_sha256, flights_grid, read_flights, trained_until_us

__all__ = ["cell_rows", "event_rows", "main", "make"]

_HIDDEN, _EPOCHS = (16, 8, 16), 20


def main(folder: Path = Path(__file__).parent) -> None:
    """Write `event.onnx`, `cell.onnx` and their cards into a folder."""
    columns = read_flights()
    for role, inputs, rows, judge in (
        ("event", EVENT, event_rows(columns), judge_events),
        ("cell", CELL, cell_rows(columns), judge_cells),
    ):
        scorer = Scorer.load(make(role, inputs, rows, columns))
        report = judge(scorer, columns)
        (folder / f"{role}.onnx").write_bytes(scorer.model.data)
        (folder / f"{role}.md").write_text(write_card(scorer, report), encoding="utf-8")
        print(_summary(scorer, report))


def make(role: str, inputs: tuple[Input, ...], rows: NDArray[np.float32], columns: Columns) -> bytes:
    """Train a model on (N, F) rows of the flights; return the ONNX file."""
    until = datetime.fromtimestamp(trained_until_us(columns) / 1e6, UTC)
    training = f"{FLIGHTS.name} (SHA-256 {file_sha256(FLIGHTS)}), {len(rows):,} rows before {until:%Y-%m-%d %H:%M} UTC"
    return to_onnx(train(rows, inputs, hidden=_HIDDEN, epochs=_EPOCHS), inputs, role=role, training=training)


def event_rows(columns: Columns) -> NDArray[np.float32]:
    """Return the (N, F) training rows of the model of events."""
    rows = event_features(columns, tuple(i.name for i in EVENT))
    return rows[columns["time_us"] < trained_until_us(columns)]


def cell_rows(columns: Columns) -> NDArray[np.float32]:
    """Return the (N, F) training rows of the model of (window, cell)."""
    table = cell_table(columns, flights_grid())
    return table.features([i.name for i in CELL])[table.end_us <= trained_until_us(columns)]


def _summary(scorer: Scorer, report: Report) -> str:
    overall = report.figures[-1]
    return (
        f"{scorer.role}: {scorer.sha256}  AUROC {overall.auroc:.4f}, {overall.found:.1%} found, "
        f"{report.alerts_per_1000:.2f} false alerts in 1,000"
    )


if __name__ == "__main__":
    main()
