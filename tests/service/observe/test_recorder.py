"""What is recorded of a run is what the run says itself."""

from pathlib import Path

from bytewax.testing import run_main
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from flows.assemble import assemble
from flows.settings import load
from operators.batch import Batch, Origin
from operators.wrap import Site, wrap
from service.collect import collect
from service.observe.metrics import Metrics, registry_of
from service.observe.recorder import Recorder


def _samples(recorder: Recorder, plan) -> dict[tuple, float]:
    text = generate_latest(registry_of(Metrics(recorder, plan, limit_bytes=2**30))).decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_of_a_run(tmp_path: Path) -> None:
    """The metrics of the main job are its summary: events, fates, results; every step has its durations."""
    made = assemble(load("flights", {"sink.directory": str(tmp_path)}).settings)
    recorder = Recorder({"minute": 30_000_000, "five_minutes": 30_000_000})
    wrap(made.flow, recorder.around)
    run_main(made.flow)
    summary, found = collect(made, tmp_path, seconds=1.0), _samples(recorder, made.plan)
    assert found[("aura_events_total",)] == summary["events_in"] > 0
    for fate in ("windowed", "filtered", "late", "dead_letters", "duplicates"):
        assert found["aura_event_fates_total", ("fate", fate)] == summary[fate]
    for kind in ("cells", "alerts"):
        assert found["aura_results_total", ("kind", kind)] == summary[kind]
    dead = sum(value for (name, *_), value in found.items() if name == "aura_dead_letters_total")
    assert dead == summary["dead_letters"]
    for step in ("source", "ml_inference_0", "combine", "window", "cells", "sink"):
        assert found["aura_stage_duration_seconds_count", ("stage", step)] > 0
    assert found[("aura_end_to_end_latency_seconds_count",)] > 0
    models = [dict(labels)["role"] for name, *labels in found if name == "aura_model_info"]
    assert sorted(models) == ["cell", "event"]


def test_no_agent_is_named(tmp_path: Path) -> None:
    """No label but those that have a bounded number of values."""
    made = assemble(load("minimal", {"sink.directory": str(tmp_path)}).settings)
    recorder = Recorder({"second": 200_000})
    wrap(made.flow, recorder.around)
    run_main(made.flow)
    names = {name for (_, *labels) in _samples(recorder, made.plan) for name, _ in labels}
    bounded = {"stage", "reason", "fate", "kind", "le", "partition", "role", "model", "provider", "backend"}
    assert names - {"version", "implementation", "major", "minor", "patchlevel"} <= bounded


def test_failures_are_counted() -> None:
    """An exception that leaves a step is counted for it, timed, and goes on its way."""
    recorder = Recorder({})

    def broken(_: object) -> None:
        raise ZeroDivisionError

    call = recorder.around(Site("score", "map"), broken)
    for _ in range(2):
        try:
            call([])
        except ZeroDivisionError:
            continue
        raise AssertionError("swallowed")
    assert recorder.failures == {"score": 2}
    assert recorder.stages["score"].count == 2


def test_an_idle_partition_holds_nothing_back() -> None:
    """The watermark is the least of the partitions that are not idle."""
    recorder = Recorder({})

    def batch(partition: int, watermark_us: int, *, idle: bool = False) -> list[Batch]:
        return [Batch({}, Origin.nowhere("t", partition), 0, watermark_us, idle=idle)]

    read = recorder.around(Site("source", "next_batch", None), lambda batches: batches)
    read(batch(0, 50))
    read(batch(1, 20))
    assert recorder.watermark_us == 20
    read(batch(1, 20, idle=True))
    assert recorder.watermark_us == 50
    read([])
    assert recorder.loop.count == 3
