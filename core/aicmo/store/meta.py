"""What belongs to a database as a whole: the key of its hashes, its identity, and a few things it has to remember."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """Made when the database was, and never changed."""

    secret: bytes = field(repr=False)
    """Keys the hashes of suppressions and tokens; never leaves the file."""
    instance: bytes
    """Tells this database from any other, though their rows have the same numbers."""


def identity(db: sqlite3.Connection) -> Identity:
    """Of this database."""
    found = dict(db.execute("SELECT name, value FROM meta WHERE name IN ('secret', 'instance')").fetchall())
    return Identity(found["secret"], found["instance"])


def told(db: sqlite3.Connection, name: str) -> Any:
    """What ``tell`` was told under that name, as JSON gives it back; ``None`` when nothing was."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return json.loads(row[0]) if row else None


def tell(db: sqlite3.Connection, name: str, what: Mapping[str, object]) -> None:
    """Remember ``what`` under ``name``, in place of what stood there."""
    db.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, json.dumps(what).encode()),
    )
