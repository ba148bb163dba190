"""Every protection is switched off in turn, and the tests that hold it fail: none of them passes whatever the code does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.flow import ENV
from chaos.protections import PROTECTIONS

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def codes(kafka: str) -> dict[str, int]:
    """How the tests of each protection end with it off, and how all of them do with none off."""
    env = ENV | {"AURA_TEST_BOOTSTRAP": kafka}
    line = [sys.executable, "-m", "chaos.notice"]
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=580)
    print(done.stderr[-20_000:])
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_they_pass_with_all_protections_on(codes: dict[str, int]) -> None:
    """So a failure below is the doing of what was switched off."""
    assert codes[""] == 0


@pytest.mark.parametrize("name", PROTECTIONS)
def test_the_suite_notices(codes: dict[str, int], name: str) -> None:
    """With the protection off a test that holds it ran, and failed."""
    assert codes[name] == 1
