"""What a process of the flow tells whoever looks on: the page's server what it does, and that and the topic how it is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from service.repeat import repeated

if TYPE_CHECKING:
    from dashboard.worker import WorkerFeed
    from flows.assemble import Assembled
    from flows.settings.root import Settings
    from service.degrade.publisher import Publisher

__all__ = ["telling"]

_HEALTH_S = 5.0  # as often as a governor tells it


@contextmanager
def telling(
    settings: "Settings",
    made: "Assembled",
    process: int,
    health: Callable[[], Mapping[str, Any]],
    *,
    to_topic: bool,
) -> Iterator[None]:
    """Let process `process` tell of its flow while the block runs.

    Parameters
    ----------
    settings, made
        Of the run; with `dashboard.enabled` the page's server is told.
    health
        Returns the report on the flow.
    to_topic
        Whether that is told to aura.health, for whoever sees topics alone.
    """
    feed = _feed(settings, made, process) if settings.dashboard.enabled else None
    publisher = _publisher(settings, process) if to_topic else None
    if feed is None and publisher is None:
        yield
        return

    def tell() -> None:
        if feed is not None:
            feed.take_health(health())
        if publisher is not None:
            publisher.flush(health)

    # In a thread of its own: a broker that does not answer must hold up no news.
    with repeated(_HEALTH_S, tell, at_once=True):
        yield
    tell()  # how it was at the end; where that was a failure, silence says so


def _publisher(settings: "Settings", process: int) -> "Publisher":
    from service.degrade.publisher import Publisher

    return Publisher(settings.kafka.client_options(), settings.kafka.prefix, str(process))


def _feed(settings: "Settings", made: "Assembled", process: int) -> "WorkerFeed":
    """Let the server at `dashboard.feed` be told, from now on."""
    from dashboard.meter import graph
    from dashboard.worker import WorkerFeed
    from operators.wrap import wrap

    lateness_us = {window.name: window.lateness_us for window in settings.windows_used}
    feed = WorkerFeed(settings.dashboard.feed, process, lateness_us, settings.dashboard.expire)
    feed.graph = graph(made.flow)
    wrap(made.flow, feed.around)
    feed.start()
    return feed
