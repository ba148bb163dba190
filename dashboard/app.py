"""The server: the page, its frames, and the API."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from dashboard.clients import Client
from dashboard.controls import Controls
from dashboard.formats import FORMATS, encode_answer
from dashboard.guard import Guard
from dashboard.hub import Hub
from dashboard.openapi import PATHS, document
from dashboard.pictures import Pictures
from dashboard.state import state
from kernels.errors import AuraError

__all__ = ["DIST", "Site"]

DIST = Path(__file__).parent / "dist"
"""The built page."""
_SAMPLE_S = 1.0


@dataclass
class Site:
    """What is served.

    Parameters
    ----------
    hub, pictures
        What is known, and how it is drawn.
    name
        Of the configuration.
    token
        What a client must show; None on loopback.
    controls
        Of the demonstration's cluster; None: the page can only look.
    feed
        Runs while the server does, and feeds the hub.
    time_scales_ms
        How long a step of each level of the hierarchy lasts, the lowest first.
    """

    hub: Hub
    pictures: Pictures
    name: str
    token: str | None = None
    controls: Controls | None = None
    feed: Callable[[], contextlib.AbstractAsyncContextManager[None]] = contextlib.nullcontext
    time_scales_ms: tuple[int, ...] = ()

    def app(self) -> ASGIApp:
        """Return the application."""
        routes: list[BaseRoute] = [
            WebSocketRoute("/ws", self._stream),
            Route("/healthz", self._healthz),
            Route("/api/v1/openapi.json", self._document),
            Route("/api/v1/state", self._state),
            Route("/api/v1/world", self._world),
            *(Route(path, self._asking(model)) for path, (model, _) in PATHS.items()),
        ]
        if self.controls is not None:
            routes += [
                Route("/api/v1/cluster/kill", self._kill, methods=["POST"]),
                Route("/api/v1/cluster/restore", self._restore, methods=["POST"]),
            ]
        routes.append(Mount("/", StaticFiles(directory=DIST, html=True)))
        return Guard(Starlette(routes=routes, lifespan=self._lifespan), self.token)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self.feed():
            sampler = asyncio.create_task(self._sample())
            yield
            sampler.cancel()

    async def _sample(self) -> None:
        while True:
            self.hub.sample()
            await asyncio.sleep(_SAMPLE_S)

    async def _stream(self, socket: WebSocket) -> None:
        await socket.accept()
        await Client(socket, self.hub, self.pictures, self.controls).serve()

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "workers": len(self.hub.workers)})

    async def _document(self, _: Request) -> Response:
        return JSONResponse(document(version("aura")))

    async def _state(self, _: Request) -> Response:
        return JSONResponse(state(self.hub))

    async def _world(self, _: Request) -> Response:
        more = {"name": self.name, "time_scales_ms": self.time_scales_ms}
        return JSONResponse(asdict(self.pictures.box) | more)

    def _asking(self, model: type[BaseModel]) -> Callable[[Request], Any]:
        async def ask(request: Request) -> Response:
            given = dict(request.query_params) | request.path_params
            kind = given.pop("format", "json")
            given.pop("token", None)
            try:
                if kind not in FORMATS:
                    raise ValueError(f"format: {kind!r}: allowed are {', '.join(FORMATS)}")
                query = model.model_validate(
                    {name: _value(model, name, text) for name, text in given.items()}
                )
            except ValidationError as error:
                first = error.errors()[0]
                return _problem(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
            except ValueError as error:
                return _problem(400, str(error))
            answered = await self.hub.ask(query)  # type: ignore[arg-type]
            return Response(encode_answer(answered, kind), media_type=FORMATS[kind])

        return ask

    async def _kill(self, _: Request) -> Response:
        assert self.controls is not None
        try:
            return JSONResponse(self.controls.kill())
        except (AuraError, ProcessLookupError) as error:
            return _problem(409, str(error))

    async def _restore(self, _: Request) -> Response:
        assert self.controls is not None
        try:
            self.controls.restore()
        except AuraError as error:
            return _problem(409, str(error))
        return JSONResponse({"asked": self.controls.processes})


def _value(model: type[BaseModel], name: str, text: str) -> Any:
    """Return a parameter as its type wants it: lists are separated by commas."""
    about = model.model_json_schema()["properties"].get(name, {})
    return text.split(",") if "array" in str(about) else text


def _problem(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)
