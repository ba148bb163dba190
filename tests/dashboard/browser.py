"""A real Chromium without a screen, drawing in software."""

from collections.abc import Iterator
from contextlib import contextmanager

from debian import program
from playwright.sync_api import Page, expect, sync_playwright

__all__ = ["opened"]

_FLAGS = (
    "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
_TIMEOUT_MS = 60_000  # it draws in software, and others use the machine
expect.set_options(timeout=_TIMEOUT_MS)


@contextmanager
def opened(address: str, *, theme: str = "dark", size: tuple[int, int] = (1440, 810)) -> Iterator[Page]:
    """Open a page in a browser with a profile of its own; what goes wrong in it, in the end, fails the test."""
    path, wrong = program("chromium", "chromium"), list[str]()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=theme)
        page.set_default_timeout(_TIMEOUT_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: wrong.append(asked.url) if _is_elsewhere(asked.url) else None)
        page.goto(address)
        yield page
        browser.close()
    # That the server does not answer while it is away is what some tests are about.
    assert not [text for text in wrong if "ERR_CONNECTION" not in text and "WebSocket" not in text], wrong


def _is_elsewhere(url: str) -> bool:
    return url.startswith("http") and not url.startswith("http://127.0.0.1:")
