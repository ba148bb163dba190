"""The configuration: loaded from layers, every value of known origin."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.settings import load, parse
from flows.settings.layers import leaves
from flows.settings.types import ROOT, duration_text, located, parse_duration
from kernels.errors import ConfigError

PROFILES = sorted(path.stem for path in (ROOT / "profiles").glob("*.toml"))
DAY_US = 86_400_000_000

SMALL = """
[world]
min_m = [0, 0, 0]
max_m = [10, 10, 10]
cell_m = [1, 1, 1]
[windows.all]
length = "1m"
aggregates = ["count"]
"""


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    """Return the path of a file with `text`."""
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profile(name: str) -> None:
    """Every shipped profile is valid and is called what its file is called."""
    assert load(name).settings.name == name


def test_shipped_models() -> None:
    """The models that the flights' profile names have the hashes that it names."""
    for model in load("flights").settings.models.values():
        assert hashlib.sha256(located(model.path).read_bytes()).hexdigest() == model.sha256


def test_reference_figures() -> None:
    """The reference profile holds the figures of the reference system."""
    s = load("reference").settings
    assert (s.simulate.agents, s.simulate.levels, s.levels.coupling) == (1_000_000, "exponential", 0.1)
    assert s.levels.time_scales_ms == (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
    assert (s.field.shape_m, s.field.resolution_m, s.field.rate_hz) == ((1000, 1000, 100), 10, 60)
    assert s.field.layers == ("pheromone", "gradient", "potential", "information")
    assert s.world.shape == (100, 100, 10)
    used = s.resources
    assert (used.memory_gib, used.cores, used.gpus, used.parallelism) == (64, 32, (0, 1), 256)
    assert (s.limits.agents, s.limits.memory_gib, s.limits.compute_tflops) == (10_000_000, 128, 1_000)
    assert len(s.safety.invariants) == 4
    assert (s.monitoring.interval_ms, s.monitoring.alert_at) == (100, 0.9)


def test_staged_profiles() -> None:
    """The smaller profiles are 100 agents in one process and 1,000 agents for two workers, both at 10 Hz."""
    minimal, distributed = load("minimal").settings, load("distributed").settings
    assert (minimal.simulate.agents, minimal.resources.parallelism, minimal.simulate.tick) == (
        100,
        1,
        100_000,
    )
    assert (distributed.simulate.agents, distributed.resources.parallelism) == (1_000, 2)
    assert distributed.simulate.tick == 100_000


def test_last_layer_wins() -> None:
    """An option beats a variable, a variable beats the profile, the profile beats the default; each is told."""
    env = {"AURA_INPUT__PARTITIONS": "4", "AURA_INPUT__BATCH_ROWS": "2048", "AURA_EVENT_TIME__LATENESS": "5s"}
    loaded = load("flights", {"input.partitions": "2"}, env)
    read, origin = loaded.settings.input, loaded.provenance
    assert (read.partitions, read.batch_rows, read.as_is) == (2, 2048, False)
    assert (origin["input.partitions"], origin["input.batch_rows"]) == ("--set", "AURA_INPUT__BATCH_ROWS")
    assert (origin["input.source"], origin["input.as_is"]) == ("profile flights.toml", "default")
    assert loaded.settings.windows["minute"].lateness == 5_000_000
    assert origin["windows.minute.lateness"] == "event_time.lateness"


def test_provenance_is_complete() -> None:
    """Every effective value has an origin, and nothing else has."""
    loaded = load("flights")
    assert list(loaded.provenance) == [key for key, _ in leaves(loaded.settings.model_dump(mode="json"))]


def test_foreign_variables() -> None:
    """Variables that others set beside ours, as Kubernetes does for a service named aura, change nothing."""
    env = {
        "AURA_SERVICE_HOST": "10.0.0.1",
        "AURA_PORT_8080_TCP": "tcp",
        "PATH": "/bin",
        "aura_input__partitions": "1",
    }
    assert load("flights", env=env) == load("flights")


def test_tables_in_overrides() -> None:
    """A list or a table is overridden as JSON, and a table of the user's own names key by key."""
    loaded = load("flights", {"world.cell_m": "[20000, 20000, 3000]", "windows.minute.length": "2m"})
    assert loaded.settings.world.shape == (30, 25, 5)
    assert (loaded.settings.windows["minute"].length, len(loaded.settings.windows)) == (120_000_000, 2)


def test_extends(tmp_path: Path) -> None:
    """A file that extends another is merged into it, but its windows, metrics, models and mapping stand alone."""
    text = 'extends = "flights"\n[input]\npartitions = 3\n[windows.hour]\nlength = "1h"\naggregates = ["count"]\n'
    text += '[[stages]]\nkind = "aggregate"\n'
    loaded = load(write(tmp_path, text))
    assert list(loaded.settings.windows) == ["hour"]
    assert (loaded.settings.input.partitions, loaded.provenance["input.partitions"]) == (
        3,
        "profile mine.toml",
    )
    assert loaded.settings.input.mapping == load("flights").settings.input.mapping
    assert loaded.provenance["world.min_m"] == "profile flights.toml"


def test_extends_beside(tmp_path: Path) -> None:
    """A file is found beside the one that extends it, and a circle is refused."""
    write(tmp_path, SMALL, "base.toml")
    assert load(write(tmp_path, 'extends = "base.toml"\n')).settings.world.shape == (10, 10, 10)
    with pytest.raises(ConfigError, match="extend each other"):
        load(write(tmp_path, 'extends = "mine.toml"\n'))


@given(st.integers(0, 100 * 365 * DAY_US))
def test_duration_round_trip(duration_us: int) -> None:
    """A duration written as text is read as the same number of microseconds."""
    assert parse_duration(duration_text(duration_us)) == duration_us


@pytest.mark.parametrize("value", [90, 90.0, "90", "90s", "1.5m", "90000ms", " 90 s "])
def test_duration_forms(value: float | str) -> None:
    """A duration is text with a unit or a number of seconds."""
    assert parse_duration(value) == 90_000_000


def test_switched_off() -> None:
    """A guard is switched off by the word, so that an inherited one can be."""
    assert load("flights", {"event_time.max_jump": "off"}).settings.event_time.max_jump is None


def test_client_options() -> None:
    """The client is given the brokers as a list, and of the security settings those that are set."""
    options = load(
        "flights", {"kafka.bootstrap": "a:1,b:2", "kafka.ssl_cafile": "ca.pem"}
    ).settings.kafka.client_options()
    assert options == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "PLAINTEXT",
        "ssl_cafile": "ca.pem",
        "ssl_check_hostname": True,
    }


def test_frozen() -> None:
    """A configuration cannot be changed once it is loaded."""
    with pytest.raises(ValueError, match="frozen"):
        load("flights").settings.input.partitions = 3  # type: ignore[misc]


def test_windows_used() -> None:
    """The aggregate stage's windows are used, all that are configured where it names none."""
    plain = load("flights").settings.model_dump(mode="json")
    plain["stages"] = [{"kind": "aggregate", "windows": ["minute"]}]
    assert [window.name for window in parse(plain).windows_used] == ["minute"]
    plain["stages"] = [{"kind": "aggregate"}]
    assert [window.name for window in parse(plain).windows_used] == ["minute", "five_minutes"]


def test_mapping() -> None:
    """The flights' mapping makes the columns that the profile's metrics and stages name, in SI."""
    mapping = load("flights").settings.input.mapping
    assert mapping is not None
    row = {
        "icao24": "4b1900",
        "timestamp": 1_533_100_000_000,
        "latitude": 46.8,
        "longitude": 8.2,
        "altitude": 35_000,
    }
    row |= {"groundspeed": 450, "vertical_rate": 600, "track": 180}
    columns = mapping.to_mapping().apply({name: [value] for name, value in row.items()}).columns
    found = {
        name: float(columns[name][0]) for name in ("x_m", "y_m", "z_m", "speed_mps", "climb_mps", "energy")
    }
    speed_mps = 450 * 1852 / 3600
    energy = speed_mps**2 / 2 + 9.80665 * 10_668
    expected = {
        "x_m": 0,
        "y_m": 0,
        "z_m": 10_668,
        "speed_mps": speed_mps,
        "climb_mps": 3.048,
        "energy": energy,
    }
    assert found == pytest.approx(expected)


def test_short_and_full_mapping() -> None:
    """A column's name is short for the table: an id of any kind, an angle in degrees."""
    short = load("flights")
    full = {"input.mapping.agent": '{"column": "icao24"}'}
    full["input.mapping.position.latitude"] = '{"column": "latitude", "unit": "deg"}'
    assert short.settings.input.mapping is not None
    longer = load("flights", full).settings.input.mapping
    assert longer is not None
    assert longer.to_mapping() == short.settings.input.mapping.to_mapping()
