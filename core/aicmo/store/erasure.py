"""Taking somebody out of the file altogether: out of every table, the search index, the undo images and the free pages.

What stays is a keyed hash of the address, so that a later import finds them opted out. Where an address stands in text
that is not theirs (a server's answer, a note about somebody else), ``ERASED`` takes its place.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from aicmo.store import suppressions
from aicmo.store.suppressions import SuppressionReason

ERASED = "erased@erased.invalid"
"""Stands where an address stood. It can be the address of nobody (RFC 2606)."""
SOURCE = "erased"
_OWN_WORDS = ("content", "content_version", "approval")
"""What its author wrote and approved is not changed behind their back; ``mentions`` names it."""
_ADDRESSES = ("address", "email", "domain")
"""Columns that hold an address by itself: whoever is erased is gone from them, and what stands there is another's."""

FILE_ENDINGS = (
    "csv tsv txt json ndjson jsonl vcf vcard eml mbox ics log xml htm html pdf doc docx xls xlsx ods gz bak".split()
)
"""What may stand behind an address in the name of a file. No domain ends so: none of them is a public suffix."""


def addresses_of(db: sqlite3.Connection, contact_id: int) -> list[str]:
    """Every spelling of every address of a person: their own, as they write it, of those merged into them, and those
    they had before, unless somebody else has that one now."""
    rows = db.execute(
        """WITH former (address, email) AS (
               SELECT before ->> 'address', before ->> 'email' FROM change_row WHERE contact_id = ?1
               UNION SELECT after ->> 'address', after ->> 'email' FROM change_row WHERE contact_id = ?1
               UNION SELECT address, address FROM delivery WHERE contact_id = ?1),
           theirs (address, email) AS (
               SELECT * FROM former WHERE coalesce(address, lower(email)) NOT IN
                   (SELECT address FROM contact WHERE id <> ?1 UNION ALL
                    SELECT address FROM alias WHERE contact_id <> ?1)
               UNION SELECT address, email FROM contact WHERE id = ?1
               UNION SELECT address, address FROM alias WHERE contact_id = ?1)
           SELECT address FROM theirs WHERE address <> '' UNION SELECT email FROM theirs WHERE email <> ''""",
        (contact_id,),
    )
    return [row[0] for row in rows]


def erase(db: sqlite3.Connection, contact_id: int, now: datetime) -> None:
    """Erase one person. The file still holds the bytes until ``compact``; nobody can read them through SQL."""
    addresses = addresses_of(db, contact_id)
    for address in {each.lower() for each in addresses}:
        suppressions.add(db, address, SuppressionReason.MANUAL, SOURCE, now)
        db.execute(
            """UPDATE delivery SET contact_id = NULL, reason = '', reference = '',
                                   address = 'erased-' || lower(hex(suppression_key(address))) || '@erased.invalid'
               WHERE address = ?""",
            (address,),
        )
    db.execute("DELETE FROM change_row WHERE contact_id = ?", (contact_id,))
    for address in addresses:
        rows = db.execute(
            """SELECT change_id, contact_id, coalesce(before, '') || coalesce(after, '') FROM change_row
               WHERE instr(lower(before), lower(?1)) OR instr(lower(after), lower(?1))""",
            (address,),
        ).fetchall()
        named = [tuple(ids) for *ids, text in rows if _named(address).search(text)]
        db.executemany("DELETE FROM change_row WHERE change_id = ? AND contact_id = ?", named)
    db.execute("DELETE FROM change WHERE kind <> 'import' AND id NOT IN (SELECT change_id FROM change_row)")
    db.execute("DELETE FROM contact WHERE id = ?", (contact_id,))
    _redact(db, addresses)


def compact(connection: sqlite3.Connection) -> None:
    """Write the file anew without what was deleted. Outside of a transaction; needs as much room again on the disk.

    The full text index forgets a word only when its segments are merged; the write-ahead log when it is cut off. Raises
    ``sqlite3.OperationalError`` (locked) while another program reads or writes.
    """
    connection.execute("INSERT INTO contact_fts (contact_fts) VALUES ('optimize')")
    connection.execute("VACUUM")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("database is locked")


def mentions(db: sqlite3.Connection, addresses: Sequence[str]) -> list[str]:
    """The titles of content that names one of the addresses."""
    found = {
        title
        for address in addresses
        for title, text in db.execute(
            """SELECT title, subject || ' ' || preheader || ' ' || body AS text
               FROM content JOIN content_version ON content_id = content.id
               WHERE instr(lower(text), lower(?))""",
            (address,),
        )
        if _named(address).search(text)
    }
    return sorted(found)


def _named(address: str) -> re.Pattern[str]:
    """Where a text names an address, and not a longer one: ``ann@x.example.csv`` names ``ann@x.example``, as neither
    ``joann@x.example`` nor ``ann@x.example.com`` does."""
    named_file = rf"(?:\.(?:{'|'.join(FILE_ENDINGS)}|rejected))+(?![\w-]|\.\w)"
    return re.compile(rf"(?<![\w.+%-]){re.escape(address)}(?:(?!-?\w|\.\w)|(?={named_file}))", re.IGNORECASE)


def _redact(db: sqlite3.Connection, addresses: Iterable[str]) -> None:
    for table, column in _texts(db):
        for address in addresses:
            rows = db.execute(
                f"SELECT DISTINCT {column} FROM {table} WHERE instr(lower({column}), lower(?))", (address,)
            ).fetchall()
            changed = [(new, text) for (text,) in rows if (new := _named(address).sub(ERASED, text)) != text]
            db.executemany(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {column} = ?", changed)


def _texts(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Every column of every table that may name somebody in passing."""
    tables = db.execute(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT GLOB '*sqlite_*'"
    ).fetchall()
    for (table,) in tables:
        if table not in _OWN_WORDS:
            for (column,) in db.execute("SELECT name FROM pragma_table_info(?) WHERE type = 'TEXT'", (table,)):
                if column not in _ADDRESSES:
                    yield table, column
