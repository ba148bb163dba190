"""A recovery store is read as pickles: one that somebody else could have written is refused."""

import os
from pathlib import Path

import pytest

from flows.settings import load
from kernels.errors import ConfigError
from service.recovery.store import Store

OTHER = 10_777  # a user that is not this one


def opened(directory: Path, results: Path) -> Store:
    """The store in a directory."""
    given = {"recovery.directory": str(directory), "sink.directory": str(results)}
    return Store.open(load("flights", given).settings, writers=1)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o702, 0o720, 0o750, 0o777, 0o1777])
def test_a_folder_that_others_may_enter_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Whatever bit it is; the mode is said, and what to do."""
    directory = tmp_path / "store"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode & 0o777:o}.*expected 700") as refused:
        opened(directory, tmp_path / "out")
    assert "chmod 700" in refused.value.hint
    assert not list(directory.iterdir())


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """Even with mode 0700."""
    directory = tmp_path / "store"
    directory.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(directory, OTHER, OTHER)
    else:
        directory = Path("/usr")  # root's
    with pytest.raises(ConfigError, match=f"owner {directory.stat().st_uid}"):
        opened(directory, tmp_path / "out")


def test_a_new_one_is_private(tmp_path: Path) -> None:
    """Whatever the umask allows."""
    before = os.umask(0)
    try:
        opened(tmp_path / "store", tmp_path / "out").close()
    finally:
        os.umask(before)
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "store/store").stat().st_mode & 0o777 == 0o700
