"""Finds the server under test. WEIR_BASE_URL: for example http://127.0.0.1:8000; WEIR_API_KEY: if it asks for one."""

import os

import pytest


@pytest.fixture(scope="session")
def base_url():
    url = os.environ.get("WEIR_BASE_URL")
    if not url:
        pytest.skip("WEIR_BASE_URL is not set: start `weir serve MODEL` and name it")
    return url.rstrip("/")


@pytest.fixture(scope="session")
def api_key():
    return os.environ.get("WEIR_API_KEY", "none")
