"""Options that several commands share, and the configuration that they give."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernels.errors import ConfigError

if TYPE_CHECKING:
    from flows.settings import Loaded, Settings

__all__ = [
    "AsIs", "AsJson", "Backend", "Flows", "Out", "Profile", "Set", "Sink", "Source", "UntilEnd", "flows_of", "loaded_of",
    "overrides", "settings_of",
]  # fmt: skip

Profile = Annotated[str, typer.Option(help="A shipped profile or the path of a .toml file.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value.")]
Flows = Annotated[str | None, typer.Option(help="What runs: cells, or a list with commas, or all.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, last.")]
Source = Annotated[str | None, typer.Option(help="kafka, simulate, or a .parquet, .csv or .jsonl file.")]
Sink = Annotated[str, typer.Option(help="files or kafka.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the results.")]
Backend = Annotated[str | None, typer.Option(help="numpy, onnx-cpu, onnx-cuda or auto.")]
AsIs = Annotated[bool, typer.Option("--as-is", help="Read the file in its own order.")]
UntilEnd = Annotated[bool, typer.Option("--until-end", help="Stop at what is the end of the topic now.")]

_ENGINE_PORT = "BYTEWAX_DATAFLOW_API_ENABLED"  # whatever its value: port 3030


def flows_of(text: str | None) -> str | None:
    """Return the value of the key `flows` for the option.

    >>> flows_of("cells,all")
    '["cells", "all"]'
    """
    return None if text is None else json.dumps([name.strip() for name in text.split(",")])


def settings_of(
    profile: str, set_: list[str] | None, given: Mapping[str, object] | None = None
) -> "Settings":
    """Return the configuration of a profile under `AURA_*` variables, `--set` and the options of a command.

    Parameters
    ----------
    profile, set_
        As given.
    given
        Options by the key that they set; those that are None or False were not given.

    Raises
    ------
    ConfigError
        They are wrong, or the engine is told to open a port of its own.
    """
    if _ENGINE_PORT in os.environ:
        raise ConfigError(
            f"{_ENGINE_PORT} is set: the engine would let everybody in, on every address of this host",
            "Unset it; `http.port` serves metrics and health, on loopback or behind a token",
        )
    return loaded_of(profile, set_, given).settings


def loaded_of(profile: str, set_: list[str] | None, given: Mapping[str, object] | None = None) -> "Loaded":
    """Return the same with where each value came from."""
    from flows.settings import load

    values = {key: _text(value) for key, value in (given or {}).items() if value not in (None, False)}
    return load(profile, overrides(set_ or []) | values, os.environ)


def overrides(assignments: list[str]) -> dict[str, str]:
    """Return the options `KEY=VALUE` as values by dotted key.

    >>> overrides(["input.partitions=4", "stages=[]"])
    {'input.partitions': '4', 'stages': '[]'}
    """
    found = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {assignment!r}: not KEY=VALUE", "For example --set input.partitions=4")
        found[key.strip()] = value.strip()
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
