"""The fields and the emergence as parts of a run: what they publish, and the mistakes that they refuse."""

from pathlib import Path

import pyarrow as pa
import pytest
from bytewax.testing import run_main

from flows.assemble import assemble
from flows.emergence import EmergencePart
from flows.fields import FieldsPart, field_config
from flows.part import Given
from flows.settings import load
from kernels.backend import get_backend
from kernels.errors import ConfigError
from operators.results import digest_result, published, read_files

SMALL = {
    "simulate.duration": "3s",
    "field.resolution_m": "100",
    "field.rate_hz": "20",
    "emergence.tick": "100ms",
    "emergence.regions": "[2, 2, 1]",
}


def run(folder: Path, values: dict[str, str]) -> dict[str, pa.Table]:
    """Run fields and emergence over a hundred simulated agents."""
    given = {**SMALL, "flows": '["fields", "emergence"]', "sink.directory": str(folder)} | values
    made = assemble(load("minimal", given).settings)
    run_main(made.flow)
    return published(read_files(folder), made.plan.tables, model=None)


def test_the_same_agents_in_more_partitions(tmp_path: Path) -> None:
    """How many source partitions and shards there are changes no bit of what is published."""
    one = run(tmp_path / "one", {"input.partitions": "1"})
    other = run(tmp_path / "other", {"input.partitions": "3", "shards.count": "2"})
    for kind in ("fields", "emergence"):
        assert one[kind].num_rows > 20
        assert digest_result(one[kind], kind) == digest_result(other[kind], kind), kind
    assert one["fields"].equals(other["fields"])


def test_what_is_published_can_be(tmp_path: Path) -> None:
    """Each publication once, nothing negative, no more bits than levels give; each tick with reports has a Phi."""
    tables = run(tmp_path, {})
    fields, emergence = tables["fields"], tables["emergence"]
    assert len(set(fields["time_us"].to_pylist())) in (3, 4)
    assert min(fields["pheromone"].to_pylist()) > 0
    assert 0 <= min(fields["information"].to_pylist()) <= max(fields["information"].to_pylist()) < 2.81
    assert emergence["reports"].to_pylist() == [100] * 30
    assert emergence["moving"].to_pylist()[-1] == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"field.diffusion_m2ps": "1e6"}, r"unstable.*largest stable diffusion is 33333\.3 m\^2/s"),
        ({"field.resolution_m": "1e-3"}, r"under 2\*\*31 nodes"),
        ({"field.tolerance": "1e-9"}, "tolerance from 1e-05"),
        ({"field.publish": "2m"}, r"field\.rest is shorter than field\.publish"),
        ({"field.layers": '["gradient"]'}, "pheromone is missing"),
        ({"emergence.regions": "[4, 3, 1]"}, "12 regions; allowed: 2 to 10"),
        ({"emergence.regions": "[1, 1, 1]"}, "1 regions; allowed: 2 to 10"),
        ({"emergence.state": "altitude"}, r"emergence\.state = 'altitude': no such metric.*speed_mps"),
    ],
)
def test_mistakes_are_named(values: dict[str, str], message: str) -> None:
    """One clear error when the part is built."""
    settings = load("minimal", SMALL | values).settings
    given = Given(frozenset(), 1, get_backend("numpy"), {})
    with pytest.raises(ConfigError, match=message):
        _ = [part.of(settings, given) for part in (FieldsPart, EmergencePart)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"field.boundary": "open"}, r"field\.boundary.*reflecting"),
        ({"field.rate_hz": "0"}, r"field\.rate_hz"),
        ({"field.resolution_m": "[10, 10]"}, r"field\.resolution_m"),
        ({"emergence.memory": "soon"}, r"emergence\.memory.*duration"),
    ],
)
def test_values_are_checked_when_they_are_read(values: dict[str, str], message: str) -> None:
    """The error names the key and what is allowed."""
    with pytest.raises(ConfigError, match=message):
        load("minimal", values)


def test_the_reference_field() -> None:
    """100 x 100 x 10 cells, 60 Hz in whole microseconds, published once a second."""
    settings = load("reference").settings
    config = field_config(settings)
    assert config.lattice.shape == (100, 100, 10)
    assert (settings.field.step_us, settings.field.publish_steps) == (16_667, 60)
    assert field_config(load("flights").settings).lattice.shape == (60, 50, 5)
