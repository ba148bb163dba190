"""Who the processes on several hosts are, and how they agree on a start."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from kernels.errors import ConfigError
from service.hosts import identity
from service.replicas import Replicas
from service.rounds import Rounds


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


@pytest.fixture
def api(tmp_path: Path) -> Iterator[tuple[dict[str, str], Path, list[str], list[int]]]:
    """An HTTPS server that answers as the API server does: variables, the account's folder, what was asked, the replicas."""
    asked, replicas, authority = list[str](), [3], trustme.CA()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.headers['Authorization']} {self.path}")
            body = json.dumps({"spec": {"replicas": replicas[0]}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "namespace").write_text("fleet")
    where = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.server_port)}
    yield where, tmp_path, asked, replicas
    server.shutdown()
    thread.join()
    server.server_close()


def test_replicas_are_those_of_the_stateful_set(api) -> None:
    """The API server is asked for the pod's own StatefulSet, with its token; what it says last counts."""
    where, account, asked, replicas = api
    known = Replicas("aura-cluster", 5, where, account=account, every_s=0.02)
    assert known.count in (5, 3)
    for wanted in (3, 7):
        replicas[0] = wanted
        end = time.monotonic() + 20
        while known.count != wanted:
            assert time.monotonic() < end
            time.sleep(0.01)
    known.close()
    assert asked[0] == "Bearer secret /apis/apps/v1/namespaces/fleet/statefulsets/aura-cluster"


def test_without_an_api_server_the_number_stays(tmp_path: Path) -> None:
    """Outside of Kubernetes nobody is asked."""
    assert Replicas("aura", 4, {}, account=tmp_path).count == 4
