"""How much of an allowance the ledger says was used: read only, for people who look."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from aicmo.clock import rfc3339
from aicmo.store.gates import LIMIT_WINDOWS


def sent_within(db: sqlite3.Connection, provider: str, window: str, most: int, now: datetime) -> int:
    """Messages that ``provider`` was given in the last ``window`` (a key of ``LIMIT_WINDOWS``), counted up to ``most``.

    It counts what the throttle counts, so it is full exactly when that refuses.
    """
    count: int = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE provider = ? AND sending_at > ? LIMIT ?)",
        (provider, rfc3339(now - LIMIT_WINDOWS[window]), most),
    ).fetchone()[0]
    return count
