"""People: who they are, how they come in, how they are found again.

``CRMRepository`` holds the verbs over contacts that screens and the command line share; ``Timeline``, ``Today``,
``History`` and ``Fields`` those over what happens with them. Beneath and beside them:

===============  ======================================================================
``address``      an address's normalised form: who somebody is
``domains``      the registrable part of a domain: their company
``reading``      a table from CSV, JSON, NDJSON or vCard: encoding, rows that stream
``mapping``      which column is which field, in several languages
``importing``    rows into contacts, with a policy, a plan and the reasons for a no
``imports``      what was imported, and how it is taken back
``suppressing``  lists of who must not be written to
``exporting``    contacts into a table that the importer takes back exactly
``spreadsheet``  cells that a spreadsheet must not run
``enrichment``   what providers say of people, and what it costs
``query``        the words contacts are selected with
``syncing``      the same people in another CRM, kept in step both ways
``editing``      one changed, or many alike, as one step of undo
``history``      undo and redo
``lifecycle``    who may be moved to which stage, by what
``fields``       custom fields with a type
``timeline``     everything with one person, in order
``today``        next actions, and who was silent for too long
``days``         days as a person says them
``icalendar``    plans for a calendar program
===============  ======================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aicmo.crm.enrichment import EnrichmentPipeline
    from aicmo.crm.fields import Fields
    from aicmo.crm.history import History
    from aicmo.crm.importing import ImportCounts, ImportProgress, ImportResult, import_contacts
    from aicmo.crm.query import parse_query
    from aicmo.crm.repository import CRMRepository
    from aicmo.crm.timeline import Timeline
    from aicmo.crm.today import Today
    from aicmo.store.contacts import Contact
    from aicmo.store.events import Event
    from aicmo.store.selection import Selection

_HOMES = {
    "CRMRepository": "aicmo.crm.repository",
    "EnrichmentPipeline": "aicmo.crm.enrichment",
    "Contact": "aicmo.store.contacts",
    "Event": "aicmo.store.events",
    "Fields": "aicmo.crm.fields",
    "History": "aicmo.crm.history",
    "ImportCounts": "aicmo.crm.importing",
    "ImportProgress": "aicmo.crm.importing",
    "ImportResult": "aicmo.crm.importing",
    "Selection": "aicmo.store.selection",
    "Timeline": "aicmo.crm.timeline",
    "Today": "aicmo.crm.today",
    "import_contacts": "aicmo.crm.importing",
    "parse_query": "aicmo.crm.query",
}

__all__ = [
    "CRMRepository",
    "Contact",
    "EnrichmentPipeline",
    "Event",
    "Fields",
    "History",
    "ImportCounts",
    "ImportProgress",
    "ImportResult",
    "Selection",
    "Timeline",
    "Today",
    "import_contacts",
    "parse_query",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
