"""What those who write and approve say to each other about the words.

No message, post or export reads this table: a note is a type of its own, which neither content nor a draft holds, and
``lint-imports`` keeps this module out of everything that builds or sends.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import rfc3339
from aicmo.errors import NotFound, VerbHint


@dataclass(frozen=True, slots=True)
class ReviewNote:
    """What somebody said about content; it never leaves this machine."""

    id: int
    content_id: int
    hash: str
    """Of the words that it was written about."""
    text: str
    at: str
    settled_at: str = ""
    """When what it asks for was done; empty while it is open."""


def add(db: sqlite3.Connection, content_id: int, content_hash: str, text: str, now: datetime) -> int:
    """Write one down; its id."""
    cursor = db.execute(
        "INSERT INTO review_note (content_id, hash, text, at) VALUES (?, ?, ?, ?)",
        (content_id, content_hash, text, rfc3339(now)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def get(db: sqlite3.Connection, note_id: int) -> ReviewNote:
    """Raises ``NotFound``."""
    row = db.execute("SELECT * FROM review_note WHERE id = ?", (note_id,)).fetchone()
    if row is None:
        raise NotFound(
            f"There is no note {note_id} about content.", hint=VerbHint("List them with", "content notes ID")
        )
    return _note(row)


def listed(db: sqlite3.Connection, content_id: int) -> list[ReviewNote]:
    """About one piece of content: the open ones first, then the latest."""
    rows = db.execute(
        "SELECT * FROM review_note WHERE content_id = ? ORDER BY settled_at IS NOT NULL, id DESC", (content_id,)
    )
    return [_note(row) for row in rows]


def settle(db: sqlite3.Connection, note_id: int, at: datetime | None) -> None:
    """What it asks for is done; ``None`` opens it again."""
    db.execute("UPDATE review_note SET settled_at = ? WHERE id = ?", (rfc3339(at) if at else None, note_id))


def _note(row: sqlite3.Row) -> ReviewNote:
    return ReviewNote(row["id"], row["content_id"], row["hash"], row["text"], row["at"], row["settled_at"] or "")
