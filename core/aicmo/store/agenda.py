"""What the store says is due, and when: read only, by the minute, so that a day can begin in any zone."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.store import sequences, variants


@dataclass(frozen=True, slots=True)
class Due:
    """So many messages, or people, of one campaign in one minute."""

    campaign_id: int
    at: datetime
    count: int
    step: int
    """Of a sequence; 1 where there is only one."""
    cause: str = ""
    """Of messages that nobody has tried yet: what they wait for, one of ``deliveries.CAUSES``."""


def retries(db: sqlite3.Connection, until: datetime) -> list[Due]:
    """Deferred deliveries of running campaigns, by the minute in which they may go, and by what they wait for."""
    return _due(
        db,
        """SELECT campaign_id, min(retry_at) AS at, count(*) AS count, step,
                  iif(attempts = 0 AND cause <> 'server', cause, '') AS waits_for  -- no server's trouble is an attempt
           FROM campaign JOIN delivery INDEXED BY delivery_retry ON campaign_id = campaign.id
           WHERE status = 'running' AND state = 'deferred' AND retry_at < ? AND cause <> 'winner'
           GROUP BY campaign_id, step, substr(retry_at, 1, 16), waits_for""",
        until,
    )


def decisions(db: sqlite3.Connection, until: datetime) -> list[Due]:
    """Those who wait for the better variant of a test, at the time when it is decided, as far as that is known."""
    known = ((test.campaign_id, variants.decision_at(db, test)) for test in variants.undecided(db))
    dated = [(campaign_id, at) for campaign_id, at in known if at is not None and at < until]
    return [Due(campaign_id, at, variants.waiting(db, campaign_id), 1) for campaign_id, at in dated]


def steps(db: sqlite3.Connection, until: datetime) -> list[Due]:
    """People in running sequences, by the minute in which their next step is due."""
    return _due(
        db,
        f"""SELECT campaign_id, min(due_at) AS at, count(*) AS count, {sequences.NEXT_STEP} AS step, '' AS waits_for
           FROM campaign JOIN enrolment ON campaign_id = campaign.id
           WHERE status = 'running' AND state = 'active' AND due_at < ? AND due_at <> ''
           GROUP BY campaign_id, enrolment.step, substr(due_at, 1, 16)""",
        until,
    )


def _due(db: sqlite3.Connection, query: str, until: datetime) -> list[Due]:
    return [
        Due(row["campaign_id"], parse_rfc3339(row["at"]), row["count"], row["step"], row["waits_for"])
        for row in db.execute(query, (rfc3339(until),))
    ]
