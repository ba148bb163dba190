"""A bad day: the broker dies, what stands for the GPU fails, a model's file is damaged, one after the other, while a flow runs.

`PYTHONPATH=tests:. .venv/bin/python tests/incident.py docs/incident.png` runs it at its real pace, six minutes, and draws it.
"""

import json
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lost_device import LOST, lost_device

from flows.settings import Settings, load
from infra.kafka.broker import Cluster
from service.console import Console
from service.declared_topics import DECLARED, load_topics
from service.degrade.governor import Governor
from service.degrade.ladder import Level
from service.job import Job
from service.topics import apply

ROOT = Path(__file__).resolve().parents[1]


class Device:
    """Fails while it is told to."""

    def __init__(self) -> None:
        self.broken = False

    def check(self) -> None:
        """Raise what a lost GPU makes ONNX Runtime raise."""
        if self.broken:
            raise RuntimeError(LOST)


@dataclass
class Incident:
    """What happens when, in seconds of the governor's clock, which runs `hurry` times as fast as the wall's.

    Attributes
    ----------
    samples
        (seconds, level, share of the fast path, events so far, failed components) twice a second of that clock.
    """

    folder: Path
    hurry: float = 1.0
    seconds: float = 330.0
    broker_s: tuple[float, float] = (20, 45)
    device_s: tuple[float, float] = (90, 92)
    model_s: tuple[float, float] = (252, 268)
    samples: list[tuple[float, int, int, int, str]] = field(default_factory=list)
    begun_s: float = 0.0

    def clock(self) -> float:
        """Return the seconds since the begin."""
        return (time.monotonic() - self.begun_s) * self.hurry

    def run(self) -> tuple[dict[str, Any], Governor]:
        """Return the summary of the run, and its governor."""
        cluster, device = Cluster(self.folder / "kafka", port=0), Device()
        bootstrap = cluster.start()
        apply({"bootstrap_servers": bootstrap}, load_topics(DECLARED))
        model = self.folder / "event.onnx"
        shutil.copy(ROOT / "models" / "event.onnx", model)
        self.begun_s = time.monotonic()
        job = Job(
            self._settings(bootstrap, model), sink="kafka", until_end=True, console=Console(), now=self.clock
        )
        over = threading.Event()
        helpers = [
            threading.Thread(target=self._disturb, args=(cluster, device, model, over)),
            threading.Thread(target=self._look, args=(job, over)),
        ]
        try:
            with pytest.MonkeyPatch.context() as patch, lost_device(patch, onnx_cuda=device):  # type: ignore[arg-type]
                for helper in helpers:
                    helper.start()
                summary = job.run()
        finally:
            over.set()
            for helper in helpers:
                helper.join()
            cluster.stop()
        assert job.governed is not None
        assert job.governed.governor is not None
        return summary, job.governed.governor

    def _settings(self, bootstrap: str, model: Path) -> Settings:
        stay_s, every_s = 10, 0.5 / self.hurry
        return load("flights", {
            "input.speed": str(86_400 * self.hurry / self.seconds),
            "kernels.backend": "onnx-cuda",
            "models.event.path": str(model),
            "kafka.bootstrap": bootstrap,
            "sink.directory": str(self.folder / "out"),
            "recovery.directory": str(self.folder / "state"),
            "degradation.enabled": "true",
            "degradation.stay": f"{stay_s}s",
            "degradation.every": f"{int(every_s * 1e6)}us",
            "degradation.latency_s": "[null, null, null, null]",
            "degradation.errors": "[null, null, null, null]",
        }).settings  # fmt: skip

    def _disturb(self, cluster: Cluster, device: Device, model: Path, over: threading.Event) -> None:
        good = model.read_bytes()
        steps = [
            (self.broker_s[0], lambda: cluster.kill(1)), (self.broker_s[1], cluster.start),
            (self.device_s[0], lambda: setattr(device, "broken", True)),
            (self.device_s[1], lambda: setattr(device, "broken", False)),
            (self.model_s[0], lambda: model.write_bytes(good[:1000])),
            (self.model_s[1], lambda: model.write_bytes(good)),
        ]  # fmt: skip
        for at_s, step in sorted(steps, key=lambda each: each[0]):
            if over.wait(max(0, at_s - self.clock()) / self.hurry):
                return
            step()

    def _look(self, job: Job, over: threading.Event) -> None:
        while not over.wait(0.5 / self.hurry):
            if job.governed is None or (governor := job.governed.governor) is None:
                continue
            recorder = governor._recorder
            failed = ", ".join(sorted({**governor.failures, **governor._lost()}))
            events = recorder.events if recorder is not None else 0
            self.samples.append(
                (self.clock(), int(governor.ladder.level), governor.canary.share, events, failed)
            )


def draw(incident: Incident, path: Path) -> None:
    """Draw the level, the share of the fast path, and the events a second."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    at_s = [sample[0] for sample in incident.samples]
    figure, axes = plt.subplots(
        3, 1, figsize=(10, 6), sharex=True, layout="constrained", height_ratios=(3, 2, 2)
    )
    spans = (("broker dead", incident.broker_s, "#b5564a"), ("device fails", incident.device_s, "#8a5fb0"),
             ("model file damaged", incident.model_s, "#c28a2e"))  # fmt: skip
    for axis in axes:
        for _, (first, end), color in spans:
            axis.axvspan(first, end, color=color, alpha=0.18, linewidth=0)
        axis.spines[["top", "right"]].set_visible(False)
    for name, (first, _), color in spans:
        axes[0].text(first + 1, 3.75, name, color=color, fontsize=9, va="top")
    axes[0].step(at_s, [sample[1] for sample in incident.samples], where="post", color="#2f4b6e", linewidth=2)
    axes[0].set_yticks(range(5), [level.name.lower() for level in Level])
    axes[0].set_ylim(-0.15, 4.1)
    axes[0].set_title("Level of degradation", loc="left", fontsize=10)
    axes[1].step(at_s, [sample[2] for sample in incident.samples], where="post", color="#8a5fb0", linewidth=2)
    axes[1].set_yticks((0, 10, 25, 50, 75, 100))
    axes[1].set_title(
        "Share of the models' work on the path that had failed, per cent", loc="left", fontsize=10
    )
    rates = [
        max(0, b[3] - a[3]) / (b[0] - a[0])
        for a, b in zip(incident.samples[:-10], incident.samples[10:], strict=True)
    ]
    axes[2].plot(at_s[5 : 5 + len(rates)], rates, color="#4a7f5b", linewidth=1.5)
    axes[2].set_title("Events a second at the sink, over five seconds", loc="left", fontsize=10)
    axes[2].set_xlabel("seconds")
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="aura-incident-") as folder:
        found = Incident(Path(folder))
        print(json.dumps(found.run()[0], indent=1))
        draw(found, Path(sys.argv[1]))
