"""Where each value of the configuration comes from: files, then `AURA_*` variables, then `--set`; the last wins.

A file may extend another (`extends = "flights"`). Its tables are merged into those key by key, except the ones in
`WHOLE`: their keys are the user's own names, and what the file names is what there is. Only variables and options
change single keys in those.
"""

import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from flows.settings.types import ROOT
from kernels.errors import ConfigError

__all__ = ["WHOLE", "Layer", "Layered", "file_layers", "leaves", "merge", "option_layers", "variable_layers"]

WHOLE = ("input.mapping", "metrics", "models", "windows")

_PREFIX = "AURA_"
_PROFILES = ROOT / "profiles"
_MAX_EXTENDS = 8  # a chain longer than this is a circle


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one place, nested as in TOML."""

    origin: str
    values: Mapping[str, Any]
    from_file: bool = False


@dataclass(frozen=True, slots=True)
class Layered:
    """Merged values, and by dotted key where each was set."""

    values: dict[str, Any]
    origins: dict[str, str]


def file_layers(profile: str | Path) -> list[Layer]:
    """Return the layers of a profile by name, or of a TOML file, what it extends first.

    Raises
    ------
    ConfigError
        No such profile or file, or not TOML.
    """
    path = _find(profile, beside=Path())
    layers: list[Layer] = []
    while len(layers) < _MAX_EXTENDS:
        values = _read(path)
        extends = values.pop("extends", None)
        layers.insert(0, Layer(f"profile {path.name}", values, from_file=True))
        if extends is None:
            return layers
        path = _find(extends, beside=path.parent)
    raise ConfigError(f"{path}: extends = {extends!r}: more than {_MAX_EXTENDS} files extend each other")


def _find(profile: str | Path, beside: Path) -> Path:
    if str(profile).endswith(".toml"):
        path = beside / Path(profile).expanduser()
        if path.is_file():
            return path
        raise ConfigError(f"profile = {str(profile)!r}: no such file", f"looked for {path.absolute()}")
    shipped = {path.stem: path for path in sorted(_PROFILES.glob("*.toml"))}
    if str(profile) not in shipped:
        close = "".join(f"; did you mean {name!r}?" for name in get_close_matches(str(profile), shipped, n=1))
        allowed = f"allowed: {', '.join(shipped)}, or the path of a .toml file"
        raise ConfigError(f"profile = {str(profile)!r}: no such profile{close}; {allowed}")
    return shipped[str(profile)]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error


class _Variables(EnvSettingsSource):
    """Reads the variables it is given, not those of the process."""

    def __init__(self, settings: type[BaseSettings], variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(settings, env_prefix=_PREFIX, env_nested_delimiter="__")

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._variables.items()}


def variable_layers(settings: type[BaseSettings], env: Mapping[str, str]) -> list[Layer]:
    """Return a layer for each `AURA_SECTION__KEY` variable.

    A name without a double underscore that is no section is somebody else's: Kubernetes sets `AURA_SERVICE_HOST`.
    """
    layers = []
    for name, value in sorted(env.items()):
        section, *rest = name.removeprefix(_PREFIX).lower().split("__")
        if name.startswith(_PREFIX) and (rest or section in settings.model_fields):
            layers.append(Layer(name, _parse(settings, name, name, value)))
    return layers


def option_layers(settings: type[BaseSettings], overrides: Mapping[str, str]) -> list[Layer]:
    """Return a layer for each `--set KEY=VALUE`, by dotted key."""
    return [
        Layer("--set", _parse(settings, f"--set {key}", _PREFIX + key.replace(".", "__").upper(), value))
        for key, value in overrides.items()
    ]


def _parse(settings: type[BaseSettings], shown: str, variable: str, value: str) -> dict[str, Any]:
    try:
        values = _Variables(settings, {variable: value})()
    except SettingsError as error:
        raise ConfigError(
            f"{shown}: not JSON where a list or table is expected", "write it as '[1, 2, 3]'"
        ) from error
    if not values:
        section = variable.removeprefix(_PREFIX).lower().split("__")[0]
        close = "".join(
            f"; did you mean {name!r}?" for name in get_close_matches(section, settings.model_fields, n=1)
        )
        allowed = f"allowed: {', '.join(settings.model_fields)}"
        raise ConfigError(f"{shown}: unknown section {section!r}{close}; {allowed}")
    return values


def merge(layers: list[Layer]) -> Layered:
    """Return the values of all layers together, later ones over earlier ones."""
    merged = Layered({}, {})
    for layer in layers:
        if layer.from_file:
            _drop_replaced(merged, layer.values)
        _merge_into(merged.values, layer.values)
        merged.origins.update({key: layer.origin for key, _ in leaves(layer.values)})
    return merged


def _drop_replaced(merged: Layered, values: Mapping[str, Any]) -> None:
    for key in WHOLE:
        *above, last = key.split(".")
        if last in _table(values, above):
            _table(merged.values, above).pop(last, None)
            for old in [name for name in merged.origins if name.startswith(f"{key}.")]:
                del merged.origins[old]


def _table(values: Mapping[str, Any], path: list[str]) -> dict[str, Any]:
    table: Any = values
    for name in path:
        table = table.get(name) if isinstance(table, Mapping) else None
    return table if isinstance(table, dict) else {}


def _merge_into(table: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(table.get(key), dict):
            _merge_into(table[key], value)
        else:
            table[key] = deepcopy(value)


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each dotted key with its value; a list is one value, an empty table none.

    >>> list(leaves({"a": {"b": 1, "c": [2]}, "d": {}}))
    [('a.b', 1), ('a.c', [2])]
    """
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
