"""Whom a query selects right now: how many, who of them may be written to, and what a message may say of each.

A campaign reads its audience anew until it begins; then ``deliveries.freeze`` makes rows of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CONTACT_FIELDS = ("email", "first_name", "last_name", "company", "title", "phone", "domain", "stage")
"""A contact's own fields, as templates name them; custom fields come beside them."""


def filled_values(row: sqlite3.Row) -> dict[str, str]:
    """The non-empty fields of a contact's row, custom ones included; a contact's own field wins over a custom one."""
    values = {name: value for name, value in json.loads(row["fields"]).items() if value}
    values.update((name, row[name]) for name in CONTACT_FIELDS if row[name])
    return values


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a query selects at this moment."""

    total: int
    suppressed: int
    """Those among them who will not be written to."""


def measured(db: sqlite3.Connection, where: str, params: Sequence[object]) -> Audience:
    """How many ``where`` (SQL over ``contact``) selects, and how many of them are suppressed."""
    total = db.execute(f"SELECT count(*) FROM contact WHERE {where}", tuple(params)).fetchone()[0]
    if db.execute("SELECT NOT EXISTS (SELECT 1 FROM suppression)").fetchone()[0]:
        return Audience(total, 0)
    suppressed = db.execute(
        f"""SELECT count(*) FROM contact JOIN suppression ON suppression.key = suppression_key(contact.address)
            WHERE {where}""",
        tuple(params),
    ).fetchone()[0]
    return Audience(total, suppressed)


def unsuppressed(db: sqlite3.Connection, where: str, params: Sequence[object]) -> Iterator[sqlite3.Row]:
    """The contacts that would be written to, streamed; ``filled_values`` reads a row."""
    return db.execute(
        f"""SELECT contact.* FROM contact
            WHERE {where} AND NOT EXISTS (SELECT 1 FROM suppression WHERE key = suppression_key(contact.address))
            ORDER BY contact.id""",
        tuple(params),
    )
