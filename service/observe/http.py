"""/metrics, /healthz, /readyz and /health of a running program, on loopback unless told otherwise, then behind a token.

/healthz    200 while the program runs: whoever restarts what hangs asks here
/readyz     200 while it can do its work, else 503
/health     the whole report as JSON, with the same code
/metrics    the text form of Prometheus

The first two say one word, and say it without the token: a kubelet and an image's health check have none.
"""

import hmac
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from flows.settings.operations import Http
from kernels.errors import ConfigError

__all__ = ["address_of", "application", "bind", "serve", "serving"]

Health = Callable[[], Mapping[str, Any]]
_STOP_S = 5.0
_OPEN = ("/healthz", "/readyz")


def application(metrics: Callable[[], bytes], health: Health, token: str | None = None) -> Starlette:
    """Return the application.

    Parameters
    ----------
    metrics
        Returns the text of /metrics.
    health
        Returns the report of /health; its field `mode` is full, degraded or emergency.
    token
        What a caller of /metrics and /health must send as `Authorization: Bearer TOKEN`; None: nothing.
    """

    def of_metrics(request: Request) -> Response:  # noqa: ARG001 (Starlette calls it so; sync, so in a thread)
        return Response(metrics(), media_type=CONTENT_TYPE_LATEST)

    def of_life(request: Request) -> Response:  # noqa: ARG001
        return PlainTextResponse("alive\n")

    def of_readiness(request: Request) -> Response:  # noqa: ARG001
        mode = str(health()["mode"])
        return PlainTextResponse(f"{mode}\n", _status(mode))

    def of_health(request: Request) -> Response:  # noqa: ARG001
        report = health()
        return JSONResponse(dict(report), _status(str(report["mode"])))

    paths = {"/metrics": of_metrics, "/healthz": of_life, "/readyz": of_readiness, "/health": of_health}
    guard = [] if token is None else [Middleware(_Token, token=token)]
    return Starlette(routes=[Route(path, answer) for path, answer in paths.items()], middleware=guard)


class _Token:
    """Lets callers with the token through."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        closed = scope["type"] == "http" and scope["path"] not in _OPEN
        if closed and not hmac.compare_digest(given, self._expected):
            refusal = PlainTextResponse("a token is needed: Authorization: Bearer TOKEN\n", 401)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def bind(http: Http) -> socket.socket:
    """Return a socket that listens where `http` says.

    Raises
    ------
    ConfigError
        The port is taken, or the address is not of this host.
    """
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    found = socket.socket(family)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((http.host, http.port or 0))
    except OSError as error:
        found.close()
        where = f"http.host = {http.host!r}, http.port = {http.port}"
        raise ConfigError(f"{where}: {error.strerror}", "Choose another port; 0 takes a free one") from error
    return found


def address_of(listener: socket.socket) -> str:
    """Return where a listener can be reached, as the beginning of a URL.

    >>> listener = bind(Http(port=0))
    >>> address_of(listener).startswith("http://127.0.0.1:")
    True
    >>> listener.close()
    """
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: Starlette, listener: socket.socket) -> None:
    """Serve until the process ends."""
    _server(app).run([listener])


@contextmanager
def serving(app: Starlette, listener: socket.socket) -> Iterator[None]:
    """Serve from a thread while the block runs."""
    server = _server(app)
    thread = threading.Thread(target=server.run, args=([listener],), name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_STOP_S)
        listener.close()


def _server(app: Starlette) -> uvicorn.Server:
    # Nobody asks for a line a request; what goes wrong inside is still logged.
    config = uvicorn.Config(app, access_log=False, log_level="error", lifespan="off", ws="none")
    return uvicorn.Server(config)


def _status(mode: str) -> int:
    return 503 if mode == "emergency" else 200
