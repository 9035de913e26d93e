"""What the ledger says of sends that may or may not have happened, and when evidence of them was last looked for.

A module of its own, because telling health asks nothing else of the ledger, and loads it in a fraction of the time.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.store import meta


@dataclass(frozen=True, slots=True)
class InDoubt:
    """An unknown delivery, as a search for evidence needs it."""

    id: int
    campaign_id: int
    message_id: str
    sending_at: datetime
    """When its body was let go: no trace of it is older."""
    at: datetime
    """Since when it is unknown."""


@dataclass(frozen=True, slots=True)
class Look:
    """The last search for evidence of a campaign's unknown deliveries."""

    at: datetime
    looked_in: tuple[str, ...]
    """Mailboxes, each with its account."""
    why_not: str
    """Why an account could not be asked; empty when all were."""


Seen = tuple[datetime, int]
"""How far the schedule of looks is worked off: the moment that had come, and the delivery whose it was."""


def oldest_unknown(db: sqlite3.Connection) -> tuple[int, datetime | None, int | None]:
    """How many deliveries are unknown over all campaigns, since when the oldest is, and in which campaign."""
    # By campaign, because that is how the index goes.
    rows = db.execute(
        """SELECT count(*) AS count, min(at) AS since, campaign_id
           FROM campaign JOIN delivery ON campaign_id = campaign.id AND state = 'unknown'
           GROUP BY campaign_id ORDER BY since"""
    ).fetchall()
    if not rows:
        return 0, None, None
    return sum(row["count"] for row in rows), parse_rfc3339(rows[0]["since"]), rows[0]["campaign_id"]


def in_doubt(db: sqlite3.Connection, campaign_id: int | None = None, address: str = "") -> list[InDoubt]:
    """The unknown deliveries of one campaign, or of all; with ``address``, which is normalised, only those to it."""
    rows = db.execute(
        """SELECT delivery.id, campaign_id, message_id, coalesce(sending_at, at) AS sending_at, at
           FROM campaign JOIN delivery ON campaign_id = campaign.id AND state = 'unknown'
           WHERE coalesce(?, campaign.id) = campaign.id AND ? IN ('', address) ORDER BY delivery.id""",
        (campaign_id, address),
    )
    return [
        InDoubt(
            row["id"],
            row["campaign_id"],
            row["message_id"] or "",
            parse_rfc3339(row["sending_at"]),
            parse_rfc3339(row["at"]),
        )
        for row in rows
    ]


def waiting(db: sqlite3.Connection, campaign_id: int) -> list[tuple[int, datetime]]:
    """The deliveries of a campaign that still wait, with the time since when they may have gone: its start."""
    rows = db.execute(
        """SELECT delivery.id, started_at FROM campaign JOIN delivery ON campaign_id = campaign.id
           WHERE campaign.id = ? AND state IN ('queued', 'deferred') ORDER BY delivery.id""",
        (campaign_id,),
    )
    return [(row["id"], parse_rfc3339(row["started_at"])) for row in rows]


# --- what was looked for; kept as JSON in meta ------------------------------------------------------------------------

_SEEN = "evidence: seen to"


def last_look(db: sqlite3.Connection, campaign_id: int) -> Look | None:
    """``None`` when nobody has looked yet."""
    told = meta.told(db, _look_of(campaign_id))
    return Look(parse_rfc3339(told["at"]), tuple(told["looked_in"]), told["why_not"]) if told else None


def note_look(db: sqlite3.Connection, campaign_id: int, look: Look) -> None:
    """Remember ``look`` in place of the campaign's last one."""
    told = {"at": rfc3339(look.at), "looked_in": look.looked_in, "why_not": look.why_not}
    meta.tell(db, _look_of(campaign_id), told)


def seen_to(db: sqlite3.Connection) -> Seen | None:
    """``None`` when nothing of the schedule has been done yet."""
    told = meta.told(db, _SEEN)
    return (parse_rfc3339(told["moment"]), told["delivery"]) if told else None


def note_seen(db: sqlite3.Connection, seen: Seen) -> None:
    """The schedule is done up to there. It is never set back, so two processes may both say what they did."""
    before = seen_to(db)
    if before is None or seen > before:
        meta.tell(db, _SEEN, {"moment": rfc3339(seen[0]), "delivery": seen[1]})


def _look_of(campaign_id: int) -> str:
    return f"evidence: last look, campaign {campaign_id}"
