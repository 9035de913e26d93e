"""One sandbox for all tests of this folder, cleared before each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from aicmo.sandbox import RunningSandbox, start_sandbox

_AUTH = {
    "apollo": lambda key: {"x-api-key": key},
    "dropcontact": lambda key: {"X-Access-Token": key},
    "airtable": lambda key: {"Authorization": f"Bearer {key}"},
    "webhook": lambda _: {},
}


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), starttls=True) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: RunningSandbox) -> RunningSandbox:
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture(scope="session")
def _http() -> Iterator[httpx.Client]:
    """One pool of connections for all: to make a client costs more than to ask."""
    with httpx.Client(timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
def ask(sandbox: RunningSandbox, _http: httpx.Client) -> Callable[..., httpx.Response]:
    """Ask a provider with its key, or another: ``ask("apollo", "GET", "/auth/health", key="wrong", json=…)``."""

    def request(server: str, method: str, path: str, *, key: str | None = None, **more: Any) -> httpx.Response:
        headers = _AUTH[server](sandbox.keys.get(server) if key is None else key) if key != "" else {}
        return _http.request(method, sandbox.http[server].base_url + path, headers=headers, **more)

    return request
