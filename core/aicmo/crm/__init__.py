"""People: who they are, how they come in, how they are found again.

``CRMRepository`` holds the verbs that screens and the command line share. Beneath it:

===============  ======================================================================
``address``      an address's normalised form: who somebody is
``domains``      the registrable part of a domain: their company
``reading``      a table from any spreadsheet: encoding, delimiter, rows that stream
``mapping``      which column is which field, in several languages
``importing``    rows into contacts, with a policy, a dry run and the reasons for a no
``exporting``    contacts into a table that the importer takes back exactly
``spreadsheet``  cells that a spreadsheet must not run
``query``        the words contacts are selected with
===============  ======================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aicmo.crm.importing import ImportCounts, ImportProgress, ImportResult, import_contacts
    from aicmo.crm.query import parse_query
    from aicmo.crm.repository import CRMRepository
    from aicmo.store.contacts import Contact
    from aicmo.store.selection import Selection

_HOMES = {
    "CRMRepository": "aicmo.crm.repository",
    "Contact": "aicmo.store.contacts",
    "ImportCounts": "aicmo.crm.importing",
    "ImportProgress": "aicmo.crm.importing",
    "ImportResult": "aicmo.crm.importing",
    "Selection": "aicmo.store.selection",
    "import_contacts": "aicmo.crm.importing",
    "parse_query": "aicmo.crm.query",
}

__all__ = [
    "CRMRepository",
    "Contact",
    "ImportCounts",
    "ImportProgress",
    "ImportResult",
    "Selection",
    "import_contacts",
    "parse_query",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
