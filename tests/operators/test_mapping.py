"""Mappings against a reading of one row at a time, on two sources that have nothing in common, and what they refuse."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import FLIGHTS, FLIGHTS_FILE, VEHICLES, vehicle_rows

from kernels.errors import ConfigError
from kernels.hashing import hash_text
from kernels.schema import Columns, check_names, column_dtype
from operators.canonical_mapping import canonical_mapping
from operators.mapping import Geographic, Id, Level, Mapped, Mapping, Planar, Quantity, Time

PLAIN = Mapping(
    agent=Id("id"),
    time=Time("t", "ms"),
    position=Planar(Quantity("x", "m"), Quantity("y", "m"), Quantity("z", "m")),
    seq="n",
    level=Level("l"),
    cause_agent=Id("by"),
    cause_seq="by_n",
    columns={"speed_mps": Quantity("v", "km/h")},
    derived={"double": "speed_mps * 2", "quadruple": "double * 2"},
)
GOOD = {"id": "a", "t": 5, "x": 1.0, "y": 2.0, "z": 3.0, "n": 4, "l": 2, "by": "b", "by_n": 1, "v": 36.0}


def _by_column(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: [row.get(key) for row in rows] for key in keys}


def _same(one: Columns, other: Columns) -> None:
    assert list(one) == list(other)
    for name, values in one.items():
        assert values.dtype == other[name].dtype == column_dtype(name), name
        assert values.tobytes() == other[name].tobytes(), name


def _flight(row: dict[str, Any]) -> dict[str, Any]:
    """Map one row of the flights in plain Python; 76 km and 111 km are a degree's metres at 46.8 N."""
    z_m, speed_mps = row["altitude"] * 0.3048, row["groundspeed"] * (1852 / 3600)
    return {
        "agent_id": hash_text(row["icao24"]),
        "time_us": row["timestamp"] * 1000,
        "seq": 0,
        "x_m": (row["longitude"] - 8.2) * 76339.339554,
        "y_m": (row["latitude"] - 46.8) * 111166.939494,
        "z_m": z_m,
        "level": 0,
        "speed_mps": speed_mps,
        "climb_mps": row["vertical_rate"] * (0.3048 / 60),
        "heading_rad": row["track"] * (math.pi / 180),
        "energy": speed_mps * speed_mps / 2 + 9.80665 * z_m,
    }


def _columns(events: list[dict[str, Any]]) -> Columns:
    return {name: np.array([event[name] for event in events], column_dtype(name)) for name in events[0]}


def test_flights_row_by_row() -> None:
    """Flights are mapped as arithmetic on each row says, bit by bit, and every row is an event."""
    batch = next(pq.ParquetFile(FLIGHTS_FILE).iter_batches(5_000))
    mapped = FLIGHTS.apply(batch)
    _same(mapped.columns, _columns([_flight(row) for row in batch.to_pylist()]))
    assert not mapped.bad
    assert mapped.kept.tolist() == list(range(5_000))
    assert mapped.names == {hash_text(text): text for text in batch["icao24"].to_pylist()}


def _vehicle(row: dict[str, Any]) -> dict[str, Any] | str:
    """Map one row of the vehicles in plain Python, to an event or to the reason why it is none."""
    for keys, reason in (
        (["Vehicle"], "agent"),
        (["When"], "time"),
        (["East (km)", "North (km)", "Height"], "position"),
    ):
        if any(row[key] is None for key in keys):
            return f"{reason}_missing"
    when = datetime.fromisoformat(row["When"])
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    null = math.nan
    speed_mps = null if row["Speed"] is None else row["Speed"] * (1609.344 / 3600)
    cabin_k = null if row["Cabin"] is None else row["Cabin"] * (5 / 9) + 459.67 * 5 / 9
    battery = null if row["Battery"] is None else row["Battery"] * 0.01
    return {
        "agent_id": hash_text(row["Vehicle"]),
        "time_us": (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1),
        "seq": row["Trip"] or 0,
        "x_m": row["East (km)"] * 1000,
        "y_m": row["North (km)"] * 1000,
        "z_m": row["Height"] * 0.3048,
        "level": {None: 0, "driver": 0, "lead": 1, "depot": 2}[row["Role"]],
        "cause_agent": 0 if row["Sent by"] is None else hash_text(row["Sent by"]),
        "cause_seq": row["Order"] or 0,
        "speed_mps": speed_mps,
        "cabin_k": cabin_k,
        "battery": battery,
        "energy": speed_mps * speed_mps / 2,
        "spare": (1.0 if battery > 0.5 else 0.0) * (speed_mps * speed_mps / 2),
    }


def test_vehicles_row_by_row() -> None:
    """A source of another shape, with nulls in every column, is mapped as arithmetic on each row says."""
    rows = vehicle_rows()
    expected = [_vehicle(row) for row in rows]
    mapped = VEHICLES.apply(_by_column(rows))
    assert mapped.bad == {number: found for number, found in enumerate(expected) if isinstance(found, str)}
    assert set(mapped.bad.values()) == {"agent_missing", "time_missing", "position_missing"}
    events = [found for found in expected if not isinstance(found, str)]
    _same(mapped.columns, _columns(events))
    assert np.isnan(mapped.columns["cabin_k"]).any()
    assert mapped.names.keys() >= set(mapped.columns["agent_id"].tolist())


def test_makes() -> None:
    """The columns that a mapping says it makes are those it makes, and a frame may have them."""
    for mapping, table in ((VEHICLES, _by_column(vehicle_rows(40))), (PLAIN, _by_column([GOOD]))):
        assert mapping.makes == tuple(mapping.apply(table).columns)
        check_names(mapping.makes)


_ODD = st.sampled_from(
    [None, "", "x", "7", " 7 ", "1.5", 7, 7.0, -1, 2**40, 2**70, 1.5, True, [], "nan", "inf", math.nan]
)
_ROWS = st.lists(
    st.fixed_dictionaries({key: st.just(good) | _ODD for key, good in GOOD.items()}), max_size=12
)


def _joined(parts: list[Mapped], starts: list[int]) -> Mapped:
    shifted = list(zip(parts, starts, strict=True))
    return Mapped(
        {name: np.concatenate([part.columns[name] for part in parts]) for name in PLAIN.makes},
        {agent: text for part in parts for agent, text in part.names.items()},
        {row + start: reason for part, start in shifted for row, reason in part.bad.items()},
        np.concatenate([part.kept + start for part, start in shifted]),
    )


@given(_ROWS, st.lists(st.integers(0, 12)))
def test_a_row_depends_on_itself(rows: list[dict[str, Any]], cuts: list[int]) -> None:
    """Rows become the same events, with the same reasons, however they are cut into batches."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    parts = [PLAIN.apply(_by_column(rows[low:high])) for low, high in pairwise(edges)]
    whole, joined = PLAIN.apply(_by_column(rows)), _joined(parts, edges[:-1])
    _same(whole.columns, joined.columns)
    assert (whole.names, whole.bad) == (joined.names, joined.bad)
    assert (
        whole.kept.tolist()
        == joined.kept.tolist()
        == [row for row in range(len(rows)) if row not in whole.bad]
    )


@given(_ROWS)
def test_nothing_impossible_comes_out(rows: list[dict[str, Any]]) -> None:
    """Whatever comes in, positions are finite and levels exist."""
    columns = PLAIN.apply(_by_column(rows)).columns
    assert all(np.isfinite(columns[name]).all() for name in ("x_m", "y_m", "z_m"))
    assert (columns["level"] <= 6).all()


_BAD = [
    ("id", None, "agent_missing"),
    ("id", "", "agent_missing"),
    ("id", 1.5, "bad_type"),
    ("id", True, "bad_type"),
    ("id", -1, "out_of_range"),
    ("id", "a" * 256, "out_of_range"),
    ("t", None, "time_missing"),
    ("t", math.nan, "time_missing"),
    ("t", "noon", "bad_type"),
    ("t", math.inf, "out_of_range"),
    ("t", 2**63 // 1000 + 1, "out_of_range"),
    ("x", None, "position_missing"),
    ("y", "n/a", "position_missing"),
    ("z", math.nan, "position_missing"),
    ("x", "left", "bad_type"),
    ("x", -math.inf, "out_of_range"),
    ("y", 3.5e38, "out_of_range"),
    ("n", -1, "out_of_range"),
    ("n", 2**32, "out_of_range"),
    ("n", 1.5, "bad_type"),
    ("l", 7, "out_of_range"),
    ("l", "high", "bad_type"),
    ("by", -7, "out_of_range"),
    ("by_n", 2**32, "out_of_range"),
    ("v", "fast", "bad_type"),
    ("v", False, "bad_type"),
]


@pytest.mark.parametrize(("column", "value", "reason"), _BAD)
def test_bad_rows(column: str, value: Any, reason: str) -> None:
    """A row that is no event is left out for its reason, and its neighbours are not."""
    mapped = PLAIN.apply(_by_column([GOOD, GOOD | {column: value}, GOOD]))
    assert mapped.bad == {1: reason}
    assert mapped.kept.tolist() == [0, 2]
    assert {len(values) for values in mapped.columns.values()} == {2}


def test_first_reason() -> None:
    """Of several reasons the agent's comes first, then the time's, the position's, and the others'."""
    rows = [
        {"t": None, "x": "?", "l": 9},
        {"id": 1, "t": None, "x": "?"},
        {"id": 1, "t": 1, "x": None, "l": 9},
    ]
    bad = PLAIN.apply(_by_column([GOOD | row for row in rows] + [{}])).bad
    assert bad == {0: "time_missing", 1: "time_missing", 2: "position_missing", 3: "agent_missing"}


def test_nulls_that_are_no_fault() -> None:
    """A null counter, level or cause is 0, a null metric is NaN, and so is what is derived from it."""
    row = {key: GOOD[key] for key in ("id", "t", "x", "y", "z")}
    found = {name: values[0] for name, values in PLAIN.apply(_by_column([row, GOOD])).columns.items()}
    assert [found[name] for name in ("seq", "level", "cause_agent", "cause_seq")] == [0, 0, 0, 0]
    assert [math.isnan(found[name]) for name in ("speed_mps", "double", "quadruple")] == [True] * 3


def test_infinite_metric() -> None:
    """An infinite metric, or one over float32's end, is infinite: whether that is in range, its metric says."""
    mapped = PLAIN.apply(_by_column([GOOD | {"v": "inf"}, GOOD | {"v": 1e300}]))
    assert mapped.columns["speed_mps"].tolist() == [math.inf, math.inf]


def test_no_rows() -> None:
    """No rows give columns of no rows, of the right types."""
    for table in ({}, {"id": []}, pa.RecordBatch.from_pylist([], pq.read_schema(FLIGHTS_FILE))):
        mapping = FLIGHTS if isinstance(table, pa.RecordBatch) else PLAIN
        columns = mapping.apply(table).columns
        assert {name: values.dtype for name, values in columns.items()} == {
            n: column_dtype(n) for n in mapping.makes
        }


def test_geographic_ranges() -> None:
    """A latitude over 90 degrees is out of range, longitudes count from -180 or from 0, and radians are angles too."""
    degrees = replace(
        PLAIN, position=Geographic(Quantity("x", "deg"), Quantity("y", "deg"), None, (0.0, 179.0))
    )
    rows = [
        GOOD | {"x": x, "y": y} for x, y in ((1, -180), (1, 180), (1, 540), (90.5, 0), (-91, 0), (1, 361))
    ]
    mapped = degrees.apply(_by_column(rows))
    assert mapped.bad == dict.fromkeys((2, 3, 4, 5), "out_of_range")
    assert mapped.columns["x_m"][0] == mapped.columns["x_m"][1] > 0
    assert mapped.columns["z_m"].tolist() == [0.0, 0.0]
    radians = replace(
        PLAIN, position=Geographic(Quantity("x", "rad"), Quantity("y", "rad"), None, (0.0, 179.0))
    )
    turned = radians.apply(_by_column([GOOD | {"x": math.radians(1), "y": math.pi}]))
    assert turned.columns["y_m"][0] == pytest.approx(mapped.columns["y_m"][0])


def test_absurd_values() -> None:
    """Values without end, and those that pass it when they are scaled, are out of range, without a warning."""
    earth = Geographic(Quantity("x", "deg"), Quantity("y", "deg"), Quantity("z", "km"), (0.0, 0.0))
    for position in (earth, Planar(Quantity("x", "km"), Quantity("y", "km"), Quantity("z", "km"))):
        mapping = replace(PLAIN, position=position)
        rows = [GOOD | {key: value} for key in "xyz" for value in (math.inf, -math.inf, 1e308, "-1e307")]
        assert mapping.apply(_by_column(rows)).bad == dict.fromkeys(range(12), "out_of_range")


def test_constant_level_and_flat_world() -> None:
    """A level may be the same for all, and a plane has no height."""
    flat = replace(PLAIN, level=3, position=Planar(Quantity("x", "m"), Quantity("y", "m")))
    columns = flat.apply(_by_column([GOOD, GOOD | {"z": None, "l": 99}])).columns
    assert (columns["level"].tolist(), columns["z_m"].tolist()) == ([3, 3], [0.0, 0.0])


def test_altitude_by_name() -> None:
    """`altitude_m` in an expression is the height, unless a column of that name is mapped."""
    plain = replace(PLAIN, derived={"up": "altitude_m"})
    assert plain.apply(_by_column([GOOD])).columns["up"].tolist() == [3.0]
    own = replace(plain, columns={"altitude_m": Quantity("v", "m")})
    assert own.apply(_by_column([GOOD])).columns["up"].tolist() == [36.0]


def test_canonical() -> None:
    """Columns that are canonical already come back with the same bits."""
    columns = VEHICLES.apply(_by_column(vehicle_rows())).columns
    again = canonical_mapping(list(columns)).apply(pa.RecordBatch.from_pydict(columns))
    _same(again.columns, columns)


_WRONG: list[tuple[dict[str, Any], str]] = [
    ({"time": Time("t", "sec")}, r"input.mapping.time.unit = 'sec'.*allowed: s, ms, us, ns, iso"),
    ({"agent": Id("id", "hex")}, r"input.mapping.agent.kind = 'hex': allowed: auto, text, integer"),
    ({"columns": {"v": Quantity("v", "knot")}}, r"input.mapping.columns.v.unit = 'knot'.*allowed: .*kn"),
    (
        {"position": Planar(Quantity("x", "feet"), Quantity("y", "m"))},
        r"position.x.unit = 'feet'.*allowed: m, km",
    ),
    (
        {"position": Planar(Quantity("x", "deg"), Quantity("y", "m"))},
        r"'deg' is a unit of angle, expected one of length",
    ),
    ({"level": 7}, r"input.mapping.level = 7: no level; allowed: 0 to 6"),
    ({"level": Level("l", {"top": 9})}, r"input.mapping.level.names.top = 9"),
    ({"columns": {"x_m": Quantity("v")}}, r"input.mapping.columns.x_m: no name for a metric"),
    ({"columns": {"Speed": Quantity("v")}}, r"input.mapping.columns.Speed: no name for a metric"),
    ({"derived": {"speed_mps": "1"}}, r"derived.speed_mps: there is input.mapping.columns.speed_mps already"),
    ({"derived": {"e": "sped_mps ** 2"}}, r"derived.e = 'sped_mps \*\* 2'.*did you mean 'speed_mps'"),
    ({"derived": {"e": "later", "later": "1"}}, r"derived.e = 'later'.*no such column"),
    ({"derived": {"e": "speed_mps > 1"}}, r"derived.e = 'speed_mps > 1': a condition.*where"),
    ({"columns": {f"c{i}": Quantity("v") for i in range(60)}}, r"71 columns, at most 64"),
]


@pytest.mark.parametrize(("change", "message"), _WRONG)
def test_refused(change: dict[str, Any], message: str) -> None:
    """A mapping that fits no source is refused with the key, the value and what is allowed."""
    with pytest.raises(ConfigError, match=message):
        replace(PLAIN, **change)


def _batch(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({key: [value] for key, value in (GOOD | columns).items()})


def test_sources_refused() -> None:
    """A source whose columns contradict the mapping is refused with the key, the column and the closest one."""
    with pytest.raises(
        ConfigError, match=r"input.mapping.agent = 'icao24': the source .*did you mean 'icao'\?; it has by"
    ):
        replace(PLAIN, agent=Id("icao24")).apply(_batch(icao="a"))
    with pytest.raises(
        ConfigError, match=r"input.mapping.columns.speed_mps = 'v': the source has no such column"
    ):
        PLAIN.apply(_batch().drop_columns("v"))
    with pytest.raises(ConfigError, match=r"time.unit = 'ms': the column is timestamp\[us\]; allowed: 'iso'"):
        PLAIN.apply(_batch(t=datetime(2024, 1, 1)))
    with pytest.raises(
        ConfigError, match=r"time.unit = 'iso': the column is int64; allowed: 's', 'ms', 'us', 'ns'"
    ):
        replace(PLAIN, time=Time("t", "iso")).apply(_batch())
    twice = pa.RecordBatch.from_arrays([*_batch().columns, pa.array([1])], [*_batch().schema.names, "v"])
    with pytest.raises(ConfigError, match="the source has the column 'v' twice"):
        PLAIN.apply(twice)


def test_absent_keys_are_nulls() -> None:
    """Rows of a topic may lack any key, which is no error of the configuration."""
    assert PLAIN.apply({"id": ["a"], "t": [1]}).bad == {0: "position_missing"}
