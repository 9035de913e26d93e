"""All that is held about one person, in whatever table: to show it, to take it away, to bring it back.

Nothing here knows the tables by name. Who is meant is found by the foreign keys that point at ``contact``, so a table
added tomorrow is exported, deleted, restored and erased with the others. A row that goes with its person (``ON DELETE
CASCADE``) is owned; one that only forgets them (``SET NULL``), such as a delivery, is linked.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aicmo.store import tags as tag_store

Row = dict[str, Any]
Image = dict[str, list[Row]]
"""Rows by table. ``contact`` has one; ``tag`` has the names that ``contact_tag`` links; linked rows are ids alone."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that says whose a row is."""

    table: str
    column: str
    owned: bool


def references(db: sqlite3.Connection) -> list[Reference]:
    """Every column that points at a contact. A table comes after those it refers to itself."""
    tables = [
        row[0] for row in db.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
    ]
    keys = {table: _foreign_keys(db, table) for table in tables}
    found = {table: [key for key in keys[table] if key["table"] == "contact"] for table in tables}
    ordered: list[str] = []

    def visit(table: str) -> None:
        if table in ordered or table not in found or not found[table]:
            return
        for key in keys[table]:
            if key["table"] != table:
                visit(key["table"])
        ordered.append(table)

    for table in sorted(tables):
        visit(table)
    return [Reference(t, key["from"], key["on_delete"] == "CASCADE") for t in ordered for key in found[t]]


def rows_about(db: sqlite3.Connection, contact_id: int) -> Iterator[tuple[Reference, list[Row]]]:
    """Every table's rows about one person, as they stand; tables without any are left out."""
    for reference in references(db):
        rows = [
            dict(row)
            for row in db.execute(
                f"SELECT * FROM {reference.table} WHERE {reference.column} = ? ORDER BY 1, 2", (contact_id,)
            )
        ]
        if rows:
            yield reference, rows


def image(db: sqlite3.Connection, contact_id: int) -> Image:
    """What it takes to bring the person back after a deletion."""
    taken: Image = {"contact": [dict(db.execute("SELECT * FROM contact WHERE id = ?", (contact_id,)).fetchone())]}
    names = db.execute(
        "SELECT name FROM contact_tag JOIN tag ON tag.id = tag_id WHERE contact_id = ? ORDER BY key", (contact_id,)
    )
    taken["tag"] = [dict(row) for row in names]
    for reference, rows in rows_about(db, contact_id):
        if reference.table != "contact_tag":
            kept = rows if reference.owned else [{"id": row["id"]} for row in rows]
            taken.setdefault(reference.table, []).extend(kept)
    return taken


def restore(db: sqlite3.Connection, taken: Image) -> None:
    """Bring back whom ``image`` described. Raises ``sqlite3.IntegrityError`` when the address is somebody else's now.

    What a row refers to may be gone in the meantime: a reference that may be empty becomes empty, a row that makes no
    sense without it stays away.
    """
    person = taken["contact"][0]
    _insert(db, "contact", person)
    for tag_id in tag_store.ensure(db, [row["name"] for row in taken["tag"]]).values():
        db.execute("INSERT OR IGNORE INTO contact_tag VALUES (?, ?)", (tag_id, person["id"]))
    for reference in references(db):
        for row in taken.get(reference.table, ()):
            if not reference.owned:
                sql = f"UPDATE {reference.table} SET {reference.column} = ? WHERE id = ? AND {reference.column} IS NULL"
                db.execute(sql, (person["id"], row["id"]))
            elif (mended := _with_what_is_there(db, reference.table, row)) is not None:
                _insert(db, reference.table, mended, otherwise="IGNORE")


def delete(db: sqlite3.Connection, contact_ids: Sequence[int]) -> None:
    """Delete people with all that is owned by them."""
    db.execute("DELETE FROM contact WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(contact_ids)),))
    tag_store.delete_unused(db)


def _foreign_keys(db: sqlite3.Connection, table: str) -> list[sqlite3.Row]:
    return db.execute('SELECT "table", "from", on_delete FROM pragma_foreign_key_list(?)', (table,)).fetchall()


def _with_what_is_there(db: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> Row | None:
    mended = dict(row)
    for key in _foreign_keys(db, table):
        target, column = key["table"], key["from"]
        if mended.get(column) is None:
            continue
        if db.execute(f"SELECT 1 FROM {target} WHERE rowid = ?", (mended[column],)).fetchone() is None:
            if key["on_delete"] != "SET NULL":
                return None
            mended[column] = None
    return mended


def _insert(db: sqlite3.Connection, table: str, row: Mapping[str, Any], *, otherwise: str = "ABORT") -> None:
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT OR {otherwise} INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
