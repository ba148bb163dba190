"""The pages for the first hour do what they say: their commands run, in a folder of their own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _run(page: str, folder: Path, **variables: str) -> str:
    blocks = _BLOCK.findall((ROOT / "docs" / page).read_text())
    assert blocks
    script = "set -euo pipefail\n" + "\n".join(blocks)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path} | variables
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, process_group=0,
    )  # fmt: skip
    try:
        out, error = process.communicate()
    finally:
        with suppress(ProcessLookupError):  # what it runs just now, too, where the test has run out of time
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 0, out + error
    return out


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("your-data.md", "21,600"),
        ("your-model.md", "alerts; speed"),
        ("your-stage.md", "1 left, 1 filtered"),
    ],
)
def test_page(page: str, says: str, tmp_path: Path) -> None:
    """The page's commands run and print what they should."""
    assert says in _run(page, tmp_path)


def test_kafka_page(kafka: str, topics: Callable[..., str], tmp_path: Path) -> None:
    """The page's producer, flow and consumer work with a real broker."""
    prefix = topics()
    assert "6000 events in cells" in _run("your-kafka.md", tmp_path, BROKER=kafka, AURA_KAFKA__PREFIX=prefix)


@pytest.mark.timeout(300)  # a dozen runs
def test_tutorial(kafka: str, topics: Callable[..., str], tmp_path: Path) -> None:
    """Its commands run one after the other, and what it calls equal is."""
    said = _run("tutorial.md", tmp_path, BROKER=kafka, AURA_KAFKA__PREFIX=topics())
    assert said.count("equal") == 5
    assert "five_minutes: 24 reports of 6 aircraft" in said


def test_links() -> None:
    """What the pages lead to is there."""
    for path in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
