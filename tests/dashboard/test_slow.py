"""A page that is slow gets the newest frame when it is ready for one; nothing is kept for it meanwhile."""

import json
import time

from served import serving
from test_app import BOX
from views import events
from websockets.sync.client import connect

from dashboard.app import Site
from dashboard.clients import FRAME_S
from dashboard.frames import decode
from dashboard.hub import Hub
from dashboard.pictures import Pictures
from dashboard.view import View

AGENTS, ROUNDS = 100_000, 40
_MOST = 16  # frames of 1 MB: what the sockets of both sides may hold, and what is under way


def test_newest_frame() -> None:
    """After forty changes that a page has not read, it has a few of them to read, and the last of these is the newest."""
    view, ids = View(), list(range(1, AGENTS + 1))
    hub = Hub(view)
    site = Site(hub, Pictures(view, BOX), "test")
    view.take_events(events(ids, [1] * AGENTS, [1.0] * AGENTS), {})
    with (
        serving(site) as address,
        connect(address.replace("http", "ws") + "/ws", max_queue=1, max_size=None) as page,
    ):
        _change(view, ids)
        newest, seen = view.agents.now_us, list[int]()
        while not seen or seen[-1] != newest:
            message = page.recv(60)
            if isinstance(message, bytes):
                seen.append(decode(message)[0]["time_us"])
            else:
                assert json.loads(message)["agents"] == AGENTS
    assert len(seen) <= _MOST < ROUNDS
    assert seen == sorted(seen)


def _change(view: View, ids: list[int]) -> None:
    """Let the view change while the page sleeps, each time after the server could have sent a frame."""
    columns = events(ids, [1] * AGENTS, [1.0] * AGENTS)
    for number in range(ROUNDS):
        view.take_events(columns | {"time_us": columns["time_us"] + number + 1}, {})
        time.sleep(FRAME_S)  # what is tested is what happens as time passes and nobody reads
