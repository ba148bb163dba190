"""An emergency: the state is saved, and what arrives goes into an archive unread, so that retention cannot pass it."""

import threading
from pathlib import Path

from flows.settings.root import Settings
from flows.sources import EVENTS_TOPIC
from kernels.errors import AuraError
from operators.progress import Progress
from service.archive import archive_topic
from service.observe.logs import log

__all__ = ["ARCHIVE", "archive_unread"]

ARCHIVE = "emergency"
"""Folder of the archive, in that of the results."""
_FILE_BYTES, _FILE_SPAN_US = 256_000_000, 3_600_000_000


def archive_unread(settings: Settings, over: threading.Event) -> None:
    """Archive the topic of events until `over` is set; a source that keeps its events needs none."""
    if settings.input.source != "kafka":
        return
    folder: Path = settings.sink.directory / ARCHIVE
    try:
        found = archive_topic(
            settings, settings.kafka.prefix + EVENTS_TOPIC, folder, until_end=False,
            max_bytes=_FILE_BYTES, max_span_us=_FILE_SPAN_US, stop=over, progress=Progress(),
        )  # fmt: skip
        log("archived_unread", rows=found["rows"], folder=str(folder))
    except AuraError as error:  # the broker may be what has failed: then there is nothing to read
        log("archive_failed", level="error", message=error.message)
