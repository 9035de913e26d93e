"""A clock that a test moves, and workspaces that go by it: what a restart or a second process finds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aicmo.clock import Clock, SystemClock
from aicmo.config import Config
from aicmo.paths import Paths
from aicmo.publishing.sending.outbox import RunReport
from aicmo.sandbox import RunningSandbox
from aicmo.workspace import Workspace, open_workspace

from .conftest import config_for

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""A Monday."""


class Movable(SystemClock):
    """The real clock, set forward or back as a test says. What is measured runs on, as it does on a computer."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


class HandClock:
    """``at`` is what it shows; waiting is short, and moves nothing."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))

    def forward(self, **span: float) -> None:
        self.at += timedelta(**span)


def config_with(
    sandbox: RunningSandbox, *servers: str, sending: Mapping[str, Any] | None = None, **settings: Any
) -> Config:
    """``sending`` is the configuration's ``[sending]``; ``settings`` are each server's."""
    config = config_for(sandbox, *servers, **settings)
    said = {**config.model_dump(exclude_unset=True), "sending": {"timezone": "UTC", **(sending or {})}}
    return Config.model_validate(said)


def open_there(folder: Path, config: Config, clock: Clock) -> Workspace:
    return open_workspace(Paths(folder / "config.toml", folder / "data"), config, clock=clock)


async def run_once(workspace: Workspace, **options: float) -> RunReport:
    """What ``aicmo run`` does, without waiting for anything that is later; ``options`` are those of ``Outbox.run``."""
    try:
        return await workspace.publishing.outbox().run(**{"for_room_s": 0.0, **options})
    finally:
        for provider in workspace.chain("email_sending").providers:
            await provider.close()
        await workspace.registry.close()
