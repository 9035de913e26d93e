"""The same people here and in somebody else's CRM, kept in step both ways.

``CrmSync`` reads what changed there, brings both sides together, and writes there what changed here. Whatever is lost
on the way, running it again makes it whole and nothing twice.

================  ====================================================================
``run``           one sync from beginning to end
``columns``       which column there is which field here
``agreeing``      two sides and what both said last: the three-way merge
``pulling``       a page of rows from there, decided and written down
``pushing``       what is written there, in batches
``interactions``  calls, notes, replies and messages, both ways
``row_ids``       what a row of ours is called there
``asking``        calls through the chain
``result``        what it came to
================  ====================================================================
"""

from __future__ import annotations

from aicmo.crm.syncing.agreeing import RULES, Rule
from aicmo.crm.syncing.result import Conflict, SyncResult
from aicmo.crm.syncing.run import DIRECTIONS, CrmSync, Direction, SyncOptions, SyncProgress

__all__ = [
    "DIRECTIONS",
    "RULES",
    "Conflict",
    "CrmSync",
    "Direction",
    "Rule",
    "SyncOptions",
    "SyncProgress",
    "SyncResult",
]
