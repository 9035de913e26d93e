"""What a person wants to do next about somebody: at most one thing each, on a day."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from aicmo.clock import rfc3339


@dataclass(frozen=True, slots=True)
class NextAction:
    contact_id: int
    due: date
    """In the person's own zone."""
    text: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A next action, and with whom."""

    contact_id: int
    due: date
    text: str
    email: str
    name: str
    company: str
    phone: str


def planned(db: sqlite3.Connection, *, until: date = date.max) -> list[Planned]:
    """Everything planned for ``until`` or earlier, by day."""
    rows = db.execute(
        """SELECT contact_id, due, text, email, trim(first_name || ' ' || last_name) AS name, company, phone
           FROM next_action JOIN contact ON contact.id = contact_id WHERE due <= ? ORDER BY due, contact_id""",
        (until.isoformat(),),
    )
    return [Planned(row["contact_id"], date.fromisoformat(row["due"]), *tuple(row)[2:]) for row in rows]


def how_many(db: sqlite3.Connection, *, until: date) -> int:
    """With how many people something is planned for ``until`` or earlier."""
    number: int = db.execute("SELECT count(*) FROM next_action WHERE due <= ?", (until.isoformat(),)).fetchone()[0]
    return number


def get(db: sqlite3.Connection, contact_id: int) -> NextAction | None:
    row = db.execute("SELECT contact_id, due, text FROM next_action WHERE contact_id = ?", (contact_id,)).fetchone()
    return NextAction(row["contact_id"], date.fromisoformat(row["due"]), row["text"]) if row else None


def set_state(db: sqlite3.Connection, contact_id: int, state: Mapping[str, str], now: datetime) -> None:
    """Plan what ``state`` says under ``next.due`` and ``next.text``; without a day, nothing is planned any more."""
    if not state.get("next.due"):
        db.execute("DELETE FROM next_action WHERE contact_id = ?", (contact_id,))
        return
    db.execute(
        """INSERT INTO next_action VALUES (?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET due = excluded.due, text = excluded.text, at = excluded.at""",
        (contact_id, state["next.due"], state.get("next.text", ""), rfc3339(now)),
    )


def by_contact(db: sqlite3.Connection, contact_ids: Iterable[int]) -> dict[int, dict[str, str]]:
    """What is planned with these people, in the flat form of ``changes.State``."""
    rows = db.execute(
        "SELECT contact_id, due, text FROM next_action WHERE contact_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(contact_ids)),),
    )
    return {row["contact_id"]: {"next.due": row["due"], "next.text": row["text"]} for row in rows}
