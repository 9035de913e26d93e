"""What belongs to a database as a whole: the key of its hashes and its identity."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Identity:
    secret: bytes = field(repr=False)
    """Keys the hashes of suppressions and tokens; never leaves the file."""
    instance: bytes
    """Tells this database from any other, though their rows have the same numbers."""


def identity(db: sqlite3.Connection) -> Identity:
    found = dict(db.execute("SELECT name, value FROM meta WHERE name IN ('secret', 'instance')").fetchall())
    return Identity(found["secret"], found["instance"])
