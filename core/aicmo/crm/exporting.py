"""Contacts as CSV (RFC 4180, UTF-8), which the importer takes back exactly.

A cell that a spreadsheet would run as a formula is escaped (see ``spreadsheet``). Rows stream.
"""

from __future__ import annotations

import csv
import sqlite3
from typing import TextIO

from aicmo.crm.spreadsheet import escaped
from aicmo.store import contacts
from aicmo.store.selection import Selection

COLUMNS = ("email", "first_name", "last_name", "company", "title", "phone", "stage", "tags")
"""Then come the custom fields, by name."""


def export_csv(db: sqlite3.Connection, selection: Selection, file: TextIO) -> int:
    """Write everybody selected, one line each under a line of names; how many they were.

    ``file`` must be open with ``newline=""``. ``db`` must see one state of the store until the end: ``Database.read``.
    """
    keys = contacts.field_keys(db, selection)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((*COLUMNS, *keys))
    written = 0
    for contact in contacts.iterate(db, selection):
        cells = (
            contact.email,
            contact.first_name,
            contact.last_name,
            contact.company,
            contact.title,
            contact.phone,
            contact.stage,
            ",".join(contact.tags),
            *(contact.fields.get(key, "") for key in keys),
        )
        writer.writerow(map(escaped, cells))
        written += 1
    return written
