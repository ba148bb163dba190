"""Motion features against a loop over events, under any framing, with silence, nulls and restarts."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.errors import ConfigError
from kernels.motion import MOTION_FEATURES, Motion

Columns = dict[str, NDArray[Any]]
_FLOATS = ("x_m", "y_m", "z_m", "heading_rad", "speed_mps", "climb_mps", "energy")
_SILENCE_US = 5_000_000


def _events(seed: int, count: int, agents: int) -> Columns:
    """Return events of few agents: ascending times with some steps back, equal times and silences; some nulls."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 2**64, agents, dtype=np.uint64)
    ids[0] = 0  # an id like any other, although empty cells hold it too
    steps_us = rng.choice(
        [0, 1, 40_000, 900_000, -300_000, 6_000_000], count, p=[0.1, 0.1, 0.4, 0.3, 0.08, 0.02]
    )
    columns: Columns = {"agent_id": rng.choice(ids, count), "time_us": np.cumsum(steps_us)}
    for name in _FLOATS:
        columns[name] = rng.normal(0, 100, count).astype(np.float32)
    for name in _FLOATS[:3]:
        columns[name] = rng.choice(columns[name][:2], count)  # so that agents stand still now and then
    columns["heading_rad"] = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    for name in _FLOATS[3:]:
        columns[name][rng.random(count) < 0.1] = np.nan
    return columns


def _loop(columns: Columns, silence_us: int) -> dict[str, NDArray[np.float32]]:
    """Compute the same one event after the other, with a dict as the table."""
    last: dict[int, dict[str, Any]] = {}
    newest_us = -(2**62)
    out: dict[str, list[np.float32]] = {name: [] for name in MOTION_FEATURES}
    for i in range(len(columns["agent_id"])):
        now = {name: column[i] for name, column in columns.items()}
        newest_us = max(newest_us, int(now["time_us"]))
        before = last.get(int(now["agent_id"]))
        last[int(now["agent_id"])] = now
        if before is not None and before["time_us"] < newest_us - silence_us:
            before = None
        stood = before is not None and all(now[name] == before[name] for name in _FLOATS[:3])
        now["moved_us"] = before["moved_us"] if before is not None and stood else now["time_us"]
        for name, value in _one(now, before).items():
            out[name].append(value)
    return {name: np.array(values, np.float32) for name, values in out.items()}


def _one(now: dict[str, Any], before: dict[str, Any] | None) -> dict[str, np.float32]:
    nan = np.float32(np.nan)
    if before is None or before["time_us"] >= now["time_us"]:
        return dict.fromkeys(MOTION_FEATURES, nan)
    dt_s = np.float32((now["time_us"] - before["time_us"]) * 1e-6)
    change = {name: now[name] - before[name] for name in _FLOATS}
    speed_mps = np.sqrt(change["x_m"] ** 2 + change["y_m"] ** 2) / dt_s
    turn_rad, heading_rad = change["heading_rad"], now["heading_rad"]
    while abs(turn_rad) > np.float32(np.pi):
        turn_rad -= np.sign(turn_rad) * np.float32(2 * np.pi)
    return {
        "dt_s": dt_s,
        "still_s": np.float32(max((now["time_us"] - now["moved_us"]) * 1e-6, 0)),
        "implied_speed_mps": speed_mps,
        "implied_climb_mps": change["z_m"] / dt_s,
        "implied_accel_mps2": change["speed_mps"] / dt_s,
        "turn_rate_radps": turn_rad / dt_s,
        "energy_rate": change["energy"] / dt_s,
        "speed_gap_mps": abs(speed_mps - now["speed_mps"]),
        "climb_gap_mps": abs(change["z_m"] / dt_s - now["climb_mps"]),
        "cross_track_mps": abs(change["x_m"] * np.cos(heading_rad) - change["y_m"] * np.sin(heading_rad))
        / dt_s,
    }


def _split(columns: Columns, cuts: list[int]) -> list[Columns]:
    edges = [0, *sorted(cuts), len(columns["agent_id"])]
    return [{name: column[a:b] for name, column in columns.items()} for a, b in pairwise(edges)]


def _joined(parts: list[dict[str, NDArray[np.float32]]]) -> dict[str, bytes]:
    return {name: np.concatenate([part[name] for part in parts]).tobytes() for name in MOTION_FEATURES}


@given(seed=st.integers(0, 2**32), count=st.integers(1, 300), agents=st.integers(1, 40))
@settings(max_examples=40)
def test_equal_to_a_loop(seed: int, count: int, agents: int) -> None:
    """The features are those that a loop over events with a dict computes."""
    columns = _events(seed, count, agents)
    got, want = Motion(_SILENCE_US).features(columns), _loop(columns, _SILENCE_US)
    assert list(got) == list(MOTION_FEATURES)
    for name in MOTION_FEATURES:
        # Before the division: a small turn is a difference of large angles, and sines here are good to three digits.
        slack = {"turn_rate_radps": 2e-6, "cross_track_mps": 1.2}.get(name, 0)
        atol = slack / got["dt_s"]
        assert np.array_equal(np.isnan(got[name]), np.isnan(want[name]))
        assert not (np.abs(got[name] - want[name]) > atol + 2e-6 * np.abs(want[name])).any()


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 500), max_size=12))
@settings(max_examples=40)
def test_any_framing_gives_the_same_bits(seed: int, cuts: list[int]) -> None:
    """However the events of a partition are cut into batches, empty ones too, every feature has the same bits."""
    columns = _events(seed, 500, 40)
    whole, cut = Motion(_SILENCE_US), Motion(_SILENCE_US)
    assert _joined([whole.features(columns)]) == _joined(
        [cut.features(part) for part in _split(columns, cuts)]
    )


def test_batches_longer_than_a_chunk() -> None:
    """A batch of 65,536 events has the features of the same events in batches of 1,000, the table growing meanwhile."""
    columns = _events(1, 65_536, 30_000)
    parts = _split(columns, list(range(1000, 65_536, 1000)))
    cut = Motion(_SILENCE_US)
    assert _joined([Motion(_SILENCE_US).features(columns)]) == _joined([cut.features(part) for part in parts])


@given(seed=st.integers(0, 2**32), at=st.integers(0, 400))
@settings(max_examples=25)
def test_goes_on_from_a_snapshot(seed: int, at: int) -> None:
    """What follows a snapshot has the same bits in a motion restored from it, and the state is in order of id."""
    head, tail = _split(_events(seed, 400, 60), [at])
    motion, restored = Motion(_SILENCE_US), Motion(_SILENCE_US)
    motion.features(head)
    state = motion.snapshot()
    restored.restore(state)
    # Compared, not subtracted: ids further apart than 2^63 would overflow.
    assert (state["agent_id"][1:] > state["agent_id"][:-1]).all()
    assert _joined([motion.features(tail)]) == _joined([restored.features(tail)])


def test_memory_is_bounded_by_the_agents_that_are_heard() -> None:
    """Of 200,000 agents that come and go, 1,000 a second, only about those of the last 5 s are kept."""
    motion = Motion(_SILENCE_US)
    for second in range(200):
        columns: Columns = {
            "agent_id": np.arange(1000, dtype=np.uint64) + second * 1000,
            "time_us": np.full(1000, second * 1_000_000),
        }
        motion.features(columns | {name: np.zeros(1000, np.float32) for name in ("x_m", "y_m", "z_m")})
    assert len(motion) <= 20_000


def test_columns_that_are_absent_are_null() -> None:
    """Without speed, heading and energy columns only the features that need them are null."""
    columns = {name: column for name, column in _events(3, 50, 2).items() if name not in _FLOATS[3:]}
    features = Motion().features(columns)
    known = {name for name, values in features.items() if not np.isnan(values).all()}
    assert known == {"dt_s", "still_s", "implied_speed_mps", "implied_climb_mps"}


def test_a_jump_beyond_float32_is_infinite() -> None:
    """A displacement whose square overflows gives an infinite speed and no warning."""
    columns: Columns = {"agent_id": np.zeros(2, np.uint64), "time_us": np.array([0, 1])}
    columns |= {name: np.array([-3e38, 3e38], np.float32) for name in ("x_m", "y_m", "z_m")}
    assert np.isposinf(Motion().features(columns)["implied_speed_mps"][1])


def test_across_the_track() -> None:
    """An agent that heads east at 100 m/s and moves north by 30 m in 1 s is across its track by 30 m/s."""
    columns: Columns = {"agent_id": np.zeros(2, np.uint64), "time_us": np.array([0, 1_000_000])}
    columns |= {name: np.array([0, to], np.float32) for name, to in (("x_m", 100), ("y_m", 30), ("z_m", 0))}
    columns["heading_rad"] = np.full(2, np.pi / 2, np.float32)
    assert Motion().features(columns)["cross_track_mps"][1] == pytest.approx(30, abs=0.2)


def test_a_position_that_stays() -> None:
    """Standing still is counted from the last change of position, across batches."""
    motion, still_s = Motion(), []
    for second, x_m in enumerate([0, 5, 5, 5, 6]):
        event: Columns = {"agent_id": np.zeros(1, np.uint64), "time_us": np.array([second * 1_000_000])}
        event |= {name: np.array([x_m], np.float32) for name in ("x_m", "y_m", "z_m")}
        still_s.append(motion.features(event)["still_s"][0])
    assert np.array_equal(still_s, [np.nan, 0, 1, 2, 0], equal_nan=True)


def test_silence_must_be_positive() -> None:
    """A silence of 0 is refused with the value."""
    with pytest.raises(ConfigError, match="silence_us must be above 0, got 0"):
        Motion(0)
