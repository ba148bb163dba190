"""What was read once, read again: through the flow into results of its own, or back into a topic.

The results are those of the run over the topic, whatever the speed. Of a range, they are the same for the windows that
lie in it with their lateness; `summary.json` says which those are, and `aura verify` compares no others.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.plan import Plan
from flows.replayed import Again, ReplayInput
from flows.settings.root import Settings
from kernels.errors import ConfigError
from kernels.frame import FRAME_TYPE
from kernels.lateness import END_US, START_US
from operators.batch import length
from operators.decoded import Decoded
from operators.kafka_reader import topic_partitions
from operators.progress import Progress
from operators.replayed import Replayed
from service.console import Console
from service.job import Job
from service.pacing import Chunk
from service.produce import encode_chunk
from service.sender import Sender

__all__ = ["namespace", "replay", "replay_into"]


def namespace(settings: Settings, *, out: Path | None, prefix: str | None) -> Settings:
    """Return the settings with outputs of a replay's own: a folder, or topics under a prefix; without recovery.

    Raises
    ------
    ConfigError
        The prefix is the one that the live results have.
    """
    if prefix == settings.kafka.prefix:
        raise ConfigError(
            f"--prefix {prefix!r}: there the live results are", "Give one of the replay's own: replay."
        )
    directory = settings.sink.directory / "replay" if out is None else out
    own: dict[str, Any] = {
        "sink": settings.sink.model_copy(update={"directory": directory}),
        "recovery": settings.recovery.model_copy(update={"directory": None}),
    }
    if prefix is not None:
        own["kafka"] = settings.kafka.model_copy(update={"prefix": prefix})
    return settings.model_copy(update=own)


def replay(
    settings: Settings,
    given: ReplayInput,
    again: Again,
    *,
    sink: str,
    console: Console,
    obeys: Path | None = None,
) -> dict[str, Any]:
    """Run an opened input through the flow into the outputs of `settings`; return the summary.

    To `summary.json` is added `closed`: of each window, from which start and up to which end its results are complete.
    """
    summary = Job(settings, sink=sink, until_end=True, console=console, given=given, obeys=obeys).run()
    from_us = again.span.from_us if again.span.from_us > START_US else None
    to_us = again.span.to_us if again.span.to_us < END_US else None
    if from_us is None and to_us is None:
        return summary
    closed = {
        window.name: [from_us, None if to_us is None else to_us - window.lateness_us]
        for window in settings.windows_used
    }
    summary |= {"closed": closed}
    path = settings.sink.directory / "summary.json"
    path.with_name(".summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    path.with_name(".summary.json").replace(path)
    return summary


def replay_into(settings: Settings, given: ReplayInput, topic: str) -> dict[str, Any]:
    """Send the events of an opened input into a topic, partition by partition, and what was no event as it was.

    Raises
    ------
    ConfigError
        The topic has another number of partitions: agents would change theirs.
    """
    options = settings.kafka.client_options()
    found = topic_partitions(options, topic)
    if found != given.partitions:
        raise ConfigError(
            f"{topic} has {found} partitions, {given.name} has {given.partitions}: agents would move"
        )
    config = Plan.of(settings, columns=given.columns, partitions=given.partitions).ingest
    source = given.build(replace(config, motion=False, dedup=False), Progress())
    parts = [source.replayed(number) for number in range(given.partitions)]
    events = dead_letters = 0
    with Sender(options) as sender:
        for number, run in _due(parts):
            _send(sender, topic, number, run)
            events, dead_letters = events + length(run.columns), dead_letters + len(run.dead)
    return {"topic": topic, "events": events, "dead_letters": dead_letters}


def _due(parts: list[Replayed]) -> Iterator[tuple[int, Decoded]]:
    """Yield what the partitions hold when it is due, each in its turn."""
    while not all(part.ended for part in parts):
        found = [
            (number, run) for number, part in enumerate(parts) if not part.ended for run, _ in part.advance()
        ]
        yield from found
        if not found:
            time.sleep(min((part.wait_s for part in parts if not part.ended), default=0))


def _send(sender: Sender, topic: str, partition: int, run: Decoded) -> None:

    for letter in run.dead:
        sender.send(topic, partition, (None, letter.value), {"content-type": letter.content_type})
    if length(run.columns):
        for record in encode_chunk(Chunk(run.columns, run.names), "frame", length(run.columns)):
            sender.send(topic, partition, record, {"content-type": FRAME_TYPE})
