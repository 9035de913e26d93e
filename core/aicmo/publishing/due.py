"""What time alone brings about: campaigns begin, people go on in sequences, tests are decided.

The sender does it, now and again, and before it concludes that there is nothing to do.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from aicmo.publishing.schedule import NOBODY, Newcomers, start_due
from aicmo.publishing.sequences.advancing import advance
from aicmo.publishing.variants import decide_due, next_decision_at
from aicmo.store import campaigns, claiming, sequences


def bring_about(db: sqlite3.Connection, now: datetime, late_after: timedelta, come: Newcomers) -> None:
    """Whatever is due. A campaign begun later than ``late_after`` asks first, unless it says otherwise itself.

    ``come`` is what ``schedule.newcomers`` has found just before this write began.
    """
    start_due(db, now, late_after)
    advance(db, now, come)
    decide_due(db, now)


def next_due(db: sqlite3.Connection, now: datetime, late_after: timedelta) -> tuple[datetime | None, str]:
    """When there is something to do, what time has just brought about included, and what it waits for (one of
    ``CAUSES``, ``step``, or empty); ``None`` for never. It is now also where newcomers are to be let in."""
    bring_about(db, now, late_after, NOBODY)
    at, cause = claiming.next_due(db, campaigns.running_ids(db), now)
    others = ((sequences.next_due_at(db, now), "step"), (next_decision_at(db, now), "winner"))
    return min([(at, cause), *others], key=lambda each: each[0] or datetime.max.replace(tzinfo=UTC))
