"""What the search for duplicates reads, and which pairs a person knows to be two."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime

from aicmo.clock import rfc3339

Owner = tuple[int, str, str]
"""Somebody's id, address and name."""


def how_many(db: sqlite3.Connection) -> int:
    number: int = db.execute("SELECT count(*) FROM contact").fetchone()[0]
    return number


def people(db: sqlite3.Connection) -> Iterator[sqlite3.Row]:
    """Everybody by id, streamed, with the columns that tell people apart."""
    return db.execute(
        "SELECT id, address, email, first_name, last_name, company, phone, domain, fields FROM contact ORDER BY id"
    )


def field(row: sqlite3.Row, key: str) -> str:
    """A custom field of one of ``people``; empty when there is none."""
    return str(json.loads(row["fields"]).get(key, ""))


def owners(db: sqlite3.Connection, known: Mapping[int, str]) -> dict[int, Owner]:
    """Who those are now that had these ids: themselves, or who they were merged into, by the address they had.

    Those who are gone are left out.
    """
    rows = db.execute(
        """SELECT asked.key AS asked, contact.id, email, trim(first_name || ' ' || last_name) AS name
           FROM json_each(?1) AS asked JOIN contact ON contact.id = CAST(asked.key AS INTEGER)
           UNION ALL
           SELECT asked.key, contact.id, email, trim(first_name || ' ' || last_name)
           FROM json_each(?1) AS asked JOIN alias ON alias.address = asked.value
                JOIN contact ON contact.id = alias.contact_id
           WHERE NOT EXISTS (SELECT 1 FROM contact WHERE id = CAST(asked.key AS INTEGER))""",
        (json.dumps(known),),
    )
    return {int(row["asked"]): (row["id"], row["email"], row["name"]) for row in rows}


def known_to_be_two(db: sqlite3.Connection) -> set[tuple[int, int]]:
    """The pairs of which a person said so, the smaller id first."""
    rows = db.execute("SELECT contact_id, other_contact_id FROM not_duplicate")
    return {(min(row), max(row)) for row in rows}  # a merge gives one's word to another, whichever id is smaller


def tell_apart(db: sqlite3.Connection, one: int, two: int, now: datetime) -> None:
    """Remember that these are two different people."""
    ids = min(one, two), max(one, two)
    db.execute("INSERT INTO not_duplicate VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (*ids, rfc3339(now)))


def forget_telling_apart(db: sqlite3.Connection, one: int, two: int) -> bool:
    """True when they had been told apart."""
    sql = "DELETE FROM not_duplicate WHERE (contact_id, other_contact_id) IN (VALUES (?1, ?2), (?2, ?1))"
    return db.execute(sql, (one, two)).rowcount > 0
