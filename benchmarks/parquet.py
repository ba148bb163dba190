"""An archive of Parquet files to results, beside pyarrow reading the same columns of the same files alone."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from bytewax.testing import run_main

from benchmarks.job import Job, flow_of, frames
from benchmarks.row import Effort, Row, rate, repeat
from kernels.frame import decode_frame
from operators.archive import ArchiveWriter
from operators.archive_files import Archive
from operators.archive_reader import read_archive
from operators.archive_source import ReplaySource
from operators.batch import Origin
from operators.decoded import Decoded
from operators.prefetch import prefetched
from operators.progress import Progress
from operators.replayed import Range

__all__ = ["rows"]

_COLUMNS = ("agent_id", "time_us", "x_m", "y_m", "z_m", "m0")
_PLACE = ("offset", "row", "broker_us")


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the rate of the flow from an archive by that of reading it, run in turn."""
    job = Job(effort.events(20_000_000), poll=1)
    with tempfile.TemporaryDirectory() as folder:
        archive = _archived(job, Path(folder))
        job = replace(job, events=sum(_group_rows(archive)))
        alone, _ = repeat(lambda: rate(job.events, lambda: _read(archive)), effort)
        value, runs = repeat(lambda: _flow_rate(job, archive), effort)
    yield Row(
        "Parquet archive to results", value, "M events/s", 0.7 * alone, runs=runs,
        peer="pyarrow reading alone, one thread", peer_value=alone,
        note=f"target: 0.7 of reading; pyarrow {pa.__version__}, row groups of 65,536, zstd",
    )  # fmt: skip


def _archived(job: Job, folder: Path) -> Archive:
    """Return an archive of the frames of `job`."""
    archive = Archive.make(folder, "benchmark", job.partitions, _COLUMNS)
    for partition in range(job.partitions):
        writer = ArchiveWriter(archive, partition, start=0, max_bytes=1 << 28, max_span_us=1 << 62)
        made = [dict(decode_frame(data).columns) for data in frames(job, partition)]
        for number in range(job.events // job.partitions // job.rows):
            columns = made[number % len(made)]
            columns = columns | {"time_us": columns["time_us"] + number * job.step_us}
            origin = Origin.of_record("benchmark", partition, number)
            writer.append([Decoded(columns, origin, columns["time_us"], {}, [])], number + 1)
        writer.close()
    return archive


def _files(archive: Archive) -> list[Path]:
    return [span.events for k in range(archive.partitions) for span in archive.spans(k)]


def _group_rows(archive: Archive) -> Iterator[int]:
    return (pq.read_metadata(path).num_rows for path in _files(archive))


def _read(archive: Archive) -> None:
    for path in _files(archive):
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group, [*_COLUMNS, *_PLACE], use_threads=False)


def _flow_rate(job: Job, archive: Archive) -> float:
    source = ReplaySource(
        archive.topic, archive.partitions, lambda k, position: prefetched(read_archive(archive, k, _COLUMNS, position=position)),
        job.ingest, span=Range(), pace=None, batch_rows=65_536, progress=Progress(),
    )  # fmt: skip
    flow, counted = flow_of(job, source=source)
    value = rate(job.events, lambda: run_main(flow))
    if counted.events == 0:
        raise RuntimeError("the flow gave no results: the benchmark is wrong")
    return value
