"""What the page shows beside the map, as one JSON object: everything in it was said by the flow."""

import time
from dataclasses import asdict
from typing import Any

import numpy as np

from dashboard.curves import NAMES
from dashboard.health import health_of
from dashboard.hub import Hub, Worker
from dashboard.pictures import columns_of, layers_of
from dashboard.unknown import unknown

__all__ = ["alerts_after", "state"]

_SILENT_S = 2.0
_MOST_ALERTS = 200
_PLAIN = (
    "number", "kind", "time_us", "agent_id", "agent", "window", "start_us", "end_us", "cx", "cy", "cz",
    "x_m", "y_m", "z_m", "score", "threshold", "reason",
)  # fmt: skip


def state(hub: Hub) -> dict[str, Any]:
    """Return the state of the flow."""
    view, tally = hub.view, hub.account
    here = ~view.agents.gone()
    levels = np.bincount(view.agents.state()["level"][here], minlength=7)[:7]
    return {
        "now_s": time.time(),
        "time_us": view.agents.now_us,
        "source": "flow" if hub.elsewhere is None else "kafka",
        "watermark_us": hub.watermark_us(),
        "account": None if tally is None else asdict(tally),
        "counted": None if hub.elsewhere is None else hub.elsewhere.throughput.events,
        "counts": dict(view.counts) | {"alerts": view.alerts_seen},
        "agents": int(here.sum()),
        "levels": levels.tolist(),
        "hierarchy": view.pyramid.levels(),
        "windows": {name: view.windows.latest(name) for name in view.windows.names()},
        "columns": columns_of(view),
        "layers": layers_of(view),
        "components": [_component(worker) for _, worker in sorted(hub.workers.items())],
        "health": health_of(hub.reports, time.time()) | {"decisions": _decisions(hub)},
        "unknown": unknown(hub),
        "graph": _graph(hub),
        "trouble": hub.trouble,
        "curves": list(NAMES),
    }


def alerts_after(hub: Hub, number: int) -> list[dict[str, Any]]:
    """Return the alerts after a number, at most the newest few hundred, the oldest first."""
    newer = [alert for alert in hub.view.alerts if alert["number"] > number][-_MOST_ALERTS:]
    return [{name: _json(name, alert[name]) for name in _PLAIN} for alert in newer]


def _json(name: str, value: Any) -> Any:
    if name == "agent_id" and value is not None:
        return str(value)  # 64 bits: a JavaScript number would round it
    return value if not isinstance(value, float) or np.isfinite(value) else None


def _decisions(hub: Hub) -> list[dict[str, Any]]:
    """Return the last decisions, the oldest first."""
    told = (report.said.decisions for report in hub.reports.values())
    of_one = max((each for each in told if each), key=len, default=[])
    found = of_one if hub.elsewhere is None else hub.elsewhere.decisions
    return [decided.model_dump(exclude_none=True) for decided in found]


def _component(worker: Worker) -> dict[str, Any]:
    silent_s = time.monotonic() - worker.heard_s
    return {
        "name": f"worker {worker.number}", "pid": worker.pid, "cpu_share": round(worker.cpu_share, 3),
        "memory_mb": round(worker.rss_bytes / 1e6, 1), "up_s": round(time.monotonic() - worker.since_s, 1),
        "status": "healthy" if silent_s < _SILENT_S else "silent",
    }  # fmt: skip


def _graph(hub: Hub) -> dict[str, Any]:
    """Return the steps, and of each the seconds at work and the items put out, over all workers."""
    steps, edges = hub.graph
    totals = {name: [0.0, 0, 0] for name in steps}
    for worker in hub.workers.values():
        for name, meter in worker.meters.items():
            total = totals.setdefault(name, [0.0, 0, 0])
            total[0] += meter.seconds
            total[1] += meter.calls
            total[2] += meter.items
    return {"steps": totals, "edges": edges}
