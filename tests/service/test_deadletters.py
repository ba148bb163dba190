from collections.abc import Callable
from typing import Any

import pytest

from kernels.errors import AuraError
from operators.batch import DeadLetter
from operators.kafka_reader import read_committed
from operators.kafka_results import TOPICS
from operators.kafka_run import open_run
from operators.kafka_sink import KafkaSink
from operators.kafka_tables import read_results
from service.deadletters import Resent, Selection, resend, show
from service.declared_topics import Topic


class Rig:
    """Topics with dead letters of several kinds, as the sink writes them."""

    def __init__(self, kafka: str, prefix: str) -> None:
        self.options, self.prefix, self.topic = {"bootstrap_servers": [kafka]}, prefix, prefix + "aura.events"
        self.write("cells")

    def write(self, flow: str) -> None:
        """Let a run of a flow tell of them."""
        run = open_run(self.options, prefix=self.prefix, partitions=1, file=None)
        sink = KafkaSink(self.options, run, prefix=self.prefix, group="g", flow=flow, partitions=1)
        part = sink.build_part("sink", "00000", None)
        part.write_batch(
            [
                DeadLetter(
                    self.topic, 1, 10, -1, b"\xff\xfe", "application/json", "decode", "malformed", "not JSON"
                ),
                DeadLetter(self.topic, 0, 11, 3, b'{"a": 1}', "application/json", "decode", "agent_missing"),
                DeadLetter(
                    self.topic, 0, 12, -1, b"batch", "application/octet-stream", "decode", "too_large"
                ),
                DeadLetter("flights.parquet", 0, 13, 0, b"{}", "application/json", "decode", "agent_missing"),
            ]
        )
        part.close()

    def show(self, **selection: Any) -> list[dict[str, Any]]:
        """The rows of `aura deadletters show`."""
        return list(show(self.options, prefix=self.prefix, selection=Selection(**selection)))

    def resend(self, **selection: Any) -> Resent:
        """Send some back."""
        return resend(self.options, prefix=self.prefix, topic=self.topic, selection=Selection(**selection))

    def sent(self) -> list[tuple[int, bytes, dict[str, bytes]]]:
        """What stands in the topic of the events."""
        found = read_committed(self.options, {(self.topic, k): 0 for k in range(2)})
        return sorted((r.partition, r.value, dict(r.headers)) for r in found)


@pytest.fixture
def rig(kafka: str, topics: Callable[..., str]) -> Rig:
    """Dead letters on a real broker."""
    made = [Topic(name, 1, 1) for name in TOPICS.values()]
    return Rig(kafka, topics(*made, Topic("aura.events", 2, 1)))


def test_dead_letters_are_shown_with_their_origin_and_reason(rig: Rig) -> None:
    """A row each, selected by reason, partition and offset; all that are given must hold."""
    rows = rig.show()
    assert [row["offset"] for row in rows] == [10, 11, 12, 13]
    assert rows[0] | {"topic": "t"} == {
        "topic": "t", "partition": 1, "offset": 10, "row": -1, "stage": "decode", "reason": "malformed",
        "detail": "not JSON", "size": 2, "content_type": "application/json",
    }  # fmt: skip
    assert [row["offset"] for row in rig.show(reason="agent_missing")] == [11, 13]
    assert [row["offset"] for row in rig.show(partition=0, reason="agent_missing", offset=11)] == [11]
    assert rig.show(reason="agent_missing", offset=10) == []


def test_they_go_back_to_where_they_came_from(rig: Rig) -> None:
    """Bytes, content type and partition are those of the origin; what is no record of that topic is left."""
    assert rig.resend() == (2, 2)
    assert rig.sent() == [
        (0, b'{"a": 1}', {"content-type": b"application/json", "resent": b"1"}),
        (1, b"\xff\xfe", {"content-type": b"application/json", "resent": b"1"}),
    ]


def test_several_flows_tell_of_one_dead_letter(rig: Rig) -> None:
    """Flows that run apart over one topic each write it; it is shown once, goes back once, and is one row of a table."""
    rig.write("population")
    assert [row["offset"] for row in rig.show()] == [10, 11, 12, 13]
    assert read_results(rig.options, prefix=rig.prefix, kinds=("dead_letters",))["dead_letters"].num_rows == 4
    assert rig.resend() == (2, 2)
    assert len(rig.sent()) == 2


def test_only_those_that_are_selected_go_back(rig: Rig) -> None:
    """A selection that takes none sends none."""
    assert rig.resend(reason="malformed") == (1, 0)
    assert rig.resend(offset=99) == (0, 0)
    assert len(rig.sent()) == 1


def test_they_go_back_together_or_not_at_all(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one is refused, a reader of committed records sees none of them."""
    monkeypatch.setattr("service.sender.MAX_RECORD_BYTES", 90 - 64 * 1024)
    with pytest.raises(AuraError, match="none was kept"):
        rig.resend()
    assert rig.sent() == []
