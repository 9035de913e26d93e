"""What was imported, when, from where, and what came of it; how far an interrupted one came; what it takes back.

An import writes down what it changed as a ``change``, row by row, like any other. Whom it created it does not write
down: a million of them carry its number, and are taken away by a few statements over all of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from aicmo.clock import rfc3339
from aicmo.errors import NotFound, VerbHint
from aicmo.store import people
from aicmo.store import tags as tag_store
from aicmo.store.people import Reference

Status = Literal["running", "done", "cancelled"]

NAMED_STAYING = 1_000
"""Of the people whom an undo leaves, so many are named; the others are counted."""
_SAYS_NOTHING = ("contact_tag", "segment_member")
"""Rows there are no sign that anything happened to a person: an import's own tags, and who was in a segment when it was
looked at."""


@dataclass(frozen=True, slots=True)
class Import:
    id: int
    source: str
    """The file's name."""
    status: Status
    """``running`` also when it was killed: whether somebody still works on it, its lock says."""
    counts: Mapping[str, int]
    rows_read: int
    """Of the file, blank ones among them."""
    change_id: int | None
    started_at: str
    finished_at: str | None
    undone_at: str | None


class SavedMapping(NamedTuple):
    name: str
    """Of the file it was made for."""
    mapping: dict[str, str]
    """Column title to field."""


class Staying(NamedTuple):
    """One whom the import created and its undo leaves, and what says that something happened to them since."""

    contact_id: int
    email: str
    since: str
    """A field of their state (``title``, ``field.city``), or the table of what happened (``event``, ``delivery``)."""


class TakenAway(NamedTuple):
    people: int
    stay: int
    staying: tuple[Staying, ...]
    """Of the first ``NAMED_STAYING`` of those who stay, everything that keeps them."""


# --- one import, from its begin to its end ----------------------------------------------------------------------------


def begin(
    db: sqlite3.Connection, source: str, change_id: int, now: datetime, *, fingerprint: str = "", options: str = "{}"
) -> int:
    """Record that an import runs; its id. ``fingerprint`` and ``options`` say what it takes to go on with it."""
    cursor = db.execute(
        """INSERT INTO import (source, status, started_at, change_id, fingerprint, options)
           VALUES (?, 'running', ?, ?, ?, ?)""",
        (source, rfc3339(now), change_id, fingerprint, options),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def record(db: sqlite3.Connection, import_id: int, counts: Mapping[str, int], rows_read: int) -> None:
    """Keep how far it came, in the transaction of the rows that it counts."""
    db.execute(
        "UPDATE import SET counts = ?, rows_read = ? WHERE id = ?", (json.dumps(dict(counts)), rows_read, import_id)
    )


def end(db: sqlite3.Connection, import_id: int, status: Status, now: datetime) -> None:
    db.execute("UPDATE import SET status = ?, finished_at = ? WHERE id = ?", (status, rfc3339(now), import_id))


_IMPORT = "SELECT id, source, status, counts, rows_read, change_id, started_at, finished_at, undone_at FROM import"


def get(db: sqlite3.Connection, import_id: int) -> Import:
    """Raises ``NotFound``."""
    row = db.execute(f"{_IMPORT} WHERE id = ?", (import_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no import {import_id}.", hint=VerbHint("See them with", "import list"))
    return _import(row)


def listed(db: sqlite3.Connection, *, limit: int = -1) -> list[Import]:
    """The newest first."""
    return [_import(row) for row in db.execute(f"{_IMPORT} ORDER BY id DESC LIMIT ?", (limit,))]


def unfinished(db: sqlite3.Connection, fingerprint: str, options: str) -> list[Import]:
    """Those of this very file with these very options that nobody ended, the newest first."""
    sql = f"""{_IMPORT} WHERE status = 'running' AND undone_at IS NULL AND fingerprint = ? AND options = ?
              ORDER BY id DESC"""
    return [_import(row) for row in db.execute(sql, (fingerprint, options))]


def of_change(db: sqlite3.Connection, change_id: int) -> Import | None:
    row = db.execute(f"{_IMPORT} WHERE change_id = ?", (change_id,)).fetchone()
    return _import(row) if row else None


def still_there(db: sqlite3.Connection, import_id: int) -> int:
    """How many of those it created are contacts now."""
    number: int = db.execute("SELECT count(*) FROM contact WHERE import_id = ?", (import_id,)).fetchone()[0]
    return number


def _import(row: sqlite3.Row) -> Import:
    return Import(**{**dict(row), "counts": json.loads(row["counts"])})


# --- which column is which, from one file to the next -----------------------------------------------------------------


def saved_mapping(db: sqlite3.Connection, header: Sequence[str]) -> SavedMapping | None:
    """What was last said about a file with these titles."""
    row = db.execute("SELECT name, mapping FROM import_mapping WHERE header = ?", (_header(header),)).fetchone()
    return SavedMapping(row["name"], json.loads(row["mapping"])) if row else None


def save_mapping(
    db: sqlite3.Connection, header: Sequence[str], name: str, mapping: Mapping[str, str], now: datetime
) -> None:
    db.execute(
        """INSERT INTO import_mapping VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
           name = excluded.name, mapping = excluded.mapping, used_at = excluded.used_at""",
        (_header(header), name, json.dumps(dict(mapping), ensure_ascii=False), rfc3339(now)),
    )


def _header(titles: Sequence[str]) -> str:
    return json.dumps(list(titles), ensure_ascii=False)


# --- what a batch asks and tells --------------------------------------------------------------------------------------


def survivors(db: sqlite3.Connection, addresses: Iterable[str]) -> dict[str, str]:
    """Those of the addresses whose people were merged into somebody else: that one's address."""
    if db.execute("SELECT NOT EXISTS (SELECT 1 FROM alias)").fetchone()[0]:
        return {}
    rows = db.execute(
        """SELECT alias.address, contact.address FROM alias JOIN contact ON contact.id = contact_id
           WHERE alias.address IN (SELECT value FROM json_each(?))""",
        (json.dumps(list(addresses)),),
    )
    return dict(map(tuple, rows))


def came_before(db: sqlite3.Connection, import_id: int, contact_ids: Iterable[int]) -> set[int]:
    """Those of the contacts that this import did not create."""
    rows = db.execute(
        "SELECT id FROM contact WHERE id IN (SELECT value FROM json_each(?)) AND import_id IS NOT ?",
        (json.dumps(list(contact_ids)), import_id),
    )
    return {row[0] for row in rows}


def note_stages(
    db: sqlite3.Connection, import_id: int, first_id: int, cause: str, actor: str, change_id: int, now: datetime
) -> None:
    """The receipts of those whom it created, from ``first_id`` on, in another stage than the first."""
    db.execute(
        """INSERT INTO stage_change (contact_id, from_stage, to_stage, cause, actor, change_id, at)
           SELECT id, 'NEW', stage, ?, ?, ?, ? FROM contact WHERE id >= ? AND import_id = ? AND stage <> 'NEW'""",
        (cause, actor, change_id, rfc3339(now), first_id, import_id),
    )


# --- taking back ------------------------------------------------------------------------------------------------------


def take_away(db: sqlite3.Connection, import_id: int, change_id: int, now: datetime) -> TakenAway:
    """Delete whom an import created, unless something happened to them since: another change that stands, or any row
    that names them in whatever table. The import is undone then.

    What is left of those who go is deleted here, not by the foreign keys: asking every table about every person makes a
    million of them take minutes, so the caller may have switched those off.
    """
    references = people.shape(db).references
    db.execute("CREATE TEMP TABLE staying (contact_id INTEGER, since TEXT, PRIMARY KEY (contact_id, since))")
    db.execute("CREATE TEMP TABLE going (contact_id INTEGER PRIMARY KEY)")
    try:
        db.execute(
            """INSERT OR IGNORE INTO staying SELECT contact_id, coalesce(key, 'deleted')
               FROM change_row JOIN contact ON contact.id = contact_id JOIN change ON change.id = change_id
               LEFT JOIN json_each(after)
               WHERE import_id = ? AND change_id <> ? AND undone_at IS NULL""",
            (import_id, change_id),
        )
        for reference in references:
            if reference.table not in _SAYS_NOTHING:
                _keep_those_in(db, reference, import_id, change_id)
        db.execute(
            """INSERT INTO going SELECT id FROM contact
               WHERE import_id = ? AND id NOT IN (SELECT contact_id FROM staying)""",
            (import_id,),
        )
        for reference in references:
            _let_go(db, reference)
        deleted = db.execute("DELETE FROM contact WHERE id IN (SELECT contact_id FROM going)").rowcount
        stay = db.execute("SELECT count(DISTINCT contact_id) FROM staying").fetchone()[0]
        staying = db.execute(
            """SELECT contact_id, email, since FROM staying JOIN contact ON contact.id = contact_id
               WHERE contact_id IN (SELECT DISTINCT contact_id FROM staying ORDER BY contact_id LIMIT ?)
               ORDER BY contact_id, since""",
            (NAMED_STAYING,),
        ).fetchall()
    finally:
        db.execute("DROP TABLE staying")
        db.execute("DROP TABLE going")
    db.execute("UPDATE import SET undone_at = ? WHERE id = ?", (rfc3339(now), import_id))
    tag_store.delete_unused(db)
    return TakenAway(deleted, stay, tuple(Staying(*row) for row in staying))


def _keep_those_in(db: sqlite3.Connection, reference: Reference, import_id: int, change_id: int) -> None:
    table, column = reference.table, reference.column
    own = {row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (table,))}
    since = f"AND {table}.change_id IS NOT {change_id:d}" if "change_id" in own else ""
    db.execute(
        f"""INSERT OR IGNORE INTO staying SELECT {column}, ? FROM {table} JOIN contact ON contact.id = {column}
            WHERE import_id = ? {since}""",
        (table, import_id),
    )


def _let_go(db: sqlite3.Connection, reference: Reference) -> None:
    table, column = reference.table, reference.column
    verb = f"DELETE FROM {table}" if reference.owned else f"UPDATE {table} SET {column} = NULL"
    db.execute(f"{verb} WHERE {column} IN (SELECT contact_id FROM going)")
