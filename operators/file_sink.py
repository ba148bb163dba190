"""Results into Parquet files that a crash neither tears nor doubles.

A sink partition writes numbered part files, each under a temporary name until it is complete. Its state is the number
of the next part: what a crashed run wrote past its last snapshot is deleted on resume, and is written again.
`operators.results` puts the parts together when the run ends.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from operators.batch import Tally
from operators.guard import StepError
from operators.result_tables import Output, Row, tables_of
from operators.state import pack, unpack

__all__ = ["PARTS", "FileSink", "clear_parts", "read_parts", "read_tallies"]

PARTS = ".parts"
"""Folder of the part files, inside the folder of the results."""
_VERSION = 1
# A part at the latest after so many items, so that memory stays flat between snapshots.
_BUFFERED_ITEMS = 4096


class FileSink(FixedPartitionedSink[Output, bytes]):
    """Part files in `directory/.parts`.

    Parameters
    ----------
    directory
        Where the results of the run belong.
    partitions
        Number of writers; partition k is the only one of its parts.
    """

    def __init__(self, directory: Path, partitions: int) -> None:
        self._directory, self._partitions = directory / PARTS, partitions

    def list_parts(self) -> list[str]:
        """Return the names of the partitions."""
        return [str(k) for k in range(self._partitions)]

    def part_fn(self, item_key: str) -> int:
        """Return the partition that is named by the key."""
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> "_Partition":  # noqa: ARG002 (Bytewax names it)
        """Return the writer of partition `for_part`."""
        with _writing(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
            return _Partition(self._directory, for_part, resume_state)


class _Partition(StatefulSinkPartition[Output, bytes]):
    def __init__(self, directory: Path, name: str, resume_state: bytes | None) -> None:
        self._directory, self._name, self.number = directory, name, int(name)
        state = unpack("files", _VERSION, resume_state) if resume_state is not None else {}
        self._next, self.tally = state.get("next", 0), Tally(**state.get("tally", {}))
        self._buffer: list[Row] = []
        self._drop_parts()

    def write_batch(self, values: Sequence[Output]) -> None:
        """Take results; a part is written at the next snapshot, or when many have gathered."""
        for value in values:
            if isinstance(value, Tally):
                self.tally.add(value)
            else:
                self._buffer.append(value)
        if len(self._buffer) >= _BUFFERED_ITEMS:
            self._flush()

    def snapshot(self) -> bytes:
        """Write what has gathered; return the number of the next part."""
        self._flush()
        return pack("files", _VERSION, {"next": self._next, "tally": asdict(self.tally)})

    def close(self) -> None:
        """Write what has gathered, and the account."""
        self._flush()
        path = self._directory / f"tally-{self._name}-0.json"
        _replace(path, partial(_write_json, asdict(self.tally)))

    def _drop_parts(self) -> None:
        """Drop what was written past the snapshot: it comes again."""
        for path in self._directory.glob(f"*-{self._name}-*"):
            if int(path.name.split("-")[2].split(".")[0]) >= self._next:
                path.unlink()

    def _flush(self) -> None:
        if not self._buffer:
            return
        with _writing(self._directory):
            for kind, table in tables_of(self._buffer).items():
                path = self._directory / f"{kind}-{self._name}-{self._next}.parquet"
                _replace(path, partial(pq.write_table, table, compression="zstd"))
        self._buffer, self._next = [], self._next + 1


def clear_parts(directory: Path) -> None:
    """Remove the parts of an earlier run."""
    shutil.rmtree(directory / PARTS, ignore_errors=True)


def read_parts(directory: Path, kind: str) -> list[pa.Table]:
    """Return the parts of one kind of result, in a fixed order."""
    return [pq.read_table(path) for path in sorted((directory / PARTS).glob(f"{kind}-*.parquet"))]


def read_tallies(directory: Path) -> Tally:
    """Return the account over all partitions."""
    total = Tally()
    for path in (directory / PARTS).glob("tally-*.json"):
        total.add(Tally(**json.loads(path.read_text())))
    return total


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Name the step and the folder in what goes wrong with files."""
    try:
        yield
    except OSError as error:
        hint = "Make the folder writable, with room on its disk; nothing is lost: run again"
        raise StepError(f"step sink failed: cannot write into {directory}: {error.strerror}", hint) from error


def _write_json(value: object, path: Path) -> None:
    path.write_text(json.dumps(value))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and put it in place at once, on disk before its name is."""
    temporary = path.with_name("." + path.name)
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
