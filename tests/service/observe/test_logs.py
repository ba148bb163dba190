"""The log of a program's life."""

import json
from pathlib import Path
from typing import Any

from command import aura


def _run(tmp_path: Path, *options: str) -> list[dict[str, Any]]:
    done = aura(
        "run", "--profile", "minimal", "--out", str(tmp_path), "--set", "log.form=json", *options, check=False
    )
    return [json.loads(text) for text in done.stderr.splitlines() if text.startswith("{")]


def test_a_run_in_lines(tmp_path: Path) -> None:
    """A line when it starts and one when it ends, however many events there are."""
    found = _run(tmp_path)
    assert [line["event"] for line in found] == ["run_started", "run_ended"]
    assert found[1]["events_in"] > 10_000
    assert all("timestamp" in line for line in found)


def test_a_failure_in_a_line(tmp_path: Path) -> None:
    """What ends a run is a line with what to do, and no secret is in it."""
    secret = ("--set", "kafka.security_protocol=SASL_PLAINTEXT", "--set", "kafka.sasl_mechanism=PLAIN",
              "--set", "kafka.sasl_plain_username=me", "--set", "kafka.sasl_plain_password=hush")  # fmt: skip
    found = _run(tmp_path, "--source", "kafka", "--set", "kafka.bootstrap=127.0.0.1:1", *secret)
    assert [line["event"] for line in found] == ["run_started", "run_failed"]
    assert "broker" in found[1]["message"]
    assert "hush" not in json.dumps(found)
