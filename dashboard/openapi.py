"""The description of the API, made from the questions' own types."""

from typing import Any

from pydantic import BaseModel

from dashboard.formats import FORMATS
from dashboard.queries import AgentsQuery, AlertsQuery, CellsQuery, HistoryQuery

__all__ = ["PATHS", "document"]

PATHS: dict[str, tuple[type[BaseModel], str]] = {
    "/api/v1/agents": (AgentsQuery, "Agents by id, in a box, within a radius, or the k nearest to a point"),
    "/api/v1/cells": (CellsQuery, "The cells of a window: all, in a region, or the highest of a column"),
    "/api/v1/alerts": (AlertsQuery, "The newest alerts"),
    "/api/v1/agents/{id}/history": (HistoryQuery, "Where an agent was"),
}
"""Path of each question, its type, and what it is."""


def document(version: str) -> dict[str, Any]:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AURA",
            "version": version,
            "description": "Questions to a running flow. Each goes to every worker; what has come by `deadline_ms` is the answer.",
        },
        "paths": {path: {"get": _operation(path, *what)} for path, what in PATHS.items()} | _others(),
        "components": {
            "schemas": {"Answer": _ANSWER, "Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(path: str, model: type[BaseModel], summary: str) -> dict[str, Any]:
    schema = model.model_json_schema()
    parameters = [
        _parameter(name, about, name in schema.get("required", ()), path)
        for name, about in schema["properties"].items()
        if name != "kind"
    ]
    parameters.append(_parameter("format", {"enum": list(FORMATS), "default": "json"}, False, path))
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}
    content |= {media: {} for name, media in FORMATS.items() if name != "json"}
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "operationId": str(schema["properties"]["kind"]["const"]),
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "What was found, and who took part in finding it", "content": content},
            "400": {"description": "The question is none", "content": problem},
        },
    }


def _parameter(name: str, about: dict[str, Any], required: bool, path: str) -> dict[str, Any]:
    inside = f"{{{name}}}" in path
    schema = {key: value for key, value in about.items() if key != "title"}
    found = {
        "name": name,
        "in": "path" if inside else "query",
        "required": required or inside,
        "schema": schema,
    }
    if "array" in str(schema):  # box=0,0,10,10
        found |= {"style": "form", "explode": False}
    return found


def _others() -> dict[str, Any]:
    plain = {"200": {"description": "As JSON", "content": {"application/json": {}}}}
    return {
        "/api/v1/state": {
            "get": {"operationId": "state", "summary": "The state of the flow", "responses": plain}
        },
        "/api/v1/world": {
            "get": {"operationId": "world", "summary": "The world's box and cells", "responses": plain}
        },
        "/healthz": {
            "get": {"operationId": "healthz", "summary": "Whether the server answers", "responses": plain}
        },
    }


_PART = {
    "type": "object",
    "required": ["worker", "answered", "rows", "took_ms", "cut"],
    "properties": {
        "worker": {"type": "string"},
        "answered": {"type": "boolean"},
        "rows": {"type": "integer"},
        "took_ms": {"type": "number"},
        "cut": {"type": "boolean", "description": "Its part did not fit max_bytes"},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["complete", "took_ms", "rows", "workers", "answer"],
    "properties": {
        "complete": {"type": "boolean", "description": "All workers have answered, and nothing was cut"},
        "took_ms": {"type": "number"},
        "rows": {"type": "integer"},
        "workers": {"type": "array", "items": _PART},
        "answer": {"type": "array", "items": {"type": "object"}},
    },
}
_PROBLEM = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
