"""`aura` in a process of its own, as a user calls it."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from ending import ending, until_progress

__all__ = ["ROOT", "aura", "disturb", "end", "json_of", "start"]

ROOT = Path(__file__).parents[1]
_PATIENCE_S = 110  # less than what a test has


def aura(
    *arguments: str, check: bool = True, cwd: Path = ROOT, **env: str
) -> subprocess.CompletedProcess[str]:
    """Call it; with `check` it must end well."""
    done = subprocess.run(
        _line(arguments), cwd=cwd, env=_environment(env), capture_output=True, text=True, check=False,
        timeout=_PATIENCE_S,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def json_of(*arguments: str, **env: str) -> Any:
    """Call it, and return what it prints last."""
    return json.loads(aura(*arguments, **env).stdout.splitlines()[-1])


def start(*arguments: str, **env: str) -> subprocess.Popen[str]:
    """Start it."""
    return subprocess.Popen(
        _line(arguments), cwd=ROOT, env=_environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a run to end well; return its summary."""
    with ending(process):
        out, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def disturb(process: subprocess.Popen[str], recovery: Path, after_s: float, number: int) -> tuple[int, str]:
    """Let a run get on, and a while more, send it a signal, and return how it ended and what it printed."""
    with ending(process):
        until_progress(process, recovery)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=after_s)
        process.send_signal(number)
        out, err = process.communicate(timeout=_PATIENCE_S)
    assert "Traceback" not in err
    return process.returncode, out


def _line(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "service", *arguments]


def _environment(env: dict[str, str]) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | env
