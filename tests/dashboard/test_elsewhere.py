"""The page of a flow elsewhere: a run through a real broker, and nothing but its topics to show it by."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from browser import opened
from playwright.sync_api import Page, expect
from served import serving
from test_app import BOX
from views import cells
from websockets.sync.client import ClientConnection, connect

from dashboard.app import Site
from dashboard.elsewhere import Elsewhere
from dashboard.health import Said
from dashboard.hub import Hub
from dashboard.pictures import Pictures
from dashboard.view import View
from flows.settings import load
from operators.kafka_tables import read_results
from service.commands.dashboard import open_site

ROOT = Path(__file__).resolve().parents[2]
WAIT_S, NEVER = 120.0, "[null, null, null, null]"


def _aura(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _until(address: str, reached: Callable[[dict], bool]) -> dict:
    end_s = time.monotonic() + WAIT_S
    while not reached(found := httpx.get(f"{address}/api/v1/state", timeout=60).json()):
        assert time.monotonic() < end_s, {
            name: found[name] for name in ("counted", "agents", "counts", "account", "trouble")
        }
        time.sleep(0.1)
    return found


def _rows(address: str, question: str) -> list[dict]:
    found = httpx.get(f"{address}/api/v1/{question}", timeout=60).json()
    assert found["complete"]
    return found["answer"]


@pytest.fixture
def options(kafka: str, topics: Callable[..., str], tmp_path: Path) -> dict[str, str]:
    """A small simulated population through topics of its own, whose fastest are noticed early; it may degrade."""
    return {
        "kafka.bootstrap": kafka, "kafka.prefix": topics(), "input.partitions": "8", "sink.partitions": "4",
        "simulate.agents": "1500", "simulate.duration": "20s", "shards.count": "4", "sink.directory": str(tmp_path),
        "models.swift.threshold": "0.2", "degradation.enabled": "true",
    } | {f"degradation.{signal}": NEVER for signal in ("memory", "latency_s", "errors", "failed")}  # fmt: skip


@pytest.mark.timeout(400)
def test_what_the_topics_hold_is_shown(kafka: str, options: dict[str, str]) -> None:
    """Agents, cells, alerts, level, hierarchy, throughput and account on the page are those of the committed results."""
    sets = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
    settings = load("demo", options).settings
    site = open_site(settings, source="kafka", token=None)
    with serving(site) as address, opened(address) as page:
        expect(page.locator("#empty")).to_contain_text("The topics of results hold nothing yet")
        _aura("produce", "--profile", "demo", "--source", "simulate", *sets)
        flows = ("--flows", "cells,population,hierarchy")
        _aura(
            "run", "--profile", "demo", "--source", "kafka", "--sink", "kafka", "--until-end", *flows, *sets
        )
        results = read_results({"bootstrap_servers": [kafka]}, prefix=options["kafka.prefix"])
        whole = results["cells"].filter(pc.equal(results["cells"]["window"].cast(pa.string()), "second"))
        events = pc.sum(whole["count"]).as_py()
        agents = _last_of_each(results["agents"], settings.dashboard.expire)
        found = _until(address, lambda s: s["counted"] == events and s["agents"] == len(agents))
        _check_api(address, results, agents, whole)
        assert found["counts"]["alerts"] == results["alerts"].num_rows > 0
        _check_hierarchy(found, results)
        told = _until(address, lambda s: s["account"] is not None and s["account"]["windowed"] == events)
        assert told["account"]["events_in"] == events == 1500 * 40
        _check_health(site.hub.reports["flow/0"].said)
        level = pc.max(whole["degradation"]).as_py()
        _check_page(page, agents, level, events)
        rates = [each for each in page.evaluate("() => aura.curves.values('events_per_s')") if each]
        assert 0 < max(rates) <= events / 10  # of the last ten seconds: all of it, if it took no longer


@pytest.mark.timeout(400)
def test_a_level_is_shown_with_its_reason(options: dict[str, str]) -> None:
    """A run that degrades tells it in three topics: results name the level, and so does the health; control has the decision."""
    options |= {"degradation.memory": "[0.000001, null, null, null]", "degradation.every": "20ms"}
    options |= {"simulate.agents": "100"}
    sets = [part for key, value in options.items() for part in ("--set", f"{key}={value}")]
    _aura(
        "run", "--profile", "demo", "--sink", "kafka", "--flows", "cells", *sets, "--set", "input.speed=100"
    )
    site = open_site(load("demo", options).settings, source="kafka", token=None)
    with serving(site) as address:
        found = _until(address, lambda s: s["health"]["decisions"] and site.hub.reports and s["windows"])
        assert site.hub.reports["flow/0"].said.level == "minor"
        (decision,) = found["health"]["decisions"]
        assert decision["level"] == 1
        assert decision["reason"].startswith("memory is")
        end_s = time.monotonic() + WAIT_S
        at = found["curves"].index("level")
        with connect(address.replace("http", "ws") + "/ws", max_size=None) as socket:
            while not any(sample[at] == 1 for sample in _samples(socket)):
                assert time.monotonic() < end_s


def _samples(socket: ClientConnection) -> list[list]:
    message = socket.recv(60)
    return [] if isinstance(message, bytes) else json.loads(message)["samples"]


def _last_of_each(table: pa.Table, expire_us: int) -> dict[int, dict]:
    """Return the last row of each agent that has not been silent for too long."""
    least_us = pc.max(table["time_us"]).as_py() - expire_us
    rows = table.filter(pc.greater_equal(table["time_us"], least_us)).sort_by("time_us").to_pylist()
    return {row["agent_id"]: row for row in rows}


def _check_api(address: str, results: dict[str, pa.Table], agents: dict[int, dict], whole: pa.Table) -> None:
    found = {int(row["agent_id"]): row for row in _rows(address, "agents?limit=100000")}
    assert found.keys() == agents.keys()
    for name in ("x_m", "y_m", "level", "speed_mps"):
        assert {i: row[name] for i, row in found.items()} == {i: row[name] for i, row in agents.items()}
    newest_us = pc.max(whole["start_us"]).as_py()
    expected = whole.filter(pc.equal(whole["start_us"], newest_us)).to_pylist()
    shown = _rows(address, f"cells?window=second&start_us={newest_us}&limit=100000")
    assert {(r["cx"], r["cy"]): r["count"] for r in shown} == {
        (r["cx"], r["cy"]): r["count"] for r in expected
    }
    alerts = _rows(address, "alerts?limit=100000")
    assert sorted(int(row["agent_id"]) for row in alerts) == sorted(results["alerts"]["agent_id"].to_pylist())


def _check_hierarchy(found: dict, results: dict[str, pa.Table]) -> None:
    for level, shown in enumerate(found["hierarchy"]):
        rows = results["levels"].filter(pc.equal(results["levels"]["level"], level))
        newest_us = pc.max(rows["time_us"]).as_py()
        rows = rows.filter(pc.equal(rows["time_us"], newest_us))
        assert (shown["time_us"], shown["regions"]) == (newest_us, rows.num_rows)
        assert shown["agents"] == pc.sum(rows["agents"]).as_py()
        said = results["directives"].to_pylist()
        mine = [row["to_level"] for row in said if row["level"] == level and row["time_us"] == newest_us]
        assert (shown["up"], shown["down"]) == (
            sum(to > level for to in mine),
            sum(to < level for to in mine),
        )


def _check_health(said: Said) -> None:
    states = {each.name: each.state for each in said.components}
    assert {"flow", "kernels", "models", "disk", "memory", "clock", "broker", "topics"} <= states.keys()
    assert (states["broker"], states["topics"], said.level) == ("healthy", "healthy", "none")


def _check_page(page: Page, agents: dict[int, dict], level: int, events: int) -> None:
    expect(page.locator("[data-kpi=agents]")).to_have_text(f"{len(agents):,}")
    for number in range(7):
        many = sum(row["level"] == number for row in agents.values())
        expect(page.locator(f"[data-level='{number}']")).to_have_text(f"{many:,}")
    expect(page.locator("[data-curve=level]")).to_have_text(str(level))
    page.get_by_role("tab", name="Health").click()
    expect(page.locator("[data-account=windowed]")).to_have_text(f"{events:,}")
    page.get_by_role("tab", name="Flow").click()
    expect(page.locator("#no-graph")).to_contain_text("do not say which steps")


def test_what_topics_do_not_hold_is_said() -> None:
    """Without positions, words and a hierarchy in the topics the page says of each why it is not there."""
    hub = Hub(View(), Elsewhere({"second": 1.0}))
    hub.view.take_tables({"cells": cells("second", 0, 0, [1, 2])})
    with serving(Site(hub, Pictures(hub.view, BOX), "test")) as address, opened(address) as page:
        expect(page.locator("#empty")).to_contain_text("--flows population")
        for curve, words in (
            ("latency_ms", "aura.health"),
            ("lag_ms", "aura.health"),
            ("level", "degradation.enabled"),
            ("emergence", "--flows emergence"),
        ):
            expect(page.locator(f"[data-why={curve}]")).to_contain_text(words)
        expect(page.locator("#no-hierarchy")).to_contain_text("--flows hierarchy")
        page.get_by_role("tab", name="Health").click()
        expect(page.locator("#no-account")).to_contain_text("aura.health")
        page.get_by_role("tab", name="Flow").click()
        expect(page.locator("#no-graph")).to_be_visible()
