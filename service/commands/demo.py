"""`aura demo`: a cluster of three processes at work, and the page that shows it, until it is stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cluster.processes import die_with_parent
from service.cluster.status import ask, read_status
from service.commands.dashboard import Host, Port, Token, open_site, serve, token_of
from service.commands.options import settings_of

__all__ = ["EXAMPLES", "command"]

EXAMPLES = "Examples: aura demo | aura demo --agents 1000000 | aura demo --flights | aura demo --kafka"
_PROCESSES = 3
_LEAVE_S = 15.0
_EVENTS, _RESULTS = 8, 4  # partitions of the topics, in infra/kafka/topics.toml


@dataclass(frozen=True)
class _Supervised:
    """The cluster whose recovery directory this is."""

    directory: Path

    def read(self) -> dict[str, Any]:
        return read_status(self.directory)

    def ask(self, request: str) -> None:
        ask(self.directory, request)


def command(  # noqa: PLR0917 (each is an option of the command line)
    agents: Annotated[int, typer.Option(min=1, help="How many are simulated.")] = 100_000,
    flights: Annotated[
        bool, typer.Option("--flights", help="The bundled real flights, at 60 times their speed.")
    ] = False,
    kafka: Annotated[bool, typer.Option("--kafka", help="Through the broker at kafka.bootstrap.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("out/demo"),
    host: Host = "127.0.0.1",
    port: Port = 8080,
    token: Token = None,
) -> None:
    """Run three processes over a simulated population, or the flights, and show them at http://127.0.0.1:8080."""
    from dashboard.controls import Controls

    profile, changes = _wanted(agents, flights, out)
    if kafka:  # topics of its own: what an earlier demonstration has left there is not part of this one
        changes |= {
            "kafka.prefix": f"demo-{int(time.time())}.",
            "sink.partitions": _RESULTS,
            "input.partitions": _EVENTS,
        }
    settings = settings_of(profile, [f"{key}={value}" for key, value in changes.items()])
    token = token_of(host, token)
    controls = Controls(_Supervised(out / ".recovery"), _PROCESSES)
    site = open_site(settings, source="flow", token=token, controls=controls)
    with _feeding(profile, changes, kafka), _running(profile, changes, out, kafka):
        serve(site, host, port)


def _wanted(agents: int, flights: bool, out: Path) -> tuple[str, dict[str, object]]:
    changes: dict[str, object] = {"dashboard.enabled": "true", "dashboard.feed": out / "dashboard.sock"}
    if flights:
        return "flights", changes | {"input.speed": 60, "input.partitions": 6, "dashboard.expire": "90s"}
    return "demo", changes | {"simulate.agents": agents}


@contextmanager
def _running(profile: str, changes: dict[str, object], out: Path, kafka: bool) -> Iterator[None]:
    """Run the cluster while the block runs."""
    out.mkdir(parents=True, exist_ok=True)
    line = [
        sys.executable,
        "-m",
        "service",
        "cluster",
        "-n",
        str(_PROCESSES),
        "--profile",
        profile,
        "--out",
        str(out),
    ]
    line += ["--fresh", *(["--source", "kafka", "--sink", "kafka"] if kafka else []), *_sets(changes)]
    with (out / "cluster.log").open("wb") as log:
        # In a group of its own: the terminal's Ctrl-C comes to the server, which then drains the cluster.
        process = _started(line, stdout=log, stderr=log, process_group=0)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def _feeding(profile: str, changes: dict[str, object], kafka: bool) -> Iterator[None]:
    """Produce the events into the broker while the block runs, if it goes through one."""
    if not kafka:
        yield
        return
    aura = [sys.executable, "-m", "service"]
    done = subprocess.run([*aura, "topics", "apply", *_sets(changes)], check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)  # it has said why
    given = ["--source", "simulate", "--speed", "1"] if profile == "demo" else ["--speed", "60"]
    line = [*aura, "produce", *given, "--profile", profile, *_sets(changes)]
    process = _started(line, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait()


def _started(line: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that ends with this one; nothing runs in threads yet, so the fork is safe."""
    return subprocess.Popen(line, preexec_fn=die_with_parent, **options)  # noqa: PLW1509


def _sets(changes: dict[str, object]) -> list[str]:
    return [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
