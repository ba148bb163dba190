"""Two sources of different shape, mapped by configuration objects alone: the bundled flights, and made-up vehicles."""

import csv
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from operators.mapping import Geographic, Id, Level, Mapping, Planar, Quantity, Time

__all__ = ["FLIGHTS", "FLIGHTS_FILE", "VEHICLES", "vehicle_rows", "write_csv", "write_json_lines"]

FLIGHTS_FILE = Path(__file__).resolve().parents[1] / "data" / "adsb_switzerland.parquet"

FLIGHTS = Mapping(
    agent=Id("icao24", "text"),
    time=Time("timestamp", "ms"),
    position=Geographic(
        Quantity("latitude", "deg"),
        Quantity("longitude", "deg"),
        Quantity("altitude", "ft"),
        origin=(46.8, 8.2),
    ),
    columns={
        "speed_mps": Quantity("groundspeed", "kn"),
        "climb_mps": Quantity("vertical_rate", "ft/min"),
        "heading_rad": Quantity("track", "deg"),
    },
    derived={"energy": "speed_mps ** 2 / 2 + 9.80665 * altitude_m"},
)

VEHICLES = Mapping(
    agent=Id("Vehicle", "text"),
    time=Time("When", "iso"),
    position=Planar(Quantity("East (km)", "km"), Quantity("North (km)", "km"), Quantity("Height", "ft")),
    seq="Trip",
    level=Level("Role", {"driver": 0, "lead": 1, "depot": 2}),
    cause_agent=Id("Sent by", "text"),
    cause_seq="Order",
    columns={
        "speed_mps": Quantity("Speed", "mph"),
        "cabin_k": Quantity("Cabin", "degF"),
        "battery": Quantity("Battery", "%"),
    },
    derived={"energy": "speed_mps ** 2 / 2", "spare": "where(battery > 0.5, 1, 0) * energy"},
)

_VEHICLE_COLUMNS = (
    "Vehicle", "When", "East (km)", "North (km)", "Height",
    "Trip", "Role", "Sent by", "Order", "Speed", "Cabin", "Battery",
)  # fmt: skip


def vehicle_rows(count: int = 400, seed: int = 5) -> list[dict[str, Any]]:
    """Return rows with a null in every column here and there, ids in any script, times in many zones."""
    rng = random.Random(seed)
    ids = ["007", "12", "bus 4", "Zürich-1", "東京", "a" * 40, "NA"]
    rows = [_vehicle(rng, ids) for _ in range(count)]
    for column in _VEHICLE_COLUMNS:
        for row in rng.sample(rows, count // 40):
            row[column] = None
    return rows


def _vehicle(rng: random.Random, ids: Sequence[str]) -> dict[str, Any]:
    zone = timezone(timedelta(minutes=rng.choice([0, 0, 120, -570])))
    when = datetime(2024, 2, 29, tzinfo=UTC) + timedelta(
        seconds=rng.randrange(86_400), microseconds=rng.randrange(10**6)
    )
    values = (
        rng.choice(ids),
        when.astimezone(zone).isoformat(
            rng.choice("T "), rng.choice(["seconds", "milliseconds", "microseconds"])
        ),
        rng.uniform(-5, 5),
        rng.choice([rng.uniform(-5, 5), rng.randrange(5)]),
        rng.randrange(100),
        rng.randrange(2**32),
        rng.choice(["driver", "lead", "depot"]),
        rng.choice(ids),
        rng.randrange(100),
        rng.uniform(0, 70),
        rng.uniform(30, 100),
        rng.choice([rng.uniform(0, 100), 50]),
    )
    return dict(zip(_VEHICLE_COLUMNS, values, strict=True))


def write_csv(path: Path, rows: Sequence[dict[str, Any]], **options: Any) -> Path:
    """Write rows as CSV, floats in all their digits; return the path."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_json_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write rows as JSON lines, a null left out as often as written; return the path."""
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            kept = {k: v for k, v in row.items() if v is not None} if number % 2 else row
            file.write(json.dumps(kept) + "\n")
    return path
