"""Who is sending: a row for whoever asks. What keeps a second sender out is the operating system's lock, not this."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import rfc3339


@dataclass(frozen=True, slots=True)
class Lease:
    """Who says that it is at work."""

    pid: int
    host: str
    what: str
    """What the holder calls itself, such as ``aicmo run``."""
    since: str
    seen_at: str
    """Its last heartbeat."""


def hold(db: sqlite3.Connection, name: str, *, pid: int, host: str, what: str, now: datetime) -> None:
    """Take the lease, or beat its heart again."""
    db.execute(
        """INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
           since = CASE WHEN pid = excluded.pid AND host = excluded.host THEN since ELSE excluded.since END,
           pid = excluded.pid, host = excluded.host, what = excluded.what, seen_at = excluded.seen_at""",
        (name, pid, host, what, rfc3339(now), rfc3339(now)),
    )


def release(db: sqlite3.Connection, name: str, *, pid: int) -> None:
    """Give it back; harmless when another has it."""
    db.execute("DELETE FROM lease WHERE name = ? AND pid = ?", (name, pid))


def holder(db: sqlite3.Connection, name: str) -> Lease | None:
    """``None`` when nobody has it."""
    row = db.execute("SELECT pid, host, what, since, seen_at FROM lease WHERE name = ?", (name,)).fetchone()
    return Lease(*row) if row else None
