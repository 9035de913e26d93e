"""All that is held about one person, in whatever table: to show it, to take it away, to bring it back.

Nothing here knows the tables by name. Who is meant is found by the foreign keys that point at ``contact``, so a table
added tomorrow is exported, deleted, restored and erased with the others. A row that goes with its person (``ON DELETE
CASCADE``) is owned; one that only forgets them (``SET NULL``), such as a delivery, is linked.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aicmo.store import tags as tag_store

Row = dict[str, Any]
Image = dict[str, list[Row]]
"""Rows by table. ``contact`` has one; ``tag`` has the names that ``contact_tag`` links; linked rows are ids alone."""
_OF_THE_ADDRESS = ("verification",)
"""Tables that say something of a person's address, which another person does not get."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that says whose a row is."""

    table: str
    column: str
    owned: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """Which tables hold something about people. Who asks about many of them asks for it once."""

    references: tuple[Reference, ...]
    """A table comes after those it refers to itself."""
    keys: Mapping[str, Sequence[sqlite3.Row]]
    """The foreign keys of every table."""


def references(db: sqlite3.Connection) -> tuple[Reference, ...]:
    """Every column that points at a contact."""
    return shape(db).references


def shape(db: sqlite3.Connection) -> Shape:
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
    pointing = (Reference(t, key["from"], key["on_delete"] == "CASCADE") for t in ordered for key in found[t])
    return Shape(tuple(pointing), keys)


def rows_about(
    db: sqlite3.Connection, contact_id: int, known: Shape | None = None
) -> Iterator[tuple[Reference, list[Row]]]:
    """Every table's rows about one person, as they stand; tables without any are left out."""
    for reference in (known or shape(db)).references:
        rows = [
            dict(row)
            for row in db.execute(
                f"SELECT * FROM {reference.table} WHERE {reference.column} = ? ORDER BY 1, 2", (contact_id,)
            )
        ]
        if rows:
            yield reference, rows


def image(db: sqlite3.Connection, contact_id: int, known: Shape | None = None) -> Image:
    """What it takes to bring the person back after a deletion."""
    taken: Image = {"contact": [dict(db.execute("SELECT * FROM contact WHERE id = ?", (contact_id,)).fetchone())]}
    names = db.execute(
        "SELECT name FROM contact_tag JOIN tag ON tag.id = tag_id WHERE contact_id = ? ORDER BY key", (contact_id,)
    )
    taken["tag"] = [dict(row) for row in names]
    for reference, rows in rows_about(db, contact_id, known):
        if reference.table != "contact_tag":
            kept = rows if reference.owned else [{"id": row["id"]} for row in rows]
            taken.setdefault(reference.table, []).extend(kept)
    return taken


def restore(db: sqlite3.Connection, taken: Image, known: Shape | None = None) -> None:
    """Bring back whom ``image`` described. Raises ``sqlite3.IntegrityError`` when the address is somebody else's now.

    What a row refers to may be gone in the meantime: a reference that may be empty becomes empty, a row that makes no
    sense without it stays away.
    """
    person = taken["contact"][0]
    _insert(db, "contact", person)
    for tag_id in tag_store.ensure(db, [row["name"] for row in taken["tag"]]).values():
        db.execute("INSERT OR IGNORE INTO contact_tag VALUES (?, ?)", (tag_id, person["id"]))
    known = known or shape(db)
    for reference in known.references:
        for row in taken.get(reference.table, ()):
            if not reference.owned:
                sql = f"UPDATE {reference.table} SET {reference.column} = ? WHERE id = ? AND {reference.column} IS NULL"
                db.execute(sql, (person["id"], row["id"]))
            elif (mended := _with_what_is_there(db, known.keys[reference.table], row)) is not None:
                _insert(db, reference.table, mended, otherwise="IGNORE")


def move(db: sqlite3.Connection, from_id: int, to_id: int) -> Image:
    """Give what belongs to one person to another, but for what the other has already; the rows that moved.

    They are told as they were before. A verdict on an address stays with its address.
    """
    moved: Image = {}
    for reference in references(db):
        table, column = reference.table, reference.column
        if table in _OF_THE_ADDRESS:
            continue
        for row in db.execute(f"SELECT * FROM {table} WHERE {column} = ?", (from_id,)).fetchall():
            where, key = _keyed(db, table, row)
            taken = db.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {where}", (to_id, *key))
            if taken.rowcount:
                moved.setdefault(table, []).append(dict(row))
    return moved


def move_back(db: sqlite3.Connection, moved: Image, to_id: int) -> None:
    """Take back from one person what ``move`` gave them, as far as they still have it.

    Rows that somebody owns are deleted, for ``restore`` to bring them back where they came from.
    """
    for reference in references(db):
        table, column = reference.table, reference.column
        for row in moved.get(table, ()):
            where, key = _keyed(db, table, {**row, column: to_id})
            if reference.owned:
                db.execute(f"DELETE FROM {table} WHERE {where} AND {column} = ?", (*key, to_id))
            else:
                db.execute(f"UPDATE {table} SET {column} = NULL WHERE {where} AND {column} = ?", (*key, to_id))


def delete(db: sqlite3.Connection, contact_ids: Sequence[int]) -> None:
    """Delete people with all that is owned by them."""
    db.execute("DELETE FROM contact WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(contact_ids)),))
    tag_store.delete_unused(db)


def _foreign_keys(db: sqlite3.Connection, table: str) -> list[sqlite3.Row]:
    return db.execute('SELECT "table", "from", on_delete FROM pragma_foreign_key_list(?)', (table,)).fetchall()


def _keyed(db: sqlite3.Connection, table: str, row: Mapping[str, Any] | sqlite3.Row) -> tuple[str, tuple[Any, ...]]:
    """A condition on the primary key, and its values in ``row``."""
    names = [each[0] for each in db.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))]
    return " AND ".join(f"{name} = ?" for name in names), tuple(row[name] for name in names)


def _with_what_is_there(db: sqlite3.Connection, keys: Iterable[sqlite3.Row], row: Mapping[str, Any]) -> Row | None:
    mended = dict(row)
    for key in keys:
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
