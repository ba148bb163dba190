"""A run of a flow into topics, its restarts included: an id for its records, and the offsets at which it began.

It begins before anything is written, so that a writer which starts without a snapshot knows where to look for what it
has committed before it crashed.
"""

import json
import os
import uuid
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kernels.errors import AuraError, ConfigError
from operators.kafka_reader import end_offsets, topic_partitions
from operators.kafka_results import TOPICS

__all__ = ["Run", "open_run"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a flow, its restarts included.

    Parameters
    ----------
    id
        In each of its records.
    starts
        The offsets of each kind's topic, by partition, at which nothing of it had been written.
    """

    id: str
    starts: dict[str, list[int]]


def open_run(
    options: Mapping[str, Any],
    *,
    prefix: str,
    partitions: int,
    file: Path | None,
    kinds: Collection[str] = tuple(TOPICS),
) -> Run:
    """Return the run that `file` tells of, or begin one and let `file` tell of it.

    Parameters
    ----------
    options
        Of the connection.
    prefix
        Before the names of the topics.
    partitions
        Of the sink.
    file
        Lies beside the recovery store, on a disk that all processes of the flow see; None where there is no store.
    kinds
        Of `TOPICS`: what the run writes.

    Raises
    ------
    AuraError
        A topic is missing, has too few partitions, or cannot be asked for; or `file` is no such file.
    """
    if file is not None and file.exists():
        return _read_run(file)
    starts = {}
    for kind in kinds:
        name = TOPICS[kind]
        found = topic_partitions(options, prefix + name)
        if found < partitions:
            raise ConfigError(
                f"topic {prefix + name} has {found} partitions, and the sink has {partitions}",
                "Lower sink.partitions, or declare more partitions and run `aura topics apply`",
            )
        starts[kind] = end_offsets(options, prefix + name, partitions)
    run = Run(uuid.uuid4().hex, starts)
    if file is None:
        return run
    temporary = file.with_name(f".{file.name}.{run.id}")
    with temporary.open("w") as out:
        json.dump(asdict(run), out)
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(temporary, file)  # whichever process is first has begun the run
    except FileExistsError:
        return _read_run(file)
    finally:
        temporary.unlink()
    return run


def _read_run(file: Path) -> Run:
    try:
        return Run(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise AuraError(
            f"{file} does not tell of a run: {error}",
            "Name an empty recovery directory and replay from the start",
        ) from error
