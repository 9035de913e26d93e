"""What a list says of each person beside what is known of them: how promising they are, and when we were last in touch.

It is asked for the people of a window, never for all.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from aicmo.store.contacts import Contact
from aicmo.store.touches import LATEST


class Listed(NamedTuple):
    contact: Contact
    score: int | None
    """0-100; ``None``: nothing to judge by."""
    last_touch: str
    """Empty when there was none."""


def listed(db: sqlite3.Connection, contacts: Sequence[Contact]) -> list[Listed]:
    """``contacts`` in their order; who is gone meanwhile has neither a score nor a touch."""
    rows = db.execute(
        f"SELECT id, score, {LATEST} FROM contact WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps([contact.id for contact in contacts]),),
    )
    found = {number: (score, last_touch) for number, score, last_touch in rows}
    return [Listed(contact, *found.get(contact.id, (None, ""))) for contact in contacts]
