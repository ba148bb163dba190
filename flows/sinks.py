"""Where results go: files, or topics."""

from collections.abc import Callable, Collection
from pathlib import Path

from bytewax.outputs import FixedPartitionedSink

from flows.settings.root import Settings
from kernels.errors import ConfigError
from operators.batch import Tally
from operators.file_sink import FileSink
from operators.kafka_run import open_run
from operators.kafka_sink import KafkaSink
from operators.result_tables import Output

__all__ = ["SINKS", "fence", "open_sink"]

SINKS = ("files", "kafka")
_OF_ANY_RUN = ("alerts", "late", "dead_letters")
_RUN_FILE = "kafka_run.json"  # beside the recovery store: what began with it ends with it


def open_sink(
    settings: Settings,
    kind: str,
    *,
    model: Callable[[int], str] | None,
    further: Collection[str],
    account: Tally,
) -> FixedPartitionedSink[Output, bytes]:
    """Return the sink of a kind.

    Parameters
    ----------
    settings
        Validated.
    kind
        One of `SINKS`: into `sink.directory`, or into the topics of results.
    model
        SHA-256 of the model that scores cells, by the start of their window.
    further
        The kinds of results that the parts of the run publish, beside those that any run may have.
    account
        A Kafka sink adds what became of the events when a bounded run ends; files hold their own.
    """
    if kind == "files":
        return FileSink(settings.sink.directory, settings.sink.partitions)
    if kind != "kafka":
        raise ConfigError(f"--sink {kind!r}: allowed are {' and '.join(SINKS)}")
    options, prefix = settings.kafka.client_options(), settings.kafka.prefix
    directory = settings.recovery.directory
    file = Path(directory) / _RUN_FILE if directory is not None else None
    return KafkaSink(
        options,
        open_run(
            options,
            prefix=prefix,
            partitions=settings.sink.partitions,
            file=file,
            kinds=(*further, *_OF_ANY_RUN),
        ),
        prefix=prefix,
        group=settings.kafka.group,
        flow="-".join(settings.flows_used),  # runs of other flows are other writers
        partitions=settings.sink.partitions,
        json_rows=settings.sink.json_rows,
        model=model,
        on_account=lambda _, tally: account.add(tally),
    )


def fence(sink: FixedPartitionedSink[Output, bytes]) -> None:
    """Stop the writers of an earlier start. For whoever starts the flow, once and before any of its processes writes."""
    if isinstance(sink, KafkaSink):
        sink.fence()
