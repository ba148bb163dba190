"""What the tests share: a real Kafka broker, started once a run when the first test asks for it, and topics on it."""

import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from kafka import KafkaAdminClient

from infra.kafka.broker import Cluster, missing_tools
from service.declared_topics import DECLARED, Topic, load_topics
from service.topics import apply


def pytest_configure(config: pytest.Config) -> None:
    """Let no property depend on the machine's pace; overlook the sockets that kafka-python 3.0.12 forgets to close."""
    if (
        hypothesis.settings.get_current_profile_name() == "default"
    ):  # the tests of the protections have their own
        slow = [hypothesis.HealthCheck.too_slow]
        hypothesis.settings.register_profile("aura", deadline=None, suppress_health_check=slow)
        hypothesis.settings.load_profile("aura")
    forgotten = r"unclosed <socket.*laddr=\('0\.0\.0\.0'"
    config.addinivalue_line("filterwarnings", f"ignore:{forgotten}:ResourceWarning")  # within a test
    warnings.filterwarnings("ignore", forgotten, ResourceWarning)  # between tests, and after the last


@pytest.fixture(scope="session")
def java() -> None:
    """What a broker needs is installed; on CI a test that needs it fails without, elsewhere it is skipped."""
    if missing := missing_tools():
        reason = f"needs a real Kafka broker: install {', '.join(missing)}, or set AURA_TEST_BOOTSTRAP"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """The bootstrap address of a broker of this run's own, or of the one that AURA_TEST_BOOTSTRAP names."""
    if given := os.environ.get("AURA_TEST_BOOTSTRAP"):
        yield given
        return
    request.getfixturevalue("java")
    with tempfile.TemporaryDirectory(prefix="aura-kafka-") as folder:
        cluster = Cluster(Path(folder), port=0)
        try:
            yield cluster.start()
        finally:
            cluster.stop()


@pytest.fixture
def topics(kafka: str) -> Iterator[Callable[..., str]]:
    """A function that creates topics, by default all that are declared, and returns the prefix of their names."""
    client = {"bootstrap_servers": kafka}
    made: list[str] = []

    def make(*wanted: Topic) -> str:
        prefix = f"t{uuid.uuid4().hex[:8]}."
        made.extend(change.topic for change in apply(client, wanted or load_topics(DECLARED), prefix=prefix))
        return prefix

    yield make
    if made:
        with KafkaAdminClient(**client) as admin:
            admin.delete_topics(sorted(set(made)))
