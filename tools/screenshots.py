"""Take the pictures of the dashboard in docs/, with Debian's Chromium: `apt-get install chromium`.

.venv/bin/python tools/screenshots.py [NAME ...]
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).resolve().parents[1] / "docs"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
_SIZE = {"width": 1600, "height": 900}
PATIENCE_MS = 300_000  # it draws in software
_WAIT_MS = 15_000
READY = "() => window.aura && aura.scene.swarm.alive > 0"

Shot = tuple[list[str], str, Callable[[Page], None]]


def _columns(page: Page) -> None:
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


def _agent(page: Page) -> None:
    page.locator(".alert").first.click()
    page.wait_for_selector("#inspector h2")
    page.wait_for_timeout(2 * _WAIT_MS)


def _killed(page: Page) -> None:
    page.get_by_role("tab", name="Health").click()
    page.locator("#kill:not([disabled])").click()
    page.wait_for_selector("#toast.good")


SHOTS: dict[str, Shot] = {
    "3d": ([], "dark", _columns),
    "flights": (["--flights"], "dark", _flights),
    "field": (["--agents", "20000"], "light", _field),
    "agent": (["--agents", "100000"], "light", _agent),
    "killed": (["--agents", "20000"], "dark", _killed),
}
"""By name: how the demonstration is started, the theme, and what is done on the page."""


def main(names: list[str]) -> None:
    """Take the pictures that are named, or all."""
    for name in names or SHOTS:
        options, theme, act = SHOTS[name]
        with _demo(options) as address:
            _take(address, theme, act, DOCS / f"dashboard-{name}.png")
        print(f"docs/dashboard-{name}.png", flush=True)


@contextmanager
def _demo(options: list[str]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="aura-shots-") as folder:
        line = [sys.executable, "-m", "service", "demo", "--port", "0", "--out", folder, *options]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        try:
            found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
            if found is None:
                raise SystemExit("the demonstration did not start")
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


if __name__ == "__main__":
    main(sys.argv[1:])
