"""Fields and emergence, whose state is carried from tick to tick: killed and gone on with, into topics and into files."""

import signal
import subprocess
import uuid
from pathlib import Path

from command import disturb, end, start

from operators.kafka_tables import read_outputs
from service.declared_topics import DECLARED, load_topics
from service.topics import apply

JOB = (
    "--profile", "minimal", "--flows", "fields,emergence", "--json", "--set", "simulate.agents=2000",
    "--set", "simulate.duration=40s", "--set", "input.partitions=3", "--set", "field.resolution_m=50",
    "--set", "field.rate_hz=20", "--set", "emergence.tick=100ms",
)  # fmt: skip


SLOWLY = ("--set", "input.speed=4")  # ten seconds: it does not end before it is killed


def _start(out: Path, *options: str, **env: str) -> subprocess.Popen[str]:
    return start("run", *JOB, "--out", str(out), *options, **env)


def test_a_killed_run_goes_on(kafka: str, tmp_path: Path) -> None:
    """After two kill -9 the topics hold each publication once, with the digests of an undisturbed run into files."""
    undisturbed = end(_start(tmp_path / "undisturbed"))
    prefix = f"t{uuid.uuid4().hex[:8]}."
    apply({"bootstrap_servers": kafka}, load_topics(DECLARED), prefix=prefix)
    env = {"AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": prefix}
    recovery = tmp_path / "recovery"
    options = ("--sink", "kafka", "--set", f"recovery.directory={recovery}")
    for after_s in (0.5, 1.5):
        code, _ = disturb(
            _start(tmp_path / "out", *options, *SLOWLY, **env), recovery, after_s, signal.SIGKILL
        )
        assert code == -signal.SIGKILL, "it ended before it was killed"
    found = end(_start(tmp_path / "out", *options, **env))
    assert found["digests"] == undisturbed["digests"]
    for kind in ("fields", "emergence"):
        records = read_outputs({"bootstrap_servers": kafka}, kind, prefix=prefix)
        about = [(key, headers["revision"]) for key, headers, _ in records]
        assert len(about) == len(set(about)) >= 40, kind
