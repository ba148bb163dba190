"""One page: what it looks at, and what it is sent.

What is sent is made at the moment at which the socket takes it. So a slow client gets the newest frame when it is
ready for one, and nothing waits for it: it has no queue.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from dashboard.controls import Controls
from dashboard.hub import Hub
from dashboard.pictures import Pictures
from dashboard.state import alerts_after, state

__all__ = ["FRAME_S", "Client"]

FRAME_S = 0.25
"""Time between two frames; the page draws the movement in between."""
_MOST_ASKED = 4_096  # characters: what a page asks for is a line


@dataclass
class Client:
    """A connected page.

    Parameters
    ----------
    socket
        Accepted.
    hub, pictures, controls
        What there is to see.
    """

    socket: WebSocket
    hub: Hub
    pictures: Pictures
    controls: Controls | None
    _wants: dict[str, Any] = field(default_factory=dict)
    _sent: dict[str, bytes] = field(default_factory=dict)
    _alert: int = 0
    _sample_s: float = 0.0

    async def serve(self) -> None:
        """Send frames until the page goes."""
        listener = asyncio.create_task(self._listen())
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
            while not listener.done():
                await self._send()
                await asyncio.sleep(FRAME_S)
        listener.cancel()

    async def _listen(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                text = await self.socket.receive_text()
                if len(text) <= _MOST_ASKED:
                    with contextlib.suppress(ValueError):
                        asked = json.loads(text)
                        self._wants = asked if isinstance(asked, dict) else {}

    async def _send(self) -> None:
        await self.socket.send_text(json.dumps(self._news(), allow_nan=False, separators=(",", ":")))
        if self._wants.get("paused") is True:
            return
        if len(self.hub.view.agents):
            await self._send_new("agents", self.pictures.agents())
        window, column = self._wants.get("window"), self._wants.get("column")
        if isinstance(window, str) and isinstance(column, str):
            await self._send_new("cells", self.pictures.cells(window, column))
        if isinstance(layer := self._wants.get("layer"), str):
            await self._send_new("field", self.pictures.field(layer))

    async def _send_new(self, what: str, frame: bytes | None) -> None:
        """Send a frame unless it is the one that was sent last."""
        if frame is not None and self._sent.get(what) is not frame:
            self._sent[what] = frame
            await self.socket.send_bytes(frame)

    def _news(self) -> dict[str, Any]:
        alerts, samples = alerts_after(self.hub, self._alert), self.hub.curves.since(self._sample_s)
        self._alert = alerts[-1]["number"] if alerts else self._alert
        self._sample_s = samples[-1][0] or 0.0 if samples else self._sample_s
        cluster = self.controls.status() if self.controls is not None else None
        return state(self.hub) | {"alerts": alerts, "samples": samples, "cluster": cluster}
