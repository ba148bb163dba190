"""The built page in the repository is of the sources beside it."""

import filecmp
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from dashboard.app import DIST

PAGE = DIST.parent / "page"
SOURCES = ("index.html", "package-lock.json", "public", "src", "vite.config.ts")


def test_built_from_these_sources() -> None:
    """The build's note of what it was made from fits the sources; `make page` builds it anew."""
    found = [path for name in SOURCES for path in [PAGE / name, *(PAGE / name).rglob("*")] if path.is_file()]
    digest = hashlib.sha256()
    for name in sorted(path.relative_to(PAGE).as_posix() for path in found):
        digest.update(name.encode() + b"\0" + (PAGE / name).read_bytes() + b"\0")
    assert (DIST / "sources.sha256").read_text().strip() == digest.hexdigest(), "run `make page`"


def test_builds_to_the_same_bytes(tmp_path: Path) -> None:
    """Where Node.js is, building again gives what is in the repository."""
    if shutil.which("npm") is None:
        pytest.skip("needs Node.js; what the build was made from is compared above")
    work = tmp_path / "dashboard" / "page"
    shutil.copytree(PAGE, work, ignore=shutil.ignore_patterns("node_modules"))
    for line in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
        done = subprocess.run(line, cwd=work, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    built = work.parent / "dist"
    names = sorted(path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(DIST).as_posix() for path in DIST.rglob("*") if path.is_file())
    assert filecmp.cmpfiles(built, DIST, names, shallow=False)[0] == names


def test_no_address_outside() -> None:
    """The lock names no place where packages come from, and the page loads nothing from elsewhere."""
    assert '"resolved"' not in (PAGE / "package-lock.json").read_text()
    assert "http" not in (DIST / "index.html").read_text()
