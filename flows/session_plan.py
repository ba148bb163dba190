"""What the session windows of a configuration mean for the flow: the objects that their steps need."""

from collections.abc import Iterator
from dataclasses import dataclass

from flows.settings.root import Settings
from kernels.backend import Backend
from operators.cells import layout_for
from operators.result_tables import Output
from operators.session import SessionConfig, Sessions, ShardSessions
from operators.session_combine import SessionCombine

__all__ = ["SessionPlan"]


@dataclass(frozen=True)
class SessionPlan:
    """The steps of the session windows.

    Parameters
    ----------
    combine
        The step before the exchange.
    config
        What the sessions of each shard need.
    sink_partitions
        Number of writers.
    """

    combine: SessionCombine
    config: SessionConfig
    sink_partitions: int

    @classmethod
    def of(cls, settings: Settings, backend: Backend, partitions: int) -> "SessionPlan | None":
        """Return the steps that `settings` asks for, over that many source partitions; None without session windows."""
        windows = settings.sessions_used
        if not windows:
            return None
        aggregates = tuple(frozenset[str](settings.windows[w.name].aggregates) for w in windows)
        layout = layout_for(settings.metrics_used, frozenset[str]().union(*aggregates))
        combine = SessionCombine(windows, layout, settings.shards.count, backend)
        return cls(combine, SessionConfig(windows, aggregates, layout, partitions), settings.sink.partitions)

    def step(self, state: bytes | None) -> ShardSessions:
        """Return the sessions of one shard."""
        return ShardSessions(self.config, state)

    def results(self, found: list[tuple[str, Sessions]]) -> Iterator[tuple[str, Output]]:
        """Yield sessions for the sink partition of their shard."""
        return ((str(int(shard) % self.sink_partitions), sessions) for shard, sessions in found)
