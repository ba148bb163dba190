"""Measure the time from a clone of this repository to a picture that moves in a browser, as someone new would see it.

.venv/bin/python -m tools.first_picture [AGENTS=1000000 | FLIGHTS=1 | KAFKA=1 ...]

What is given is handed to `make demo`. The clone and all that it installs stand in a temporary folder; packages that pip has
in its cache are not fetched again. Needs Debian's Chromium: `apt-get install chromium`.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

from tools.screenshots import CHROMIUM, FLAGS, PATIENCE_MS, READY

ROOT = Path(__file__).resolve().parents[1]
_MOVES = "(before) => aura.news().time_us > before"


def main(given: list[str]) -> None:
    """Print how long each part took."""
    start_s = time.perf_counter()

    def said(what: str) -> None:
        print(f"{time.perf_counter() - start_s:6.1f} s  {what}", flush=True)

    with tempfile.TemporaryDirectory(prefix="aura-new-") as folder:
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        said("cloned")
        with _demo(folder, given) as address:
            said(f"`{' '.join(['make', 'demo', *given])}` has installed what it needs and serves {address}")
            _watch(address)
            said("a moving picture in the browser")


@contextmanager
def _demo(folder: str, given: list[str]) -> Iterator[str]:
    process = subprocess.Popen(
        ["make", "demo", "PORT=0", *given], cwd=folder, stdout=subprocess.PIPE, text=True, process_group=0
    )  # fmt: skip
    try:
        assert process.stdout is not None  # it is a pipe
        found = next((at[0] for line in process.stdout if (at := re.search(r"http://\S+", line))), None)
        if found is None:
            raise SystemExit("the demonstration did not start")
        yield found
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()


def _watch(address: str) -> None:
    """Return when the page has drawn agents, and event time has gone on since."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_function(READY)
        page.wait_for_function(_MOVES, arg=page.evaluate("aura.news().time_us"))
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
