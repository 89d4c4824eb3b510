"""A real Chromium for tests of pages: the system's, driven by Playwright.

`from tests.browser import browser` in a conftest gives the fixture. A machine without Chromium skips such tests and says so;
`.ci/run` installs it. Another one than those on the PATH: set CHROMIUM.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def executable() -> str | None:
    """Where the system's Chromium is."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Playwright browser; `browser.new_context()` is a person of their own, with storage of their own.

    For one module: as long as Playwright runs, no test can have an event loop of its own.
    """
    path = executable()
    if path is None:
        pytest.skip("no Chromium on this machine: install it (Debian: apt-get install chromium), or set CHROMIUM")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'curate[dev]'")
    with api.sync_playwright() as playwright:
        # Containers have neither the namespaces of Chromium's sandbox nor, often, a large /dev/shm.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()
