"""How far a sending account has warmed up, told from the ledger alone, so that no restart forgets it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from aicmo.clock import rfc3339

REALLY_SENT = 0.5
"""A day counts on which the account sent at least this part of what it might."""
TROUBLED = 0.1
"""It does not count when more than this part of what was sent bounced, was refused or put off."""


def stage(db: sqlite3.Connection, provider: str, caps: Sequence[int], now: datetime) -> int:
    """How many of ``caps`` (messages a day, in order) the account has left behind before today (UTC).

    Only days on which something was sent are looked at, and none after the last cap was left behind: a warm account
    costs no more than a new one.
    """
    reached, day, today = 0, "", rfc3339(now)[:10]
    while reached < len(caps):
        first = db.execute(
            "SELECT min(sending_at) FROM delivery WHERE provider = ? AND sending_at >= ?", (provider, day)
        ).fetchone()[0]
        if first is None or first[:10] >= today:
            break
        begin, day = first[:10], (date.fromisoformat(first[:10]) + timedelta(days=1)).isoformat()
        sent, troubled = _of_day(db, provider, begin, day)
        if sent >= REALLY_SENT * caps[reached] and troubled <= TROUBLED * max(sent, troubled):
            reached += 1
    return reached


def sent_within_a_day(db: sqlite3.Connection, provider: str, now: datetime) -> int:
    """How many bodies left by way of ``provider`` in the 24 hours that end ``now``."""
    row = db.execute(
        "SELECT count(*) FROM delivery WHERE provider = ? AND sending_at > ?",
        (provider, rfc3339(now - timedelta(days=1))),
    ).fetchone()
    return int(row[0])


def _of_day(db: sqlite3.Connection, provider: str, begin: str, end: str) -> tuple[int, int]:
    """How many bodies left on a day and were taken; and with how many messages of that day there was trouble.

    What was refused before its body is known by the time of its last change only; what was put off and went later, by
    its further attempt.
    """
    taken, troubled = db.execute(
        """SELECT count(*) FILTER (WHERE state NOT IN ('bounced', 'failed', 'deferred')),
                  count(*) FILTER (WHERE state IN ('bounced', 'failed', 'deferred') OR attempts > 1)
           FROM delivery WHERE provider = ? AND sending_at >= ? AND sending_at < ?""",
        (provider, begin, end),
    ).fetchone()
    refused = db.execute(
        """SELECT count(*) FROM delivery
           WHERE campaign_id IN (SELECT id FROM campaign) AND state IN ('failed', 'deferred')
                 AND cause IN ('address', 'mailbox', 'later', 'content', 'throttled')
                 AND provider = ? AND sending_at IS NULL AND at >= ? AND at < ?""",
        (provider, begin, end),
    ).fetchone()[0]
    return taken, troubled + refused
