"""Files as partitions: every row once, in its agent's partition, in order, with the same bits from every format."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sources import FLIGHTS, FLIGHTS_FILE, VEHICLES, vehicle_rows, write_csv, write_json_lines

from kernels.errors import AuraError, ConfigError
from kernels.hashing import hash_text, mix64, partition_of
from kernels.schema import column_dtype
from operators.mapping import Id, Mapping, Planar, Quantity, Time
from operators.partitioned import PartitionRows, load_partitioned

SMALL = Mapping(agent=Id("id"), time=Time("t", "us"), position=Planar(Quantity("x", "m"), Quantity("y", "m")))


def _same(one: list[PartitionRows], other: list[PartitionRows]) -> None:
    for mine, yours in zip(one, other, strict=True):
        assert list(mine.columns) == list(yours.columns)
        for name, values in mine.columns.items():
            assert values.dtype == yours.columns[name].dtype == column_dtype(name)
            assert values.tobytes() == yours.columns[name].tobytes(), name
        assert mine.row.tolist() == yours.row.tolist()
        assert mine.names == yours.names
        assert [(dead.row, dead.reason) for dead in mine.dead] == [
            (dead.row, dead.reason) for dead in yours.dead
        ]


@pytest.fixture(scope="module")
def flights() -> list[PartitionRows]:
    """The bundled flights in 8 partitions."""
    return load_partitioned(FLIGHTS_FILE, FLIGHTS, 8)


def test_flights_from_every_format(flights: list[PartitionRows], tmp_path: Path) -> None:
    """The bundled flights give the same bits from Parquet, from CSV and from JSON lines."""
    rows = pq.read_table(FLIGHTS_FILE).to_pylist()
    _same(flights, load_partitioned(write_csv(tmp_path / "f.csv", rows), FLIGHTS, 8))
    _same(flights, load_partitioned(write_json_lines(tmp_path / "f.jsonl", rows), FLIGHTS, 8))


def test_flights_are_all_there(flights: list[PartitionRows]) -> None:
    """Each of the 139,098 rows is an event of its aircraft's partition, in order of time, agent and row."""
    rows = np.concatenate([part.row for part in flights])
    assert np.array_equal(np.sort(rows), np.arange(139_098))
    assert sum(len(part.names) for part in flights) == 842
    for number, part in enumerate(flights):
        agents = part.columns["agent_id"]
        assert (partition_of(agents, 8) == number).all()
        assert part.names.keys() == set(agents.tolist())
        assert not part.dead
        assert all(values.flags.c_contiguous for values in part.columns.values())
        keys = zip(part.columns["time_us"].tolist(), agents.tolist(), part.row.tolist(), strict=True)
        assert list(keys) == sorted(
            zip(part.columns["time_us"].tolist(), agents.tolist(), part.row.tolist(), strict=True)
        )


def test_flights_as_they_are(flights: list[PartitionRows]) -> None:
    """With as_is each partition has the same events in the order of the file."""
    for sorted_part, part in zip(
        flights, load_partitioned(FLIGHTS_FILE, FLIGHTS, 8, as_is=True), strict=True
    ):
        assert (np.diff(part.row) > 0).all()
        order = np.argsort(sorted_part.row)
        for name, values in part.columns.items():
            assert values.tobytes() == sorted_part.columns[name][order].tobytes()


def test_vehicles_from_every_format(tmp_path: Path) -> None:
    """A source with nulls in every column gives the same from CSV with any separator and from JSON lines."""
    rows = vehicle_rows()
    lines = load_partitioned(write_json_lines(tmp_path / "v.jsonl", rows), VEHICLES, 3)
    for separator in ",;\t|":
        _same(lines, load_partitioned(write_csv(tmp_path / "v.csv", rows, delimiter=separator), VEHICLES, 3))
    assert sum(len(part.row) + len(part.dead) for part in lines) == len(rows)
    assert {dead.reason for part in lines for dead in part.dead} == {
        "agent_missing",
        "time_missing",
        "position_missing",
    }


def test_dead_rows_are_whole(tmp_path: Path) -> None:
    """A row that is no event is in partition row % P with all it had, and fails for the same reason when read again."""
    rows = [
        {key: row[key] for key in rows_keys}
        for rows_keys in [list(vehicle_rows(1)[0])]
        for row in vehicle_rows()
    ]
    for path in (write_csv(tmp_path / "v.csv", rows), write_json_lines(tmp_path / "v.jsonl", rows)):
        parts = load_partitioned(path, VEHICLES, 3)
        for number, part in enumerate(parts):
            for dead in part.dead:
                assert dead.row % 3 == number
                found = {
                    key: value for key, value in json.loads(dead.value).items() if value not in {None, ""}
                }
                given_row = {key: value for key, value in rows[dead.row].items() if value is not None}
                assert {k: str(v) for k, v in found.items()} == {k: str(v) for k, v in given_row.items()}
                again = VEHICLES.apply({key: [value] for key, value in json.loads(dead.value).items()})
                assert (again.bad, dead.content_type) == ({0: dead.reason}, "application/json")


def test_broken_rows_are_dead(tmp_path: Path) -> None:
    """A row that cannot be read is a dead row, malformed, with the file's own bytes."""
    (tmp_path / "x.csv").write_text("id,t,x,y\na,1,0,0\nb,2\nc,3,0,0\n")
    (tmp_path / "x.jsonl").write_text('{"id":"a","t":1,"x":0,"y":0}\n{"id":\n{"id":"c","t":3,"x":0,"y":0}\n')
    for name, value, kind in (("x.csv", b"b,2", "text/csv"), ("x.jsonl", b'{"id":', "application/json")):
        parts = load_partitioned(tmp_path / name, SMALL, 2)
        assert [[(d.row, d.value, d.content_type, d.reason) for d in part.dead] for part in parts] == [
            [],
            [(1, value, kind, "malformed")],
        ]
        assert sorted(row for part in parts for row in part.row.tolist()) == [0, 2]


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30), st.integers(1, 5), st.booleans()
)
def test_order_and_partition(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, int]], partitions: int, as_is: bool
) -> None:
    """A partition has its agents' rows, sorted by (time, agent, row), or in the file's order."""
    path = tmp_path_factory.mktemp("order") / "x.parquet"
    agents, times = [a for a, _ in events], [t for _, t in events]
    zeros = pa.array([0.0] * len(events))
    pq.write_table(
        pa.table(
            {"id": pa.array(agents, pa.int64()), "t": pa.array(times, pa.int64()), "x": zeros, "y": zeros}
        ),
        path,
    )
    expected: list[list[int]] = [[] for _ in range(partitions)]
    for row in (
        range(len(events)) if as_is else sorted(range(len(events)), key=lambda i: (times[i], agents[i], i))
    ):
        expected[int(mix64(np.array([agents[row]], np.uint64))[0]) % partitions].append(row)
    parts = load_partitioned(path, SMALL, partitions, as_is=as_is)
    assert [part.row.tolist() for part in parts] == expected


def test_canonical_file(tmp_path: Path, flights: list[PartitionRows]) -> None:
    """A file of canonical columns needs no mapping, and gives them back."""
    path = tmp_path / "c.parquet"
    pq.write_table(
        pa.table({name: np.concatenate([p.columns[name] for p in flights]) for name in FLIGHTS.makes}), path
    )
    for one, other in zip(flights, load_partitioned(path, None, 8), strict=True):
        for name, values in one.columns.items():
            assert values.tobytes() == other.columns[name].tobytes()


def test_more_than_a_batch(tmp_path: Path) -> None:
    """Rows of JSON may lack a key for longer than a batch; the column is there."""
    lines: list[dict[str, Any]] = [{"id": "a", "t": n, "x": 0, "y": 0} for n in range(70_000)] + [
        {"id": "a", "t": 0, "x": 1, "y": 0, "n": 7}
    ]
    counted = replace(SMALL, seq="n")
    [part] = load_partitioned(write_json_lines(tmp_path / "x.jsonl", lines), counted, 1, as_is=True)
    assert part.columns["seq"].tolist() == [0] * 70_000 + [7]
    assert part.names == {hash_text("a"): "a"}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_mapping_that_does_not_fit(tmp_path: Path, suffix: str) -> None:
    """A column that no row has is an error with the closest one, not a file of dead rows."""
    rows = [{"ids": "a", "t": 1, "x": 0, "y": 0}]
    path = (write_csv if suffix == ".csv" else write_json_lines)(tmp_path / f"x{suffix}", rows)
    with pytest.raises(
        ConfigError, match=r"input.mapping.agent = 'id': .* did you mean 'ids'\?; it has ids, t, x, y"
    ):
        load_partitioned(path, SMALL, 2)


def test_no_rows(tmp_path: Path) -> None:
    """A file of no rows gives partitions of none, and one that is empty is refused."""
    path = tmp_path / "x.csv"
    path.write_text("id,t,x,y\n")
    parts = load_partitioned(path, SMALL, 2)
    assert [{name: len(values) for name, values in part.columns.items()} for part in parts] == [
        dict.fromkeys(SMALL.makes, 0)
    ] * 2
    path.write_text("")
    with pytest.raises(AuraError, match="is empty"):
        load_partitioned(path, SMALL, 2)
