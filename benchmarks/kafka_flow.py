"""`aura run --source kafka --sink kafka --until-end` from a profile, timed from the first events on: a process of its own."""

import json
import logging
import sys
import threading
import time
from typing import Any

from bytewax.testing import run_main

from flows.assemble import Assembled, assemble
from flows.settings.root import load
from flows.sinks import fence
from operators.kafka_sink import KafkaSink
from operators.kafka_tables import read_results
from service.recovery.store import Store

__all__: list[str] = []

_LOOK_S = 0.002


class _Start(threading.Thread):
    """Notes when the first events came, and how many they were: the clock starts behind them."""

    def __init__(self, made: Assembled) -> None:
        super().__init__(daemon=True)
        self._made, self.at_s, self.events = made, 0.0, 0

    def run(self) -> None:
        while not self.events:
            time.sleep(_LOOK_S)
            self.at_s, self.events = time.perf_counter(), self._made.progress.done


def _run(profile: str) -> dict[str, Any]:
    settings = load(profile).settings
    store = Store.open(settings, writers=1, files=False)
    made = assemble(settings, sink="kafka", until_end=True)
    fence(made.sink)
    start = _Start(made)
    start.start()
    run_main(made.flow, **store.engine_options())
    seconds = time.perf_counter() - start.at_s
    store.close()
    _check(made)
    return {"rate": (made.progress.done - start.events) / seconds / 1e6, "cpu_s": time.process_time()}


def _check(made: Assembled) -> None:
    """Every event is in the committed results, once."""
    if not isinstance(made.sink, KafkaSink):
        raise TypeError(f"expected the sink of topics, got {made.sink}")
    found = read_results(made.sink.options, prefix=made.sink.prefix, run=made.sink.run.id)
    counted = sum(found["cells"]["count"].to_pylist())
    if not counted == made.account.windowed == made.progress.done:
        raise RuntimeError(f"{counted} events in the results of {made.progress.done}: the benchmark is wrong")


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    print(json.dumps(_run(sys.argv[1])))
