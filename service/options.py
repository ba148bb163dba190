"""Options that several commands share, and the configuration that they give."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from kernels.errors import ConfigError

if TYPE_CHECKING:
    from flows.settings import Settings

__all__ = ["AsJson", "Flows", "Profile", "Set", "flows_of", "settings_of"]

Profile = Annotated[str, typer.Option(help="A shipped profile or the path of a .toml file.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value.")]
Flows = Annotated[str | None, typer.Option(help="What runs: cells, or a list with commas, or all.")]
_ENGINE_PORT = "BYTEWAX_DATAFLOW_API_ENABLED"  # whatever its value: port 3030

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, last.")]


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
    from flows.settings import load
    from service.config import overrides

    if _ENGINE_PORT in os.environ:
        raise ConfigError(
            f"{_ENGINE_PORT} is set: the engine would let everybody in, on every address of this host",
            "Unset it; `http.port` serves metrics and health, on loopback or behind a token",
        )
    values = {key: _text(value) for key, value in (given or {}).items() if value not in (None, False)}
    return load(profile, overrides(set_ or []) | values, os.environ).settings


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
