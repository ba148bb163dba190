"""Questions to a running flow, through its dashboard."""

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pyarrow as pa
import pyarrow.parquet as pq

from kernels.errors import AuraError, ConfigError

__all__ = ["ask", "write"]

_MORE_S = 6.0  # beyond the deadline: the server answers then, with what it has


def ask(
    server: str, path: str, asked: dict[str, Any], token: str | None = None
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows of an answer, and who took part in it.

    Parameters
    ----------
    server
        Address of the dashboard.
    path, asked
        Of the question, below `/api/v1/`, and its parameters; those that are None are left out.
    token
        What it wants to be shown, if it does.

    Raises
    ------
    AuraError
        No dashboard answers there, or it refuses the question.
    """
    if not server.startswith(("http://", "https://")):
        raise ConfigError(f"--at {server}: not an address", "For example http://127.0.0.1:8080")
    given = {name: value for name, value in asked.items() if value is not None} | {"format": "arrow"}
    request = Request(f"{server.rstrip('/')}/api/v1/{path}?{urlencode(given)}")
    if token is not None:
        request.add_header("authorization", f"Bearer {token}")
    wait_s = asked.get("deadline_ms", 0) / 1e3 + _MORE_S
    try:
        with urlopen(request, timeout=wait_s) as response:
            table = pa.ipc.open_stream(response.read()).read_all()
    except HTTPError as error:
        raise AuraError(f"{server} refuses: {_why(error.read())}", "") from None
    except (URLError, TimeoutError) as error:
        raise AuraError(
            f"no dashboard answers at {server}: {getattr(error, 'reason', error)}",
            "Start one with `aura dashboard` or `aura demo`, or name its address with --at",
        ) from None
    return table, json.loads(table.schema.metadata[b"aura"])


def _why(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return "not a dashboard"


def write(table: pa.Table, out: Path) -> None:
    """Write rows to a .parquet or .arrow file; ConfigError if its name ends with neither."""
    if out.suffix == ".parquet":
        pq.write_table(table, out)
    elif out.suffix == ".arrow":
        with pa.OSFile(str(out), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        raise ConfigError(f"--out {out}: a name that ends with .parquet or .arrow is needed")
