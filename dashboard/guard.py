"""Who may ask: loopback only, or with a token; the page comes from here and may talk to nobody else."""

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "Guard", "is_loopback"]

COOKIE = "aura_token"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Return whether nobody else can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    return host in _LOOPBACK


class Guard:
    """In front of everything.

    Parameters
    ----------
    app
        Behind it.
    token
        What a client must show; None: it must come from this host, by a name of loopback.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        refused = self._refused(connection, scope)
        if refused is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            await refused(scope, receive, _with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 4403, "reason": "refused"})

    def _refused(self, connection: HTTPConnection, scope: Scope) -> Response | None:
        host = connection.headers.get("host", "")
        if not _same_origin(connection.headers, host):
            return _problem(403, "another site's page may not ask here")
        if self._token is None:
            name = urlsplit(f"//{host}").hostname or ""
            # A name that was made to point here is no reason to answer (DNS rebinding).
            return None if is_loopback(name) else _problem(403, f"the host {name!r} is not this one")
        if scope["path"] == "/healthz":
            return None
        given = connection.query_params.get("token")
        if given is not None and scope["path"] == "/" and _equal(given, self._token):
            found = RedirectResponse("/", status_code=303)
            found.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            return found
        shown = connection.headers.get("authorization", "").removeprefix("Bearer ") or connection.cookies.get(
            COOKIE, ""
        )
        return (
            None
            if _equal(shown, self._token)
            else _problem(401, "a token is needed: open /?token=TOKEN, or send it as Bearer")
        )


def _equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _same_origin(headers: Headers, host: str) -> bool:
    """Return whether a page of ours asks, or no page at all."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == host


def _problem(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
