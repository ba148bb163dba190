"""Results as Arrow tables: one schema per kind of result."""

from collections.abc import Iterable, Sequence
from dataclasses import fields

import numpy as np
import pyarrow as pa

from kernels.aggregate import Layout
from operators.alerts import FIELDS
from operators.batch import Alerts, DeadLetter, Late, Tally
from operators.cells import Cells, cell_columns
from operators.result import KINDS as FURTHER
from operators.result import Result
from operators.session import Sessions, session_columns
from operators.withdrawn import Withdrawn

__all__ = [
    "KINDS",
    "LEVEL",
    "Output",
    "Row",
    "empty_cells",
    "empty_results",
    "empty_sessions",
    "empty_tables",
    "tables_of",
]

Row = Cells | Withdrawn | Sessions | Result | Alerts | Late | DeadLetter
"""What becomes rows of a table."""

Output = Row | Tally
"""What reaches a sink."""

KINDS = ("cells", "sessions", "alerts", "late", "dead_letters", *FURTHER)
"""The kinds of results that are tables."""

LEVEL = "degradation"
"""The column with the level that a row was made at: of runs that may degrade, so that those of others stay what they are."""

_TEXT = pa.dictionary(pa.int32(), pa.string())
_CODES = {
    code: pa.from_numpy_dtype(code)
    for code in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")
}
_CODES["text"] = pa.string()
_ALERTS = pa.schema([(name, _CODES[code]) for name, code in FIELDS.items()])
_DEAD = pa.schema(
    [
        (f.name, {int: pa.int64(), bytes: pa.binary(), str: pa.string()}[f.type])  # type: ignore[index]
        for f in fields(DeadLetter)
    ]
)
_LATE = pa.schema(
    [("topic", _TEXT), ("partition", pa.int32())] + [(n, pa.int64()) for n in ("offset", "row", "behind_us")]
)


def tables_of(outputs: Sequence[Row]) -> dict[str, pa.Table]:
    """Return the outputs as one table a kind; kinds without output are left out."""
    cells = [_cells(o) for o in outputs if isinstance(o, Cells) and len(o)]
    cells += [_withdrawn(o) for o in outputs if isinstance(o, Withdrawn)]
    sessions = [o for o in outputs if isinstance(o, Sessions)]
    alerts = [row for o in outputs if isinstance(o, Alerts) for row in o.rows]
    late = [o for o in outputs if isinstance(o, Late)]
    dead = [o for o in outputs if isinstance(o, DeadLetter)]
    found = {}
    if cells:
        found["cells"] = pa.concat_tables(cells, promote_options="default")
    if sessions:
        found["sessions"] = pa.concat_tables([_cells(s) for s in sessions], promote_options="default")
    if alerts:
        found["alerts"] = pa.Table.from_pylist(alerts, _levelled(_ALERTS, LEVEL in alerts[0]))
    if late:
        found["late"] = pa.concat_tables([_late(o) for o in late], promote_options="default")
    if dead:
        found["dead_letters"] = pa.Table.from_pydict(
            {f: [getattr(d, f) for d in dead] for f in _DEAD.names}, _DEAD
        )
    results = [o for o in outputs if isinstance(o, Result)]
    for kind in dict.fromkeys(r.kind for r in results):
        found[kind] = _results(kind, [r for r in results if r.kind == kind])
    return found


def empty_tables() -> dict[str, pa.Table]:
    """Return the tables of the kinds whose columns do not depend on the configuration, without rows."""
    return {"alerts": _ALERTS.empty_table(), "late": _LATE.empty_table(), "dead_letters": _DEAD.empty_table()}


def empty_cells(layout: Layout) -> pa.Table:
    """Return the table of cells without rows: the columns that every run publishes, in their order."""
    fields = [(name, pa.from_numpy_dtype(dtype)) for name, dtype in cell_columns(layout).items()]
    fields[0] = ("window", _TEXT)
    return pa.schema(
        [*fields, ("score", pa.float32()), ("model", _TEXT), ("revision", pa.int32())]
    ).empty_table()


def empty_sessions(layout: Layout) -> pa.Table:
    """Return the table of sessions without rows: the columns that every run with session windows publishes."""
    fields = [(name, pa.from_numpy_dtype(dtype)) for name, dtype in session_columns(layout).items()]
    fields[0] = ("window", _TEXT)
    return pa.schema([*fields, ("revision", pa.int32()), ("withdrawn", pa.bool_())]).empty_table()


def empty_results(kind: str, further: Sequence[str] = ()) -> pa.Table:
    """Return the table of a kind without rows, as it is published; `further` are the columns that the run adds."""
    return _result_schema(kind, further).empty_table().drop_columns("about")


def _result_schema(kind: str, further: Iterable[str]) -> pa.Schema:
    known = FURTHER[kind]
    columns = [(name, _CODES[known.columns.get(name, known.further)]) for name in (*known.columns, *further)]
    return pa.schema([*columns, ("about", _TEXT), ("revision", pa.int32())])


def _levelled(schema: pa.Schema, asked: bool) -> pa.Schema:
    """Return a schema with the level that a row was made at, where the run may degrade."""
    return schema.append(pa.field(LEVEL, pa.int8())) if asked else schema


def _results(kind: str, results: Sequence[Result]) -> pa.Table:
    """Return the rows of results with what they are about; for one without rows, a row of nulls that says so.

    Many results have one row: their columns are joined before they become Arrow's, 5 us a result instead of 120.
    """
    full, void = [r for r in results if len(r)], [r for r in results if not len(r)]
    known = FURTHER[kind].columns
    further = [name for name in (full[0].columns if full else ()) if name not in known]
    columns = {name: [r.columns[name] for r in full] for name in (*known, *further)}
    arrays = {
        name: pa.array(np.concatenate(each)) if full else pa.array([]) for name, each in columns.items()
    }
    schema, about = (
        _result_schema(kind, further),
        pa.array([r.id for r in (*full, *void)]).dictionary_encode(),
    )
    rows = np.repeat(np.arange(len(results)), [*(len(r) for r in full), *(1 for _ in void)])
    revision = np.array([r.revision for r in (*full, *void)], np.int32)[rows]
    filled = {n: pa.concat_arrays([a.cast(schema.field(n).type), pa.nulls(len(void), schema.field(n).type)])
              for n, a in arrays.items()}  # fmt: skip
    found = [*filled.values(), about.take(pa.array(rows)), pa.array(revision)]
    if asked := any(r.degradation is not None for r in full):
        found.append(pa.array([r.degradation for r in (*full, *void)], pa.int8()).take(pa.array(rows)))
    return pa.Table.from_arrays(found, schema=_levelled(schema, asked))


def _cells(cells: Cells | Sessions) -> pa.Table:
    arrays = {name: pa.array(values) for name, values in cells.columns.items()}
    names = pa.array(cells.windows, pa.string())
    arrays["window"] = pa.DictionaryArray.from_arrays(pa.array(cells.columns["window"], pa.int32()), names)
    arrays["shard"] = pa.array(np.full(len(cells), cells.shard, np.int32))
    return pa.table(arrays)


def _withdrawn(gone: Withdrawn) -> pa.Table:
    """Return a row that stands for no rows: `operators.results.last_revisions` takes it out."""
    arrays = {
        "window": pa.array([gone.window], pa.string()).dictionary_encode(),
        "start_us": pa.array([gone.start_us], pa.int64()),
        "shard": pa.array([gone.shard], pa.int32()),
        "revision": pa.array([gone.revision], pa.int32()),
        "withdrawn": pa.array([True]),
    }
    return pa.table(arrays)


def _late(late: Late) -> pa.Table:
    rows = len(late.offset)
    arrays = {
        "topic": pa.array([late.topic] * rows, pa.string()).dictionary_encode(),
        "partition": pa.array(np.full(rows, late.partition, np.int32)),
        "offset": pa.array(late.offset),
        "row": pa.array(late.row),
        "behind_us": pa.array(late.behind_us),
    }
    return pa.table(arrays | {name: pa.array(values) for name, values in late.columns.items()})
