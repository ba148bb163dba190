"""The numbered steps of the start, and how one that fails ends the run."""

import io
from pathlib import Path

import pytest

from flows.settings import load
from kernels.errors import AuraError
from service.console import Console
from service.job import Job

STEPS = ["backends", "resources", "models", "flows", "services", "agents"]


def started(folder: Path, **more: str) -> tuple[list[tuple[str, str, str]], str]:
    """Run the flights; return each numbered line as number, name and what was found, and the error's words."""
    told, error = io.StringIO(), ""
    given = {"sink.directory": str(folder)} | {key.replace("__", "."): value for key, value in more.items()}
    try:
        Job(load("flights", given).settings, "files", until_end=False, console=Console(stream=told)).run()
    except AuraError as failure:
        error = str(failure)
    lines = [line.split(maxsplit=2) for line in told.getvalue().splitlines() if line[:1].isdigit()]
    return [(number, name, found) for number, name, found in lines if number.isdecimal()], error


def test_all_of_them_in_order(tmp_path: Path) -> None:
    """Six steps with what each found."""
    steps, error = started(tmp_path)
    assert [(number, name) for number, name, _ in steps] == [(str(k), n) for k, n in enumerate(STEPS, 1)]
    assert "CPU cores" in steps[1][2]
    assert "event: event 694af4cf4b80" in steps[2][2]
    assert error == ""


@pytest.mark.parametrize(
    ("key", "value", "failing", "words"),
    [
        ("models__event__sha256", "0" * 64, 3, "expected 0000"),
        ("input__source", "nowhere.parquet", 4, "nowhere.parquet: no such file"),
    ],
)
def test_the_one_that_fails_is_the_last(
    key: str, value: str, failing: int, words: str, tmp_path: Path
) -> None:
    """It says so, and the error says why; those behind it are not done."""
    steps, error = started(tmp_path, **{key: value})
    assert [name for _, name, _ in steps] == STEPS[:failing]
    assert [found for *_, found in steps].index("failed") == failing - 1
    assert words in error
