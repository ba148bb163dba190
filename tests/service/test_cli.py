"""The command line itself: what it costs to ask it for help, and that every command gives some."""

import subprocess
import sys
from pathlib import Path

import typer
from command import aura
from typer.testing import CliRunner

from service.cli import app

_HEAVY = ("bytewax", "kafka", "numpy", "onnx", "onnxruntime", "psutil", "pyarrow", "pydantic", "starlette")


def test_help_loads_nothing_that_takes_time() -> None:
    """The commands are known without numpy, pydantic, the engine or a client of Kafka: so help is there at once."""
    code = f"import sys, service.cli; print([name for name in {_HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_of_hosts_can_be_looked_up_in_forks() -> None:
    """What looking one up loads is there before a thread or a fork is, whole."""
    code = "import sys, service.cli; print('encodings.idna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_every_command_helps_with_an_example() -> None:
    """Each says what it does, and shows a call of it."""
    root = typer.main.get_command(app)
    runner = CliRunner()
    for path in _leaves(root, ()):
        done = runner.invoke(app, [*path, "--help"])
        assert done.exit_code == 0, path
        assert "Example" in done.output, path


def test_an_unusable_folder_is_one_line(tmp_path: Path) -> None:
    """What the system refuses is a message and exit code 1, and no traceback."""
    file = tmp_path / "file"
    file.touch()
    done = aura("run", "--profile", "minimal", "--out", str(file), check=False)
    assert done.returncode == 1
    assert done.stderr == f"aura: File exists: {file}\n"


def _leaves(command: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    found = getattr(command, "commands", {})
    if not found:
        return [path]
    return [leaf for name, each in found.items() for leaf in _leaves(each, (*path, name))]
