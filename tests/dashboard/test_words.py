"""What a flow elsewhere says of itself: taken if it is a word, summed over its processes, and not believed for ever."""

import json

import pytest

from dashboard.elsewhere import Elsewhere
from dashboard.health import health_of
from operators.committed_reader import Seen, Word
from operators.decisions import Decision, Swap, encode


def _word(key: str, at_s: float, **said: object) -> Seen:
    return Seen(Word("health", key, json.dumps(said).encode()), at_s)


def _account(events: int) -> dict[str, int]:
    return {"events_in": events, "windowed": events - 1, "late": 1}


def test_several_processes() -> None:
    """Accounts add up; the lag is between the newest event of all and the least watermark; the worst latency counts."""
    found = Elsewhere({"second": 1.0})
    found.take([
        _word("flow/0", 5.0, account=_account(10), latency_s=0.2, newest_us=9_000_000, watermark_us=8_000_000),
        _word("flow/1", 5.0, account=_account(30), latency_s=0.1, newest_us=7_500_000, watermark_us=7_000_000),
    ])  # fmt: skip
    account = found.account()
    assert account is not None
    assert (account.events_in, account.windowed, account.late) == (40, 38, 2)
    assert account.balanced
    values = found.values(6.0)
    assert (values["latency_ms"], values["lag_ms"], values["level"]) == (200.0, 2000.0, None)
    assert found.watermark_us() == 7_000_000


def test_the_level_is_of_those_that_may_degrade() -> None:
    """A run that never degrades says none as well: it is no level; of those that may the worst counts."""
    found = Elsewhere({})
    found.take([_word("flow/0", 5.0, level="none")])
    assert found.values(6.0)["level"] is None
    found.take(
        [_word("flow/1", 5.0, level="minor", decisions=[]), _word("flow/2", 5.0, level="major", decisions=[])]
    )
    assert found.values(6.0)["level"] == 2


def test_silence() -> None:
    """A process that has said nothing for three intervals is silent: what it said before holds no longer."""
    found = Elsewhere({})
    disk = {"name": "disk", "state": "healthy"}
    found.take([_word("flow/0", 5.0, overall="healthy", latency_s=0.2, components=[disk])])
    assert [each["state"] for each in health_of(found.reports, 19.0)["components"]] == ["healthy"]
    late = health_of(found.reports, 80.0)
    assert [(each["name"], each["state"], each["detail"]) for each in late["components"]] == [
        ("flow/0", "silent", "its last word is 1 min old")
    ]
    assert (late["overall"], found.values(80.0)["latency_ms"]) == ("unknown", None)


def test_decisions() -> None:
    """Decisions come from aura.control in their order, levels and models alike."""
    found = Elsewhere({})
    made = [Decision(100, 2, 100, "latency_s is 7"), Swap(200, "fast", "ab" * 32)]
    found.take([Seen(Word("control", "level", encode(each)), 1.0) for each in made])
    assert [each.kind for each in found.decisions] == ["level", "model"]
    assert found.decisions[0].reason == "latency_s is 7"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"7",
        b'{"components": 7}',
        b'{"components": [{"name": []}]}',
        b'{"account": {"late": "x"}}',
        b"{" * 5000,
        b'{"latency_s": NaN}',
        b'{"v": 1, "kind": "level", "from_us": NaN, "level": 1}',
    ],
)
def test_what_is_no_word_is_left_out(value: bytes) -> None:
    """Whoever writes nonsense into the topics changes nothing of what is shown."""
    found = Elsewhere({"second": 1.0})
    found.take([Seen(Word(kind, "flow/0", value), 1.0) for kind in ("health", "control")])
    assert not found.reports
    assert not found.decisions
