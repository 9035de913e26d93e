"""Groups that are questions: a name for a query, and who answered it when it was last looked at."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import rfc3339
from aicmo.store.selection import Selection
from aicmo.store.tags import tag_key


@dataclass(frozen=True, slots=True)
class Segment:
    id: int
    name: str
    query: str
    """As the person wrote it; read anew at each use."""
    created_at: str
    looked_at: str
    """When its members were last remembered."""


def key_of(name: str) -> str:
    """What two spellings of one segment's name have in common."""
    return tag_key(name)


def listed(db: sqlite3.Connection) -> list[Segment]:
    """By name."""
    return [_segment(row) for row in db.execute("SELECT * FROM segment ORDER BY key")]


def get(db: sqlite3.Connection, name: str) -> Segment | None:
    row = db.execute("SELECT * FROM segment WHERE key = ?", (key_of(name),)).fetchone()
    return _segment(row) if row else None


def create(db: sqlite3.Connection, name: str, query: str, now: datetime) -> int:
    """The new segment's id. The name must not be taken."""
    row = db.execute(
        "INSERT INTO segment (name, key, query, created_at) VALUES (?, ?, ?, ?) RETURNING id",
        (name, key_of(name), query, rfc3339(now)),
    ).fetchone()
    return int(row[0])


def update(db: sqlite3.Connection, segment_id: int, name: str, query: str) -> None:
    db.execute("UPDATE segment SET name = ?, key = ?, query = ? WHERE id = ?", (name, key_of(name), query, segment_id))


def delete(db: sqlite3.Connection, segment_id: int) -> None:
    db.execute("DELETE FROM segment WHERE id = ?", (segment_id,))


def remember(db: sqlite3.Connection, segment_id: int, selection: Selection, now: datetime) -> None:
    """Keep who is in it now, in place of who was."""
    members, parameters = selection.ids()
    db.execute("DELETE FROM segment_member WHERE segment_id = ?", (segment_id,))
    db.execute(f"INSERT INTO segment_member SELECT ?, id FROM ({members})", (segment_id, *parameters))
    db.execute("UPDATE segment SET looked_at = ? WHERE id = ?", (rfc3339(now), segment_id))


def remembered(db: sqlite3.Connection, segment_id: int) -> int:
    """How many were in it when it was looked at, without those who were deleted since."""
    row = db.execute("SELECT count(*) FROM segment_member WHERE segment_id = ?", (segment_id,)).fetchone()
    return int(row[0])


def _segment(row: sqlite3.Row) -> Segment:
    return Segment(row["id"], row["name"], row["query"], row["created_at"], row["looked_at"] or row["created_at"])
