"""What a page cannot show, and why, in words: nothing on it stands empty without a reason."""

from dashboard.hub import Hub

__all__ = ["unknown"]

_WORD = "Results do not tell it. A flow with http.port, dashboard.enabled or degradation.enabled says it in aura.health"
_GRAPH = "Results in topics do not say which steps made them; the flow itself does, at /metrics (http.port)"
_STEPS = {"hierarchy": "block", "emergence": "emergence", "latency_ms": "window"}
"""By what is shown, a step that every flow with it has."""


def unknown(hub: Hub) -> dict[str, str]:
    """Return by the name of a curve or a panel why it is empty, whether or not it is."""
    return _elsewhere(hub) if hub.elsewhere is not None else _told(hub)


def _told(hub: Hub) -> dict[str, str]:
    steps = hub.graph[0]
    found = {
        "hierarchy": "no step has ended yet",
        "emergence": "nothing yet",
        "latency_ms": "no window has closed yet",
        "level": "this run never degrades: degradation.enabled",
        "graph": "The flow has not said yet what it is made of.",
        "health": "No process has told how it is yet.",
        "agents": "Start a flow with dashboard.enabled = true, for example: aura demo",
    }
    if steps:
        absent = {what: f"not part of this flow: --flows {what}" for what in ("hierarchy", "emergence")}
        absent["latency_ms"] = "this flow has no windows"
        found |= {what: words for what, words in absent.items() if _STEPS[what] not in steps}
    return found


def _elsewhere(hub: Hub) -> dict[str, str]:
    windows = hub.view.windows.names()
    return {
        "hierarchy": "there is nothing of it in aura.levels: --flows hierarchy",
        "emergence": "nothing in aura.emergence: --flows emergence",
        "events_per_s": "no cells in aura.cells to count",
        "latency_ms": _WORD,
        "lag_ms": _WORD,
        "level": "the results name no level: degradation.enabled",
        "account": _WORD,
        "graph": _GRAPH,
        "health": _WORD,
        "agents": "There are cells in the topics, and no positions: --flows population writes them"
        if windows
        else "The topics of results hold nothing yet: start aura run --sink kafka",
    }
