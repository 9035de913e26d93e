"""Where somebody stands in the lifecycle, and the receipt for every step that brought them there.

Whether a step is allowed is decided in ``crm.lifecycle``; here it is written down, never without its cause.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from aicmo.clock import rfc3339
from aicmo.errors import NotFound


@dataclass(frozen=True, slots=True)
class StageChange:
    from_stage: str
    to_stage: str
    cause: str
    """One phrase: ``replied to Autumn news``."""
    actor: str
    event_id: int | None
    change_id: int | None
    at: str
    of: str
    """The e-mail of who took it and was merged into this person since; empty for a step of their own."""


def standing(db: sqlite3.Connection, contact_id: int) -> tuple[str, str]:
    """Somebody's e-mail address and stage. Raises ``NotFound``."""
    row = db.execute("SELECT email, stage FROM contact WHERE id = ?", (contact_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no contact with the number {contact_id}.")
    return row["email"], row["stage"]


def move(
    db: sqlite3.Connection,
    contact_id: int,
    to_stage: str,
    cause: str,
    actor: str,
    now: datetime,
    *,
    event_id: int | None = None,
    change_id: int | None = None,
) -> None:
    """Put somebody into a stage, with the receipt. Raises ``NotFound``."""
    _, from_stage = standing(db, contact_id)
    db.execute("UPDATE contact SET stage = ?, updated_at = ? WHERE id = ?", (to_stage, rfc3339(now), contact_id))
    note(db, contact_id, from_stage, to_stage, cause, actor, now, event_id=event_id, change_id=change_id)


def note(
    db: sqlite3.Connection,
    contact_id: int,
    from_stage: str,
    to_stage: str,
    cause: str,
    actor: str,
    now: datetime,
    *,
    event_id: int | None = None,
    change_id: int | None = None,
) -> None:
    """Write the receipt of a step that was, or is about to be, taken with other changes."""
    db.execute(
        """INSERT INTO stage_change (contact_id, from_stage, to_stage, cause, actor, event_id, change_id, at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (contact_id, from_stage, to_stage, cause, actor, event_id, change_id, rfc3339(now)),
    )


def history(
    db: sqlite3.Connection, contact_id: int, merged: Mapping[int, str] = MappingProxyType({})
) -> list[StageChange]:
    """Every step, the oldest first.

    ``merged`` says who took those that a merge brought; see ``changes.steps_of_merged``.
    """
    rows = db.execute(
        """SELECT from_stage, to_stage, cause, actor, event_id, change_id, at, id AS of FROM stage_change
           WHERE contact_id = ? ORDER BY id""",
        (contact_id,),
    )
    return [StageChange(**{**dict(row), "of": merged.get(row["of"], "")}) for row in rows]
