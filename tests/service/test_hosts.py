"""Who the processes on several hosts are, and how they agree on a start."""

import time
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from api_server import api_server

from kernels.errors import ConfigError
from service.cluster.hosts import identity
from service.cluster.replicas import Replicas
from service.cluster.rounds import Rounds


@pytest.mark.parametrize(
    ("node", "size"),
    [("", "3"), ("aura", "3"), ("-1", "3"), ("2", "3"), ("aura-1", ""), ("aura-1", "0"), ("a-0", "x")],
)
def test_who_cannot_tell_who_it_is_does_not_start(node: str, size: str) -> None:
    """The error names both variables."""
    with pytest.raises(ConfigError, match=r"NODE_ID.*CLUSTER_SIZE"):
        identity({"NODE_ID": node, "CLUSTER_SIZE": size})


def test_a_start_waits_for_all(tmp_path: Path) -> None:
    """Number 0 starts when all have joined its round; each joins a round once, and only one of its size."""
    first, second, third = (Rounds(tmp_path, k) for k in range(3))
    assert not second.may_start(3)
    assert not first.may_start(3)
    assert second.may_start(3)
    assert not first.may_start(3)
    assert not third.may_start(4)
    assert third.may_start(3)
    assert first.may_start(3)
    assert not second.may_start(3), "it has failed before number 0 has noticed"
    assert not first.may_start(3), "the next start is another round"
    assert second.may_start(3)
    assert not second.may_start(2)
    assert not first.may_start(2), "another size is another round"
    assert second.may_start(2)
    assert first.may_start(2)


def test_replicas_are_those_of_the_stateful_set(tmp_path: Path) -> None:
    """The API server is asked for the pod's own StatefulSet, with its token; what it says last counts."""
    with (
        api_server(tmp_path / "account", "aura-cluster", 3) as api,
        closing(Replicas("aura-cluster", 5, api.variables, account=api.account, every_s=0.02)) as known,
    ):
        assert known.count in (5, 3)
        for wanted in (3, 7):
            api.replicas = wanted
            end = time.monotonic() + 60
            while known.count != wanted:
                assert time.monotonic() < end
                time.sleep(0.01)


def test_who_is_denied_keeps_the_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The role of another StatefulSet, or a server that another authority vouches for, changes nothing."""
    with api_server(tmp_path / "account", "other", 3) as api:
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
        for name in ("token", "namespace"):
            (tmp_path / name).write_text((api.account / name).read_text())
        with (
            closing(Replicas("aura", 5, api.variables, account=api.account, every_s=0.02)) as denied,
            closing(Replicas("other", 5, api.variables, account=tmp_path, every_s=0.02)) as fooled,
        ):
            end = time.monotonic() + 60
            while not all(
                any(why in text for text in caplog.messages) for why in ("403", "CERTIFICATE_VERIFY_FAILED")
            ):
                assert time.monotonic() < end
                time.sleep(0.01)
            assert (denied.count, fooled.count, api.asked) == (5, 5, [])


def test_without_an_api_server_the_number_stays(tmp_path: Path) -> None:
    """Outside of Kubernetes nobody is asked."""
    assert Replicas("aura", 4, {}, account=tmp_path).count == 4
