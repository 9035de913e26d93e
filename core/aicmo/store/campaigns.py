"""Campaigns: who is to hear what, and how far it has come.

The status is what the person or the program decided; ``finished`` is not stored but computed: a running campaign none
of whose deliveries is still open has finished.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from aicmo.clock import rfc3339
from aicmo.errors import IllegalTransition, NotFound


class CampaignStatus(StrEnum):
    DRAFT = "draft"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"


MOVES: Mapping[CampaignStatus, frozenset[CampaignStatus]] = {
    CampaignStatus.DRAFT: frozenset({CampaignStatus.APPROVED}),
    CampaignStatus.APPROVED: frozenset({CampaignStatus.SCHEDULED, CampaignStatus.RUNNING, CampaignStatus.CANCELLED}),
    CampaignStatus.SCHEDULED: frozenset({CampaignStatus.RUNNING, CampaignStatus.PAUSED, CampaignStatus.CANCELLED}),
    CampaignStatus.RUNNING: frozenset({CampaignStatus.PAUSED, CampaignStatus.CANCELLED}),
    CampaignStatus.PAUSED: frozenset({CampaignStatus.RUNNING, CampaignStatus.CANCELLED}),
    # A finished campaign runs again when deliveries of it are queued once more.
    CampaignStatus.FINISHED: frozenset({CampaignStatus.RUNNING}),
    CampaignStatus.CANCELLED: frozenset(),
}
"""From each status, where a campaign may go: the only place that says so."""


@dataclass(frozen=True, slots=True)
class Campaign:
    id: int
    name: str
    status: CampaignStatus
    content_id: int
    audience: str
    """A contact query; read anew until the campaign starts, frozen into deliveries then."""
    pause_reason: str
    """Why the program itself paused it; empty when a person did."""
    version_id: int | None
    """The content version being sent; ``None`` before the start."""
    sender: Mapping[str, str]
    """Who it is sent as (the keys of the configuration's ``[sender]``); empty before the start."""
    created_at: str
    scheduled_at: str | None
    started_at: str | None


_SELECT = """
SELECT campaign.*, status = 'running' AND NOT EXISTS (
    SELECT 1 FROM delivery WHERE campaign_id = campaign.id AND state IN ('queued', 'claimed', 'sending', 'deferred')
) AS finished
FROM campaign
"""


def create(db: sqlite3.Connection, name: str, content_id: int, audience: str, now: datetime) -> int:
    """Insert a draft; the new id."""
    cursor = db.execute(
        "INSERT INTO campaign (name, content_id, audience, created_at) VALUES (?, ?, ?, ?)",
        (name, content_id, audience, rfc3339(now)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def get(db: sqlite3.Connection, campaign_id: int) -> Campaign:
    """Raises ``NotFound``."""
    row = db.execute(f"{_SELECT} WHERE id = ?", (campaign_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no campaign {campaign_id}.", hint="List them with: aicmo campaign list")
    return _campaign(row)


def listed(db: sqlite3.Connection) -> list[Campaign]:
    """All campaigns, the newest first."""
    return [_campaign(row) for row in db.execute(f"{_SELECT} ORDER BY id DESC")]


def running_ids(db: sqlite3.Connection) -> list[int]:
    """The campaigns whose deliveries may be claimed, the oldest first."""
    return [row[0] for row in db.execute("SELECT id FROM campaign WHERE status = 'running' ORDER BY id")]


def move(db: sqlite3.Connection, campaign_id: int, to: CampaignStatus, *, pause_reason: str = "") -> Campaign:
    """Set the status where ``MOVES`` allows it; the campaign as it was before. Raises ``IllegalTransition``."""
    before = get(db, campaign_id)
    if to not in MOVES[before.status]:
        raise IllegalTransition(
            f"Campaign {campaign_id} is {before.status}; it cannot become {to}.",
            hint="See it with: aicmo campaign show " + str(campaign_id),
        )
    db.execute("UPDATE campaign SET status = ?, pause_reason = ? WHERE id = ?", (to, pause_reason, campaign_id))
    return before


def fix_what_is_sent(
    db: sqlite3.Connection, campaign_id: int, version_id: int, sender: Mapping[str, str], now: datetime
) -> None:
    """From its start on, a campaign sends this version as this sender, whatever is edited meanwhile."""
    db.execute(
        "UPDATE campaign SET version_id = ?, sender = ?, started_at = ? WHERE id = ?",
        (version_id, json.dumps(dict(sender), ensure_ascii=False), rfc3339(now), campaign_id),
    )


def set_schedule(db: sqlite3.Connection, campaign_id: int, at: datetime) -> None:
    db.execute("UPDATE campaign SET scheduled_at = ? WHERE id = ?", (rfc3339(at), campaign_id))


def due_ids(db: sqlite3.Connection, now: datetime) -> list[int]:
    """Scheduled campaigns whose time has come."""
    rows = db.execute("SELECT id FROM campaign WHERE status = 'scheduled' AND scheduled_at <= ?", (rfc3339(now),))
    return [row[0] for row in rows]


def _campaign(row: sqlite3.Row) -> Campaign:
    return Campaign(
        id=row["id"],
        name=row["name"],
        status=CampaignStatus.FINISHED if row["finished"] else CampaignStatus(row["status"]),
        content_id=row["content_id"],
        audience=row["audience"],
        pause_reason=row["pause_reason"],
        version_id=row["version_id"],
        sender=json.loads(row["sender"]) if row["sender"] else {},
        created_at=row["created_at"],
        scheduled_at=row["scheduled_at"],
        started_at=row["started_at"],
    )
