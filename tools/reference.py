"""Write docs/reference/: the command line and the configuration, from the code; `--check` only compares.

.venv/bin/python tools/reference.py [--check]
"""

import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
import typer
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from flows.settings import types
from flows.settings.root import Settings
from flows.settings.types import duration_text, parse_duration
from service.cli import app

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
_WORDS = {
    str: "text", int: "integer", float: "number", bool: "`true` or `false`", Path: "path", SecretStr: "secret",
    NoneType: "none",
}  # fmt: skip
_DURATIONS = (parse_duration, types._parse_optional)
_MADE = "Written by `tools/reference.py` from the code; a test holds it current.\n"


def main() -> int:
    """Write the pages, or say whether they are current."""
    pages = {"cli.md": command_line(), "configuration.md": configuration()}
    if "--check" not in sys.argv:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (FOLDER / name).write_text(text)
        return 0
    old = [name for name, text in pages.items() if (FOLDER / name).read_text() != text]
    print(f"old: {', '.join(old)}; run tools/reference.py" if old else "docs/reference is current")
    return 1 if old else 0


def command_line() -> str:
    """Return the page of the commands."""
    root = typer.main.get_command(app)
    return "\n".join([f"# The command line\n\n{_MADE}", *_commands("aura", root)])


def _commands(name: str, command: Any) -> Iterator[str]:
    """Yield a section for a command, and one for each command in it."""
    told = inspect.cleandoc(command.help or command.short_help or "")
    yield f"## {name}\n\n{told}\n"
    shown = [p for p in command.params if p.name not in ("help", "install_completion", "show_completion")]
    if shown:
        yield "| | what | default |\n| --- | --- | --- |"
        yield "\n".join(_parameter(p) for p in shown) + "\n"
    if command.epilog:
        yield f"{command.epilog}\n"
    for inner, sub in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(f"{name} {inner}", sub)


def _parameter(parameter: click.Parameter) -> str:
    name = ", ".join(f"`{option}`" for option in parameter.opts)
    if parameter.param_type_name == "argument":
        name = f"`{(parameter.name or '').upper()}`"
    default = parameter.default
    shown = "" if default in (None, False, (), ...) or callable(default) else f"`{default}`"
    return f"| {name} | {_cell(getattr(parameter, 'help', None) or '')} | {shown} |"


def configuration() -> str:
    """Return the page of the configuration."""
    head = f"# The configuration\n\n{_MADE}\nOne TOML file; `extends` takes the rest from a shipped profile. "
    head += "Any key can be overridden: `--set input.partitions=4`, or `AURA_INPUT__PARTITIONS=4`. "
    head += "`aura config show` prints the effective one with where each value came from.\n"
    return "\n".join([head, *_table("", Settings)])


def _table(path: str, model: type[BaseModel]) -> Iterator[str]:
    """Yield a section for a table, and one for each table in it."""
    yield f"## {f'[{path}]' if path else 'Top level'}\n\n{inspect.cleandoc(model.__doc__ or '')}\n"
    inner: dict[str, type[BaseModel]] = {}
    rows = []
    for name, field in model.model_fields.items():
        found = _models(field.annotation)
        for each in found:
            inner[f"{path}.{name}".strip(".") + (".NAME" if _is_named(field.annotation) else "")] = each
        if not found:
            rows.append(f"| `{name}` | {_typed(field)} | {_default(field)} |")
    if rows:
        yield "| key | type | default |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    for name, each in inner.items():
        yield from _table(name, each)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in get_args(annotation) for model in _models(each)]


def _is_named(annotation: Any) -> bool:
    return str(annotation).startswith("dict[")


def _type(annotation: Any) -> str:
    """Return a type in the words of TOML.

    >>> _type(tuple[float, ...]), _type(dict[str, int | None]), _type(Literal["a", "b"])
    ('list of numbers', 'table of integer or none', '`a` or `b`')
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return "duration" if _is_duration(inner[1:]) else _type(inner[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(each) for each in inner))
    if origin is tuple:
        items = [_type(each) for each in inner if each is not Ellipsis]
        return f"list of {items[0]}s" if Ellipsis in inner else f"[{', '.join(items)}]"
    if origin is dict:
        return f"table of {_type(inner[1])}"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _typed(field: Any) -> str:
    return "duration" if _is_duration(field.metadata) else _cell(_type(field.annotation))


def _is_duration(metadata: Iterable[Any]) -> bool:
    return any(getattr(part, "func", None) in _DURATIONS for part in metadata)


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=not _needs_data(field))
    if value is PydanticUndefined or value is None:
        return "" if value is PydanticUndefined else "none"
    if _is_duration(field.metadata):
        return f"`{duration_text(value)}`"
    shown = json.dumps(value, default=str) if isinstance(value, tuple | dict | bool) else str(value)
    return f"`{_cell(shown)}`"


def _needs_data(field: Any) -> bool:
    factory = field.default_factory
    return (
        factory is not None and not isinstance(factory, type) and bool(inspect.signature(factory).parameters)
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
