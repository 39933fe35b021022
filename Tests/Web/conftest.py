"""WEIR_BASE_URL names the server; its model needs a context of 2048 tokens or more.
WEIR_WEB_FILES: a folder shown instead of the server's page while working on it.
WEIR_SCREENSHOTS: a folder for pictures. WEIR_PROGRAM and WEIR_MODEL_FILE: what a cluster of the tests' own is made of."""

import ctypes.util
import os
import pathlib
import re
import subprocess
import time

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
    return keeping(page)


def keeping(page):
    folder = os.environ.get("WEIR_SCREENSHOTS")

    def keep(name):
        if folder:
            page.screenshot(pathlib.Path(folder, name + ".png"))
    return keep


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory):
    """The router of a prefill and a decode node of our own."""
    program, model = os.environ.get("WEIR_PROGRAM"), os.environ.get("WEIR_MODEL_FILE")
    if not program or not model:
        pytest.skip("WEIR_PROGRAM and WEIR_MODEL_FILE do not name the program and a model")
    if not ctypes.util.find_library("ucp"):
        pytest.skip("UCX is not installed; scripts/setup.sh installs Debian's libucx")
    log = tmp_path_factory.mktemp("cluster") / "log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            [program, "cluster", "up", model, "--port", "0", "--threads", "1"], stderr=sink)
    try:
        end = time.monotonic() + 90
        while not (found := re.search(r"router\s+listening on \S+?:(\d+)", log.read_text())):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def cluster_page(chromium, cluster_url):
    page = chromium.page(web_files=os.environ.get("WEIR_WEB_FILES"), index="cluster.html")
    page.open(cluster_url + "/")
    page.picture = keeping(page)
    yield page
    page.evaluate("1")
    foreign = [url for url in page.requests if not url.startswith((cluster_url + "/", "data:", "about:"))]
    page.close()
    assert foreign == []
