"""Programs of Debian's packages that tests drive: installed when they are missing and that is allowed."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["program"]

_LOCK = Path("/var/lock/aura-tests-apt")
_POLICY = Path("/usr/sbin/policy-rc.d")  # Debian asks it whether a service may start


def program(name: str, package: str) -> str:
    """Return the path of a program; as root its package is installed first, elsewhere than on CI the test is skipped without."""
    if (found := shutil.which(name)) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(package)
        found = shutil.which(name)
    if found is None:
        reason = f"needs {name}: apt-get install {package}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


def _install(package: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _LOCK.open("w") as lock, _no_service_starts():
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            subprocess.run(["apt-get", "-qq", *command], env=environment, capture_output=True, check=False)


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """A package may bring a service: what runs in a test is what the test starts."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
