"""The page in a real browser: what it shows is what the server has, and it comes back when the server does."""

import socket
import time
from contextlib import ExitStack
from itertools import groupby

import pyarrow as pa
import pytest
from browser import opened
from playwright.sync_api import expect
from served import serving
from test_app import BOX
from views import cells, events, filled, levels

from dashboard.app import Site
from dashboard.health import Report, Said
from dashboard.hub import Hub
from dashboard.pictures import Pictures
from operators.batch import Tally

pytestmark = pytest.mark.timeout(240)
_X_OF_ALL = """() => [...aura.scene.swarm.now].filter((_, i) => i % 3 === 0)
    .map((x) => aura.scene.space.toMetres([x, 0])[0])"""
_DRAWN = "() => window.aura && aura.scene.swarm.length === {}"


def _site(ids: list[int]) -> Site:
    view = filled(ids)
    view.tallies[0] = Tally(events_in=70, windowed=60, late=4, dead_letters=6)
    return Site(Hub(view), Pictures(view, BOX), "test")


def test_shows_what_there_is() -> None:
    """Agents by level, the account, positions and cells on the page are those of the view."""
    site = _site(list(range(1, 15)))
    with serving(site) as address, opened(address) as page:
        page.wait_for_function(_DRAWN.format(14))
        expect(page.locator("[data-kpi=agents]")).to_have_text("14")
        for level in range(7):
            expect(page.locator(f"[data-level='{level}']")).to_have_text("2")
        page.get_by_role("tab", name="Health").click()
        for name, value in (("events_in", 70), ("windowed", 60), ("late", 4), ("dead_letters", 6)):
            expect(page.locator(f"[data-account={name}]")).to_have_text(str(value))
        scene = page.evaluate(_X_OF_ALL)
        assert scene == pytest.approx(list(range(1, 15)), abs=0.02)
        page.keyboard.press("c")
        page.wait_for_function("() => aura.scene.cells && aura.scene.cells.length === 14")
        assert page.evaluate("() => [...aura.scene.cells.value]") == [10 * i for i in range(1, 15)]
        page.select_option("#column", "score")
        page.wait_for_function("() => aura.scene.cells.column === 'score'")


def test_follows_and_pauses() -> None:
    """What comes is shown; a pause holds the picture, and live again shows what is now."""
    site = _site([1, 2, 3])
    with serving(site) as address, opened(address) as page:
        page.wait_for_function(_DRAWN.format(3))
        page.keyboard.press("Space")
        expect(page.locator("#pill")).to_have_text("paused")
        site.hub.view.take_events(events([8, 9], [2_000_000] * 2, [5, 6]), {})
        site.hub.view.take_tables({"cells": cells("second", 1_000_000, 0, [1])})
        page.wait_for_function("() => aura.news().agents === 5")
        expect(page.locator("[data-kpi=agents]")).to_have_text("3")
        page.keyboard.press("Space")
        page.wait_for_function(_DRAWN.format(5))
        expect(page.locator("[data-kpi=agents]")).to_have_text("5")


def test_reconnects() -> None:
    """The server goes: the page says so and keeps the picture. It comes back: so does the page, with what is there now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ExitStack() as first:
        address = first.enter_context(serving(_site([1, 2, 3]), port))
        with opened(address) as page:
            page.wait_for_function(_DRAWN.format(3))
            first.close()
            expect(page.locator("#pill")).to_have_text("reconnecting…")
            expect(page.locator("#empty")).to_contain_text("does not answer")
            with serving(_site([1, 2, 3, 4]), port):
                expect(page.locator("#pill")).to_have_text("live")
                page.wait_for_function(_DRAWN.format(4))


def test_hierarchy() -> None:
    """Each level shows its step, regions, state and directives; without the part the page says so and keeps the counts."""
    site = _site(list(range(1, 15)))
    site.time_scales_ms = (500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000)
    with serving(site) as address, opened(address) as page:
        expect(page.locator("#no-hierarchy")).to_contain_text("no step has ended yet")
        expect(page.locator("[data-level='3']")).to_have_text("2")
        said = [(0, 1, region, 3, 1) for region in range(4)] + [(1, 1, 2, 5, -1), (1, 1, 4, 5, 1)]
        for kind, table in levels(said).items():
            site.hub.view.take_tables({kind: table})
        expect(page.locator("[data-step='0']")).to_have_text("0.5 s · 4 regions")
        expect(page.locator("[data-state='1']")).to_have_text("3 ← 4")
        expect(page.locator("[data-said='1']")).to_have_text("↑ 4↓ 1")
        expect(page.locator("[data-step='6']")).to_contain_text("32 s · no step has ended yet")
        expect(page.locator("#no-hierarchy")).to_be_hidden()


def test_health() -> None:
    """Every component that a worker tells of is listed; a problem comes first, with what to do."""
    site = _site([1])
    disk = {
        "name": "disk",
        "state": "degraded",
        "required": True,
        "detail": "2 GiB free",
        "todo": "Make room soon",
    }
    flow = {"name": "flow", "state": "healthy", "required": True}
    for who, components in (
        ("worker 0", [flow, disk | {"state": "healthy", "todo": ""}]),
        ("worker 1", [flow, disk]),
    ):
        said = Said.model_validate({"overall": "healthy", "mode": "degraded", "components": components})
        site.hub.reports[who] = Report(
            said, time.time() + 3600
        )  # it does not become old, however slow the browser is
    with serving(site) as address, opened(address) as page:
        page.get_by_role("tab", name="Health").click()
        expect(page.locator("[data-problem=disk]")).to_contain_text("2 GiB free (worker 1)")
        expect(page.locator("[data-problem=disk]")).to_contain_text("Make room soon")
        expect(page.locator("[data-component=flow]")).to_contain_text("healthy")
        expect(page.locator("#overall")).to_contain_text("1 of 3 components")


def test_a_change_of_level_is_on_the_curve() -> None:
    """Cells made at a higher level raise the curve of degradation, and cells at none lower it again."""
    site = _site([1])
    with serving(site) as address, opened(address) as page:
        expect(page.locator("[data-why=level]")).to_contain_text("never degrades")
        for second, level in ((1, 0), (2, 2), (3, 0)):
            table = cells("second", second * 1_000_000, 0, [1])
            site.hub.view.take_tables(
                {"cells": table.append_column("degradation", pa.array([level], pa.int8()))}
            )
            expect(page.locator("[data-curve=level]")).to_have_text(str(level))
        drawn = [each for each in page.evaluate("() => aura.curves.values('level')") if each is not None]
        assert [each for each, _ in groupby(drawn)] == [0, 2, 0]
