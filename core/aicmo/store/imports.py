"""What was imported, when, from where, and what came of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime

from aicmo.clock import rfc3339


def begin(db: sqlite3.Connection, source: str, now: datetime) -> int:
    """Record that an import runs; its id."""
    cursor = db.execute(
        "INSERT INTO import (source, status, started_at) VALUES (?, 'running', ?)", (source, rfc3339(now))
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def record(db: sqlite3.Connection, import_id: int, counts: Mapping[str, int]) -> None:
    """Keep the counts so far, in the transaction of the rows they count."""
    db.execute("UPDATE import SET counts = ? WHERE id = ?", (json.dumps(dict(counts)), import_id))


def end(db: sqlite3.Connection, import_id: int, status: str, now: datetime) -> None:
    """``status`` is ``done`` or ``cancelled``."""
    db.execute("UPDATE import SET status = ?, finished_at = ? WHERE id = ?", (status, rfc3339(now), import_id))
