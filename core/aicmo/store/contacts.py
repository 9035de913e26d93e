"""People: one row each, found by their normalised address.

Two shapes: ``Contact`` is what is read, ``Entry`` is what is known about somebody before and while it is stored.
Inserts and updates go many rows to a statement: a row alone would make the full text index write itself out each time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from json.encoder import encode_basestring
from typing import NamedTuple, TypeVar

from aicmo.clock import rfc3339
from aicmo.store import tags as tag_store
from aicmo.store.selection import EVERYBODY, Selection

T = TypeVar("T")

STAGES = ("NEW", "ENRICHED", "VERIFIED", "ENGAGED", "CONVERTED", "DISQUALIFIED")

ROWS_PER_STATEMENT = 1000
"""Times the 13 columns this stays under SQLite's 32,766 parameters of a statement."""


class Entry(NamedTuple):
    """What is known about one person. Empty text means unknown; an empty ``stage`` becomes ``NEW``."""

    address: str
    """Normalised: the identity."""
    email: str
    first_name: str
    last_name: str
    company: str
    title: str
    phone: str
    domain: str
    stage: str
    fields: dict[str, str]
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Contact:
    id: int
    address: str
    """Normalised: the identity."""
    email: str
    """As its owner writes it."""
    first_name: str
    last_name: str
    company: str
    title: str
    phone: str
    domain: str
    """The registrable part of the address's domain."""
    stage: str
    """One of ``STAGES``."""
    fields: dict[str, str]
    """Custom fields; none of them empty."""
    tags: tuple[str, ...]
    """By name."""
    created_at: str
    updated_at: str

    @property
    def name(self) -> str:
        """The whole name; empty when unknown."""
        return f"{self.first_name} {self.last_name}".strip()


_CONTACT = """
SELECT id, address, email, first_name, last_name, company, title, phone, domain, stage, fields,
       (SELECT group_concat(name, char(31)) FROM (
            SELECT name FROM contact_tag JOIN tag ON tag.id = tag_id WHERE contact_id = contact.id ORDER BY key
        )) AS tags, created_at, updated_at
FROM contact
"""
_ENDS = "SELECT (SELECT min(id) FROM contact), (SELECT max(id) FROM contact), (SELECT count(*) FROM contact)"
"""Asked apart, the first two are looked up; asked together, all three walk the whole table."""
_NEXT_ID = (
    "SELECT 1 + max(coalesce((SELECT max(id) FROM contact), 0), coalesce((SELECT max(contact_id) FROM change_row), 0))"
)
"""Above every contact there is, and every one who was deleted and may come back."""
_INSERTED = (
    "id, address, email, first_name, last_name, company, title, phone, domain, stage, fields, "
    "import_id, created_at, updated_at"
)
COLUMNS = ("address", "email", "first_name", "last_name", "company", "title", "phone", "domain", "stage")
"""A contact's own fields that can change; ``fields`` and tags come beside them."""
_UPDATED = ("email", "first_name", "last_name", "company", "title", "phone", "stage", "fields", "updated_at")
_REPLACED = (*COLUMNS, "fields", "updated_at")


def _encode(fields: dict[str, str]) -> str:
    """``fields`` as a JSON object, three times as fast as ``json.dumps``."""
    return "{" + ",".join([f"{encode_basestring(key)}:{encode_basestring(fields[key])}" for key in fields]) + "}"


# --- reading ----------------------------------------------------------------------------------------------------------


def count(db: sqlite3.Connection, selection: Selection = EVERYBODY) -> int:
    """How many are selected."""
    where, parameters = selection.where()
    number: int = db.execute(f"SELECT count(*) FROM contact WHERE {where}", parameters).fetchone()[0]
    return number


def window(
    db: sqlite3.Connection, selection: Selection, offset: int, limit: int, *, total: int | None = None
) -> list[Contact]:
    """At most ``limit`` selected contacts from the ``offset``-th on, by id.

    ``total`` is the selection's count, where the caller knows it. The walk starts at the nearer end, or jumps when ids
    have no gaps.
    """
    if limit <= 0 or offset < 0:
        return []
    if offset == 0:
        return list(islice(iterate(db, selection, limit=limit), limit))
    if selection == EVERYBODY:
        first, last, rows = db.execute(_ENDS).fetchone()
        if rows == 0 or last - first + 1 == rows:
            sql = f"{_CONTACT} WHERE id >= ? ORDER BY id LIMIT ?"
            return [_contact(row) for row in db.execute(sql, ((first or 0) + offset, limit))]
        total = rows
    where, parameters = selection.where()
    total = count(db, selection) if total is None else total
    behind = total - offset - limit
    if offset <= behind:
        order, skipped = "ASC", offset
    else:
        order, skipped, limit = "DESC", max(behind, 0), min(limit, total - offset)
    sql = f"{_CONTACT} WHERE {where} ORDER BY id {order} LIMIT ? OFFSET ?"
    found = [_contact(row) for row in db.execute(sql, (*parameters, max(limit, 0), skipped))]
    return found if order == "ASC" else found[::-1]


SORTS = {
    "added": ("id",),
    "email": ("address",),
    "name": ("last_name COLLATE NOCASE", "first_name COLLATE NOCASE"),
    "company": ("company COLLATE NOCASE",),
    "stage": ("stage",),
}
"""What contacts can be sorted by; equal ones stand in the order they came."""


def iterate(
    db: sqlite3.Connection,
    selection: Selection = EVERYBODY,
    *,
    limit: int = -1,
    sort: str = "added",
    descending: bool = False,
) -> Iterator[Contact]:
    """Every selected contact, streamed; at most ``limit`` unless it is -1. ``sort`` is a key of ``SORTS``."""
    where, parameters = selection.where()
    order = ", ".join(f"{column} {'DESC' if descending else 'ASC'}" for column in SORTS[sort])
    for row in db.execute(f"{_CONTACT} WHERE {where} ORDER BY {order}, id LIMIT ?", (*parameters, limit)):
        yield _contact(row)


def get(db: sqlite3.Connection, address: str) -> Contact | None:
    """The contact with that normalised address, if there is one."""
    row = db.execute(f"{_CONTACT} WHERE address = ?", (address,)).fetchone()
    return _contact(row) if row else None


def addresses_like(db: sqlite3.Connection, address: str, *, limit: int = 500) -> list[str]:
    """Addresses worth comparing with one that is not there: of the same domain, or with the same first letters."""
    local, _, domain = address.partition("@")
    rows = db.execute(
        """SELECT address FROM contact WHERE domain = ?1 OR address GLOB ?2 LIMIT ?3""",
        (domain, "".join(c for c in local[:2] if c.isalnum()) + "*", limit),
    )
    return [row[0] for row in rows]


def field_keys(db: sqlite3.Connection, selection: Selection = EVERYBODY) -> list[str]:
    """The custom fields that anybody selected has, by name."""
    where, parameters = selection.where()
    sql = f"SELECT DISTINCT key FROM (SELECT fields FROM contact WHERE {where} AND fields <> '{{}}'), json_each(fields)"
    return sorted(row[0] for row in db.execute(sql, parameters))


def find(db: sqlite3.Connection, addresses: Iterable[str]) -> dict[str, tuple[int, Entry]]:
    """Those of the normalised ``addresses`` that are known: id and entry by address."""
    found: dict[str, tuple[int, Entry]] = {}
    for part in _chunks(addresses, ROWS_PER_STATEMENT):
        marks = ",".join("?" * len(part))
        for row in db.execute(f"{_CONTACT} WHERE address IN ({marks})", part):
            known = _contact(row)
            found[known.address] = (known.id, as_entry(known))
    return found


def by_id(db: sqlite3.Connection, ids: Iterable[int]) -> dict[int, Entry]:
    """Those of the ``ids`` that are there."""
    rows = db.execute(f"{_CONTACT} WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))
    return {row["id"]: as_entry(_contact(row)) for row in rows}


def as_entry(contact: Contact) -> Entry:
    return Entry(
        contact.address,
        contact.email,
        contact.first_name,
        contact.last_name,
        contact.company,
        contact.title,
        contact.phone,
        contact.domain,
        contact.stage,
        contact.fields,
        frozenset(contact.tags),
    )


def _contact(row: sqlite3.Row) -> Contact:
    return Contact(
        id=row["id"],
        address=row["address"],
        email=row["email"],
        first_name=row["first_name"],
        last_name=row["last_name"],
        company=row["company"],
        title=row["title"],
        phone=row["phone"],
        domain=row["domain"],
        stage=row["stage"],
        fields=json.loads(row["fields"]),
        tags=tuple(row["tags"].split("\x1f")) if row["tags"] else (),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


# --- writing ----------------------------------------------------------------------------------------------------------


def insert(db: sqlite3.Connection, entries: Sequence[Entry], now: datetime, *, import_id: int | None = None) -> None:
    """Add people who are not there yet, with their tags."""
    if not entries:
        return
    first: int = db.execute(_NEXT_ID).fetchone()[0]
    at = rfc3339(now)
    rows = (
        (number, *entry[:8], entry.stage or "NEW", _encode(entry.fields), import_id, at, at)
        for number, entry in enumerate(entries, first)
    )
    for part in _chunks(rows, ROWS_PER_STATEMENT):
        sql = f"INSERT INTO contact ({_INSERTED}) VALUES {_places(part)}"
        db.execute(sql, list(chain.from_iterable(part)))
    _link(db, ((number, entry.tags) for number, entry in enumerate(entries, first)))


def update(db: sqlite3.Connection, entries: Sequence[tuple[int, Entry]], now: datetime) -> None:
    """Make the contacts with these ids say what their entries say. Tags are added, none is taken away."""
    at = rfc3339(now)
    rows = ((number, *entry[1:7], entry.stage, _encode(entry.fields), at) for number, entry in entries)
    settings = ", ".join(f"{column} = incoming.{column}" for column in _UPDATED)
    for part in _chunks(rows, ROWS_PER_STATEMENT):
        incoming = f"WITH incoming (id, {', '.join(_UPDATED)}) AS (VALUES {_places(part)})"
        sql = f"{incoming} UPDATE contact SET {settings} FROM incoming WHERE contact.id = incoming.id"
        db.execute(sql, list(chain.from_iterable(part)))
    _link(db, ((number, entry.tags) for number, entry in entries))


def replace(db: sqlite3.Connection, entries: Sequence[tuple[int, Entry]], now: datetime) -> None:
    """Make the contacts with these ids say exactly what their entries say, address and tags included."""
    at = rfc3339(now)
    settings = ", ".join(f"{column} = ?" for column in _REPLACED)
    db.executemany(
        f"UPDATE contact SET {settings} WHERE id = ?",
        ((*(getattr(entry, name) for name in COLUMNS), _encode(entry.fields), at, n) for n, entry in entries),
    )
    numbers = json.dumps([number for number, _ in entries])
    db.execute("DELETE FROM contact_tag WHERE contact_id IN (SELECT value FROM json_each(?))", (numbers,))
    _link(db, ((number, entry.tags) for number, entry in entries))
    tag_store.delete_unused(db)


def tag(db: sqlite3.Connection, selection: Selection, add: Iterable[str], remove: Iterable[str], now: datetime) -> int:
    """Add and remove tags on everybody selected; how many contacts were changed."""
    where, parameters = selection.where()
    db.execute("CREATE TEMP TABLE IF NOT EXISTS retagged (id INTEGER PRIMARY KEY)")
    db.execute("CREATE TEMP TABLE IF NOT EXISTS selected (id INTEGER PRIMARY KEY)")
    db.execute(f"INSERT INTO selected SELECT id FROM contact WHERE {where}", parameters)
    for tag_id in tag_store.ensure(db, add).values():
        missing = "SELECT id FROM selected WHERE id NOT IN (SELECT contact_id FROM contact_tag WHERE tag_id = ?)"
        db.execute(f"INSERT OR IGNORE INTO retagged {missing}", (tag_id,))
        db.execute("INSERT OR IGNORE INTO contact_tag SELECT ?, id FROM selected", (tag_id,))
    for key in map(tag_store.tag_key, remove):
        links = "tag_id = (SELECT id FROM tag WHERE key = ?) AND contact_id IN (SELECT id FROM selected)"
        db.execute(f"INSERT OR IGNORE INTO retagged SELECT contact_id FROM contact_tag WHERE {links}", (key,))
        db.execute(f"DELETE FROM contact_tag WHERE {links}", (key,))
    changed = db.execute("UPDATE contact SET updated_at = ? WHERE id IN (SELECT id FROM retagged)", (rfc3339(now),))
    db.execute("DELETE FROM retagged")
    db.execute("DELETE FROM selected")
    tag_store.delete_unused(db)
    return changed.rowcount


def _link(db: sqlite3.Connection, tagged: Iterable[tuple[int, frozenset[str]]]) -> None:
    by_name: dict[str, list[int]] = {}
    for number, names in tagged:
        for name in names:
            by_name.setdefault(name, []).append(number)
    for name, tag_id in tag_store.ensure(db, by_name).items():
        numbers = json.dumps(by_name[name])
        db.execute("INSERT OR IGNORE INTO contact_tag SELECT ?, value FROM json_each(?)", (tag_id, numbers))


def _places(rows: Sequence[Sequence[object]]) -> str:
    row = "(" + ",".join("?" * len(rows[0])) + ")"
    return ",".join([row] * len(rows))


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
