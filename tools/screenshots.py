"""Take the pictures of the dashboard in docs/, with Debian's Chromium: `apt-get install chromium`.

.venv/bin/python -m tools.screenshots [NAME ...]
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from infra.kafka.broker import Cluster

DOCS = Path(__file__).resolve().parents[1] / "docs"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
_SIZE = {"width": 1600, "height": 900}
PATIENCE_MS = 300_000  # it draws in software
_WAIT_MS = 15_000
READY = "() => window.aura && aura.scene.swarm.alive > 0"

_LEVELS = "() => aura.news().hierarchy[6]"  # the seventh level has had its first step

Started = Callable[[], AbstractContextManager[str]]
Shot = tuple[Started, str, Callable[[Page], None]]


def _columns(page: Page) -> None:
    page.wait_for_function(_LEVELS)
    page.keyboard.press("t")
    page.keyboard.press("c")
    page.keyboard.press("c")
    page.get_by_role("tab", name="Flow").click()
    page.wait_for_function("() => aura.scene.cells && aura.scene.cells.length > 100")


def _flights(page: Page) -> None:
    page.wait_for_timeout(6 * _WAIT_MS)


def _field(page: Page) -> None:
    page.keyboard.press("a")
    page.wait_for_function("() => document.querySelector('#layer').options.length > 1")
    page.select_option("#layer", "pheromone")
    page.get_by_role("tab", name="Health").click()
    page.wait_for_function("() => aura.scene.field")
    page.wait_for_function(_LEVELS)


def _agent(page: Page) -> None:
    page.locator(".alert").first.evaluate(
        "alert => alert.click()"
    )  # under a pointer it may have moved down already
    page.wait_for_selector("#inspector h2")
    page.wait_for_timeout(2 * _WAIT_MS)


def _killed(page: Page) -> None:
    page.get_by_role("tab", name="Health").click()
    page.locator("#kill:not([disabled])").click()
    page.wait_for_selector("#toast.good")


def _topics(page: Page) -> None:
    page.keyboard.press("c")
    page.get_by_role("tab", name="Health").click()
    page.wait_for_function(_LEVELS)


@contextmanager
def _demo(*options: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="aura-shots-") as folder:
        line = [sys.executable, "-m", "service", "demo", "--port", "0", "--out", folder, *options]
        with _serving(line) as found:
            yield found


@contextmanager
def _elsewhere() -> Iterator[str]:
    """Start a broker, a run into it, and the page that sees nothing but its topics."""
    with tempfile.TemporaryDirectory(prefix="aura-shots-") as folder:
        broker = Cluster(Path(folder), port=0)
        given = {
            "kafka.bootstrap": broker.start(), "sink.partitions": "4", "simulate.agents": "3000", "shards.count": "4",
            "sink.directory": f"{folder}/out", "dashboard.feed": f"{folder}/feed",
        }  # fmt: skip
        sets = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
        aura = [sys.executable, "-m", "service"]
        subprocess.run([*aura, "topics", "apply", *sets], check=True, stdout=subprocess.DEVNULL)
        flows = "cells,population,hierarchy,fields,emergence"
        run = subprocess.Popen(
            [*aura, "run", "--profile", "demo", "--sink", "kafka", "--flows", flows, *sets],
            stdout=subprocess.DEVNULL,
        )
        try:
            with _serving(
                [*aura, "dashboard", "--profile", "demo", "--source", "kafka", "--port", "0", *sets]
            ) as found:
                yield found
        finally:
            run.kill()
            run.wait()
            broker.stop()


@contextmanager
def _serving(line: list[str]) -> Iterator[str]:
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    try:
        found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
        if found is None:
            raise SystemExit("the server did not start")
        yield found[0]
    finally:
        process.terminate()
        process.communicate()


def _take(address: str, theme: str, act: Callable[[Page], None], path: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport=_SIZE, color_scheme="light" if theme == "light" else "dark")  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_function(READY)
        page.wait_for_timeout(_WAIT_MS)
        act(page)
        page.wait_for_timeout(_WAIT_MS)
        page.screenshot(path=path)
        browser.close()


SHOTS: dict[str, Shot] = {
    "3d": (_demo, "dark", _columns),
    "flights": (partial(_demo, "--flights"), "dark", _flights),
    "field": (partial(_demo, "--agents", "20000"), "light", _field),
    "agent": (partial(_demo, "--agents", "20000"), "light", _agent),
    "killed": (partial(_demo, "--agents", "20000"), "dark", _killed),
    "topics": (_elsewhere, "light", _topics),
}
"""By name: how the server is started, the theme, and what is done on the page."""


def main(names: list[str]) -> None:
    """Take the pictures that are named, or all."""
    for name in names or SHOTS:
        start, theme, act = SHOTS[name]
        with start() as address:
            _take(address, theme, act, DOCS / f"dashboard-{name}.png")
        print(f"docs/dashboard-{name}.png", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
