"""WEIR_BASE_URL names the server; its model needs a context of 2048 tokens or more.
WEIR_WEB_FILES: a folder shown instead of the server's page while working on it.
WEIR_SCREENSHOTS: a folder for pictures."""

import os
import pathlib

import pytest
from browser import Browser, find_chromium


@pytest.fixture(scope="session")
def base_url():
    url = os.environ.get("WEIR_BASE_URL")
    if not url:
        pytest.skip("WEIR_BASE_URL is not set: start `weir serve MODEL` and name it")
    return url.rstrip("/")


@pytest.fixture(scope="session")
def chromium():
    program = find_chromium()
    if not program:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    browser = Browser(program)
    yield browser
    browser.close()


@pytest.fixture
def page(chromium, base_url):
    page = chromium.page(web_files=os.environ.get("WEIR_WEB_FILES"))
    page.open(base_url + "/")
    yield page
    page.close()


@pytest.fixture
def picture(page):
    """Keeps a screenshot under a name where a folder is named for them."""
    folder = os.environ.get("WEIR_SCREENSHOTS")

    def keep(name):
        if folder:
            page.screenshot(pathlib.Path(folder, name + ".png"))
    return keep
