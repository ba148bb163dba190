"""Any source's columns to the canonical ones: which column is the agent, the time, the position, and in what unit.

A mapping is an object of the configuration; `Mapping.apply` turns raw rows into columns, a batch at a time. What a row
becomes depends on that row alone. A row that cannot be an event is left out, under the first of these that applies:

    reason              the row
    agent_missing       has no agent, or an empty text
    time_missing        has no time
    position_missing    lacks a coordinate that is mapped, or has NaN there
    bad_type            has something else there than what is mapped: text where a number should be, 1.5 as a level
    out_of_range        has a value that the column cannot hold, an infinite coordinate, a latitude over 90 degrees

in the order agent, time, position, then the others. A null metric is NaN; a null seq, level or cause is 0. Numbers are
float64 until the end: value * scale + offset, then derived columns, then float32.
"""

from collections import abc
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kernels.errors import ConfigError
from kernels.expression import Expression
from kernels.schema import CANONICAL, MAX_LEVEL, POSITION, Columns, column_dtype
from kernels.units import TIME_UNITS, convert, to_si
from operators.mapping_checks import KEY, check
from operators.positions import Geographic, Place, Planar, Quantity
from operators.raw_ids import IdKind, named
from operators.raw_rows import RawRows, Table
from operators.raw_values import ISO, integers, numbers, times_us

__all__ = ["Geographic", "Id", "Level", "Mapped", "Mapping", "Planar", "Quantity", "Table", "Time"]

_ALTITUDE = "altitude_m"


@dataclass(frozen=True)
class Id:
    """A column of ids; see `operators.raw_ids` for the kinds."""

    column: str
    kind: IdKind = "auto"


@dataclass(frozen=True)
class Time:
    """A column of times: `unit` is s, ms, us or ns since the Unix epoch, or iso for text, timestamps and dates."""

    column: str
    unit: str


@dataclass(frozen=True)
class Level:
    """A column of levels 0 to 6, or of texts that `names` gives a level."""

    column: str
    names: abc.Mapping[str, int] | None = None


class Mapped(NamedTuple):
    """Rows as columns, like `kernels.rows.CanonicalRows`.

    `kept` (K,) int32 has the number of the row that each event came from, `bad` the reason of each of the other rows,
    and `names` the text of each id that was hashed from one.
    """

    columns: Columns
    names: dict[int, str]
    bad: dict[int, str]
    kept: NDArray[np.int32]


@dataclass(frozen=True)
class Mapping:
    """What the columns of a source mean.

    Parameters
    ----------
    agent, time, position
        Required of every row.
    seq, cause_agent, cause_seq
        Columns of counters and of the event that this one follows from.
    level
        The level of all, or a column.
    columns
        Metrics and what else is wanted by name, each from a column of the source, in SI.
    derived
        More of them, each an expression over the canonical columns, `columns`, `altitude_m` (which is z_m) and the
        derived ones before it.

    Raises
    ------
    ConfigError
        A unit, name or expression cannot be used; it names the key, the value and what is allowed.

    Examples
    --------
    >>> ships = Mapping(
    ...     agent=Id("mmsi"), time=Time("t", "s"), position=Planar(Quantity("e", "km"), Quantity("n", "km")),
    ...     columns={"speed_mps": Quantity("sog", "kn")},
    ... )
    >>> mapped = ships.apply({"mmsi": [7, 8], "t": [1, None], "e": [2.5, 0], "n": [0, 0], "sog": [None, 1]})
    >>> mapped.columns["x_m"].tolist(), mapped.columns["speed_mps"].tolist(), mapped.bad
    ([2500.0], [nan], {1: 'time_missing'})
    """

    agent: Id
    time: Time
    position: Planar | Geographic
    seq: str | None = None
    level: int | Level = 0
    cause_agent: Id | None = None
    cause_seq: str | None = None
    columns: abc.Mapping[str, Quantity] = field(default_factory=dict)
    derived: abc.Mapping[str, str] = field(default_factory=dict)
    _expressions: dict[str, Expression] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check(self)
        object.__setattr__(self, "_expressions", dict(self._parse()))

    @property
    def makes(self) -> tuple[str, ...]:
        """The names of the columns that `apply` makes."""
        causes = [name for name in ("cause_agent", "cause_seq") if getattr(self, name) is not None]
        return ("agent_id", "time_us", "seq", *POSITION, "level", *causes, *self.columns, *self.derived)

    @property
    def sources(self) -> dict[str, str]:
        """The columns of the source that are read, by their key in the configuration."""
        single = {
            key: getattr(self, key) for key in ("agent", "time", "seq", "level", "cause_agent", "cause_seq")
        }
        quantities = {f"position.{key}": source for key, (source, _) in self.position.quantities.items()}
        quantities |= {f"columns.{name}": source for name, source in self.columns.items()}
        names = {key: getattr(source, "column", source) for key, source in (single | quantities).items()}
        return {f"{KEY}.{key}": column for key, column in names.items() if isinstance(column, str)}

    def check_columns(self, names: abc.Collection[str]) -> None:
        """Refuse a source that lacks a column.

        Raises
        ------
        ConfigError
            It names the key, the column, the closest one and all there are.
        """
        for key, column in self.sources.items():
            if column not in names:
                close = "".join(
                    f"; did you mean {match!r}?" for match in get_close_matches(column, names, n=1)
                )
                there = ", ".join(sorted(names)[:50])
                raise ConfigError(f"{key} = {column!r}: the source has no such column{close}; it has {there}")

    def check_schema(self, schema: pa.Schema) -> None:
        """Refuse a source whose columns are missing or typed against the mapping; ConfigError as of `check_columns`."""
        self.check_columns(schema.names)
        twice = [column for column in self.sources.values() if schema.get_field_index(column) < 0]
        if twice:
            raise ConfigError(f"the source has the column {twice[0]!r} twice", "Rename one of them")
        kind = schema.field(self.time.column).type
        says_unit = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if says_unit if self.time.unit != ISO else is_number:
            allowed = f"{ISO!r}" if says_unit else ", ".join(map(repr, TIME_UNITS))
            raise ConfigError(
                f"{KEY}.time.unit = {self.time.unit!r}: the column is {kind}; allowed: {allowed}"
            )

    def apply(self, table: Table) -> Mapped:
        """Return N raw rows as canonical columns.

        Raises
        ------
        ConfigError
            A record batch lacks a column that is mapped, or has a type that contradicts the mapping.
        """
        if isinstance(table, pa.RecordBatch):
            self.check_schema(table.schema)
        rows = RawRows(table)
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is infinite
            columns = {
                name: v.astype(column_dtype(name), copy=False) for name, v in self._columns(rows).items()
            }
        bad = rows.bad
        kept = np.flatnonzero(rows.reason == 0).astype(np.int32)
        return Mapped({k: v[kept] for k, v in columns.items()} if bad else columns, rows.names, bad, kept)

    def _columns(self, rows: RawRows) -> Columns:
        """Return the columns as they were read and computed, numbers in float64."""
        found: dict[str, NDArray[Any]] = {
            "agent_id": rows.take_ids(self.agent.column, self.agent.kind, missing="agent_missing"),
            "time_us": rows.take(times_us, self.time.column, self.time.unit, missing="time_missing"),
        }
        place = self._place(rows)
        found["seq"] = self._whole(rows, "seq")
        found |= {"x_m": place.x_m, "y_m": place.y_m, "z_m": place.z_m, "level": self._levels(rows)}
        if self.cause_agent is not None:
            found["cause_agent"] = rows.take_ids(self.cause_agent.column, self.cause_agent.kind)
        if self.cause_seq is not None:
            found["cause_seq"] = self._whole(rows, "cause_seq")
        for name, source in self.columns.items():
            found[name] = convert(rows.take(numbers, source.column), to_si(source.unit))
        known = {_ALTITUDE: place.z_m} | found
        for name, expression in self._expressions.items():
            known[name] = found[name] = expression.evaluate(known)
        return found

    def _place(self, rows: RawRows) -> Place:
        quantities = self.position.quantities
        values = {
            k: rows.take(numbers, q.column, missing="position_missing") for k, (q, _) in quantities.items()
        }
        place = self.position.place(values)
        rows.mark(place.outside, "out_of_range")
        return place

    def _whole(self, rows: RawRows, name: str) -> NDArray[Any]:
        column = getattr(self, name)
        if column is None:
            return np.zeros(rows.n, CANONICAL[name])
        return rows.take(integers, column, int(np.iinfo(CANONICAL[name]).max))

    def _levels(self, rows: RawRows) -> NDArray[Any]:
        if isinstance(self.level, int):
            return np.full(rows.n, self.level)
        if self.level.names is None:
            return rows.take(integers, self.level.column, MAX_LEVEL)
        return rows.take(named, self.level.column, self.level.names)

    def _parse(self) -> abc.Iterator[tuple[str, Expression]]:
        known = [*self.makes[: len(self.makes) - len(self.derived)], _ALTITUDE]
        for name, text in self.derived.items():
            try:
                expression = Expression.parse(text, known)
            except ConfigError as error:
                raise ConfigError(f"{KEY}.derived.{name} = {text!r}: {error.message}", error.hint) from error
            if expression.kind != "number":
                raise ConfigError(
                    f"{KEY}.derived.{name} = {text!r}: a condition", "Make it a number: where(..., 1, 0)"
                )
            known.append(name)
            yield name, expression
