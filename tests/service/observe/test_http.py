"""The server of metrics and health, asked over real sockets."""

from collections.abc import Iterator

import httpx
import pytest

from flows.settings import load
from flows.settings.operations import Http
from kernels.errors import ConfigError
from service.observe.http import application, bind, serving


@pytest.fixture
def mode() -> dict[str, str]:
    """What the health report says."""
    return {"mode": "full"}


@pytest.fixture
def address(mode: dict[str, str]) -> Iterator[str]:
    """A server that asks for the token `secret`."""
    listener = bind(Http(port=0))
    with serving(application(lambda: b"aura_events_total 1\n", lambda: mode, "secret"), listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


KNOWN = {"Authorization": "Bearer secret"}


def test_answers(address: str, mode: dict[str, str]) -> None:
    """Metrics and health are there; once it is an emergency, it lives but is not ready."""
    with httpx.Client(base_url=address, headers=KNOWN) as client:
        assert client.get("/metrics").text == "aura_events_total 1\n"
        assert client.get("/health").json() == {"mode": "full"}
        assert client.get("/readyz").status_code == 200
        mode["mode"] = "emergency"
        assert client.get("/readyz").status_code == 503
        assert client.get("/health").status_code == 503
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/health", "/", "/healthz/../metrics", "//healthz", "/HEALTHZ"])
@pytest.mark.parametrize("given", [None, "Bearer other", "secret", "Bearer secret2", "Bearer secr\u00e9t"])
def test_who_has_no_token_is_denied(address: str, path: str, given: str | None) -> None:
    """Without the token nothing is told, by no spelling of a path."""
    headers = [(b"Authorization", given.encode())] if given else []
    assert httpx.get(address + path, headers=headers).status_code == 401


def test_who_has_no_token_may_ask_whether_it_lives(address: str, mode: dict[str, str]) -> None:
    """A kubelet has none; one word is all that it is told."""
    assert httpx.get(address + "/healthz").text == "alive\n"
    assert httpx.get(address + "/readyz").text == "full\n"
    mode["mode"] = "emergency"
    assert httpx.get(address + "/readyz").status_code == 503


@pytest.mark.parametrize("token", ["", "seven77"])
def test_a_token_that_can_be_guessed_is_refused(token: str) -> None:
    """An empty one would let everybody in."""
    with pytest.raises(ConfigError, match=r"http\.token"):
        load("minimal", {"http.port": "0", "http.token": token})


def test_a_taken_port_is_said() -> None:
    """A port that another program has is a configuration to change."""
    first = bind(Http(port=0))
    first.listen()
    try:
        with pytest.raises(ConfigError, match=r"http\.port"):
            bind(Http(port=first.getsockname()[1]))
    finally:
        first.close()


def test_others_need_a_token() -> None:
    """A host that others can reach is refused without a token, when the configuration is read."""
    with pytest.raises(ConfigError, match=r"http\.token"):
        load("minimal", {"http.port": "0", "http.host": "0.0.0.0"})
    given = {"http.port": "0", "http.host": "0.0.0.0", "http.token": "abcdefgh"}
    settings = load("minimal", given).settings
    assert "abcdefgh" not in settings.model_dump_json()
