"""The form in which a batch reaches a shard, and in which a pane is kept, never changes a result."""

from collections.abc import Sequence
from contextlib import ExitStack
from unittest.mock import patch

from driver import Flow, split
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Row

from kernels.grid import Grid
from kernels.metric import Metric
from kernels.panes import Window
from operators.batch import Batch, Tally

GRID = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (4, 3, 2))
METRICS = (Metric("energy", 0.5, -1000.0, 1000.0), Metric("speed_mps", 0.001, -10.0, 10.0))
WINDOWS = (
    Window("short", length_us=10, slide_us=10, lateness_us=3, agents=True),
    Window("sliding", length_us=200, slide_us=10, lateness_us=3),
    Window("odd", length_us=25, slide_us=10, lateness_us=8),
)
ROWS = st.lists(
    st.builds(
        Row,
        st.integers(1, 5),
        st.integers(-20, 300),
        st.integers(0, 2),
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.none() | st.integers(-900, 900).map(lambda v: v / 4), st.integers(-9, 9).map(float)),
    ),
    max_size=40,
)
MANY = 10**6
FORMS = st.lists(
    st.fixed_dictionaries(
        {
            "operators.combine._DENSE": st.sampled_from([0, MANY]),
            "operators.combine._LEAST_RUN": st.sampled_from([0, MANY]),
            "operators.pane_store._SHARE": st.sampled_from([0, 1, MANY]),
            "operators.pane_store._LOOSE_ROWS": st.sampled_from([1, 3, MANY]),
        }
    ),
    min_size=1,
    max_size=5,
)


def _run(rows: Sequence[Row], forms: Sequence[dict[str, int]], *, restart: bool, pause: int) -> Flow:
    """Run two partitions of the same rows, one batch in each of the forms in turn."""
    flow = Flow(GRID, METRICS, WINDOWS, partitions=2)
    for turn, batch in enumerate(split(rows, [7, 2])):
        with ExitStack() as patches:
            for name, value in forms[turn % len(forms)].items():
                patches.enter_context(patch(name, value))
            if turn == pause:
                flow.pause(0)
            flow.feed(turn % 2, batch)
        if restart:
            flow.restart()
    flow.finish(range(2))
    return flow


@given(ROWS, FORMS, st.booleans(), st.integers(0, 9))
@settings(max_examples=150)
def test_forms_are_equal(rows: list[Row], forms: list[dict[str, int]], restart: bool, pause: int) -> None:
    """Blocks, rows and tables, in any mixture, with amendments and restarts, give what the default gives."""
    expected = _run(rows, [{}], restart=False, pause=pause)
    found = _run(rows, forms, restart=restart, pause=pause)
    assert repr(sorted(found.rows().items())) == repr(sorted(expected.rows().items()))
    assert found.tally == expected.tally


class _Gathering(Flow):
    """A flow whose combine step is given several batches at a time."""

    held: list[Batch] | None = None

    def take(self, batch: Batch) -> None:
        """Hold a batch."""
        self.held = [*(self.held or []), batch]

    def flush(self) -> None:
        """Send on what is held."""
        held, self.held = self.held or [], None
        for batch in held:
            for output in batch.account():
                if isinstance(output, Tally):
                    self.tally.add(output)
        for key, message in self.combine.many(held):
            for found in self.shard_windows[key].on_messages([message]):
                if isinstance(found, Tally):
                    self.tally.add(found)
                else:
                    self.closed.append(found)


@given(ROWS, st.integers(0, 9), st.integers(1, 4), st.sampled_from([0, MANY]))
@settings(max_examples=100)
def test_batches_together_are_batches_one_by_one(rows: list[Row], pause: int, every: int, dense: int) -> None:
    """Batches of all partitions in one message, watermarks and silences among them, give the same results."""
    one, many = Flow(GRID, METRICS, WINDOWS, partitions=2), _Gathering(GRID, METRICS, WINDOWS, partitions=2)
    with patch("operators.combine._DENSE", dense):
        for turn, batch in enumerate(split(rows, [3, 1])):
            for flow in (one, many):
                if turn == pause:
                    flow.pause(0)
                flow.feed(turn // 2 % 2, batch)
            if turn % every == 0:
                many.flush()
        one.finish(range(2))
        many.finish(range(2))
        many.flush()
    for flow in (one, many):
        assert flow.tally.balanced
    assert repr(_exact(many)) == repr(_exact(one))
    assert many.tally == one.tally
    if 2 * pause >= len(rows):
        assert all((c.revision == 0).all() for c in many.closed), "without idle partitions nothing is amended"


def _exact(flow: Flow) -> list[tuple]:
    """The rows, without how often they were amended on the way."""
    return sorted(
        (key, {k: v for k, v in row.items() if k != "revision"}) for key, row in flow.rows().items()
    )
