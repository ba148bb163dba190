"""An HTTPS server that answers as Kubernetes' API server does about one object: a StatefulSet and its replicas."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

__all__ = ["ApiServer", "api_server"]

_TOKEN = "as-the-account-has-it"
_ABOUT = f"Bearer {_TOKEN} /apis/apps/v1/namespaces/fleet/statefulsets/"


@dataclass
class ApiServer:
    """What a pod is told of the server, and what the server says.

    Parameters
    ----------
    variables
        As Kubernetes sets them in a pod.
    account
        The folder of the service account.
    name
        Of the StatefulSet; whoever asks for another, or without the token, is denied.
    replicas
        `spec.replicas`.
    asked
        The questions that were answered.
    """

    variables: dict[str, str]
    account: Path
    name: str
    replicas: int
    asked: list[str] = field(default_factory=list)


@contextmanager
def api_server(account: Path, name: str, replicas: int) -> Iterator[ApiServer]:
    """Serve while the block runs; `account` gets what a pod finds in the folder of its service account."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            question = f"{self.headers['Authorization']} {self.path}"
            allowed = question == _ABOUT + known.name
            known.asked += [question] if allowed else []
            body = json.dumps({"spec": {"replicas": known.replicas}} if allowed else {}).encode()
            self.send_response(200 if allowed else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server, authority = ThreadingHTTPServer(("127.0.0.1", 0), Answer), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    account.mkdir(exist_ok=True)
    authority.cert_pem.write_to_path(account / "ca.crt")
    (account / "token").write_text(f"{_TOKEN}\n")
    (account / "namespace").write_text("fleet")
    where = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.server_port)}
    known = ApiServer(where, account, name, replicas)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
