"""Campaigns: who is to hear what, and how far it has come.

The status is what the person or the program decided; ``finished`` is not stored but computed: a running campaign none
of whose deliveries is still open, and in whose sequence nobody is under way or may still join, has finished.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.errors import IllegalTransition, NotFound, VerbHint
from aicmo.store import campaign_options
from aicmo.store.campaign_options import AS_USUAL, CampaignOptions


class CampaignStatus(StrEnum):
    """Where a campaign stands; ``MOVES`` says what may follow."""

    DRAFT = "draft"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"

    @property
    def told(self) -> str:
        """As what follows "it is"."""
        return "a draft" if self is CampaignStatus.DRAFT else self.value


MOVES: Mapping[CampaignStatus, frozenset[CampaignStatus]] = {
    CampaignStatus.DRAFT: frozenset({CampaignStatus.APPROVED}),
    CampaignStatus.APPROVED: frozenset({CampaignStatus.SCHEDULED, CampaignStatus.RUNNING, CampaignStatus.CANCELLED}),
    CampaignStatus.SCHEDULED: frozenset(
        {CampaignStatus.SCHEDULED, CampaignStatus.RUNNING, CampaignStatus.PAUSED, CampaignStatus.CANCELLED}
    ),
    CampaignStatus.RUNNING: frozenset({CampaignStatus.PAUSED, CampaignStatus.CANCELLED}),
    # One that was paused before it began, because it was late, can be given another time.
    CampaignStatus.PAUSED: frozenset({CampaignStatus.SCHEDULED, CampaignStatus.RUNNING, CampaignStatus.CANCELLED}),
    # A finished campaign runs again when deliveries of it are queued once more.
    CampaignStatus.FINISHED: frozenset({CampaignStatus.RUNNING}),
    CampaignStatus.CANCELLED: frozenset(),
}
"""From each status, where a campaign may go: the only place that says so."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A row of ``campaign``. Times that are text are RFC 3339, UTC."""

    id: int
    name: str
    status: CampaignStatus
    content_id: int
    audience: str
    """A contact query; read anew until the campaign starts, frozen into deliveries then."""
    exclude: str
    """A contact query: whom it selects gets nothing of it. Empty excludes nobody."""
    kind: str
    """``once``, or ``sequence``."""
    joins_at: datetime | None
    """When newcomers to the audience are looked for next; ``None``: nobody joins after the start."""
    options: CampaignOptions
    pause_reason: str
    """Why the program itself paused it; empty when a person did."""
    version_id: int | None
    """The content version being sent; ``None`` before the start."""
    sender: Mapping[str, str]
    """Who it is sent as (the keys of the configuration's ``[sender]``); empty before the start."""
    created_at: str
    scheduled_at: str | None
    started_at: str | None
    resumed_at: str | None
    """When a person last let it go on; what was before does not pause it again."""


_SELECT = """
SELECT campaign.*, status = 'running' AND NOT EXISTS (
    SELECT 1 FROM delivery WHERE campaign_id = campaign.id AND state IN ('queued', 'claimed', 'sending', 'deferred')
) AND joins_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM enrolment WHERE campaign_id = campaign.id AND state = 'active'
) AS finished
FROM campaign
"""


def create(
    db: sqlite3.Connection,
    name: str,
    content_id: int,
    audience: str,
    now: datetime,
    *,
    exclude: str = "",
    options: CampaignOptions = AS_USUAL,
) -> int:
    """Insert a draft; the new id."""
    cursor = db.execute(
        "INSERT INTO campaign (name, content_id, audience, exclude, options, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (name, content_id, audience, exclude, campaign_options.to_json(options), rfc3339(now)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def change(
    db: sqlite3.Connection, campaign_id: int, name: str, audience: str, exclude: str, options: CampaignOptions
) -> None:
    """Another name, audience and choices, of a campaign that has not begun."""
    db.execute(
        "UPDATE campaign SET name = ?, audience = ?, exclude = ?, options = ? WHERE id = ?",
        (name, audience, exclude, campaign_options.to_json(options), campaign_id),
    )


def get(db: sqlite3.Connection, campaign_id: int) -> Campaign:
    """Raises ``NotFound``."""
    row = db.execute(f"{_SELECT} WHERE id = ?", (campaign_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no campaign {campaign_id}.", hint=VerbHint("List them with", "campaign list"))
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
        why = " already" if to is before.status else f"; it cannot become {to}"
        raise IllegalTransition(
            f"Campaign {campaign_id} is {before.status.told}{why}.",
            hint=VerbHint("See it with", f"campaign show {campaign_id}"),
        )
    db.execute("UPDATE campaign SET status = ?, pause_reason = ? WHERE id = ?", (to, pause_reason, campaign_id))
    return before


def refuse_ended(campaign: Campaign, because: str) -> None:
    """For what makes no sense any more. Raises ``IllegalTransition`` when it is finished or cancelled."""
    if campaign.status in (CampaignStatus.FINISHED, CampaignStatus.CANCELLED):
        raise IllegalTransition(f"Campaign {campaign.id} is {campaign.status}; {because}.")


def refuse_cancelled(campaign: Campaign, because: str = "nobody gets anything of it") -> None:
    """For what makes no sense any more. Raises ``IllegalTransition`` when it is cancelled."""
    if campaign.status is CampaignStatus.CANCELLED:
        raise IllegalTransition(f"Campaign {campaign.id} is cancelled; {because}.")


def fix_what_is_sent(
    db: sqlite3.Connection, campaign_id: int, version_id: int, sender: Mapping[str, str], now: datetime
) -> None:
    """From its start on, a campaign sends this version as this sender, whatever is edited meanwhile."""
    db.execute(
        "UPDATE campaign SET version_id = ?, sender = ?, started_at = ? WHERE id = ?",
        (version_id, json.dumps(dict(sender), ensure_ascii=False), rfc3339(now), campaign_id),
    )


def fix_version(db: sqlite3.Connection, campaign_id: int, version_id: int) -> None:
    """Another first message, of a campaign that goes on."""
    db.execute("UPDATE campaign SET version_id = ? WHERE id = ?", (version_id, campaign_id))


def set_content(db: sqlite3.Connection, campaign_id: int, content_id: int) -> None:
    """Other content for its first message."""
    db.execute("UPDATE campaign SET content_id = ? WHERE id = ?", (content_id, campaign_id))


def set_kind(db: sqlite3.Connection, campaign_id: int, kind: str) -> None:
    """``once`` or ``sequence``."""
    db.execute("UPDATE campaign SET kind = ? WHERE id = ?", (kind, campaign_id))


def set_joining(db: sqlite3.Connection, campaign_id: int, at: datetime | None) -> None:
    """When newcomers are looked for next; ``None``: never."""
    db.execute("UPDATE campaign SET joins_at = ? WHERE id = ?", (rfc3339(at) if at else None, campaign_id))


def set_schedule(db: sqlite3.Connection, campaign_id: int, at: datetime | None) -> None:
    """When it begins by itself; ``None``: never, because a person begins it now."""
    db.execute("UPDATE campaign SET scheduled_at = ? WHERE id = ?", (rfc3339(at) if at else None, campaign_id))


def resumed(db: sqlite3.Connection, campaign_id: int, now: datetime) -> None:
    """A person let it go on."""
    db.execute("UPDATE campaign SET resumed_at = ? WHERE id = ?", (rfc3339(now), campaign_id))


def has_begun(db: sqlite3.Connection, campaign_id: int) -> bool:
    """Whether its audience is frozen."""
    row = db.execute("SELECT EXISTS (SELECT 1 FROM delivery WHERE campaign_id = ?)", (campaign_id,)).fetchone()
    return bool(row[0])


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
        exclude=row["exclude"],
        kind=row["kind"],
        joins_at=parse_rfc3339(row["joins_at"]) if row["joins_at"] else None,
        options=campaign_options.from_json(row["options"]),
        pause_reason=row["pause_reason"],
        version_id=row["version_id"],
        sender=json.loads(row["sender"]) if row["sender"] else {},
        created_at=row["created_at"],
        scheduled_at=row["scheduled_at"],
        started_at=row["started_at"],
        resumed_at=row["resumed_at"],
    )
