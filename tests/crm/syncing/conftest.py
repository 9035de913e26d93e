"""An Airtable with an empty base, and a workspace that is kept in step with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from airtable_there import There, home

from aicmo.sandbox import RunningSandbox, start_sandbox
from aicmo.workspace import Workspace

pytest.importorskip("uvicorn", reason="the sandbox's HTTP servers")


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: RunningSandbox) -> RunningSandbox:
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def there(sandbox: RunningSandbox) -> Iterator[There]:
    """An empty base."""
    found = There(sandbox)
    found.clear()
    yield found
    found.close()


@pytest.fixture
async def here(tmp_path: Path, sandbox: RunningSandbox, there: There) -> AsyncIterator[Workspace]:
    async with home(tmp_path, sandbox) as workspace:
        yield workspace
