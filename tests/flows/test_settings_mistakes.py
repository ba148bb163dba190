"""Mistakes in a configuration: each is answered with the key, the value, where it came from, and what is allowed."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.settings import Settings, load
from kernels.errors import ConfigError

KEYS = sorted(load("flights").provenance)

SMALL = """
[world]
min_m = [0, 0, 0]
max_m = [10, 10, 10]
cell_m = [1, 1, 1]
[windows.all]
length = "1m"
aggregates = ["count"]
"""


def write(folder: Path, text: str) -> Path:
    """Return the path of a file with `text`."""
    path = folder / "mine.toml"
    path.write_text(text)
    return path


WRONG = [
    ("input.partitons", "4", "unknown key; did you mean 'partitions'?; allowed: as_is, batch_rows"),
    ("inptu.partitions", "4", "unknown section 'inptu'; did you mean 'input'?"),
    ("input.partitions", "0", 'input.partitions = "0" (--set): must be at least 1'),
    ("input.batch_rows", "many", "must be a whole number"),
    ("input", "3", "input = 3 (--set): must be a table"),
    ("event_time.lateness", "5 parsecs", "not a duration; allowed: text such as '90s', '5m'"),
    ("event_time.lateness", "-5s", "not a duration"),
    ("event_time.lateness", "1.5us", "not a whole number of microseconds"),
    ("windows.minute.length", "0s", "must be above 0"),
    ("windows.minute.slide", "2m", "longer than the window's length"),
    ("windows.minute.slide", "1ms", "is 300000 panes of 1000 us"),
    (
        "windows.minute.aggregates",
        '["median"]',
        "allowed: 'count', 'agents', 'sum', 'mean', 'min', 'max' or 'var'",
    ),
    ("windows.minute.aggregates", "[]", "too few entries, 0; allowed: at least 1"),
    ("windows.minute.aggregates", '["sum", "sum"]', "names one twice"),
    ("windows.Minute-1.length", "1m", "must match"),
    ("world.cell_m", "[1, 1, 1]", "makes 600000 x 500000 x 15000 cells; allowed: 16777216 in all"),
    ("world.cell_m", "[1e-3, 1e6, 1e6]", "world.cell_m"),
    ("world.cell_m", "[1, 2]", "has no entry 3"),
    ("world.cell_m", "[1, 2", "not JSON"),
    ("world.max_m", "[0, 0, 0]", "must be above world.min_m = [-300000.0, -250000.0, 0.0] on each axis"),
    ("metrics.energy.resolution", "0.001", "Use a resolution above 0.0954 or a narrower range"),
    ("metrics.energy.high", "-1", "must be above metrics.energy.low = 0"),
    ("metrics.energy.low", "NaN", "must be finite"),
    (
        "stages",
        '[{"kind": "filtre", "where": "x > 1"}]',
        "allowed kind: 'transform', 'ml_inference', 'filter'",
    ),
    ("stages", '[{"kind": "filter", "were": "x > 1"}]', "did you mean 'where'?; allowed: kind, where"),
    ("stages", "[]", "0 stages of kind 'aggregate'; allowed: exactly one"),
    (
        "stages",
        '[{"kind": "aggregate", "windows": ["hour"]}]',
        "no window 'hour'; allowed: minute, five_minutes",
    ),
    ("stages", '[{"kind": "ml_inference", "model": "cell"}, {"kind": "aggregate"}]', "allowed: event"),
    ("models.cell.sha256", "abc", "must match ^[0-9a-f]{64}$"),
    ("kernels.backend", "cuda", "allowed: 'numpy', 'onnx-cpu', 'onnx-cuda' or 'auto'"),
    ("input.mapping.position.kind", "polar", "allowed kind: 'geographic', 'planar'"),
    ("input.mapping.position.altitude.unit", "fet", "unit = \"fet\" (--set): 'fet' is no unit"),
    ("input.mapping.position.altitude.unit", "kn", "is a unit of speed, expected one of length"),
    (
        "input.mapping.columns.speed_mps.unit",
        "parsec",
        'input.mapping.columns.speed_mps.unit = "parsec" (--set)',
    ),
    ("input.mapping.derived.energy", "speed: 'a'", "input.mapping.derived.energy = \"speed: 'a'\" (--set)"),
    ("input.mapping.derived.energy", "sped_mps", "did you mean 'speed_mps'?"),
    ("input.mapping.derived.energy", "z_m > 1", "a condition"),
    ("input.mapping.time.unit", "min", "allowed: 's', 'ms', 'us', 'ns' or 'iso'"),
    ("input.mapping.columns.x_m.column", "east", "input.mapping.columns.x_m"),
    ("input.mapping.level", "9", "must be at most 6"),
    ("input.mapping.level", '{"colum": "a"}', "did you mean 'column'?"),
    ("kafka.sasl_mechanism", "PLAIN", "needs kafka.security_protocol"),
    (
        "kafka.security_protocol",
        "SASL_SSL",
        "kafka.sasl_mechanism: missing; kafka.security_protocol = 'SASL_SSL'",
    ),
    ("resources.memory_gib", "1000", "above limits.memory_gib = 128"),
    (
        "levels.time_scales_ms",
        "[1, 1, 2, 3, 4, 5, 6]",
        "each must be longer than the one before, and a multiple of it",
    ),
]


@pytest.mark.parametrize(("key", "value", "said"), WRONG)
def test_mistake(key: str, value: str, said: str) -> None:
    """A mistake is answered with the key and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        load("flights", {key: value})
    assert said in str(caught.value)
    assert key.partition(".")[0] in str(caught.value)


def test_all_mistakes_at_once() -> None:
    """All mistakes are listed together, each with where its value came from."""
    with pytest.raises(ConfigError) as caught:
        load("flights", {"input.partitions": "0"}, {"AURA_SINK__PARTITIONS": "x"})
    assert str(caught.value).splitlines() == [
        "2 problems in the configuration:",
        '  input.partitions = "0" (--set): must be at least 1',
        '  sink.partitions = "x" (AURA_SINK__PARTITIONS): must be a whole number',
    ]


def test_what_must_be_given(tmp_path: Path) -> None:
    """A world and a window with aggregates must be given; all else has a default."""
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, '[windows.all]\nlength = "1m"\n'))
    assert {line.strip() for line in str(caught.value).splitlines()[1:]} == {
        "world: missing",
        "windows.all.aggregates: missing",
    }
    assert load(write(tmp_path, SMALL)).settings.windows_used[0].length_us == 60_000_000


def test_metrics_wanted(tmp_path: Path) -> None:
    """A window cannot ask for sums when there is no metric."""
    with pytest.raises(ConfigError, match="sum need a table"):
        load(write(tmp_path, SMALL.replace('"count"', '"count", "sum"')))


@given(st.sampled_from(KEYS), st.text(max_size=20))
def test_any_text(key: str, value: str) -> None:
    """Whatever text a key is set to, it is accepted or refused with a ConfigError."""
    with contextlib.suppress(ConfigError):
        assert isinstance(load("flights", {key: value}).settings, Settings)


def test_profile_not_found() -> None:
    """A profile that does not exist is answered with the nearest one and all there are."""
    with pytest.raises(
        ConfigError, match=r"'flihgts': no such profile; did you mean 'flights'\?; allowed: .*minimal"
    ):
        load("flihgts")
    with pytest.raises(ConfigError, match="no such file"):
        load("nowhere.toml")


def test_not_toml(tmp_path: Path) -> None:
    """A file that is not TOML is named, with the line."""
    with pytest.raises(ConfigError, match=r"mine\.toml: cannot be read as TOML: .*line 1"):
        load(write(tmp_path, "a = = 1"))


def test_password_stays_secret() -> None:
    """A password is in no message and no printed form, even under a mistyped key, but the client gets it."""
    sasl = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "me"}
    good = {f"kafka.{key}": value for key, value in sasl.items()} | {"kafka.sasl_plain_password": "hunter2"}
    loaded = load("flights", good)
    assert "hunter2" not in repr(loaded) + loaded.settings.model_dump_json()
    assert loaded.settings.kafka.client_options()["sasl_plain_password"] == "hunter2"
    for key in ("kafka.sasl_plain_pasword", "kafka.geheim"):
        with pytest.raises(ConfigError) as caught:
            load("flights", {key: "hunter2"})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["safety.privacy_preservation.key", "http.token", "kafka.sasl_plain_password"]
)
def test_a_secret_that_is_wrong_is_not_shown(key: str) -> None:
    """The error names the key and not what it was set to."""
    values = {
        key: "secret-word",
        "http.port": "-1",
        "http.host": "0.0.0.0",
        "kafka.security_protocol": "SASL_SSL",
    }
    with pytest.raises(ConfigError) as raised:
        load("minimal", values, {})
    assert "secret-word" not in str(raised.value)
