"""What stands in the topics of results, as Arrow tables: what a reader of committed records sees.

Late events and dead letters are input. Flows that run apart over one topic each say of a record that it is late, or no event:
of each place in the input the first word counts, and of the others, which say the same, nothing is seen here.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa

from kernels.errors import AuraError, BadRecord
from operators.cells import Cells
from operators.kafka_reader import read_committed, topic_partitions
from operators.kafka_results import TOPICS, decode_output
from operators.kafka_sessions import Standing
from operators.result import Result
from operators.result_tables import Row, tables_of
from operators.session import Sessions
from operators.withdrawn import Withdrawn

__all__ = ["read_outputs", "read_results"]

_INPUT = ("late", "dead_letters")
_Whole = Cells | Withdrawn | Result  # what a later revision replaces as a whole


def read_results(
    options: Mapping[str, Any], *, prefix: str, run: str | None = None, kinds: Collection[str] = tuple(TOPICS)
) -> dict[str, pa.Table]:
    """Return the results that are committed now, one table a kind; kinds without results are left out.

    Of each (window, start, shard), and of each id of a further kind, the last record counts, which has the highest
    revision; of sessions those that stand.

    Parameters
    ----------
    options
        Of the connection.
    prefix
        Before the names of the topics.
    run
        Only this run's; None: of all runs, as compaction would leave them.
    kinds
        Of `TOPICS`.

    Raises
    ------
    AuraError
        A topic is missing, or has a record that no sink of ours has written.
    """
    outputs: list[Row] = []
    sessions = Standing()
    last: dict[tuple[str, str], dict[int, _Whole]] = {}
    for kind in kinds:
        for key, headers, output in read_outputs(options, kind, prefix=prefix, run=run):
            if isinstance(output, Cells | Withdrawn):
                _put(last, (kind, "/".join(key.split("/")[:3])), headers["part"], output)
            elif isinstance(output, Result):
                _put(last, (kind, output.id), headers["part"], output)
            elif isinstance(output, Sessions):
                sessions.put(output)
            else:
                outputs.append(output)
    outputs += [result for parts in last.values() for result in parts.values()]
    return tables_of([*outputs, *sessions.rows()])


def read_outputs(
    options: Mapping[str, Any], kind: str, *, prefix: str, run: str | None = None
) -> Iterator[tuple[str, dict[str, bytes], Row]]:
    """Yield the key, the headers and the output of each committed record of a kind, in the order of each partition.

    Of a late event or dead letter that several flows tell of, the first.
    """
    topic, seen = prefix + TOPICS[kind], set[str]()
    starts = {(topic, k): 0 for k in range(topic_partitions(options, topic))}
    for record in read_committed(options, starts):
        headers = dict(record.headers)
        if run is not None and headers.get("run") != run.encode():
            continue
        key = (record.key or b"").decode("utf-8", "replace")
        if kind in _INPUT:
            if key in seen:
                continue
            seen.add(key)
        try:
            output = decode_output(kind, key, record.value or b"", headers)
        except BadRecord as error:
            place = f"{topic}[{record.partition}] offset {record.offset}"
            raise AuraError(f"{place} is no result: {error}", "See who else writes to that topic") from error
        yield key, headers, output


def _put(
    last: dict[tuple[str, str], dict[int, _Whole]], about: tuple[str, str], part: bytes, result: _Whole
) -> None:
    """Put a part of a result in place of the one before; drop parts that the result no longer has."""
    number, count = map(int, part.split(b"/"))
    parts = last.setdefault(about, {})
    parts[number] = result
    for gone in [n for n in parts if n >= count]:
        del parts[gone]
