"""The shape of the repository: which way imports point, and how long functions and files are."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.shape import functions, report

ROOT = Path(__file__).resolve().parents[1]


def test_import_contracts() -> None:
    """Imports point one way, kernels know no engine, and only the connectors know Kafka."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shape() -> None:
    """Functions and files are as short as the limits ask."""
    lines, broken = report(ROOT)
    assert not broken, "\n".join(lines)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f(): return 1\n", 1),
        ('def f():\n    """One.\n\n    More.\n    """\n    return 1\n', 2),
        ("def f(\n    a,\n):\n    # why\n\n    return a\n", 4),
    ],
)
def test_function_length(source: str, lines: int) -> None:
    """A function's length leaves out its docstring, comments and blank lines."""
    assert [found.lines for found in functions(source, "x.py")] == [lines]


def test_lock_is_closed() -> None:
    """Every locked package has a hash, and no lock names where packages come from."""
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text()
        packages = [line for line in text.splitlines() if "==" in line]
        assert packages
        assert all(line.endswith("\\") for line in packages)
        assert "://" not in text
        assert "--index" not in text
