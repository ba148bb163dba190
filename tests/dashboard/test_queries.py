"""Questions, against a slow search; and put to parts of the whole, their answers are that of the whole."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from views import cells, events, filled

from dashboard.queries import AgentsQuery, AlertsQuery, CellsQuery, HistoryQuery, answer, cut, merge
from dashboard.view import View

IDS = list(range(1, 61))
QUERIES = st.one_of(
    st.builds(AgentsQuery, id=st.lists(st.integers(1, 70), max_size=5).map(tuple)),
    st.builds(AgentsQuery, box=st.just([5, 0, 20, 30]), level=st.none() | st.integers(0, 6)),
    st.builds(
        AgentsQuery,
        near=st.just([30, 60]),
        k=st.none() | st.integers(1, 9),
        radius_m=st.none() | st.just(15.0),
    ),
    st.builds(AgentsQuery, top=st.just("speed_mps"), limit=st.integers(1, 9)),
)


def _expected(query: AgentsQuery) -> list[int]:
    """Search one by one: agent i is at (i, 2 i), and as fast."""
    found = [i for i in IDS if not query.id or i in query.id]
    found = [i for i in found if query.level is None or i % 7 == query.level]
    if query.box is not None:
        x0, y0, x1, y1 = query.box
        found = [i for i in found if x0 <= i <= x1 and y0 <= 2 * i <= y1]
    if query.near is not None:
        x, y = query.near
        distance = {i: ((i - x) ** 2 + (2 * i - y) ** 2) ** 0.5 for i in found}
        found = [i for i in found if query.radius_m is None or distance[i] <= query.radius_m]
        found.sort(key=lambda i: (round(distance[i], 6), i))
    if query.top is not None:
        found.sort(key=lambda i: -i)
    return found[: min(query.limit, query.k or query.limit)]


@given(QUERIES)
def test_agents(query: AgentsQuery) -> None:
    """One view finds what a slow search finds, and three that share the agents find together the same."""
    whole = answer(filled(IDS), query)["agent_id"].to_pylist()
    parts = [answer(filled(IDS[k::3]), query) for k in range(3)]
    assert whole == _expected(query)
    assert merge(query, parts)["agent_id"].to_pylist() == whole


def test_cells() -> None:
    """Cells come of the newest whole window, in a region, or by a metric; histories of several windows."""
    view = View()
    for start_us in (0, 1_000_000, 2_000_000):
        for shard in range(3):
            view.take_tables({"cells": cells("second", start_us, shard, [shard, 5, start_us // 1_000_000])})
    # The third window may not be whole yet: its last cells came just now.
    assert set(answer(view, CellsQuery(window="second"))["start_us"].to_pylist()) == {1_000_000}
    top = answer(view, CellsQuery(window="second", start_us=2_000_000, top="count", limit=2))
    assert top["count"].to_pylist() == [5, 5]
    region = answer(view, CellsQuery(window="second", start_us=0, cells=[0, 1, 1, 2]))
    assert sorted(zip(region["cx"].to_pylist(), region["cy"].to_pylist(), strict=True)) == [
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
    ]
    history = answer(view, CellsQuery(window="second", cells=[2, 0, 2, 0], starts=10))
    assert history["count"].to_pylist() == [0, 1]
    assert answer(view, CellsQuery(window="hour")).num_rows == 0


def test_revisions() -> None:
    """A later revision takes the place of an earlier one, and not the other way round; a withdrawn one leaves nothing."""
    view = View()
    view.take_tables({"cells": cells("second", 0, 0, [1], revision=1)})
    view.take_tables({"cells": cells("second", 0, 0, [9], revision=0)})
    assert answer(view, CellsQuery(window="second"))["count"].to_pylist() == [1]
    gone = pa.table(
        {
            "window": pa.array(["second"]).dictionary_encode(), "start_us": [0],
            "shard": pa.array([0], pa.int32()), "revision": pa.array([2], pa.int32()), "withdrawn": [True],
        }
    )  # fmt: skip
    view.take_tables({"cells": gone})
    assert answer(view, CellsQuery(window="second", start_us=0)).num_rows == 0


def test_history() -> None:
    """Where an agent was."""
    view = View()
    for second in range(1, 4):
        view.take_events(events([1, 2], [second * 1_000_000] * 2, [second, 10 * second]), {})
        view.note_history()
    assert answer(view, HistoryQuery(id=2))["x_m"].to_pylist() == [10, 20, 30]


def test_alerts_are_told_once() -> None:
    """A worker that goes on from a snapshot says alerts again: they are one."""
    view, names = View(), ("kind", "agent_id", "time_us", "window", "cx", "cy", "cz", "score")
    rows = [dict.fromkeys(names) | {"kind": "agent", "agent_id": i, "time_us": i} for i in (1, 2, 1)]
    view.take_tables({"alerts": pa.Table.from_pylist(rows)})
    view.take_tables({"alerts": pa.Table.from_pylist(rows)})
    assert answer(view, AlertsQuery())["agent_id"].to_pylist() == [2, 1]
    assert answer(view, AlertsQuery(agent_id=1)).num_rows == 1


def test_refused() -> None:
    """What is no question is refused by name."""
    for wrong in ({"k": 0}, {"box": [1, 2]}, {"radius_m": -1}, {"nonsense": 1}, {"deadline_ms": 0}):
        with pytest.raises(ValidationError):
            AgentsQuery.model_validate(wrong)


def test_cut() -> None:
    """An answer is cut to the bytes that were allowed, never beyond."""
    table = pa.table({"x": np.arange(1000)})
    assert cut(table, 10**6).num_rows == 1000
    assert cut(table, 800).num_rows == 100


def test_further_kinds() -> None:
    """Of further kinds the rows of the newest event time count, of each result the last; broken invariants are alerts."""
    view = View()
    for time_us, about, phi in ((1, "a", 0.1), (2, "a", 0.2), (2, "a", 0.3), (1, "late", 9.0)):
        row = {"time_us": [time_us], "phi_nats": [phi], "about": [about], "revision": [0]}
        view.take_tables({"emergence": pa.table(row)})
    found = view.newest("emergence", "phi_nats")
    assert found is not None
    assert found.tolist() == [0.3]
    view.take_tables(
        {"emergence": pa.table({"time_us": pa.nulls(1, pa.int64()), "about": ["b"], "revision": [0]})}
    )
    assert view.newest("emergence", "phi_nats") is not None
    broken = {
        "time_us": 5, "invariant": "energy_conservation", "agent_id": 0, "value": 2.0, "bound": 1.0, "reason": "too much"
    }  # fmt: skip
    view.take_tables({"violations": pa.Table.from_pylist([broken])})
    alert = answer(view, AlertsQuery()).to_pylist()[0]
    assert (alert["kind"], alert["score"], alert["threshold"]) == ("invariant", 2.0, 1.0)
    assert alert["reason"] == "energy_conservation: too much"
