"""All that a store holds about anybody, to compare two moments of it."""

from __future__ import annotations

import json
import sqlite3

from aicmo.store import people


def everything(db: sqlite3.Connection) -> str:
    """As one text; but for when somebody was last touched, and the receipts of going to and fro."""
    told = []
    for row in db.execute("SELECT id FROM contact ORDER BY id").fetchall():
        image = people.image(db, row["id"])
        image.pop("stage_change", None)
        del image["contact"][0]["updated_at"]
        told.append(image)
    return json.dumps(told, sort_keys=True)
