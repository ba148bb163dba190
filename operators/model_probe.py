"""Models are loaded in a throw-away process first: a file that crashes or swells what reads it takes nobody with it.

The process is started anew and not forked, has none of this one's environment (passwords among it), may not write a file,
and has a limit of memory and of time. It loads each model in both forms and runs it on one block. What passed once passes
without another process for as long as this one lives, and in those forked from it: the same bytes give the same answer.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING

import msgpack

from kernels.errors import ConfigError

if TYPE_CHECKING:
    from kernels.scorer import Scorer

__all__ = ["Probe", "main"]

_MEMORY_BYTES = 2 << 30  # of addresses; the libraries with the models of the flights take 0.2 GiB of them
_CPU_S = 20  # the models of the flights take 0.2 s with the start of the process
_WALL_S = 120
_PASSED: set[str] = set()
"""SHA-256 of what this process, or one that it was forked from, has seen to load."""

_KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TZ", "LANG")
_HINT = "Use the file and the hash of its model card"


class Probe:
    """Model files under trial; the process runs while the caller does something else.

    Parameters
    ----------
    files
        The bytes of each, by the name for messages.
    memory_bytes
        Of addresses that the process may have.
    """

    def __init__(self, files: Mapping[str, bytes], *, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._new = {name: data for name, data in files.items() if sha256(data).hexdigest() not in _PASSED}
        self._process = _start(memory_bytes) if self._new else None

    def wait(self) -> None:
        """Return once all of them have been loaded.

        Raises
        ------
        ConfigError
            One was refused, crashed its process, or took more memory or time than it may.
        """
        if self._process is None:
            return
        found = _ask(self._process, self._new)
        for name, data in self._new.items():
            if (refusal := found[name]) is not None:
                raise ConfigError(f"models.{name}: {refusal[0]}", refusal[1])
            _PASSED.add(sha256(data).hexdigest())

    def stop(self) -> None:
        """End the process, whether it is done or not."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def _start(memory_bytes: int) -> subprocess.Popen[bytes]:
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    env |= {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", "from operators.model_probe import main; main()", str(memory_bytes)],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _ask(process: subprocess.Popen[bytes], files: Mapping[str, bytes]) -> dict[str, list[str] | None]:
    """Return for each file why it was refused, or None."""
    try:
        answer, _ = process.communicate(msgpack.packb(dict(files)), timeout=_WALL_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise _lost(files, f"was not loaded after {_WALL_S} s") from None
    # One line a file, as they are done; what is missing has ended the process.
    found = dict(json.loads(line) for line in answer.splitlines() if line.startswith(b"["))
    for name in files:
        if name not in found:
            raise _lost([name], f"ended the process that loaded it: {_ending(process.returncode)}")
    return found


def _lost(names: Mapping[str, bytes] | list[str], what: str) -> ConfigError:
    return ConfigError(f"models.{', '.join(names)}: the model {what}", _HINT)


def _ending(code: int) -> str:
    if code == -signal.SIGXCPU:
        return f"more than {_CPU_S} s of computing"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def main() -> None:
    """Be the throw-away process: files from standard input, a line for each to standard output."""
    for limit, most in (
        (resource.RLIMIT_AS, int(sys.argv[1])),
        (resource.RLIMIT_CPU, _CPU_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    from kernels.scorer import Scorer  # noqa: PLC0415 (under the limits, and before the files are there)

    files = msgpack.unpackb(sys.stdin.buffer.read(), max_bin_len=2**31 - 1)
    for name, data in files.items():
        print(json.dumps([name, _refusal(Scorer, data)]), flush=True)


def _refusal(scorer: "type[Scorer]", data: bytes) -> list[str] | None:
    """Return why a model is refused, and what to do; None if it is not."""
    try:
        for backend in ("numpy", "onnx-cpu"):
            scorer.load(data, backend=backend)
    except ConfigError as error:
        return [error.message, error.hint]
    except MemoryError:
        return ["the model needs more memory than it may to be loaded", _HINT]
    return None
