"""Parts side by side: each adds its results to those of the others."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bytewax.operators as op
import pyarrow as pa
import pytest
from bytewax.dataflow import Stream
from bytewax.testing import run_main

from flows.assemble import assemble
from flows.parts import PARTS
from flows.settings import load, system
from kernels.errors import ConfigError
from operators import results
from operators.batch import Batch
from operators.result import KINDS, Kind, Result
from operators.result_tables import Output, empty_results
from operators.results import digests, published, read_files

KIND = Kind("aura.positions", {"time_us": "i8", "agent_id": "u8", "x_m": "f4"}, order=("time_us", "agent_id"))
RUN = {"simulate.duration": "2s", "input.partitions": "2"}


@dataclass(frozen=True)
class Positions:
    """A part that publishes where agents were reported."""

    steps = ("positions",)

    @property
    def tables(self) -> dict[str, pa.Table]:
        """Its one kind."""
        return {"positions": empty_results("positions")}

    def attach(self, batches: Stream[Batch]) -> Stream[tuple[str, Output]]:
        """Add its one step."""
        return op.flat_map("positions", batches, self.run)

    def run(self, batch: Batch) -> Iterator[tuple[str, Output]]:
        """Return a batch as a result."""
        if len(batch):
            columns = {n: batch.columns[n] for n in KIND.columns}
            about = f"{batch.partition}/{batch.origin.offsets[0]}/{batch.origin.rows[0]}"
            yield "0", Result("positions", about, columns)


def _tables(folder: Path, flows: str) -> dict[str, pa.Table]:
    settings = load("minimal", {**RUN, "flows": flows, "sink.directory": str(folder)}).settings
    made = assemble(settings)
    run_main(made.flow)
    return published(read_files(folder), made.plan.tables, model=None)


def test_a_part_beside_the_cells_changes_nothing_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cells are the same with and without it, and alone it publishes what it does beside them."""
    monkeypatch.setitem(PARTS, "positions", lambda settings, given: Positions())
    monkeypatch.setattr(system, "FLOWS", ("cells", "positions"))
    monkeypatch.setitem(KINDS, "positions", KIND)
    monkeypatch.setitem(results._ORDER, "positions", KIND.order)
    monkeypatch.setattr(results, "KINDS", (*results.KINDS, "positions"))
    alone, both = _tables(tmp_path / "alone", '["cells"]'), _tables(tmp_path / "both", '["all"]')
    assert digests(alone["cells"]) == digests(both["cells"])
    assert "positions" not in alone
    assert both["positions"].num_rows == 2_000


@pytest.mark.parametrize("flows", ['["celss"]', "[]"])
def test_a_flow_that_does_not_exist_is_refused(flows: str) -> None:
    """The error names the key and what is allowed."""
    with pytest.raises(ConfigError, match=r"flows.*allowed"):
        load("minimal", {"flows": flows})
