"""The server: who may ask, what it answers, and the description of it."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openapi_spec_validator import validate
from served import serving
from views import filled
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dashboard.app import Site
from dashboard.frames import decode
from dashboard.hub import Hub
from dashboard.pictures import Box, Pictures

BOX = Box((0.0, 0.0, 0.0), (100.0, 200.0, 10.0), (10.0, 10.0, 10.0))


Clients = Callable[..., httpx.Client]


@pytest.fixture
def client() -> Iterator[Clients]:
    """A function that makes a client of a site on a server of its own."""
    with ExitStack() as stack:

        def make(**options: Any) -> httpx.Client:
            view = filled([1, 2, 3])
            site = Site(Hub(view), Pictures(view, BOX), "test", **options)
            return stack.enter_context(httpx.Client(base_url=stack.enter_context(serving(site))))

        yield make


def _ws(ours: httpx.Client) -> str:
    return f"ws://127.0.0.1:{ours.base_url.port}/ws"


def test_page_and_its_headers(client: Clients) -> None:
    """The page is there, may load and ask nothing from elsewhere, and no other site may ask it."""
    found = client().get("/")
    assert found.status_code == 200
    assert "AURA" in found.text
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "access-control-allow-origin" not in found.headers


def test_other_origins_are_refused(client: Clients) -> None:
    """A page of another site, or another name for this host, gets nothing, over HTTP as over the WebSocket."""
    ours = client()
    assert ours.get("/api/v1/state", headers={"origin": "http://evil.example"}).status_code == 403
    assert ours.get("/api/v1/state", headers={"host": "evil.example"}).status_code == 403
    assert ours.get("/api/v1/state", headers={"origin": str(ours.base_url).rstrip("/")}).status_code == 200
    with pytest.raises(InvalidStatus):
        connect(_ws(ours), origin="http://evil.example")


def test_token(client: Clients) -> None:
    """With a token nothing but the health is shown without it; the address with it leaves a cookie that no script reads."""
    ours = client(token="secret")
    assert ours.get("/healthz").json() == {"status": "ok", "workers": 0}
    assert ours.get("/api/v1/state").status_code == 401
    assert ours.get("/", params={"token": "wrong"}).status_code == 401
    with pytest.raises(InvalidStatus):
        connect(_ws(ours))
    bearer = {"authorization": "Bearer secret"}
    assert ours.get("/api/v1/state", headers=bearer).status_code == 200
    entered = ours.get("/", params={"token": "secret"}, follow_redirects=False)
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert ours.get("/api/v1/state").status_code == 200


def test_questions(client: Clients) -> None:
    """A question is answered as JSON, as Arrow and as Parquet, each with who took part."""
    ours, path = client(), "/api/v1/agents"
    asked = {"near": "2,4", "k": "1"}
    said = ours.get(path, params=asked).json()
    assert [row["agent_id"] for row in said["answer"]] == ["2"]
    assert said["workers"][0]["worker"] == "dashboard"
    arrow = pa.ipc.open_stream(ours.get(path, params=asked | {"format": "arrow"}).content).read_all()
    parquet = pq.read_table(io.BytesIO(ours.get(path, params=asked | {"format": "parquet"}).content))
    for table in (arrow, parquet):
        assert table["agent_id"].to_pylist() == [2]
        assert json.loads(table.schema.metadata[b"aura"])["complete"] is True
    top = ours.get("/api/v1/cells", params={"window": "second", "top": "count", "limit": 1}).json()
    assert [row["count"] for row in top["answer"]] == [30]


@pytest.mark.parametrize("wrong", ["k=no", "box=1,2", "format=csv", "colour=red"])
def test_no_question(client: Clients, wrong: str) -> None:
    """What is no question is a 400 that names what is wrong."""
    found = client().get(f"/api/v1/agents?{wrong}")
    assert found.status_code == 400
    assert wrong.split("=", maxsplit=1)[0] in found.json()["error"]


def test_description(client: Clients) -> None:
    """The OpenAPI document is valid, and what it describes is there."""
    ours = client()
    found = ours.get("/api/v1/openapi.json").json()
    validate(found)
    for path in found["paths"]:
        answered = ours.get(
            path.replace("{id}", "1"), params={"window": "second"} if path.endswith("cells") else {}
        )
        assert answered.status_code == 200, path


def test_stream(client: Clients) -> None:
    """The stream has the state as text and the agents as a frame; paused, it has no frames."""
    with connect(_ws(client())) as socket:
        assert json.loads(socket.recv())["agents"] == 3
        header, columns = decode(socket.recv())
        assert header["kind"] == "agents"
        assert columns["x"] == pytest.approx([1, 2, 3], abs=0.01)
        socket.send("nonsense")
        socket.send(json.dumps({"window": "second", "column": "count"}))
        header, columns = decode(next(message for message in socket if isinstance(message, bytes)))
        assert header["kind"] == "cells"
        assert columns["value"].tolist() == [10, 20, 30]


def test_no_kill_button_without_a_demonstration(client: Clients) -> None:
    """The page of a running system can only look."""
    assert client().post("/api/v1/cluster/kill").status_code in (404, 405)
