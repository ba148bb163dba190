"""What it runs on and writes to: backend, shards, sink, Kafka, recovery."""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, SecretStr

from flows.settings.types import SECOND_US, PositiveDuration, Section
from kernels.backend import BackendName, Kernel

__all__ = ["FLOWS", "Dashboard", "Flow", "Kafka", "Kernels", "Recovery", "Shards", "Sink"]


Flow = Literal["cells", "population", "hierarchy", "fields", "emergence", "safety"]
"""What can run over the events, each alone or beside the others; see `flows.parts`."""
FLOWS: tuple[Flow, ...] = get_args(Flow)


class Kernels(Section):
    """Which form of the kernels a run uses; exact results are the same from each.

    `auto` measures at the start, for the kernels whose bits are the same everywhere; models then run on onnx-cpu. What
    cannot be had, or is lost, is replaced: onnx-cuda by onnx-cpu, that by numpy.
    """

    backend: Literal["numpy", "onnx-cpu", "onnx-cuda", "auto"] = "numpy"
    per_kernel: dict[Kernel, BackendName] = Field(default_factory=dict)


class Shards(Section):
    """Contiguous ranges of cells, spread over the workers; at least 16 a worker, since keys spread by hash."""

    count: Annotated[int, Field(ge=1, le=4096)] = 16


class Sink(Section):
    """Where results go: files under `directory`, or topics of `partitions` partitions."""

    partitions: Annotated[int, Field(ge=1, le=1024)] = 4
    json_rows: bool = False
    directory: Path = Path("out")


class Kafka(Section):
    """The brokers, the names of topics and group, and how to prove who one is."""

    bootstrap: Annotated[str, Field(min_length=1)] = "127.0.0.1:9092"
    prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]*$")] = ""
    group: Annotated[str, Field(min_length=1)] = "aura"
    content_type: Literal["frame", "msgpack", "json"] = "frame"  # of a record without the header
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_plain_username: str | None = None
    sasl_plain_password: SecretStr | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_password: SecretStr | None = None
    ssl_check_hostname: bool = True

    def client_options(self) -> dict[str, Any]:
        """Return the connection's keyword arguments for any client of kafka-python, the passwords in clear."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap.split(",")}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name.startswith(("security_", "sasl_", "ssl_")) and value is not None:
                options[name] = _plain(value)
        return options


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, Path) else value


class Recovery(Section):
    """Where snapshots go (none without a directory), how often, and how many are kept."""

    directory: Path | None = None
    epoch: PositiveDuration = SECOND_US // 10
    snapshots_kept: Annotated[int, Field(ge=1)] = 2


class Dashboard(Section):
    """The page: where its server listens for the processes of the flow, and when an agent that is silent is gone.

    Without `enabled` the flow tells nobody, and that costs nothing.
    """

    enabled: bool = False
    feed: Path = Path("out/dashboard.sock")
    expire: PositiveDuration = 10 * SECOND_US
