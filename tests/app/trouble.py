"""Seven services in every kind of trouble, brought about through the real registry: what the health screen looks at."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from datetime import timedelta
from pathlib import Path

from sample import HOSTILE, NOW, FrozenClock, fill_people

from aicmo.check_state import SelfCheck
from aicmo.config import Config
from aicmo.gateways import Applied, Attempt, HealthRegistry, Outcome
from aicmo.gateways.selfcheck import SelfCheckRegistry
from aicmo.paths import Paths
from aicmo.store.checks import CheckDb
from aicmo.workspace import Workspace, open_workspace

CHAINS = {
    "email_sending": ["smtp-main", "smtp-spare"],
    "lead_enrichment": ["apollo", "dropcontact"],
    "email_verification": ["mx"],
    "crm_sync": ["airtable"],
    "reply_fetching": ["inbox"],
    "webhook_dispatch": ["hook"],
}
SMTP = {"kind": "smtp", "host": "127.0.0.1", "port": 9, "security": "none", "limits": {"second": 10, "day": 500}}
PROVIDERS = {
    "smtp-main": SMTP,
    "smtp-spare": SMTP,
    "apollo": {"kind": "apollo", "api_key_env": "NO_SUCH_KEY", "base_url": "http://127.0.0.1:9/api/v1"},
    "dropcontact": {"kind": "dropcontact", "api_key_env": "NO_SUCH_KEY", "monthly_credits": 500},
    "mx": {"kind": "mx"},
    "airtable": {"kind": "airtable", "api_key_env": "NO_SUCH_KEY", "base_id": "appXXXXXXXXXXXXXX"},
    "inbox": {"kind": "imap", "host": "127.0.0.1", "port": 9, "username": "ada"},
    "hook": {"kind": "webhook", "url": "https://hooks.example/aicmo"},
}
HOSTILE_ERROR = "".join(HOSTILE[:3]) + "\x1b[2J\u202e" + "W" * 4_000
"""What a server may say to take over the terminal that shows it."""


class Past(FrozenClock):
    """A clock that is turned to some minutes ago."""

    minutes = 0.0

    def now(self):
        return NOW - timedelta(minutes=self.minutes)


def open_services(folder: Path, chains: dict[str, list[str]] = CHAINS) -> Workspace:
    """All of them set up, none ever called."""
    config = Config.model_validate(
        {
            "sender": {"name": "Ada", "email": "ada@example.com", "postal_address": "1 Analytical Way, London"},
            "chains": chains,
            "providers": PROVIDERS,
        }
    )
    return open_workspace(Paths(folder / "config.toml", folder / "data"), config, clock=FrozenClock())


def open_healthy(folder: Path) -> Workspace:
    """Everybody answers."""
    workspace = open_services(folder)
    asyncio.run(_live(workspace, _good_days))
    return workspace


def open_troubled(folder: Path) -> Workspace:
    workspace = open_services(folder)
    fill_people(workspace, 10)
    asyncio.run(_live(workspace, _bad_days))
    return workspace


class Life:
    """One process among those that share the store, and what it goes through."""

    def __init__(self, workspace: Workspace) -> None:
        self.clock = Past()
        assert workspace.services.health_db is not None
        store, by = workspace.services.health_db, "aicmo run, pid 4121"
        self.registry = HealthRegistry(store, clock=self.clock, rng=lambda: 0.5, by=by)
        self._checks = CheckDb(workspace.services.health_db)
        self._providers = {each.name: each for each in workspace.self_check.providers}

    async def meets(
        self,
        name: str,
        outcome: Outcome,
        *,
        minutes_ago: float,
        code: str = "",
        detail: str = "",
        latency_s: float = 0.2,
        retry_in_s: float = 0,
    ) -> None:
        """One call, admitted and recorded as the chain does it."""
        self.clock.minutes = minutes_ago
        retry_at = self.clock.now() + timedelta(seconds=retry_in_s) if retry_in_s else None
        provider = self._providers[name]
        attempt = Attempt(name, outcome, Applied.NO, code=code, detail=detail, latency_s=latency_s, retry_at=retry_at)
        await self.registry.record(provider, attempt, await self.registry.admit(provider))

    async def checked(self, name: str, recent: list[int | None], left: int | None = None) -> None:
        """What self-checks left behind."""
        found = SelfCheck(name, NOW - timedelta(seconds=12), "ok", recent=tuple(recent))
        if left is not None:
            found = dataclasses.replace(
                found, quota_unit="credits", quota_left=left, quota_limit=2_000, quota_told_at=found.checked_at
            )
        await SelfCheckRegistry(self._checks).keep(name, lambda _: found)

    async def close(self) -> None:
        await self.registry.close()
        self._checks.close()


async def _live(workspace: Workspace, days) -> None:
    life = Life(workspace)
    await days(life)
    await life.close()


async def _good_days(life: Life) -> None:
    chance = random.Random(7)
    for place, name in enumerate(PROVIDERS):
        if name == "hook":
            continue
        usual_ms = 60 + 70 * place
        for minutes_ago in range(26, 14, -1):
            latency_ms = usual_ms + chance.randrange(usual_ms // 2)
            await life.meets(name, Outcome.OK, minutes_ago=minutes_ago, latency_s=latency_ms / 1000)
        await life.checked(name, [usual_ms + chance.randrange(usual_ms) for _ in range(12)])
    await life.checked("apollo", [310, 420, 380, 900, 410, 420], left=1_976)


async def _bad_days(life: Life) -> None:
    await _good_days(life)
    refused = "Authentication failed [/foo]"
    await life.meets("smtp-main", Outcome.AUTH, minutes_ago=13, code="535 5.7.8", detail=refused)
    life.registry.served_elsewhere("smtp-main", 214)
    spent = "insufficient credits"
    await life.meets("apollo", Outcome.QUOTA, minutes_ago=11, code="402", detail=spent, retry_in_s=9 * 3600)
    await life.checked("apollo", [310, 420, 380, None, 410, None], left=0)
    for _ in range(3):
        await life.meets("dropcontact", Outcome.TRANSIENT, minutes_ago=9, detail="timed out after 30 s")
    life.clock.minutes = 3
    await life.registry.disable("mx", NOW + timedelta(minutes=27))
    await life.meets("dropcontact", Outcome.OK, minutes_ago=2)
    for _ in range(3):
        await life.meets("inbox", Outcome.TRANSIENT, minutes_ago=0.1, detail=HOSTILE_ERROR)
    await life.meets("airtable", Outcome.RATE_LIMITED, minutes_ago=0, code="429", retry_in_s=44)
