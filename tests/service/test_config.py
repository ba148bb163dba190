"""`aura config show`: TOML that can be used again, with where each value came from."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.settings import load
from kernels.errors import ConfigError
from service.commands.config import app, as_toml
from service.commands.options import overrides


def shown(*arguments: str) -> str:
    """Return what `aura config show` prints."""
    result = CliRunner().invoke(app, ["show", *arguments])
    assert result.exception is None, result.exception
    return result.stdout


@pytest.mark.parametrize("profile", ["flights", "minimal", "distributed", "reference"])
def test_used_again(tmp_path: Path, profile: str) -> None:
    """What is printed is a file that loads as the same configuration."""
    path = tmp_path / "mine.toml"
    path.write_text(shown("--profile", profile))
    assert load(path).settings == load(profile).settings


def test_origins() -> None:
    """Each line ends with where its value came from."""
    lines = shown("--profile", "minimal", "--set", "input.partitions=4").splitlines()
    assert next(line for line in lines if line.startswith("partitions = 4")).endswith("# --set")
    assert next(line for line in lines if line.startswith("agents = 100")).endswith("# profile minimal.toml")


def test_json() -> None:
    """With --json one object holds the settings and the origin of each."""
    found = json.loads(shown("--json", "--set", "event_time.lateness=2s"))
    assert found["settings"]["event_time"]["lateness"] == "2s"
    assert found["provenance"]["event_time.lateness"] == "--set"


def test_password_left_out() -> None:
    """A password is not printed, only that there is one."""
    loaded = load("flights", {"kafka.ssl_password": "hunter2"})
    lines = [text for text, _ in as_toml(loaded)]
    assert "# ssl_password is set and kept secret" in lines
    assert not any("hunter2" in line for line in lines)


def test_not_an_assignment() -> None:
    """An option without a value is refused with an example."""
    with pytest.raises(
        ConfigError, match=r"--set 'input.partitions': not KEY=VALUE.*--set input.partitions=4"
    ):
        overrides(["input.partitions"])
