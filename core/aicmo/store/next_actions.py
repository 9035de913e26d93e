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
