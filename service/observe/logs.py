"""Structured logs: one line an event of the program's life on standard error, never one a record.

Switched on by `log.form`. Each line has the time, the event and its fields: `run_started`, `run_ended`, `run_stopped`,
`run_failed`, `cluster_state`, `level_changed`, `path_changed`. Secrets are never fields.
"""

import os
import sys
from typing import Any

import structlog

from flows.settings.operations import Log

__all__ = ["configure_logs", "log"]


def configure_logs(settings: Log) -> None:
    """Write lines as `settings` asks for, to what is standard error now: the engine's own words go elsewhere later."""
    if settings.form == "off":
        structlog.configure(processors=[_drop])
        return
    stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
    last = (
        structlog.processors.JSONRenderer()
        if settings.form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso"), last],
        logger_factory=structlog.WriteLoggerFactory(stream),
    )


def log(event: str, *, level: str = "info", **fields: Any) -> None:
    """Write a line; nothing before `configure_logs`, or where logs are off."""
    if structlog.is_configured():
        getattr(structlog.get_logger(), level)(event, **fields)


def _drop(logger: object, name: str, event: Any) -> Any:  # noqa: ARG001 (structlog names them)
    raise structlog.DropEvent
