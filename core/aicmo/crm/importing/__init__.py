"""Import contacts from a table: each row creates somebody, updates them, or says why it cannot.

What becomes of a row is decided before it is written, and a dry run decides with the same code. An import can be
cancelled, killed and gone on with, and undone. Nothing here ever lets anybody be written to: an opt-out is kept by
address, apart from contacts, and one that the file itself tells of is added.

============  =======================================================================
``run``       the import from its first byte to its last word
``rows``      from a row of a table to what it says of one person, in batches
``policy``    what a row may do to somebody who is already there
``plan``      what becomes of each row
``target``    where that goes: into the store, or, in a dry run, nowhere
``resume``    going on with an import that was killed
``optouts``   who must not be written to, as other programs' exports say it
``files``     the rejected rows and the plan, as tables
``counts``, ``result``, ``telling``   what is said of it
============  =======================================================================
"""

from __future__ import annotations

from aicmo.crm.importing.counts import ImportCounts
from aicmo.crm.importing.files import rejected_name
from aicmo.crm.importing.plan import PLANNED_ROWS, PlannedRow
from aicmo.crm.importing.policy import POLICIES, Conflict, Policies, Policy, parse_policies
from aicmo.crm.importing.result import ImportProgress, ImportResult
from aicmo.crm.importing.rows import MAX_VALUE
from aicmo.crm.importing.run import ImportOptions, import_contacts

__all__ = [
    "MAX_VALUE",
    "PLANNED_ROWS",
    "POLICIES",
    "Conflict",
    "ImportCounts",
    "ImportOptions",
    "ImportProgress",
    "ImportResult",
    "PlannedRow",
    "Policies",
    "Policy",
    "import_contacts",
    "parse_policies",
    "rejected_name",
]
