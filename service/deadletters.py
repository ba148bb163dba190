"""`aura deadletters`: look at the inputs that could not become events, and send them back once the cause is gone.

They go back into the partition that they came from, as records of their own with the header `resent`; all of a call, in
one transaction, or none of them. What is still no event comes out as a dead letter again, of the new offset.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kernels.errors import AuraError
from operators.batch import DeadLetter
from operators.kafka_reader import topic_partitions
from operators.kafka_tables import read_outputs
from service.sender import Sender

__all__ = ["Resent", "Selection", "resend", "show"]

_UNREADABLE = "application/octet-stream"  # of a batch that could not be unpacked: these bytes are no record


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters: those for which everything holds that is given."""

    reason: str | None = None
    partition: int | None = None
    offset: int | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether a dead letter is one of them."""
        wanted = (self.reason, self.partition, self.offset)
        found = (letter.reason, letter.partition, letter.offset)
        return all(want is None or want == have for want, have in zip(wanted, found, strict=True))


class Resent(NamedTuple):
    """How many were sent back, and how many could not be: of another topic, cut, or no record at all."""

    sent: int
    left: int


def show(options: Mapping[str, Any], *, prefix: str, selection: Selection) -> Iterator[dict[str, Any]]:
    """Yield a row for each dead letter: its origin, the step that refused it, why, and its size.

    Parameters
    ----------
    options
        Of the connection.
    prefix
        Before the names of the topics.
    selection
        Which ones.
    """
    for letter, _ in _letters(options, prefix, selection):
        row = {
            name: getattr(letter, name)
            for name in ("topic", "partition", "offset", "row", "stage", "reason", "detail")
        }
        yield row | {"size": len(letter.value), "content_type": letter.content_type}


def resend(options: Mapping[str, Any], *, prefix: str, topic: str, selection: Selection) -> Resent:
    """Send dead letters back to the topic of the events.

    Parameters
    ----------
    options, prefix, selection
        As of `show`.
    topic
        Of the events, prefix included.

    Raises
    ------
    AuraError
        The broker does not take them; then none is there.
    """
    partitions = topic_partitions(options, topic)
    left = 0
    with Sender(options, transactional_id=f"{prefix}aura-resend") as sender:
        for letter, headers in _letters(options, prefix, selection):
            if letter.topic != topic or "cut" in headers or letter.content_type == _UNREADABLE:
                left += 1
                continue
            if letter.partition >= partitions:
                raise AuraError(
                    f"{topic} has {partitions} partitions, a dead letter is of partition {letter.partition}"
                )
            sent_headers = {"content-type": letter.content_type, "resent": "1"}
            sender.send(topic, letter.partition, (None, letter.value), sent_headers)
    return Resent(sender.sent.records, left)


def _letters(
    options: Mapping[str, Any], prefix: str, selection: Selection
) -> Iterator[tuple[DeadLetter, Mapping[str, bytes]]]:
    for _, headers, output in read_outputs(options, "dead_letters", prefix=prefix):
        if isinstance(output, DeadLetter) and selection.takes(output):
            yield output, headers
