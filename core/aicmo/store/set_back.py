"""The ledger's times after the clock was set back: what now lies in the future was written a moment ago.

Left alone, the throttles would count it until the clock has caught up, and who was told to come back in five minutes
would wait an hour longer. Taken as of now, a throttle holds for one of its own spans at most, and lets nothing more
through than it should: whatever is stamped in the future went at most so long ago as the clock was set back.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from aicmo.clock import rfc3339

OF_THE_CALENDAR = ("hours", "frequency", "holdout", "variant", "winner")
"""Causes of a deferral until a certain moment, which is where it was; all others last for a span of time."""


def take_as_of(db: sqlite3.Connection, now: datetime) -> int:
    """Write ``now`` for what the throttles count, and move retries by as much; how many deliveries that concerned."""
    stamp = rfc3339(now)
    moved = db.execute(
        f"""UPDATE delivery SET at = ?1, retry_at =
                strftime('%Y-%m-%dT%H:%M:%fZ', julianday(?1) + julianday(retry_at) - julianday(at))
            WHERE state = 'deferred' AND campaign_id IN (SELECT id FROM campaign) AND at > ?1
                  AND cause NOT IN ({", ".join(f"'{each}'" for each in OF_THE_CALENDAR)})""",
        (stamp,),
    ).rowcount
    stamped = db.execute(
        """WITH RECURSIVE each_provider (name) AS (  -- one step of the index for each, however many rows there are
               SELECT min(provider) FROM delivery WHERE sending_at IS NOT NULL
               UNION ALL
               SELECT (SELECT min(provider) FROM delivery WHERE provider > name AND sending_at IS NOT NULL)
               FROM each_provider WHERE name IS NOT NULL)
           UPDATE delivery SET sending_at = ?1
           WHERE provider IN (SELECT name FROM each_provider) AND sending_at > ?1""",
        (stamp,),
    ).rowcount
    return moved + stamped
