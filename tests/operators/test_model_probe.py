"""Model files that would hurt whoever loads them."""

import os
import resource
from pathlib import Path

import onnx
import pytest

from kernels.errors import ConfigError
from operators import model_probe
from operators.model_probe import Probe

MODELS = Path(__file__).resolve().parents[2] / "models"
EVENT = (MODELS / "event.onnx").read_bytes()


@pytest.fixture(autouse=True)
def _nothing_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_probe, "_PASSED", set())


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def swelling() -> bytes:
    """A file of 15 MiB that is 7.8 million empty operators once it is parsed."""
    nodes = b"\x0a\x00" * (15 << 19)
    return b"\x3a" + varint(len(nodes)) + nodes


def test_the_models_of_the_repository_pass() -> None:
    """Both, with one process for the two."""
    Probe({name: (MODELS / f"{name}.onnx").read_bytes() for name in ("event", "cell")}).wait()


def test_what_passed_passes_without_another_process() -> None:
    """So that a spare of a cluster, which is forked, need not look again."""
    Probe({"event": EVENT}).wait()
    again = Probe({"other": EVENT})
    assert again._process is None
    again.wait()


@pytest.mark.parametrize("keep", [0, 1, len(EVENT) // 2, len(EVENT) - 1])
def test_a_truncated_file_is_refused_with_its_name(keep: int) -> None:
    """The message names the model of the configuration, whichever library noticed."""
    with pytest.raises(ConfigError, match=r"^models\.event: "):
        Probe({"cell": (MODELS / "cell.onnx").read_bytes(), "event": EVENT[:keep]}).wait()


def test_weights_of_another_file_and_custom_operators_are_refused() -> None:
    """Nothing outside the file is read, nothing outside the allow-list is run."""
    outside = onnx.ModelProto.FromString(EVENT)
    weight = outside.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../etc/passwd")
    with pytest.raises(ConfigError, match="in another file"):
        Probe({"event": outside.SerializeToString()}).wait()
    custom = onnx.ModelProto.FromString(EVENT)
    custom.graph.node[0].domain = "com.example"
    with pytest.raises(ConfigError, match=r"the operator com\.example\."):
        Probe({"event": custom.SerializeToString()}).wait()


def test_a_file_that_swells_does_so_elsewhere() -> None:
    """It is refused, and this process has not grown by it."""
    data = swelling()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ConfigError, match=r"models\.event: "):
        Probe({"event": data}).wait()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
    grown = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert grown < model_probe._MEMORY_BYTES >> 10


def test_memory_and_time_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever eats them is ended, and the message says by what."""
    small = Probe({"event": EVENT}, memory_bytes=48 << 20)
    with pytest.raises(
        ConfigError, match=r"models\.event: the model ended the process that loaded it: exit code 1"
    ):
        small.wait()
    monkeypatch.setattr(model_probe, "_WALL_S", 0.001)
    with pytest.raises(ConfigError, match=r"models\.event: the model was not loaded after 0\.001 s"):
        Probe({"event": EVENT}).wait()


def test_a_process_that_dies_is_a_refusal() -> None:
    """As it would by a fault in a library."""
    probe = Probe({"event": EVENT})
    assert probe._process is not None
    probe._process.kill()
    with pytest.raises(ConfigError, match="ended the process that loaded it: SIGKILL"):
        probe.wait()


def test_the_process_is_told_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment holds what it needs to start, and no password."""
    monkeypatch.setenv("AURA_KAFKA__SASL_PLAIN_PASSWORD", "hunter2")
    probe = Probe({"event": EVENT})
    assert probe._process is not None
    environ = Path(f"/proc/{probe._process.pid}/environ").read_bytes()
    probe.stop()
    assert b"PYTHONPATH" in environ
    assert b"AURA" not in environ
    assert os.environ["AURA_KAFKA__SASL_PLAIN_PASSWORD"] == "hunter2"
