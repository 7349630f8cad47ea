"""A real browser: Chromium without a window, where there is one.

``python -m tests.compiler.page.browser PAGE PICTURE`` takes the picture that the documents show.
"""

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path


__all__ = ["browser", "opened"]

NAMES = "chromium", "chromium-browser", "google-chrome"
PATIENCE = 120_000  # ms, on a machine that is busy
DOCS = 1120, "roofline"  # width of the picture in px, and the part of the page where it ends


@contextmanager
def browser():
    """Yield a browser of Playwright, or None where there is none to run."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        yield None
        return
    with sync_playwright() as play:
        found = next(filter(None, map(shutil.which, NAMES)), None)
        own = Path(play.chromium.executable_path)  # what `playwright install` fetches
        if not found and not own.exists():
            yield None
            return
        running = play.chromium.launch(executable_path=found, timeout=PATIENCE)
        yield running
        running.close()


@contextmanager
def opened(running, path, width, *, height=900, scheme="light", complaints=None):
    """Yield a page that was read from a file. What it says and asks for goes to ``complaints``."""
    context = running.new_context(viewport={"width": width, "height": height},
                                  color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    heard = [] if complaints is None else complaints
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: None if request.url in (page.url, path.as_uri())
            or request.url.startswith("data:") else heard.append(request.url))
    page.goto(path.as_uri())
    yield page
    context.close()


def main(path, picture):
    with browser() as running:
        if running is None:
            sys.exit("A Chromium must be installed, and Playwright beside it")
        width, last = DOCS
        with opened(running, Path(path).resolve(), width) as page:
            box = page.locator(f"#{last}").bounding_box()
            page.screenshot(path=picture, full_page=True, clip={
                "x": 0, "y": 0, "width": width, "height": box["y"] + box["height"] + 20})


if __name__ == "__main__":
    main(*sys.argv[1:])
