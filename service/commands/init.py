"""`aura init`: a commented configuration for a data file, with what its columns seem to mean, and a look at the result."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kernels.errors import AuraError, ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from operators.mapping import Mapped
    from operators.raw_batch import RawBatch
    from service.guess import Guess

__all__ = ["EXAMPLES", "command", "written"]

EXAMPLES = (
    "Examples: aura init ships.csv | aura init ships.csv --out ships.toml && aura run --profile ships.toml"
)
_HEAD_ROWS = 100_000
_SHOWN = 3
_CELLS = 40  # along the longer side: enough to see something, few enough that each has events
_LENGTHS_S = (1, 10, 60, 300, 900, 3_600, 21_600, 86_400)
_WINDOWS = 50  # about so many over the span of the data


def command(
    data: Annotated[Path, typer.Argument(help="A .csv, .parquet or .jsonl file.")],
    out: Annotated[Path | None, typer.Option(help="The file to write (the name of the data, .toml).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite it.")] = False,
) -> None:
    """Write a configuration for a data file: guess the mapping, show the first rows as AURA will read them."""
    from flows.settings import load
    from service.guess import guess

    target = out or Path(f"{data.stem}.toml")
    if target.exists() and not force:
        raise ConfigError(
            f"{target} is there already", "Name another with --out, or overwrite it with --force"
        )
    head = _head(data)
    table = _as_table(head)
    found = guess(table)
    target.write_text(written(data.resolve(), found))
    mapping = load(target).settings.input.mapping
    assert mapping is not None  # it was written just now
    _preview(mapping.to_mapping().apply(head.table), found)
    print(f"\nwritten: {target}. Look it over, then: aura run --profile {target}")


def _head(data: Path) -> "RawBatch":
    """Return the first rows of a file."""
    from operators.readers import read_batches

    head = next(iter(read_batches(data, _HEAD_ROWS)), None)
    if head is None or not len(head.rows):
        raise AuraError(f"{data} has no rows", "A header alone says too little")
    return head


def _as_table(head: "RawBatch") -> "pa.Table":
    """Return rows as a table; JSON lines are lists of values until then."""
    import pyarrow as pa

    if isinstance(head.table, pa.RecordBatch):
        return pa.Table.from_batches([head.table])
    return pa.table({name: pa.array(values) for name, values in head.table.items()})


def written(data: Path, found: "Guess") -> str:
    """Return the configuration as TOML."""
    return "\n".join([*_input(data, found), *_world(found), *_metrics(found), *_windows(found)]) + "\n"


def _input(data: Path, found: "Guess") -> Iterator[str]:
    yield f"# Written by `aura init {data.name}`: what was guessed stands here, to be corrected."
    yield f"name = {json.dumps(_profile_name(data))}\n\n[input]\nsource = {json.dumps(str(data))}"
    yield "partitions = 4 # an agent's events stay in one of them, in order\n\n[input.mapping]"
    yield f"agent = {json.dumps(found.agent)} # whose event it is; texts are hashed, their text is kept"
    yield f"time = {{ column = {json.dumps(found.time)}, unit = {json.dumps(found.time_unit)} }} # s, ms, us, ns, or iso"
    if found.level:
        yield f"level = {{ column = {json.dumps(found.level)} }} # 0 to 6 in the hierarchy"
    yield "\n[input.mapping.position]"
    first, second = map(json.dumps, found.position)
    height = f"{{ column = {json.dumps(found.altitude)}, unit = {json.dumps(found.altitude_unit)} }}"
    if found.geographic:
        yield f'kind = "geographic"\nlatitude = {first}\nlongitude = {second}'
        yield f"altitude = {height}" if found.altitude else '# altitude = { column = ..., unit = "m" }'
        yield f"origin = [{found.origin[0]}, {found.origin[1]}] # degrees; metres are counted from here"
    else:
        unit = json.dumps(found.position_unit)
        yield f'kind = "planar"\nx = {{ column = {first}, unit = {unit} }}\ny = {{ column = {second}, unit = {unit} }}'
        if found.altitude:
            yield f"z = {height}"
    if found.metrics:
        yield "\n[input.mapping.columns] # name here = { column of the file, its unit }; all become SI"
    for metric in found.metrics:
        yield f"{metric.name} = {{ column = {json.dumps(metric.column)}, unit = {json.dumps(metric.unit)} }}"
    yield ""


def _world(found: "Guess") -> Iterator[str]:
    from service.guess import nice

    x0, y0, x1, y1 = found.extent_m
    cell = nice(max(x1 - x0, y1 - y0, 1e-3) / _CELLS)
    low, high = found.height_m
    layer = nice(max(high - low, 1.0))
    yield "# The box that the agents live in, metres, and its cells: what is outside is a dead letter."
    yield "[world]"
    corners = [(v // cell - 1) * cell for v in (x0, y0)], [(v // cell + 2) * cell for v in (x1, y1)]
    floor = min(0.0, (low // layer) * layer)
    yield f"min_m = [{corners[0][0]:.10g}, {corners[0][1]:.10g}, {floor:.10g}]"
    ceiling = floor + layer * max(
        1, math.ceil((high * 1.1 - floor) / layer)
    )  # a tenth higher than what was seen
    yield f"max_m = [{corners[1][0]:.10g}, {corners[1][1]:.10g}, {ceiling:.10g}]"
    yield f"cell_m = [{cell:.10g}, {cell:.10g}, {layer:.10g}]\n"


def _metrics(found: "Guess") -> Iterator[str]:
    from service.guess import nice

    yield "# What is summed up: its resolution, and its range, outside of which an event is a dead letter."
    yield (
        "[metrics]"
        if found.metrics
        else "# [metrics]\n# speed_mps = { resolution = 0.001, low = 0, high = 100 }"
    )
    for metric in found.metrics:
        reach = nice(max(abs(metric.low), abs(metric.high), 1e-3) * 2)
        low = 0.0 if metric.low >= 0 else -reach
        yield f"{metric.name} = {{ resolution = {reach / 1e6:.10g}, low = {low:.10g}, high = {reach:.10g} }}"
    yield ""


def _windows(found: "Guess") -> Iterator[str]:
    length = next((s for s in _LENGTHS_S if s * _WINDOWS >= found.span_s), _LENGTHS_S[-1])
    yield '[event_time]\nlateness = "30s" # so much later than the newest may an event come\n'
    yield f'[windows.short]\nlength = "{length}s"'
    of_metrics = ', "sum", "mean", "min", "max", "var"' if found.metrics else ""
    yield f'aggregates = ["count", "agents"{of_metrics}]\n'
    yield f'[windows.long]\nlength = "{5 * length}s"\nslide = "{length}s"'
    yield 'aggregates = ["count", "mean", "max"]' if found.metrics else 'aggregates = ["count"]'


def _profile_name(data: Path) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", data.stem.lower()).strip("_")[:48].strip("_")
    return plain if re.fullmatch(r"[a-z][a-z0-9_]*", plain) else f"data_{plain}".strip("_")


def _preview(mapped: "Mapped", found: "Guess") -> None:
    from rich.console import Console
    from rich.table import Table

    rows = len(mapped.kept) + len(mapped.bad)
    shown = Table(title=f"the first of {rows:,} rows, as AURA reads them", title_justify="left")
    for name in mapped.columns:
        shown.add_column(name, justify="right")
    for row in range(min(_SHOWN, len(mapped.kept))):
        shown.add_row(*(_digits(values[row]) for values in mapped.columns.values()))
    console = Console()
    (console if console.is_terminal else Console(width=180)).print(shown)
    for note in found.notes:
        print(f"not sure: {note}")
    if mapped.bad:
        reasons = ", ".join(sorted(set(mapped.bad.values())))
        print(f"{len(mapped.bad):,} of these rows cannot be events and will be dead letters: {reasons}")


def _digits(value: Any) -> str:
    return f"{value:.6g}" if value.dtype.kind == "f" else str(value)
