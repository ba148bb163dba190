"""The end of a run: its parts as one file a kind, in canonical order, with the account and the digests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kernels.digest import digest
from operators.batch import FATES, Tally
from operators.file_sink import read_parts, read_tallies
from operators.result_tables import empty_tables

__all__ = ["digests", "finalise", "last_revisions", "write_summary"]

_ORDER = {
    "cells": ("window", "start_us", "cx", "cy", "cz"),
    "alerts": ("time_us", "kind", "agent_id", "window", "cx", "cy", "cz", "revision"),
    "late": ("topic", "partition", "offset", "row"),
    "dead_letters": ("topic", "partition", "offset", "row"),
}
_WINDOW = ("window", "start_us", "shard")
_NOT_EXACT = {"window", "score", "model", "revision"}


def finalise(directory: Path, cells: pa.Table, *, model: str | None) -> tuple[Tally, dict[str, pa.Table]]:
    """Write `cells.parquet`, `alerts.parquet`, `late.parquet` and `dead_letters.parquet`.

    Parameters
    ----------
    directory
        Of the results; its parts are read.
    cells
        The cells table without rows: its columns and their order.
    model
        SHA-256 of the model that scored the cells; None if none did.

    Returns
    -------
    The account of the run, and the tables.
    """
    tables = {}
    for kind, empty in {"cells": cells, **empty_tables()}.items():
        parts = read_parts(directory, kind)
        table = pa.concat_tables(parts, promote_options="default").unify_dictionaries() if parts else empty
        if kind == "cells":
            table = _publish(last_revisions(table), cells, model)
        tables[kind] = _sorted(table, _ORDER[kind])
        path = directory / f"{kind}.parquet"
        temporary = path.with_name("." + path.name)
        pq.write_table(tables[kind], temporary, compression="zstd", row_group_size=2**17)
        temporary.replace(path)
    return read_tallies(directory), tables


def last_revisions(cells: pa.Table) -> pa.Table:
    """Return the rows of the last revision of each (window, start, shard).

    A later revision replaces all rows of the earlier one: a cell that a filter let pass before may be gone.
    """
    if cells.num_rows == 0 or pc.max(cells["revision"]).as_py() == 0:
        return cells
    last = cells.group_by(_WINDOW).aggregate([("revision", "max")])
    joined = cells.join(last, _WINDOW)
    return joined.filter(pc.equal(joined["revision"], joined["revision_max"])).drop_columns("revision_max")


def digests(cells: pa.Table) -> tuple[str, str]:
    """Return the digest of the exact columns of a cells table, and the one that covers scores and models as well."""
    windows, window = _numbered(cells["window"])
    models, model = _numbered(cells["model"])
    exact = {n: cells[n].to_numpy() for n in cells.column_names if n not in _NOT_EXACT} | {"window": window}
    scored = exact | {"score": cells["score"].to_numpy(), "model": model}
    return digest(exact, windows), digest(scored, windows, models)


def _numbered(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts of a column, and the number of each row's."""
    text = column.cast(pa.string()).fill_null("")
    names = pc.unique(text)
    return names.to_pylist(), pc.index_in(text, names).to_numpy()


def write_summary(directory: Path, tally: Tally, tables: dict[str, pa.Table], more: dict[str, Any]) -> dict[str, Any]:
    """Write `summary.json`: the account, the sizes, the digests and `more`; return it."""
    exact, scored = digests(tables["cells"])
    summary = {"events_in": tally.events_in} | {fate: getattr(tally, fate) for fate in FATES}
    summary |= {kind: tables[kind].num_rows for kind in ("cells", "alerts")}
    summary |= more | {"digest": exact, "digest_scored": scored}
    path = directory / "summary.json"
    temporary = path.with_name("." + path.name)
    temporary.write_text(json.dumps(summary, indent=2) + "\n")
    temporary.replace(path)
    return summary


def _publish(table: pa.Table, cells: pa.Table, model: str | None) -> pa.Table:
    """Return the columns that the contract names, in its order; others (of a transform) follow."""
    table = table.drop_columns([n for n in ("shard",) if n in table.column_names])
    column = pa.array([model] * table.num_rows, pa.string())
    table = table.append_column("model", column.dictionary_encode())
    names = [n for n in cells.column_names if n in table.column_names]
    return table.select(names + [n for n in table.column_names if n not in names])


def _sorted(table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    # Dictionaries have no order of their own: sort by their text.
    plain = {k: table[k].cast(pa.string()) if pa.types.is_dictionary(table[k].type) else table[k] for k in keys}
    order = pc.sort_indices(pa.table(plain), sort_keys=[(k, "ascending") for k in keys])
    return table.take(order)
