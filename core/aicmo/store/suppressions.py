"""Who must not be written to, and why.

Only a keyed hash of the address is kept, so an entry outlives the contact and survives erasure and re-import.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from aicmo.clock import rfc3339


class SuppressionReason(StrEnum):
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Suppression:
    email: str
    """The address, where a contact with it still exists; else empty: only the hash is left."""
    reason: SuppressionReason
    source: str
    """Who or what said so."""
    created_at: str


def add(db: sqlite3.Connection, address: str, reason: SuppressionReason, source: str, now: datetime) -> bool:
    """Suppress a normalised address; an older entry stays as it is. True when it was not suppressed before."""
    cursor = db.execute(
        "INSERT INTO suppression VALUES (suppression_key(?), ?, ?, ?) ON CONFLICT DO NOTHING",
        (address, reason, source, rfc3339(now)),
    )
    return cursor.rowcount == 1


def follow(db: sqlite3.Connection, before: str, address: str, now: datetime) -> None:
    """Somebody has another address from now on: who asked for no mail gets none there either. That nobody reads mail at
    the one before says nothing of the other."""
    known = get(db, before) if address != before else None
    if known is not None and known.reason is not SuppressionReason.BOUNCED:
        add(db, address, known.reason, "opted out under another address", now)


def remove(db: sqlite3.Connection, address: str) -> bool:
    """Forget an opt-out, on the person's own word. True when there was one."""
    return db.execute("DELETE FROM suppression WHERE key = suppression_key(?)", (address,)).rowcount == 1


def reason_for(db: sqlite3.Connection, address: str) -> str:
    """Why a normalised address is suppressed; empty when it is not."""
    row = db.execute("SELECT reason FROM suppression WHERE key = suppression_key(?)", (address,)).fetchone()
    return str(row[0]) if row else ""


def get(db: sqlite3.Connection, address: str) -> Suppression | None:
    """The entry of a normalised address."""
    row = db.execute(
        "SELECT reason, source, created_at FROM suppression WHERE key = suppression_key(?)", (address,)
    ).fetchone()
    return Suppression(address, SuppressionReason(row["reason"]), row["source"], row["created_at"]) if row else None


def among(db: sqlite3.Connection, addresses: Iterable[str]) -> set[str]:
    """Those of the normalised addresses that are suppressed."""
    if db.execute("SELECT NOT EXISTS (SELECT 1 FROM suppression)").fetchone()[0]:
        return set()
    rows = db.execute(
        "SELECT value FROM json_each(?) WHERE suppression_key(value) IN (SELECT key FROM suppression)",
        (json.dumps(list(addresses)),),
    )
    return {row[0] for row in rows}


def listed(db: sqlite3.Connection, *, limit: int = -1) -> list[Suppression]:
    """Every entry, newest first. ``limit`` -1 means all."""
    rows = db.execute(
        """SELECT coalesce(contact.email, '') AS email, reason, source, suppression.created_at
           FROM suppression LEFT JOIN (
               SELECT email, suppression_key(address) AS key FROM contact WHERE EXISTS (SELECT 1 FROM suppression)
           ) AS contact USING (key)
           ORDER BY suppression.created_at DESC LIMIT ?""",
        (limit,),
    )
    return [
        Suppression(row["email"], SuppressionReason(row["reason"]), row["source"], row["created_at"]) for row in rows
    ]
