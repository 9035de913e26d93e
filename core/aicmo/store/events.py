"""What happened with whom: what they did, what was noted about them. Our own sending stands in the deliveries' ledger.

An event that a machine caused is kept and marked as such, because every number and every stage has to know. One that is
heard of twice (the same mail read again, the same row synced again) carries the same ``origin`` and is written once.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import rfc3339

KINDS = {
    "opened": "opened",
    "clicked": "clicked",
    "replied": "replied",
    "auto_replied": "answered automatically",
    "bounced": "bounced",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
    "form": "filled in a form",
    "converted": "converted",
    "note": "note",
    "call": "call",
    "meeting": "meeting",
    "message": "message",
}
"""What can happen, and how it is said."""


@dataclass(frozen=True, slots=True)
class Event:
    contact_id: int
    kind: str
    """A key of ``KINDS``."""
    at: datetime
    channel: str = ""
    campaign_id: int | None = None
    delivery_id: int | None = None
    human: bool | None = None
    """Whether a person did it; ``None``: nobody can tell."""
    because: str = ""
    """Why we think so."""
    text: str = ""
    actor: str = ""
    """Who wrote it down."""
    origin: str | None = None
    """Tells it apart from every other; ``None``: it cannot be heard of twice."""
    pinned: bool = False
    id: int = 0
    """0 before it is stored."""


def add(db: sqlite3.Connection, event: Event) -> int | None:
    """Write an event down; its id, or ``None`` when its ``origin`` is known already."""
    row = db.execute(
        """INSERT INTO event (contact_id, kind, at, channel, campaign_id, delivery_id, human, because, text, actor,
                              origin, pinned)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (origin) DO NOTHING RETURNING id""",
        (
            event.contact_id,
            event.kind,
            rfc3339(event.at),
            event.channel,
            event.campaign_id,
            event.delivery_id,
            event.human,
            event.because,
            event.text,
            event.actor,
            event.origin,
            event.pinned,
        ),
    ).fetchone()
    return None if row is None else int(row[0])


def get(db: sqlite3.Connection, event_id: int) -> Event | None:
    row = db.execute("SELECT * FROM event WHERE id = ?", (event_id,)).fetchone()
    return _event(row) if row else None


def campaign_name(db: sqlite3.Connection, event: Event) -> str:
    """Of the campaign that it answers; empty when there is none, or none any more."""
    row = db.execute("SELECT name FROM campaign WHERE id = ?", (event.campaign_id,)).fetchone()
    return str(row["name"]) if row else ""


def of(db: sqlite3.Connection, contact_id: int, *, limit: int = -1) -> list[Event]:
    """Everything that happened with somebody, the newest first."""
    rows = db.execute("SELECT * FROM event WHERE contact_id = ? ORDER BY at DESC, id DESC LIMIT ?", (contact_id, limit))
    return [_event(row) for row in rows]


def pin(db: sqlite3.Connection, event_id: int, pinned: bool) -> bool:
    """True when there is such an event."""
    return db.execute("UPDATE event SET pinned = ? WHERE id = ?", (pinned, event_id)).rowcount == 1


def rewrite(db: sqlite3.Connection, event_id: int, text: str) -> bool:
    """Change a note's words. True when there is such a note."""
    return db.execute("UPDATE event SET text = ? WHERE id = ? AND kind = 'note'", (text, event_id)).rowcount == 1


def delete_note(db: sqlite3.Connection, event_id: int) -> bool:
    """Only what a person wrote down can be taken out of the timeline."""
    return db.execute("DELETE FROM event WHERE id = ? AND kind = 'note'", (event_id,)).rowcount == 1


def _event(row: sqlite3.Row) -> Event:
    values = dict(row)
    human = values["human"]
    values.update(
        at=datetime.fromisoformat(values["at"]),
        human=None if human is None else bool(human),
        pinned=bool(values["pinned"]),
    )
    return Event(**values)
