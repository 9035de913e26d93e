"""Keeping people in step in the app: both sides are looked at first, and what would be done is said before it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import app_on, reads

from aicmo.config import Config
from aicmo.paths import Paths
from aicmo.sandbox import RunningSandbox, start_sandbox
from aicmo.workspace import Workspace, open_workspace

pytest.importorskip("uvicorn", reason="the sandbox's HTTP servers")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        running.set_account("airtable", requests_per_second=1_000)
        yield running


def workspace_of(folder: Path, sandbox: RunningSandbox, chain: list[str]) -> Workspace:
    block = {
        "kind": "airtable",
        "base_url": sandbox.http["airtable"].base_url,
        "api_key": sandbox.keys["airtable"],
        "base_id": "appSandboxAAAAAAA",
        "limits": {"second": 1_000},
    }
    sender = {"name": "Ada", "email": "ada@example.com", "postal_address": "x"}
    settings = {"sender": sender, "chains": {"crm_sync": chain}, "providers": {"airtable": block}}
    return open_workspace(Paths(folder / "config.toml", folder / "data"), Config.model_validate(settings))


async def test_what_would_be_done_is_said_and_then_done(tmp_path: Path, sandbox: RunningSandbox) -> None:
    async with workspace_of(tmp_path, sandbox, ["airtable"]) as workspace:
        workspace.crm.add("ann@one.example", company="[/One]")
        app = app_on(workspace)
        async with app.run_test(size=(120, 50)) as pilot:
            await pilot.press("f4", "S")
            await reads(pilot, "Bring both sides together with airtable?")
            await reads(pilot, "here: 120 new", "there: 1 new · 120 changed")
            assert workspace.crm.count() == 1
            await pilot.press("right", "enter")
            await reads(pilot, "In step", "here: 120 new", "there: 1 new · 120 changed")
            assert workspace.crm.count() == 121


async def test_without_a_crm_it_says_so(tmp_path: Path, sandbox: RunningSandbox) -> None:
    async with workspace_of(tmp_path, sandbox, []) as workspace:
        app = app_on(workspace)
        async with app.run_test(size=(120, 50)) as pilot:
            await pilot.press("f4", "S")
            await reads(pilot, "There is no CRM", "name one under crm_sync")
