"""Whether a process of the flow tells the page what it does."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.assemble import Assembled
    from flows.settings.root import Settings

__all__ = ["tell"]


def tell(settings: "Settings", made: "Assembled", process: int) -> None:
    """Let process `process` tell the server at `dashboard.feed` of its flow, from now on, if that is enabled."""
    if not settings.dashboard.enabled:
        return
    from dashboard.meter import graph
    from dashboard.worker import WorkerFeed
    from operators.wrap import wrap

    lateness_us = {window.name: window.lateness_us for window in settings.windows_used}
    feed = WorkerFeed(settings.dashboard.feed, process, lateness_us, settings.dashboard.expire)
    feed.graph = graph(made.flow)
    wrap(made.flow, feed.around)
    feed.start()
