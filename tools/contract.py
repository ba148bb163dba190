"""Write docs/contract.md: events and results as others see them, from the schemas of the code; `--check` only compares.

.venv/bin/python tools/contract.py [--check]
"""

import inspect
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kernels import frame, hashing, rows, schema
from operators import alerts, cell_records, kafka_results, result_records
from operators.result import KINDS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "contract.md"

_HEAD = """# The contract with producers and consumers

Written by `tools/contract.py` from the schemas of the code; a test holds it current. Examples are in
[your-kafka.md](your-kafka.md).
"""
_MEANING = {
    "agent_id": "stable id; a text is hashed to 64 bits",
    "time_us": "event time, microseconds since 1970-01-01T00:00Z",
    "seq": "the agent's own counter; 0: none",
    "x_m": "metres in the world's frame",
    "y_m": "metres in the world's frame",
    "z_m": "metres in the world's frame",
    "level": "0 to 6 in the hierarchy",
    "energy": "of the agent; of a flight v^2/2 + g h, J/kg",
    "cause_agent": "the event that this one follows from",
    "cause_seq": "the event that this one follows from",
}
_CELLS = [
    ("window, start_us, end_us", "text, i8, i8", "the window and its ends, event time"),
    ("cx, cy, cz", "i4", "the cell: row, column and layer from the world's lower corner"),
    ("count", "i8", "events"),
    ("agents", "i8", "distinct agents; -1 where the window does not ask for them"),
    ("M_count", "i8", "events with a value of metric M"),
    ("M_sum, M_mean, M_min, M_max, M_var", "f8", "of metric M; NaN without a value, or where not asked for"),
    ("score, model", "f4, text", "of the model that scores cells, and its SHA-256"),
    ("revision", "i4", "the highest one of a (window, start, shard) is the answer"),
]


def main() -> int:
    """Write the page, or say whether it is current."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text)
        return 0
    current = PAGE.read_text() == text
    print("docs/contract.md is current" if current else "docs/contract.md is old: run tools/contract.py")
    return 0 if current else 1


def page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_events(), *_results(), *_topics()]) + "\n"


def _events() -> Iterator[str]:
    yield "## Events\n"
    yield from _table(
        ("column", "type", "required", "meaning"),
        [
            (f"`{name}`", _code(dtype), "yes" if name in schema.REQUIRED else "", _MEANING[name])
            for name, dtype in schema.CANONICAL.items()
        ],
    )
    yield f"Further columns are {_code(schema.FURTHER)}; NaN is null, and a null is no value: it is left out of its metric."
    limits = f"{schema.MAX_COLUMNS} columns, {schema.MAX_RECORD_EVENTS:,} events and {schema.MAX_RECORD_BYTES:,} bytes"
    yield f"A record has at most {limits}.\n"
    yield "### Partition of an agent\n"
    yield _quoted(inspect.getsource(hashing._mix))
    yield "partition = mix64(agent_id) mod P, in unsigned arithmetic of 64 bits: an agent never changes its partition.\n"
    yield "### A frame\n"
    yield _quoted(_doc(frame))
    yield "### Rows\n"
    yield _quoted(_doc(rows))


def _results() -> Iterator[str]:
    yield "## Results\n"
    yield "How each is written as a record, and what its key and id are:\n"
    yield _quoted(_doc(kafka_results))
    yield "### cells\n"
    yield from _table(
        ("column", "type", "meaning"), [(f"`{name}`", code, what) for name, code, what in _CELLS]
    )
    yield _quoted(_doc(cell_records))
    yield "### alerts\n"
    yield _doc(alerts) + "\n"
    yield from _columns(alerts.FIELDS)
    for name, kind in KINDS.items():
        yield f"### {name}\n"
        yield from _columns(kind.columns)
        inexact = ", ".join(f"`{column}`" for column in kind.columns if column in kind.inexact)
        yield (
            f"Rows are told apart by {', '.join(f'`{column}`' for column in kind.order)}. Exact: all columns"
            + (f" but {inexact}.\n" if inexact else ".\n")
        )
    yield _quoted(_doc(result_records))


def _topics() -> Iterator[str]:
    declared = tomllib.loads((ROOT / "infra/kafka/topics.toml").read_text())
    owners = {topic: kind for kind, topic in kafka_results.TOPICS.items()}
    yield "## Topics\n"
    yield "As `aura topics apply` makes them; `kafka.prefix` stands before each name. Read results with `read_committed`,\n"
    yield "and with a `fetch_max_wait_ms` of 50: a commit does not always wake a fetch that waits for it, by default 500 ms.\n"
    yield from _table(
        ("topic", "holds", "partitions", "cleanup", "kept"),
        [
            (
                f"`{name}`",
                owners.get(name, "events" if name == "aura.events" else ""),
                str(topic["partitions"]),
                *_kept(topic),
            )
            for name, topic in declared.items()
        ],
    )


def _kept(topic: Mapping[str, Any]) -> tuple[str, str]:
    policy = topic["cleanup"]["policy"]
    days = topic.get("retention", {}).get("ms", 0) / 86_400_000
    return policy if isinstance(policy, str) else " and ".join(
        policy
    ), f"{days:g} days" if days else "the last of each key"


def _columns(columns: Mapping[str, str]) -> Iterator[str]:
    yield from _table(("column", "type"), [(f"`{name}`", code) for name, code in columns.items()])


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *lines):
        yield f"| {' | '.join(cells)} |"
    yield ""


def _doc(module: Any) -> str:
    return inspect.cleandoc(module.__doc__)


def _quoted(text: str) -> str:
    return f"```\n{text.strip()}\n```\n"


def _code(dtype: Any) -> str:
    return str(dtype.str).lstrip("<|")


if __name__ == "__main__":
    sys.exit(main())
