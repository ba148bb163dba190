"""Metrics of several processes on one port."""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, generate_latest

from service.observe.shared import Joined, publishing


def _publish(directory: Path, process: int, count: int) -> None:
    registry = CollectorRegistry()
    Counter("aura_results", "Rows", ["kind"], registry=registry).labels("cells").inc(count)
    with publishing(registry, directory, process):
        pass


def _joined(directory: Path) -> str:
    registry = CollectorRegistry()
    registry.register(Joined(directory))
    return generate_latest(registry).decode()


def test_each_process_keeps_its_number(tmp_path: Path) -> None:
    """Samples of one family stand together, each with its process."""
    for process, count in enumerate((3, 5)):
        _publish(tmp_path / "metrics", process, count)
    text = _joined(tmp_path / "metrics")
    assert 'aura_results_total{kind="cells",process="0"} 3.0' in text
    assert 'aura_results_total{kind="cells",process="1"} 5.0' in text
    assert text.count("# TYPE aura_results_total counter") == 1


def test_what_is_stale_is_left_out(tmp_path: Path) -> None:
    """A process that writes no more has ended: its numbers are nobody's."""
    _publish(tmp_path / "metrics", 0, 3)
    os.utime(tmp_path / "metrics" / "0.prom", (0, 0))
    assert "cells" not in _joined(tmp_path / "metrics")
