"""A window that is amended until its filter lets no row pass any more."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from bytewax.testing import TestingSource, run_main
from partitions import origin

from flows.assemble import build
from flows.plan import Plan
from flows.settings.root import Settings, parse
from operators.batch import Batch
from operators.file_sink import FileSink
from operators.ingest import Ingest
from operators.kafka_run import open_run
from operators.kafka_sink import KafkaSink
from operators.kafka_tables import read_results
from operators.results import digests, published, read_files

CONFIG = """
[input]
partitions = 2
[world]
min_m = [0, 0, 0]
max_m = [40, 10, 10]
cell_m = [10, 10, 10]
[event_time]
lateness = "0s"
[windows.second]
length = "1s"
aggregates = ["count"]
[shards]
count = 1
[sink]
partitions = 1
[[stages]]
kind = "aggregate"
[[stages]]
kind = "filter"
where = "count <= 1"
"""
COLUMNS = ("agent_id", "time_us", "x_m", "y_m", "z_m")


def settings(json_rows: bool = False) -> Settings:
    """Windows of a second, of which the cells with a single event are published."""
    return parse(tomllib.loads(CONFIG) | {"sink": {"partitions": 1, "json_rows": json_rows}})


def plan_of(given: Settings) -> Plan:
    """The steps that these settings mean."""
    return Plan.of(given, columns=COLUMNS, partitions=2)


class Script:
    """Two partitions, and what they bring when."""

    def __init__(self, plan: Plan) -> None:
        self.parts = [Ingest(plan.ingest), Ingest(plan.ingest)]

    def event(self, partition: int, time_s: float, x_m: float) -> Batch:
        """One event."""
        columns = {
            "agent_id": np.array([partition], np.uint64),
            "time_us": np.array([int(time_s * 1e6)], np.int64),
            "x_m": np.array([x_m], np.float32),
            "y_m": np.ones(1, np.float32),
            "z_m": np.ones(1, np.float32),
        }
        return self.parts[partition].accept(columns, origin(partition))

    def idle(self, partition: int) -> Batch:
        """Silence, for as long as it takes."""
        return self.parts[partition].pause(origin(partition))

    def end(self) -> list[Batch]:
        """The end of both."""
        return [self.parts[k].finish(origin(k)) for k in range(2)]


def amended(plan: Plan) -> list[Batch]:
    """Partition 1 is idle when the first windows close, and then brings a second event for two of them."""
    script = Script(plan)
    first = [script.event(0, t, x) for t, x in ((0.1, 5), (1.1, 5), (1.2, 15), (2.1, 25), (3.1, 5))]
    return [
        script.idle(1), *first,
        script.event(1, 0.2, 5), script.event(1, 1.3, 5), script.event(1, 2.2, 35),
        *script.end(),
    ]  # fmt: skip


def undisturbed(plan: Plan) -> list[Batch]:
    """The same events, and nobody idle."""
    script = Script(plan)
    second = [script.event(1, t, x) for t, x in ((0.2, 5), (1.3, 5), (2.2, 35))]
    first = [script.event(0, t, x) for t, x in ((0.1, 5), (1.1, 5), (1.2, 15), (2.1, 25), (3.1, 5))]
    return [*second, *first, *script.end()]


def rows(table: pa.Table) -> list[tuple[int, int]]:
    """The second in which each published window starts, and the cell."""
    return [(r["start_us"] // 10**6, r["cx"]) for r in table.to_pylist()]


def into_files(tmp_path: Path, script: Callable[[Plan], list[Batch]]) -> pa.Table:
    """What the flow publishes into files."""
    plan = plan_of(settings())
    run_main(build(TestingSource(script(plan), batch_size=1), FileSink(tmp_path, 1), plan))
    found = published(read_files(tmp_path), plan.tables, model=None)
    return found["cells"]


def test_what_no_longer_passes_does_not_stand(tmp_path: Path) -> None:
    """The window that lost all of its rows is gone; the digest is that of a run in which nobody was idle."""
    found = into_files(tmp_path / "a", amended)
    assert rows(found) == [(1, 1), (2, 2), (2, 3), (3, 0)]
    assert digests(found) == digests(into_files(tmp_path / "b", undisturbed))
    assert "withdrawn" not in found.column_names


def test_a_run_may_take_back_all_that_it_had(tmp_path: Path) -> None:
    """Then its table is empty, with the columns that every run has."""

    def script(plan: Plan) -> list[Batch]:
        made = Script(plan)
        return [
            made.idle(1), made.event(0, 0.1, 5), made.event(0, 1.0, 5), made.event(1, 0.2, 5),
            made.event(1, 1.0, 5), *made.end(),
        ]  # fmt: skip

    found = into_files(tmp_path, script)
    assert found.num_rows == 0
    assert {"window", "start_us", "count", "score", "revision"} <= set(found.column_names)


@pytest.mark.parametrize("json_rows", [False, True])
def test_the_same_through_topics(
    kafka: str, topics: Callable[..., str], json_rows: bool, tmp_path: Path
) -> None:
    """The last record of the key says that there is nothing; what a reader makes of the topic is the same."""
    given, prefix = settings(json_rows), topics()
    plan, options = plan_of(given), {"bootstrap_servers": [kafka]}
    run = open_run(options, prefix=prefix, partitions=1, file=None)
    sink = KafkaSink(options, run, prefix=prefix, group="g", flow="cells", partitions=1, json_rows=json_rows)
    run_main(build(TestingSource(amended(plan), batch_size=1), sink, plan))
    found = read_results(options, prefix=prefix, run=run.id)
    table = published(found, plan.tables, model=None)["cells"]
    assert digests(table) == digests(into_files(tmp_path, undisturbed))
