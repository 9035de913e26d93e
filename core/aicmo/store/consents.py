"""What people agreed to, where, and in which words. The newest word on a purpose holds; the older ones are proof."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import rfc3339


@dataclass(frozen=True, slots=True)
class Consent:
    purpose: str
    """``newsletter``."""
    given: bool
    """False: withdrawn."""
    source: str
    """Where: a form, a fair, a mail."""
    wording: str
    """What they agreed to, as they read it; empty when nobody kept it."""
    at: str


def add(db: sqlite3.Connection, contact_id: int, consent: Consent) -> None:
    db.execute(
        "INSERT INTO consent (contact_id, purpose, given, source, wording, at) VALUES (?, ?, ?, ?, ?, ?)",
        (contact_id, consent.purpose, consent.given, consent.source, consent.wording, consent.at),
    )


def history(db: sqlite3.Connection, contact_id: int) -> list[Consent]:
    """Every word, the oldest first."""
    rows = db.execute(
        "SELECT purpose, given, source, wording, at FROM consent WHERE contact_id = ? ORDER BY at, id", (contact_id,)
    )
    return [Consent(row["purpose"], bool(row["given"]), row["source"], row["wording"], row["at"]) for row in rows]


def consent_at(purpose: str, given: bool, source: str, wording: str, at: datetime) -> Consent:
    return Consent(purpose, given, source, wording, rfc3339(at))
