"""How a campaign's messages fared lately, since a person last let it go on: what its automatic pause is judged by."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from aicmo.clock import rfc3339

WELL, LOST, REFUSED = "well", "lost", "refused"
"""Taken by a server; came back, or nobody there; refused for what we say or who we are."""
LOST_CAUSES = frozenset({"address", "mailbox", "later"})
"""Of the failed: those that never reached a person, for no fault of the message."""
_SINCE = "coalesce((SELECT resumed_at FROM campaign WHERE id = ?1), '')"
_KIND = """CASE WHEN state = 'bounced' OR (state = 'failed' AND cause IN ('address', 'mailbox', 'later')) THEN 'lost'
                WHEN cause = 'content' THEN 'refused' ELSE 'well' END"""
_DECIDED = """(state IN ('sent', 'failed', 'bounced', 'unknown') OR (state = 'deferred' AND cause = 'content'))
              AND cause NOT IN ('message', 'server')"""


def before(db: sqlite3.Connection, campaign_id: int, now: datetime, most: int) -> list[str]:
    """What became of the last messages before ``now``, the newest first, each as one of the three words."""
    rows = db.execute(
        f"""SELECT {_KIND} FROM delivery
            WHERE campaign_id = ?1 AND {_DECIDED} AND at < ?2 AND at > {_SINCE} ORDER BY at DESC LIMIT ?3""",
        (campaign_id, rfc3339(now), most),
    )
    return [row[0] for row in rows]


def lost_of_the_last(db: sqlite3.Connection, campaign_id: int, most: int) -> tuple[int, int]:
    """Of the last messages, in the order they were sent: how many were lost, and how many these are.

    One that was lost before a person let the campaign go on is none of the lost.
    """
    lost, of = db.execute(
        f"""SELECT count(*) FILTER (WHERE kind = 'lost' AND at > {_SINCE}), count(*) FROM (
                SELECT {_KIND} AS kind, at FROM delivery WHERE campaign_id = ?1 AND {_DECIDED}
                ORDER BY coalesce(sending_at, at) DESC LIMIT ?2)""",
        (campaign_id, most),
    ).fetchone()
    return lost, of


def bounced(db: sqlite3.Connection, campaign_id: int) -> int:
    """How many came back after a server had taken them."""
    row = db.execute(
        f"SELECT count(*) FROM delivery WHERE campaign_id = ?1 AND state = 'bounced' AND at > {_SINCE}", (campaign_id,)
    ).fetchone()
    return int(row[0])


def complaints(db: sqlite3.Connection, campaign_id: int) -> int:
    """How many people reported it as spam."""
    row = db.execute(
        f"""SELECT count(DISTINCT contact_id) FROM event
            WHERE kind = 'complained' AND campaign_id = ?1 AND at > {_SINCE}""",
        (campaign_id,),
    ).fetchone()
    return int(row[0])


def sent(db: sqlite3.Connection, campaign_id: int) -> int:
    """How many a server has taken, those that came back later included."""
    row = db.execute(
        "SELECT count(*) FROM delivery WHERE campaign_id = ? AND state IN ('sent', 'bounced')", (campaign_id,)
    ).fetchone()
    return int(row[0])
