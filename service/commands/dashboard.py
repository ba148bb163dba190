"""`aura dashboard`: the page and the API of a running flow."""

import secrets
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kernels.errors import AuraError, ConfigError
from service.commands.options import Profile, Set, settings_of

if TYPE_CHECKING:
    import uvicorn

    from dashboard.app import Site
    from dashboard.controls import Controls
    from flows.settings import Settings

__all__ = ["EXAMPLES", "command", "listen", "open_site", "serve", "server_of", "token_of"]

EXAMPLES = (
    "Examples: aura dashboard --profile distributed | aura dashboard --source kafka | "
    "aura dashboard --host 0.0.0.0 --token SECRET"
)

Host = Annotated[str, typer.Option(help="Address to listen at; another than loopback needs a token.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0: any that is free.")]
Token = Annotated[
    str | None, typer.Option(envvar="AURA_TOKEN", help="What a client must show; `new` makes one.")
]


def command(  # noqa: PLR0917 (each is an option of the command line)
    profile: Profile = "flights",
    source: Annotated[
        str, typer.Option(help="flow: the workers of a running flow; kafka: the topics of results.")
    ] = "flow",
    host: Host = "127.0.0.1",
    port: Port = 8080,
    token: Token = None,
    set_: Set = None,
) -> None:
    """Serve the page and the API, of the flow that tells (dashboard.feed) or of the topics of results."""
    if source not in ("flow", "kafka"):
        raise ConfigError(f"--source {source!r}: allowed are flow and kafka")
    settings = settings_of(profile, set_)
    serve(open_site(settings, source=source, token=token_of(host, token)), host, port)


def token_of(host: str, token: str | None) -> str | None:
    """Return the token that is to be shown.

    Raises
    ------
    ConfigError
        Others can reach the address, and there is none.
    """
    from dashboard.guard import is_loopback

    if not token and not is_loopback(host):
        raise ConfigError(
            f"--host {host} can be reached from elsewhere and there is no token",
            "Give one with --token or AURA_TOKEN; --token new makes one and prints it",
        )
    return secrets.token_urlsafe(24) if token == "new" else token or None


def open_site(
    settings: "Settings", *, source: str, token: str | None, controls: "Controls | None" = None
) -> "Site":
    """Return the site of a configuration."""
    from functools import partial

    from dashboard.app import Site
    from dashboard.elsewhere import Elsewhere
    from dashboard.hub import Hub
    from dashboard.pictures import Pictures
    from dashboard.topics import following
    from dashboard.view import View
    from operators.committed_reader import CommittedReader

    view = View()
    view.agents.expire_us = settings.dashboard.expire
    if source == "kafka":
        hub = Hub(view, Elsewhere({w.name: w.length_us / w.slide_us for w in settings.windows_used}))
        again = partial(CommittedReader, settings.kafka.client_options(), settings.kafka.prefix)
        feed = partial(following, hub, again(), again)
    else:
        hub = Hub(view)
        feed = partial(hub.listening, Path(settings.dashboard.feed))
    x_m, y_m, _ = settings.field.cell_m
    pictures = Pictures(view, box_of(settings), (x_m, y_m))
    return Site(
        hub, pictures, settings.name, token, controls, feed, time_scales_ms=settings.levels.time_scales_ms
    )


def box_of(settings: "Settings") -> Any:
    """Return the world as the page draws it."""
    from dashboard.pictures import Box

    world, mapping = settings.world, settings.input.mapping
    origin = getattr(mapping.position, "origin", None) if mapping is not None else None
    return Box(world.min_m, world.max_m, world.cell_m, origin)


def serve(site: "Site", host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises
    ------
    AuraError
        The port is in use.
    """
    listener = listen(host, port)
    address = f"http://{host}:{listener.getsockname()[1]}/"
    print(f"dashboard: {address}" + (f"?token={site.token}" if site.token else ""), flush=True)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # uvicorn ends by them, and then raises them again for whoever was before
        signal.signal(number, lambda *_: None)
    server_of(site).run(sockets=[listener])


def server_of(site: "Site") -> "uvicorn.Server":
    """Return the server of a site: frames go out as they are, and a page that asks for much is cut off."""
    import uvicorn

    config = uvicorn.Config(
        site.app(), log_level="warning", ws_per_message_deflate=False, ws_max_size=65_536,
        timeout_graceful_shutdown=1, server_header=False,
    )  # fmt: skip
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound; AuraError where the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # whoever reads the address below may come before the server does
    except OSError as error:
        listener.close()
        hint = f"Choose another: --port {port + 1 if port else 8080}, or 0 for any"
        raise AuraError(f"cannot listen at {host}:{port}: {error.strerror}", hint) from None
    return listener
