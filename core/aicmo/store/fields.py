"""What the custom fields are: those whose type somebody has said. The values stand with the people, in their one
canonical form (``crm.fields``); a field without a row here is text.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from aicmo.clock import rfc3339

TYPES = ("text", "number", "date", "select", "multi", "url", "bool")


@dataclass(frozen=True, slots=True)
class CustomField:
    key: str
    """As it stands with the people and in templates."""
    title: str
    type: str
    """One of ``TYPES``."""
    options: tuple[str, ...] = ()
    """What a ``select`` or ``multi`` may be; empty for every other type."""


class Value(NamedTuple):
    contact_id: int
    email: str
    text: str


def listed(db: sqlite3.Connection) -> list[CustomField]:
    """Every field that has a type, by key."""
    return [_field(row) for row in db.execute("SELECT key, title, type, options FROM field ORDER BY key")]


def get(db: sqlite3.Connection, key: str) -> CustomField | None:
    row = db.execute("SELECT key, title, type, options FROM field WHERE key = ?", (key,)).fetchone()
    return _field(row) if row else None


def put(db: sqlite3.Connection, field: CustomField, now: datetime) -> None:
    """Say what a field is, for the first time or anew."""
    db.execute(
        """INSERT INTO field VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
           SET title = excluded.title, type = excluded.type, options = excluded.options""",
        (field.key, field.title, field.type, json.dumps(field.options), rfc3339(now)),
    )


def delete(db: sqlite3.Connection, key: str) -> bool:
    """Forget what a field is; its values stay. True when it was known."""
    return db.execute("DELETE FROM field WHERE key = ?", (key,)).rowcount == 1


def is_known(db: sqlite3.Connection, key: str) -> bool:
    """Whether it has a type, or anybody a value in it."""
    return get(db, key) is not None or any(True for _ in values(db, key))


def values(db: sqlite3.Connection, key: str) -> Iterator[Value]:
    """What people have in that field, whoever has something, by id."""
    rows = db.execute(
        """SELECT contact.id, email, value FROM contact, json_each(fields)
           WHERE fields <> '{}' AND key = ? ORDER BY contact.id""",
        (key,),
    )
    return (Value(*row) for row in rows)


def _field(row: sqlite3.Row) -> CustomField:
    return CustomField(row["key"], row["title"], row["type"], tuple(json.loads(row["options"])))
