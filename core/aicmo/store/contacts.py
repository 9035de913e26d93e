"""People: one row each, found by their normalised address.

Two shapes: ``Contact`` is what is read, ``Entry`` is what is known about somebody before and while it is stored.
Inserts and updates go many rows to a statement: a row alone would make the full text index write itself out each time.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from json.encoder import encode_basestring
from typing import NamedTuple, TypeVar

from aicmo.clock import rfc3339
from aicmo.store import bulk, glance, suppressions
from aicmo.store import tags as tag_store
from aicmo.store.selection import EVERYBODY, Selection

T = TypeVar("T")

STAGES = ("NEW", "ENRICHED", "VERIFIED", "ENGAGED", "CONVERTED", "DISQUALIFIED")

ROWS_PER_STATEMENT = 1000
"""Times the 13 columns this stays under SQLite's 32,766 parameters of a statement."""
ROWS_PER_INSERT = 500
"""SQLite compiles the statement anew for every batch of an import, because the search index's trigger steps aside: a
longer one costs more than it saves."""


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
_ENDS = "SELECT (SELECT min(id) FROM contact), (SELECT max(id) FROM contact)"
"""Asked apart, they are looked up; asked together, they walk the whole table."""
_NEXT_ID = (
    "SELECT 1 + max(coalesce((SELECT max(id) FROM contact), 0), coalesce((SELECT max(contact_id) FROM change_row), 0))"
)
"""Above every contact there is, and every one who was deleted and may come back."""
_INSERTED = (
    "import_id, created_at, updated_at, "
    "id, address, email, first_name, last_name, company, title, phone, domain, stage, fields"
)
COLUMNS = ("address", "email", "first_name", "last_name", "company", "title", "phone", "domain", "stage")
"""A contact's own fields that can change; ``fields`` and tags come beside them."""
_UPDATED = ("email", "first_name", "last_name", "company", "title", "phone", "stage", "fields", "updated_at")


def _encode(fields: dict[str, str]) -> str:
    """``fields`` as a JSON object, three times as fast as ``json.dumps``."""
    if not fields:
        return "{}"
    return "{" + ",".join([f"{encode_basestring(key)}:{encode_basestring(fields[key])}" for key in fields]) + "}"


# --- reading ----------------------------------------------------------------------------------------------------------


def count(db: sqlite3.Connection, selection: Selection = EVERYBODY) -> int:
    """How many are selected."""
    ids, parameters = selection.ids()
    sql = "SELECT count(*) FROM contact" if selection == EVERYBODY else f"SELECT count(*) FROM ({ids})"
    number: int = db.execute(sql, parameters).fetchone()[0]
    return number


def window(
    db: sqlite3.Connection, selection: Selection, offset: int, limit: int, *, total: int | None = None
) -> list[Contact]:
    """At most ``limit`` selected contacts from the ``offset``-th on, by id.

    ``total`` is the selection's count, where the caller knows it.
    """
    if limit <= 0 or offset < 0:
        return []
    wanted = json.dumps(_ids_of_window(db, selection, offset, limit, total))
    rows = db.execute(f"{_CONTACT} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", (wanted,))
    return [_contact(row) for row in rows]


def _ids_of_window(
    db: sqlite3.Connection, selection: Selection, offset: int, limit: int, total: int | None
) -> Sequence[int]:
    """At the top, a glance may be enough. Elsewhere the walk starts at the nearer end; among everybody it jumps when
    ids have no gaps."""
    if offset == 0 and selection.listed:
        found = glance.first_ids(db, selection, limit)
        if found is not None:
            return found
    total = count(db, selection) if total is None and offset else total
    ids, parameters = selection.ids()
    if offset and selection == EVERYBODY:
        first, last = db.execute(_ENDS).fetchone()
        if first is not None and last - first + 1 == total:
            rows = db.execute("SELECT id FROM contact WHERE id >= ? ORDER BY id LIMIT ?", (first + offset, limit))
            return [row[0] for row in rows]
    behind = 0 if total is None else max(total - offset - limit, 0)
    if total is None or offset <= behind:
        rows = db.execute(f"{ids} ORDER BY id LIMIT ? OFFSET ?", (*parameters, limit, offset))
        return [row[0] for row in rows]
    limit = max(min(limit, total - offset), 0)
    rows = db.execute(f"{ids} ORDER BY id DESC LIMIT ? OFFSET ?", (*parameters, limit, behind))
    return [row[0] for row in rows][::-1]


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


def ids(db: sqlite3.Connection, selection: Selection) -> array[int]:
    """Everybody selected, by number, in 8 bytes each."""
    sql, parameters = selection.ids()
    rows = db.execute(f"{sql} ORDER BY id", parameters)
    return array("q", (row[0] for row in rows))


def is_selected(db: sqlite3.Connection, contact_id: int, selection: Selection) -> bool:
    where, parameters = selection.where()
    sql = f"SELECT 1 FROM contact WHERE id = ? AND ({where})"
    return db.execute(sql, (contact_id, *parameters)).fetchone() is not None


def get(db: sqlite3.Connection, address: str) -> Contact | None:
    """The contact with that normalised address, if there is one."""
    row = db.execute(f"{_CONTACT} WHERE address = ?", (address,)).fetchone()
    return _contact(row) if row else None


def owner(db: sqlite3.Connection, address: str) -> Contact | None:
    """Whose that normalised address is, also if it came to them in a merge."""
    row = db.execute(f"{_CONTACT} WHERE id = (SELECT contact_id FROM alias WHERE address = ?)", (address,)).fetchone()
    return get(db, address) or (_contact(row) if row else None)


def addresses_like(db: sqlite3.Connection, address: str) -> list[str]:
    """At most 500 addresses worth comparing with one that is not there: of the same domain, or with the same first
    letters."""
    local, _, domain = address.partition("@")
    rows = db.execute(
        """SELECT address FROM contact WHERE domain = ?1 OR address GLOB ?2 LIMIT 500""",
        (domain, "".join(c for c in local[:2] if c.isalnum()) + "*"),
    )
    return [row[0] for row in rows]


def field_keys(db: sqlite3.Connection, selection: Selection = EVERYBODY) -> list[str]:
    """The custom fields that anybody selected has, by name."""
    where, parameters = selection.where()
    sql = f"SELECT DISTINCT key FROM (SELECT fields FROM contact WHERE {where} AND fields <> '{{}}'), json_each(fields)"
    return sorted(row[0] for row in db.execute(sql, parameters))


def find(db: sqlite3.Connection, addresses: Iterable[str]) -> dict[str, tuple[int, Entry]]:
    """Those of the normalised ``addresses`` that are known: id and entry by address."""
    rows = db.execute(f"{_CONTACT} WHERE address IN (SELECT value FROM json_each(?))", (json.dumps(list(addresses)),))
    return {row["address"]: (row["id"], as_entry(_contact(row))) for row in rows}


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


def insert(db: sqlite3.Connection, entries: Sequence[Entry], now: datetime, *, import_id: int | None = None) -> int:
    """Add people who are not there yet, with their tags; the first one's id, which the others' follow."""
    first: int = db.execute(_NEXT_ID).fetchone()[0]
    if not entries:
        return first
    together = (import_id, rfc3339(now))
    row = f"(?1,?2,?2{',?' * 11})"  # what all have in common is bound once
    with contextlib.nullcontext() if import_id is None else bulk.indexed_together(db, first):
        for part in _chunks(enumerate(entries, first), ROWS_PER_INSERT):
            values = [(number, *entry[:8], entry[8] or "NEW", _encode(entry[9])) for number, entry in part]
            sql = f"INSERT INTO contact ({_INSERTED}) VALUES {','.join([row] * len(part))}"
            db.execute(sql, list(chain(together, *values)))
    _link(db, ((number, entry.tags) for number, entry in enumerate(entries, first)))
    return first


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
    current = by_id(db, [number for number, _ in entries])
    rewrite(db, [(number, current[number], entry) for number, entry in entries if number in current], now)


def rewrite(db: sqlite3.Connection, moves: Sequence[tuple[int, Entry, Entry]], now: datetime) -> None:
    """``replace`` for who knows what the contacts say now: the first of the two entries. Only what differs is written.

    That keeps the full text index out of it wherever no word that it knows changes.
    """
    at = rfc3339(now)
    differing = [
        name
        for place, name in enumerate(Entry._fields)
        if name != "tags" and any(old[place] != new[place] for _, old, new in moves)
    ]
    columns = (*differing, "updated_at")
    settings = ", ".join(f"{column} = incoming.{column}" for column in columns)
    for part in _chunks(moves, ROWS_PER_STATEMENT):
        rows = [(number, *(_stored(new, name) for name in differing), at) for number, _, new in part]
        incoming = f"WITH incoming (id, {', '.join(columns)}) AS (VALUES {_places(rows)})"
        sql = f"{incoming} UPDATE contact SET {settings} FROM incoming WHERE contact.id = incoming.id"
        db.execute(sql, list(chain.from_iterable(rows)))
    if "address" in differing:
        for _, old, new in moves:
            suppressions.follow(db, old.address, new.address, now)
    retagged = [(number, _by_key(old.tags), _by_key(new.tags)) for number, old, new in moves if old.tags != new.tags]
    _unlink(db, ((number, old.keys() - new.keys()) for number, old, new in retagged))
    _link(db, ((n, frozenset(new[key] for key in new.keys() - old.keys())) for n, old, new in retagged))
    if retagged:
        tag_store.delete_unused(db)


def _stored(entry: Entry, column: str) -> str:
    return _encode(entry.fields) if column == "fields" else getattr(entry, column)


def _by_key(tags: Iterable[str]) -> dict[str, str]:
    return {tag_store.tag_key(name): name for name in tags}


def _unlink(db: sqlite3.Connection, untagged: Iterable[tuple[int, Iterable[str]]]) -> None:
    by_key: dict[str, list[int]] = {}
    for number, keys in untagged:
        for key in keys:
            by_key.setdefault(key, []).append(number)
    for key, numbers in by_key.items():
        db.execute(
            """DELETE FROM contact_tag WHERE tag_id = (SELECT id FROM tag WHERE key = ?)
               AND contact_id IN (SELECT value FROM json_each(?))""",
            (key, json.dumps(numbers)),
        )


def _link(db: sqlite3.Connection, tagged: Iterable[tuple[int, frozenset[str]]]) -> None:
    together: dict[frozenset[str], list[int]] = {}
    for number, names in tagged:
        together.setdefault(names, []).append(number)
    by_name: dict[str, list[int]] = {}
    for names, numbers in together.items():
        for name in names:
            by_name.setdefault(name, []).extend(numbers)
    for name, tag_id in tag_store.ensure(db, by_name).items():
        theirs = json.dumps(sorted(by_name[name]))
        db.execute("INSERT OR IGNORE INTO contact_tag SELECT ?, value FROM json_each(?)", (tag_id, theirs))


def _places(rows: Sequence[Sequence[object]]) -> str:
    row = "(" + ",".join("?" * len(rows[0])) + ")"
    return ",".join([row] * len(rows))


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
