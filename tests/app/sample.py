"""A workspace with people, campaigns and servers in it, at one fixed moment: what the app's tests look at."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aicmo.clock import rfc3339
from aicmo.config import Config
from aicmo.paths import Paths
from aicmo.provider_state import BLOCKED, OK, ProviderState, StateChange
from aicmo.publishing import Draft
from aicmo.store import lookups, suppressions
from aicmo.store.events import Event
from aicmo.store.suppressions import SuppressionReason
from aicmo.workspace import Workspace, open_workspace

NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)

HOSTILE = (
    "[@click=app.quit]Bob[/]",
    "oops [/foo]",
    "\x1b]52;c;ZXZpbA==\x07Clip",
    "=?utf-8?q?Eve=0d=0aBcc:_mallory@evil.example?=",
    "W" * 4_000,
    "\u202egnp.tac\u202c",
)
"""Names that strangers gave themselves."""

PEOPLE = (
    ("Jane", "Doe", "jane@acme.example", "Acme", "Head of Growth", "ENGAGED"),
    ("Omar", "Haddad", "omar@haddad.example", "Haddad & Co", "Owner", "VERIFIED"),
    ("小龍", "李", "lee@dragon.example", "Dragon Ltd", "", "ENRICHED"),
    ("Zoë", "Müller", "zoe@blume.example", "Blume GmbH", "Gärtnerin", "NEW"),
)

JANE = "jane@acme.example"

SETTLED = ("sent", "sent", "sent", "sent", "deferred", "failed", "unknown", "bounced", "suppressed", "queued")


class FrozenClock:
    """The wall clock stands; waiting takes as long as it takes."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def open_empty(folder: Path) -> Workspace:
    """Nothing is configured and nobody is there."""
    return open_workspace(Paths(folder / "config.toml", folder / "data"), Config(), clock=FrozenClock())


def open_filled(folder: Path, *, people: int = 40) -> Workspace:
    """People, some hostile; a campaign under way, one paused, one to approve; a server that is blocked."""
    config = Config.model_validate(
        {
            "sender": {
                "name": "Ada Lovelace",
                "email": "ada@example.com",
                "postal_address": "1 Analytical Way, London",
            },
            "chains": {"email_sending": ["smtp-main", "smtp-spare"]},
            # Port 9 discards: should a test ever send, nobody gets it.
            "providers": {
                name: {"kind": "smtp", "host": "127.0.0.1", "port": 9, "security": "none"}
                for name in ("smtp-main", "smtp-spare")
            },
        }
    )
    workspace = open_workspace(Paths(folder / "config.toml", folder / "data"), config, clock=FrozenClock())
    fill_people(workspace, people)
    autumn = fill_campaign(workspace, "Autumn news", "running")
    fill_campaign(workspace, HOSTILE[0], "paused")
    content = workspace.contents.create("email", "Winter offer", Draft("Winter, {{ first_name }}", "Hello."))
    workspace.publishing.create_campaign("Winter offer", content.id, "tag:trial")
    block_main(workspace)
    assert autumn == 1
    return workspace


def fill_people(workspace: Workspace, people: int) -> None:
    for first, last, email, company, title, stage in PEOPLE:
        workspace.crm.add(
            email, first_name=first, last_name=last, company=company, title=title, stage=stage, tags=["trial"]
        )

    def hostile(db):
        # Past the door where text is made plain: a store written by something else must not harm the screen either.
        for number in range(people - len(PEOPLE)):
            name, address = HOSTILE[number % len(HOSTILE)], f"p{number:03}@stranger.example"
            db.execute(
                "INSERT INTO contact (address, email, first_name, company, title, domain, created_at, updated_at) "
                "VALUES (?, ?, ?, ?, ?, 'stranger.example', ?, ?)",
                (address, address, name, name, name, rfc3339(NOW), rfc3339(NOW)),
            )

    workspace.db.write(hostile)


def fill_campaign(workspace: Workspace, name: str, status: str) -> int:
    publishing = workspace.publishing
    content = workspace.contents.create(
        "email", name, Draft(f"{name}, {{{{ first_name }}}}", "Hello {{ first_name }}, this autumn we ...")
    )
    campaign = publishing.create_campaign(name, content.id, "")
    publishing.start(campaign.id, approve=True)

    def settle(db):
        rows = db.execute("SELECT id FROM delivery WHERE campaign_id = ? ORDER BY id", (campaign.id,)).fetchall()
        for number, (delivery_id,) in enumerate(rows):
            state = SETTLED[number % len(SETTLED)]
            db.execute(
                "UPDATE delivery SET state = ?, provider = ?, code = ?, reason = ?, retry_at = ?, attempts = 1, "
                "message_id = ? WHERE id = ?",
                (
                    state,
                    "smtp-main" if state not in ("queued", "suppressed") else None,
                    "250" if state == "sent" else "",
                    HOSTILE[number % len(HOSTILE)],
                    rfc3339(NOW + timedelta(minutes=7)) if state == "deferred" else None,
                    f"<{number}@example.com>",
                    delivery_id,
                ),
            )
        db.execute("UPDATE campaign SET status = ? WHERE id = ?", (status, campaign.id))

    workspace.db.write(settle)
    return campaign.id


def block_main(workspace: Workspace) -> None:
    """smtp-main refused the password a while ago; smtp-spare carries on."""
    health = workspace.services.health_db
    assert health is not None
    at = NOW - timedelta(minutes=13)
    refusal = "Authentication failed [/foo]"
    health.update(
        "smtp-main",
        lambda found: (
            ProviderState(
                "smtp-main",
                BLOCKED,
                gen=1,
                successes=8,
                observations=18,
                latency_s=0.21,
                updated_at=NOW,
                open_until=NOW + timedelta(minutes=47),
                open_reason="auth",
                last_ok_at=at,
                last_error_at=at,
                last_error_class="auth",
                last_error_code="535 5.7.8",
                last_error_text=refusal,
            ),
            StateChange("smtp-main", at, OK, BLOCKED, f"535 5.7.8 {refusal}"),
        ),
    )
    health.update(
        "smtp-spare",
        lambda found: (
            ProviderState(
                "smtp-spare", OK, successes=20, observations=20, latency_s=0.095, updated_at=NOW, last_ok_at=NOW
            ),
            None,
        ),
    )


def give_stories(workspace: Workspace) -> None:
    """Jane has been found out about, has answered, and something is planned with her; Omar has unsubscribed."""
    jane, omar = workspace.crm.get(JANE), workspace.crm.get("omar@haddad.example")
    workspace.crm.edit(jane, {"field.city": "London"})
    workspace.today.plan(jane, "call about the trial", "tuesday")
    at = NOW - timedelta(days=12)

    def write(db):
        db.execute("UPDATE contact SET score = 71 WHERE id = ?", (jane.id,))
        verdict = lookups.Verdict("valid", "deliverable", "dropcontact", rfc3339(NOW - timedelta(days=10)))
        lookups.put_verdicts(db, {jane.id: verdict})
        lookups.ask(db, "lead_enrichment", "apollo", "batch", [jane.id], at)
        lookups.settle(db, "batch", [lookups.Settled(jane.id, "found", 1000)])
        lookups.put_facts(db, "batch", "apollo", {jane.id: {"company": "Acme Holding", "city": "London"}}, at)
        opted_out = NOW - timedelta(days=3)
        suppressions.add(db, omar.address, SuppressionReason.UNSUBSCRIBED, "the link in a mail", opted_out)

    workspace.db.write(write)
    replied = Event(jane.id, "replied", NOW - timedelta(hours=2), campaign_id=1, human=True, text="Yes please")
    workspace.crm.record_event(replied)
