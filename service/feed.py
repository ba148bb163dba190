"""What a process of the flow tells whoever looks on: the page's server what it does, and that and the topic how it is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from service.repeat import repeated

if TYPE_CHECKING:
    from dashboard.worker import WorkerFeed
    from flows.assemble import Assembled
    from flows.settings.root import Settings

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
    """Let process `process` tell of its flow while the block runs, if `dashboard.enabled` asks for it.

    Parameters
    ----------
    settings, made
        Of the run.
    health
        Returns the report on the flow.
    to_topic
        Whether it is told to aura.health too, for a page that reads topics.
    """
    if not settings.dashboard.enabled:
        yield
        return
    feed = _feed(settings, made, process)
    tellers: list[Callable[[Mapping[str, Any]], object]] = [feed.take_health]
    if to_topic:
        from service.degrade.publisher import Publisher

        tellers.append(Publisher(settings.kafka.client_options(), settings.kafka.prefix, str(process)).flush)

    def tell() -> None:
        report = health()
        for teller in tellers:
            teller(report)

    # In a thread of its own: a broker that does not answer must hold up no news.
    try:
        with repeated(_HEALTH_S, tell, at_once=True):
            yield
    finally:
        tell()  # how it was at the end


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
