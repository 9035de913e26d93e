"""Notes as a step of undo sees them, in the flat form of ``changes.State``.

``note.12`` is everything that the note says, as JSON; ``pinned.12`` is ``yes`` while that event, which need be no note,
stands above the others. Empty: there is none, or it is not.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping

NOTE, PINNED = "note", "pinned"
_SAYS = ("kind", "at", "channel", "campaign_id", "delivery_id", "human", "because", "text", "actor", "origin")


def keys(event_id: int) -> tuple[str, str]:
    """Under which keys one event stands."""
    return f"{NOTE}.{event_id}", f"{PINNED}.{event_id}"


def is_key(key: str) -> bool:
    """Whether a key of a state is one of these."""
    family, dot, number = key.partition(".")
    return bool(dot) and family in (NOTE, PINNED) and number.isdecimal()


def words(key: str, state: str) -> str:
    """What a person reads of such a state: a note's words, ``yes``, or nothing."""
    return str(json.loads(state)["text"]) if state and key.startswith(f"{NOTE}.") else state


def state(db: sqlite3.Connection, contact_id: int, among: Iterable[str]) -> dict[str, str]:
    """What stands now under those keys of a state that are of notes."""
    mine = list(filter(is_key, among))
    if not mine:
        return {}
    numbers = {int(key.partition(".")[2]) for key in mine}
    rows = db.execute(
        "SELECT * FROM event WHERE contact_id = ? AND id IN (SELECT value FROM json_each(?))",
        (contact_id, json.dumps(list(numbers))),
    )
    there: dict[str, str] = {}
    for row in rows:
        there[f"{PINNED}.{row['id']}"] = "yes" if row["pinned"] else ""
        if row["kind"] == NOTE:
            there[f"{NOTE}.{row['id']}"] = json.dumps({name: row[name] for name in _SAYS}, ensure_ascii=False)
    return {key: there.get(key, "") for key in mine}


def set_state(db: sqlite3.Connection, contact_id: int, wanted: Mapping[str, str]) -> None:
    """Make the notes of one person say what ``wanted`` does: what is pinned comes after what is written."""
    for key, text in sorted(wanted.items()):
        family, _, number = key.partition(".")
        if family == PINNED:
            db.execute("UPDATE event SET pinned = ? WHERE id = ? AND contact_id = ?", (bool(text), number, contact_id))
        elif not text:
            db.execute("DELETE FROM event WHERE id = ? AND contact_id = ? AND kind = 'note'", (number, contact_id))
        else:
            _write(db, int(number), contact_id, json.loads(text))


def _write(db: sqlite3.Connection, number: int, contact_id: int, said: Mapping[str, object]) -> None:
    """Other words, or the note itself again; what it refers to may be gone meanwhile."""
    db.execute(
        f"""INSERT INTO event (id, contact_id, {", ".join(_SAYS)})
            VALUES (:id, :contact_id, :kind, :at, :channel, (SELECT id FROM campaign WHERE id = :campaign_id),
                    (SELECT id FROM delivery WHERE id = :delivery_id), :human, :because, :text, :actor, :origin)
            ON CONFLICT (id) DO UPDATE SET text = excluded.text ON CONFLICT (origin) DO NOTHING""",
        {"id": number, "contact_id": contact_id, **said},
    )
