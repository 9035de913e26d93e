"""Whom a query selects right now: how many, who of them may be written to, and what a message may say of each.

A campaign reads its audience anew until it begins; then ``deliveries.freeze`` makes rows of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aicmo.store.functions import suppression_hash

CONTACT_FIELDS = ("email", "first_name", "last_name", "company", "title", "phone", "domain", "stage")
"""A contact's own fields, as templates name them; custom fields come beside them."""

KEYS_HELD = 200_000
"""Suppressions that are held in memory while an audience is counted: some 20 MB."""
VERY_MANY = 50_000
"""Of an audience: then its suppressed ones are worth keeping."""


def filled_values(row: sqlite3.Row) -> dict[str, str]:
    """The non-empty fields of a contact's row, custom ones included; a contact's own field wins over a custom one."""
    values = {name: value for name, value in json.loads(row["fields"]).items() if value}
    values.update((name, row[name]) for name in CONTACT_FIELDS if row[name])
    return values


Condition: TypeAlias = tuple[str, tuple[object, ...]]
"""SQL over ``contact``, and its parameters."""
NOBODY: Condition = ("FALSE", ())


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a query selects at this moment."""

    total: int
    suppressed: int
    """Those among them who will not be written to."""


class SuppressedPeople:
    """Who of a great many contacts is suppressed, found once and kept until contacts or suppressions change."""

    def __init__(self) -> None:
        self._as_of: tuple[object, ...] = ()
        self._ids = "[]"

    def ids(self, db: sqlite3.Connection) -> str:
        """A JSON array."""
        as_of = tuple(
            db.execute(
                """SELECT (SELECT count(*) FROM suppression), (SELECT max(created_at) FROM suppression),
                          count(*), max(id), max(updated_at) FROM contact"""
            ).fetchone()
        )
        if as_of != self._as_of:
            rows = db.execute(f"SELECT id FROM contact WHERE {_suppressed(db)}")
            self._ids, self._as_of = json.dumps([row[0] for row in rows]), as_of
        return self._ids


def measured(
    db: sqlite3.Connection, where: str, params: Sequence[object], known: SuppressedPeople | None = None
) -> Audience:
    """How many ``where`` (SQL over ``contact``) selects, and how many of them are suppressed.

    ``known`` is asked where that saves looking at each of very many.
    """
    return divided(db, where, params, known)[0]


def divided(
    db: sqlite3.Connection, where: str, params: Sequence[object], known: SuppressedPeople | None = None
) -> tuple[Audience, Condition]:
    """``measured``, and the condition by which the suppressed were told from the others."""
    total = db.execute(f"SELECT count(*) FROM contact WHERE {where}", tuple(params)).fetchone()[0]
    gone, values = _suppressed_of(db, total, known)
    found = db.execute(f"SELECT count(*) FROM contact WHERE ({where}) AND {gone}", (*params, *values))
    return Audience(total, found.fetchone()[0]), (gone, values)


def _suppressed_of(db: sqlite3.Connection, total: int, known: SuppressedPeople | None) -> Condition:
    """That somebody is suppressed, asked in the cheapest way for an audience of that size."""
    if db.execute("SELECT NOT EXISTS (SELECT 1 FROM suppression)").fetchone()[0]:
        return NOBODY
    if known is not None and total > VERY_MANY:
        return "contact.id IN (SELECT value FROM json_each(?))", (known.ids(db),)
    return _suppressed(db), ()


def _suppressed(db: sqlite3.Connection) -> str:
    """A condition over ``contact``. As long as the keys have room in memory, one call for each contact is enough."""
    keys = {row[0] for row in db.execute("SELECT key FROM suppression LIMIT ?", (KEYS_HELD + 1,))}
    if len(keys) > KEYS_HELD:
        return "EXISTS (SELECT 1 FROM suppression WHERE key = suppression_key(contact.address))"
    secret: bytes = db.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()[0]
    keyed = suppression_hash(secret)

    def is_suppressed(address: str) -> bool:
        made = keyed.copy()
        made.update(address.encode())
        return made.digest() in keys

    db.create_function("is_suppressed", 1, is_suppressed)
    return "is_suppressed(contact.address)"


def unsuppressed(db: sqlite3.Connection, where: str, params: Sequence[object]) -> Iterator[sqlite3.Row]:
    """The contacts that would be written to, streamed; ``filled_values`` reads a row."""
    return db.execute(
        f"""SELECT contact.* FROM contact
            WHERE {where} AND NOT EXISTS (SELECT 1 FROM suppression WHERE key = suppression_key(contact.address))
            ORDER BY contact.id""",
        tuple(params),
    )


LOOKED_AT = 1_000
"""How many of the contacts last added are looked through for fields nobody gave a type."""


def custom_fields(db: sqlite3.Connection) -> list[str]:
    """The names of custom fields that a template can ask for: those with a type, then those that contacts have."""
    typed = [name for (name,) in db.execute("SELECT key FROM field ORDER BY key")]
    used = db.execute(
        """SELECT DISTINCT value.key FROM (SELECT fields FROM contact ORDER BY id DESC LIMIT ?) AS recent,
                  json_each(recent.fields) AS value ORDER BY 1""",
        (LOOKED_AT,),
    )
    names = dict.fromkeys([*typed, *(name for (name,) in used)])
    return [name for name in names if name.isidentifier()]
