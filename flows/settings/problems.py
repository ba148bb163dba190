"""Problems of a configuration in words: each names the key, its value, where that came from, and what is allowed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from flows.settings.system import Kafka
from flows.settings.types import Section
from kernels.errors import ConfigError

__all__ = ["Problem", "as_error", "from_validation"]

_SHOWN = 60
_SECRETS = ("token", "key")  # of http, and of the pseudonyms
_TABLE, _NUMBER, _WHOLE, _BOOLEAN = (
    "must be a table",
    "must be a number",
    "must be a whole number",
    "must be true or false",
)
_WORDS = {
    "missing": "missing",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "finite_number": "must be finite",
    "literal_error": "allowed: {expected}",
    "union_tag_invalid": "allowed kind: {expected_tags}",
    "union_tag_not_found": "kind is missing",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "too_short": "too few entries, {actual_length}; allowed: at least {min_length}",
    "too_long": "too many entries, {actual_length}; allowed: at most {max_length}",
    "value_error": "{error}",
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "dict_type": _TABLE,
    "tuple_type": "must be a list",
    "string_type": "must be text",
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_type": _WHOLE,
    "bool_parsing": _BOOLEAN,
    "bool_type": _BOOLEAN,
}
_CONSEQUENCE = "default_factory_not_called"  # of another problem in the same table


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the value of a dotted key."""

    key: str
    what: str


def as_error(
    problems: Iterable[Problem], values: Mapping[str, Any], origins: Mapping[str, str]
) -> ConfigError:
    """Return the error that lists the problems, one a line, with the values and where they came from."""
    lines = [_line(problem, values, origins) for problem in problems]
    if len(lines) == 1:
        return ConfigError(lines[0])
    return ConfigError("\n  ".join([f"{len(lines)} problems in the configuration:", *lines]))


def _line(problem: Problem, values: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    value: Any = values
    for part in problem.key.split("."):
        value = _step(value, part)
    shown = "" if value is None or isinstance(value, dict) else f" = {_show(problem.key, value)}"
    return f"{problem.key}{shown}{_origin(problem.key, origins)}: {problem.what}"


def _origin(key: str, origins: Mapping[str, str]) -> str:
    while key not in origins and "." in key:  # an entry of a list came from where the list did
        key = key.rpartition(".")[0]
    return f" ({origins[key]})" if key in origins else ""


def _step(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list | tuple) and part.isdigit() and int(part) < len(value):
        return value[int(part)]
    return None


def _show(key: str, value: Any) -> str:
    section, _, name = key.partition(".")
    mistyped = section == "kafka" and name not in Kafka.model_fields  # it may be a secret too
    if mistyped or name.rpartition(".")[2] in _SECRETS or "password" in name:
        return "***"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def from_validation(
    error: ValidationError, model: type[BaseModel], values: Mapping[str, Any]
) -> list[Problem]:
    """Return pydantic's findings as problems, each once."""
    problems = []
    for found in error.errors(include_url=False):
        if found["type"] != _CONSEQUENCE:
            what = _unknown(model, found["loc"]) if found["type"] == "extra_forbidden" else _words(found)
            problems.append(Problem(_key(found["loc"], values), what))
    return list(dict.fromkeys(problems))


def _words(found: Any) -> str:
    if found["type"] == "missing" and isinstance(found["loc"][-1], int):
        return f"has no entry {found['loc'][-1] + 1}"
    template = _WORDS.get(found["type"])
    if template is None:
        text = str(found["msg"]).removeprefix("Input ")
        return text[:1].lower() + text[1:]
    return template.format(**found.get("ctx", {}))


def _key(loc: tuple[int | str, ...], values: Mapping[str, Any]) -> str:
    """Return the dotted key of a place, without the names of union members that pydantic puts in between."""
    parts, value = [], values
    for i, part in enumerate(loc):
        inside = _step(value, str(part))
        missing = i == len(loc) - 1 and isinstance(value, Mapping) and part != "[key]"
        if inside is not None or missing:
            parts.append(str(part))
            value = inside
    return ".".join(parts)


def _unknown(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    allowed = sorted({name for section in _sections_at(model, loc[:-1]) for name in section.model_fields})
    close = "".join(f"; did you mean {name!r}?" for name in get_close_matches(str(loc[-1]), allowed, n=1))
    return f"unknown key{close}; allowed: {', '.join(allowed)}"


def _sections_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[type[BaseModel]]:
    sections = [model]
    for part in loc:
        inner = [s for section in sections if part in section.model_fields
                 for s in _sections_in(section.model_fields[str(part)].annotation)]  # fmt: skip
        tagged = [section for section in sections if part in _kinds(section)]
        sections = inner or tagged or sections
    return sections


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for argument in get_args(annotation) for section in _sections_in(argument)]


def _kinds(section: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(section.model_fields["kind"].annotation) if "kind" in section.model_fields else ()
