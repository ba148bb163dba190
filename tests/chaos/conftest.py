"""Three real brokers, started once a run when the first scenario asks for them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.kafka.broker import Cluster


@pytest.fixture(scope="session")
def brokers(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of brokers, one of which may be killed."""
    request.getfixturevalue("java")
    with tempfile.TemporaryDirectory(prefix="aura-brokers-") as folder:
        cluster = Cluster(Path(folder), brokers=3, port=0)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
