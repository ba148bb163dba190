"""An answer as JSON, as an Arrow stream, or as Parquet; who took part in it goes with each."""

import json
import math
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dashboard.hub import Answered

__all__ = ["FORMATS", "about", "encode_answer", "rows_of"]

FORMATS = {
    "json": "application/json",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
"""Names of the formats and their media types."""
_LARGE = ("agent_id", "id")  # 64 bits: as text, since JavaScript's numbers have 53


def about(answered: Answered) -> dict[str, Any]:
    """Return who took part, how long each took, and whether something is missing."""
    return {
        "complete": answered.complete,
        "took_ms": answered.took_ms,
        "rows": answered.table.num_rows,
        "workers": [asdict(part) for part in answered.parts],
    }


def encode_answer(answered: Answered, kind: str) -> bytes:
    """Return an answer in a format of `FORMATS`; a table's metadata has the account under `aura`."""
    if kind == "json":
        return json.dumps(about(answered) | {"answer": rows_of(answered.table)}, allow_nan=False).encode()
    table = answered.table.replace_schema_metadata({"aura": json.dumps(about(answered))})
    sink = pa.BufferOutputStream()
    if kind == "arrow":
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows as JSON can have them: ids as text, what is not finite as null."""
    return [{name: _plain(name, value) for name, value in row.items()} for row in table.to_pylist()]


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if name in _LARGE and value is not None else value
