"""One sandbox for all tests of this folder, cleared before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aicmo.sandbox import RunningSandbox, start_sandbox


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), starttls=True) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: RunningSandbox) -> RunningSandbox:
    shared_sandbox.reset()
    return shared_sandbox
