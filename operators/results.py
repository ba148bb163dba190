"""The end of a run: its parts as one file a kind, in canonical order, with the account and the digests."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kernels.digest import digest, rows_digest, session_digest
from operators.batch import FATES, Tally
from operators.file_sink import read_parts
from operators.result import KINDS as FURTHER
from operators.result_tables import KINDS, LEVEL, empty_tables

__all__ = [
    "digest_result",
    "digest_sessions",
    "digests",
    "last_revisions",
    "published",
    "read_files",
    "standing",
    "write_files",
    "write_summary",
]

_ORDER = {
    "cells": ("window", "start_us", "cx", "cy", "cz"),
    "sessions": ("window", "start_us", "agent_id"),
    "alerts": ("time_us", "kind", "agent_id", "window", "cx", "cy", "cz", "revision"),
    "late": ("topic", "partition", "offset", "row"),
    "dead_letters": ("topic", "partition", "offset", "row"),
} | {name: kind.order for name, kind in FURTHER.items()}
_WINDOW = ("window", "start_us", "shard")
_SESSION = ("window", "agent_id", "start_us")
_NOT_EXACT = {"window", "score", "model", "revision", "degradation", "error"}


def read_files(directory: Path) -> dict[str, pa.Table]:
    """Return what the parts of a run in `directory` hold, one table a kind."""
    found = {kind: read_parts(directory, kind) for kind in KINDS}
    return {
        kind: pa.concat_tables(parts, promote_options="default").unify_dictionaries()
        for kind, parts in found.items()
        if parts
    }


def published(
    found: Mapping[str, pa.Table], empty: Mapping[str, pa.Table], *, model: Callable[[int], str] | None
) -> dict[str, pa.Table]:
    """Return a run's results as they are published: last revisions only, in canonical order, every kind.

    Parameters
    ----------
    found
        Tables by kind; kinds without results may be missing.
    empty
        The table without rows of each kind that the run's flows publish: its columns and their order.
    model
        SHA-256 of the model that scored cells, by the start of their window; None if none did.
    """
    tables = {**empty, **empty_tables()} | dict(found)
    for kind in found.keys() & empty.keys():
        if kind == "cells":
            last = last_revisions(found[kind])
            tables[kind] = _publish(last, empty[kind], model) if last.num_rows else empty[kind]
        elif kind == "sessions":
            tables[kind] = _select(standing(found[kind]), empty[kind])
        else:
            tables[kind] = _select(last_results(found[kind], kind), empty[kind])
    if "sessions" in tables:
        tables["sessions"] = tables["sessions"].drop_columns("withdrawn")
    return {kind: _sorted(table, _ORDER[kind]) for kind, table in tables.items()}


def write_files(directory: Path, tables: Mapping[str, pa.Table]) -> None:
    """Write each table as `KIND.parquet`, each put in place at once."""
    for kind, table in tables.items():
        path = directory / f"{kind}.parquet"
        temporary = path.with_name("." + path.name)
        pq.write_table(table, temporary, compression="zstd", row_group_size=2**17)
        temporary.replace(path)


def last_revisions(cells: pa.Table) -> pa.Table:
    """Return the rows of the last revision of each (window, start, shard).

    A later revision replaces all rows of the earlier one: a cell that a filter let pass before may be gone, or all of
    them (`operators.withdrawn`).
    """
    last = _last(cells, _WINDOW)
    if "withdrawn" not in last.column_names:
        return last
    return last.filter(pc.is_null(last["withdrawn"])).drop_columns("withdrawn")


def standing(sessions: pa.Table) -> pa.Table:
    """Return the sessions that stand: the last revision of each (window, agent, start), unless that withdraws it."""
    last = _last(sessions, _SESSION)
    return last.filter(pc.invert(last["withdrawn"]))


def last_results(table: pa.Table, kind: str) -> pa.Table:
    """Return the rows of the last revision of each result of a further kind; a result without rows has none."""
    if table.num_rows and pc.max(table["revision"]).as_py() > 0:
        about = table["about"].unify_dictionaries().combine_chunks().indices.to_numpy()
        revision = table["revision"].to_numpy()
        last = np.zeros(int(about.max()) + 1, np.int32)
        np.maximum.at(last, about, revision)
        table = table.filter(pa.array(revision == last[about]))
    return table.filter(pc.is_valid(table[FURTHER[kind].order[0]]))


def _last(table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    """Return the rows of the last revision of each key."""
    if table.num_rows == 0 or pc.max(table["revision"]).as_py() == 0:
        return table
    last = table.group_by(keys).aggregate([("revision", "max")])
    joined = table.join(last, keys)
    return joined.filter(pc.equal(joined["revision"], joined["revision_max"])).drop_columns("revision_max")


def digests(cells: pa.Table) -> tuple[str, str]:
    """Return the digest of the exact columns of a cells table, and the one that covers scores, models and levels too."""
    windows, window = _numbered(cells["window"])
    models, model = _numbered(cells["model"])
    exact = {n: cells[n].to_numpy() for n in cells.column_names if n not in _NOT_EXACT} | {"window": window}
    scored = exact | {"score": cells["score"].to_numpy(), "model": model}
    if "degradation" in cells.column_names:
        scored["degradation"] = cells["degradation"].to_numpy()
    return digest(exact, windows), digest(scored, windows, models)


def digest_sessions(sessions: pa.Table) -> str:
    """Return the digest of the exact columns of a table of sessions that stand."""
    windows, window = _numbered(sessions["window"])
    exact = {n: sessions[n].to_numpy() for n in sessions.column_names if n not in _NOT_EXACT}
    return session_digest(exact | {"window": window}, windows)


def digest_result(table: pa.Table, kind: str) -> str:
    """Return the digest of the exact columns of a table of a further kind."""
    known = FURTHER[kind]
    names = (n for n in table.column_names if n not in {*known.inexact, "about", "revision", LEVEL})
    exact = {name: table[name].to_numpy() for name in names}
    texts = {n: exact[n].astype(object) for n, code in known.columns.items() if code == "text"}
    return rows_digest(exact | texts, known.order)


def _numbered(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts of a column, and the number of each row's."""
    text = column.cast(pa.string()).fill_null("")
    names = pc.unique(text)
    return names.to_pylist(), pc.index_in(text, names).to_numpy()


def write_summary(
    directory: Path, tally: Tally, tables: Mapping[str, pa.Table], more: dict[str, Any]
) -> dict[str, Any]:
    """Write `summary.json`: the account, the sizes, the digests and `more`; return it."""
    further = [kind for kind in tables if kind in FURTHER]
    summary = {"events_in": tally.events_in} | {fate: getattr(tally, fate) for fate in FATES}
    summary |= {
        kind: tables[kind].num_rows for kind in ("cells", "sessions", "alerts", *further) if kind in tables
    }
    summary |= more
    if "cells" in tables:
        summary["digest"], summary["digest_scored"] = digests(tables["cells"])
    if "sessions" in tables:
        summary["digest_sessions"] = digest_sessions(tables["sessions"])
    if further:
        summary["digests"] = {kind: digest_result(tables[kind], kind) for kind in further}
    path = directory / "summary.json"
    temporary = path.with_name("." + path.name)
    temporary.write_text(json.dumps(summary, indent=2) + "\n")
    temporary.replace(path)
    return summary


def _publish(table: pa.Table, cells: pa.Table, model: Callable[[int], str] | None) -> pa.Table:
    """Return the columns that the contract names, in its order; others (of a transform) follow."""
    table = table.drop_columns([n for n in ("shard",) if n in table.column_names])
    table = table.append_column("model", _models(table["start_us"].to_numpy(), model))
    names = [n for n in cells.column_names if n in table.column_names]
    return table.select(names + [n for n in table.column_names if n not in names])


def _models(start_us: np.ndarray, model: Callable[[int], str] | None) -> pa.DictionaryArray:
    """Return the hash of the model of each start; null where none scores."""
    if model is None:
        return pa.nulls(len(start_us), pa.string()).dictionary_encode()
    starts, place = np.unique(start_us, return_inverse=True)
    return pa.array([model(start) for start in starts.tolist()]).dictionary_encode().take(pa.array(place))


def _select(table: pa.Table, empty: pa.Table) -> pa.Table:
    """Return the columns that the kind has, and the level if that is known."""
    return table.select([n for n in (*empty.column_names, LEVEL) if n != LEVEL or n in table.column_names])


def _sorted(table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    # Dictionaries have no order of their own: sort by their text.
    plain = {
        k: table[k].cast(pa.string()) if pa.types.is_dictionary(table[k].type) else table[k] for k in keys
    }
    order = pc.sort_indices(pa.table(plain), sort_keys=[(k, "ascending") for k in keys])
    return table.take(order)
