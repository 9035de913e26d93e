"""What the ledger says of sends that may or may not have happened.

A module of its own, because telling health asks nothing else of the ledger, and loads it in a fraction of the time.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from aicmo.clock import parse_rfc3339


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
