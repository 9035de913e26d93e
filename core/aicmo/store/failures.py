"""When failures that each prove little condemn an address together.

A full mailbox, a disabled one, patience that ran out: none of them says that nobody will read there again. So many in a
row, with nothing delivered in between, do. What was refused for its size or content, and what no server could take, is
no word about the mailbox and does not count.
"""

from __future__ import annotations

import json
import sqlite3

SOFT = frozenset({"mailbox", "later"})
"""Causes that speak of the mailbox and are not final."""
SOFT_IN_A_ROW = 5
DISABLED = "5.2.1"
"""RFC 3463 3.3: the mailbox is disabled."""
DISABLED_IN_A_ROW = 2


def condemned(db: sqlite3.Connection, delivery_id: int) -> str:
    """Why nothing should go to this delivery's contact any more, in a few words; empty when there is hope.

    The delivery itself is settled already.
    """
    rows = db.execute(
        """SELECT state <> 'sent' AS failed, code FROM delivery
           WHERE contact_id = (SELECT contact_id FROM delivery WHERE id = ?)
                 AND (state = 'sent' OR (state IN ('failed', 'bounced') AND cause IN (SELECT value FROM json_each(?))))
           ORDER BY at DESC, id DESC LIMIT ?""",
        (delivery_id, json.dumps(sorted(SOFT)), SOFT_IN_A_ROW),
    ).fetchall()
    latest = rows[:DISABLED_IN_A_ROW]
    if len(latest) == DISABLED_IN_A_ROW and all(row["failed"] and DISABLED in row["code"].split() for row in latest):
        return f"the mailbox is disabled, said {DISABLED_IN_A_ROW} times"
    if len(rows) == SOFT_IN_A_ROW and all(row["failed"] for row in rows):
        return f"{SOFT_IN_A_ROW} failures in a row, nothing delivered in between"
    return ""
