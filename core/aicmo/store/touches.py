"""When we were last in touch with somebody: the last thing they did, were told or were sent. What a machine did
for them does not count.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import rfc3339


@dataclass(frozen=True, slots=True)
class Quiet:
    """Somebody of whom nothing was heard, and to whom nothing was said, for a while."""

    contact_id: int
    email: str
    name: str
    company: str
    stage: str
    last_touch: str
    """When they came, where there was none."""


LATEST = """max(
    coalesce((SELECT max(at) FROM event WHERE contact_id = contact.id AND human IS NOT 0), ''),
    coalesce((SELECT max(at) FROM delivery WHERE contact_id = contact.id AND state IN ('sent', 'bounced')), ''))"""
"""When that was, of a row of ``contact``; empty when it never was."""
_LAST = f"max(contact.created_at, {LATEST})"


def quiet(db: sqlite3.Connection, before: datetime, *, limit: int = -1) -> Iterator[Quiet]:
    """Whoever is ENGAGED or CONVERTED and had no touch since ``before``, the longest silent first.

    Not those with whom something is planned, and not those who must not be written to.
    """
    rows = db.execute(
        f"""SELECT * FROM (
                SELECT id AS contact_id, email, address, trim(first_name || ' ' || last_name) AS name, company, stage,
                       {_LAST} AS last_touch
                FROM contact WHERE stage IN ('ENGAGED', 'CONVERTED')
                AND NOT EXISTS (SELECT 1 FROM next_action WHERE contact_id = contact.id)
            ) WHERE last_touch < ? AND NOT EXISTS (SELECT 1 FROM suppression WHERE key = suppression_key(address))
            ORDER BY last_touch, contact_id LIMIT ?""",
        (rfc3339(before), limit),
    )
    return (
        Quiet(row["contact_id"], row["email"], row["name"], row["company"], row["stage"], row["last_touch"])
        for row in rows
    )
