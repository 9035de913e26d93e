"""The same people in somebody else's CRM: which row is whose, what both sides said last, how far it was read.

A link's ``seen`` is the original of a three-way merge: by it a later run knows which side changed. A link is up to date
while its ``at`` is what the contact's ``updated_at`` says.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from aicmo.clock import rfc3339

READ, READ_INTERACTIONS = "pulled", "pulled interactions"
"""Cursors: from when on rows have to be read again, as RFC 3339."""
COLUMNS_READ, COLUMNS_SENT, SUPPRESSED = "columns read", "columns sent", "suppressed"
"""Cursors: with which columns everybody was compared when they were read and sent, and with which suppressions."""


@dataclass(frozen=True, slots=True)
class Link:
    contact_id: int
    record_id: str
    """The CRM's own."""
    seen: Mapping[str, str] = field(default_factory=dict)
    """What both sides said last, by column and field."""
    at: str = ""
    """``updated_at`` of the contact then; empty: something is still to be sent."""
    gone: bool = False
    """The row was deleted there."""


class Times(NamedTuple):
    created_at: str
    updated_at: str


class Clash(NamedTuple):
    """A field that both sides changed to different values."""

    field: str
    ours: str
    theirs: str
    original: str
    kept: str
    """``ours``, ``theirs``, or ``neither``: both stand until a person decides."""


class KeptClash(NamedTuple):
    email: str
    clash: Clash
    at: str


# --- links ------------------------------------------------------------------------------------------------------------

_LINK = "SELECT contact_id, record_id, seen, at, gone FROM sync_link"


def of_records(db: sqlite3.Connection, provider: str, record_ids: Iterable[str]) -> dict[str, Link]:
    """Whose the rows are, by their ids; rows of nobody are left out."""
    sql = f"{_LINK} WHERE provider = ? AND record_id IN (SELECT value FROM json_each(?))"
    return {row["record_id"]: _link(row) for row in db.execute(sql, (provider, json.dumps(list(record_ids))))}


def of_contacts(db: sqlite3.Connection, provider: str, contact_ids: Iterable[int]) -> dict[int, Link]:
    """The rows of people, by person; who has none is left out."""
    sql = f"{_LINK} WHERE provider = ? AND contact_id IN (SELECT value FROM json_each(?))"
    return {row["contact_id"]: _link(row) for row in db.execute(sql, (provider, json.dumps(list(contact_ids))))}


def put(db: sqlite3.Connection, provider: str, links: Iterable[Link]) -> None:
    """Write links down, in place of older ones of the same people."""
    db.executemany(
        """INSERT INTO sync_link (contact_id, provider, record_id, seen, at, gone) VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT (contact_id, provider) DO UPDATE
           SET record_id = excluded.record_id, seen = excluded.seen, at = excluded.at, gone = excluded.gone""",
        (
            (each.contact_id, provider, each.record_id, json.dumps(each.seen, ensure_ascii=False), each.at, each.gone)
            for each in links
        ),
    )


def mark_gone(db: sqlite3.Connection, provider: str, record_ids: Iterable[str]) -> None:
    """Their rows were deleted there; nothing is sent there for them any more."""
    sql = "UPDATE sync_link SET gone = 1 WHERE provider = ? AND record_id IN (SELECT value FROM json_each(?))"
    db.execute(sql, (provider, json.dumps(list(record_ids))))


def forget_gone(db: sqlite3.Connection, provider: str, contact_ids: Collection[int] | None) -> int:
    """Let those whose rows were deleted there be sent again, everybody or these; how many."""
    sql = "DELETE FROM sync_link WHERE provider = ? AND gone"
    if contact_ids is None:
        return db.execute(sql, (provider,)).rowcount
    chosen = json.dumps(list(contact_ids))
    return db.execute(f"{sql} AND contact_id IN (SELECT value FROM json_each(?))", (provider, chosen)).rowcount


def linked_records(db: sqlite3.Connection, provider: str) -> set[str]:
    """The rows that are somebody's, as far as nobody saw them deleted."""
    return {
        row[0] for row in db.execute("SELECT record_id FROM sync_link WHERE provider = ? AND NOT gone", (provider,))
    }


def outdated(
    db: sqlite3.Connection, provider: str, after: int, limit: int, *, everybody: bool = False
) -> list[tuple[int, Link | None]]:
    """People with numbers above ``after`` who have no row there, or have changed since they were compared with it."""
    rows = db.execute(
        """SELECT contact.id AS contact_id, record_id, seen, at, gone FROM contact
           LEFT JOIN sync_link ON sync_link.contact_id = contact.id AND provider = ?
           WHERE contact.id > ? AND (record_id IS NULL OR (NOT gone AND (? OR at <> updated_at)))
           ORDER BY contact.id LIMIT ?""",
        (provider, after, everybody, limit),
    )
    return [(row["contact_id"], None if row["record_id"] is None else _link(row)) for row in rows]


def times(db: sqlite3.Connection, contact_ids: Iterable[int]) -> dict[int, Times]:
    """When people came and were changed, as far as they are there."""
    rows = db.execute(
        "SELECT id, created_at, updated_at FROM contact WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(contact_ids)),),
    )
    return {row["id"]: Times(row["created_at"], row["updated_at"]) for row in rows}


def _link(row: sqlite3.Row) -> Link:
    return Link(row["contact_id"], row["record_id"], json.loads(row["seen"]), row["at"], bool(row["gone"]))


# --- cursors ----------------------------------------------------------------------------------------------------------


def cursor(db: sqlite3.Connection, provider: str, name: str) -> str:
    """Empty when there is none yet."""
    row = db.execute("SELECT value FROM sync_cursor WHERE provider = ? AND name = ?", (provider, name)).fetchone()
    return str(row[0]) if row else ""


def move_cursor(db: sqlite3.Connection, provider: str, name: str, value: str) -> None:
    db.execute(
        "INSERT INTO sync_cursor VALUES (?, ?, ?) ON CONFLICT (provider, name) DO UPDATE SET value = excluded.value",
        (provider, name, value),
    )


def suppressions_mark(db: sqlite3.Connection) -> str:
    """Something that is different once anybody was suppressed, or is no more."""
    return "{} {}".format(*db.execute("SELECT count(*), coalesce(max(created_at), '') FROM suppression").fetchone())


# --- conflicts --------------------------------------------------------------------------------------------------------


def keep_clashes(db: sqlite3.Connection, provider: str, clashes: Iterable[tuple[int, Clash]], now: datetime) -> None:
    """Write down what each side said, and which was kept; the last one of a field counts."""
    db.executemany(
        """INSERT INTO sync_conflict (contact_id, provider, field, ours, theirs, original, kept, at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (contact_id, provider, field) DO UPDATE
           SET ours = excluded.ours, theirs = excluded.theirs, original = excluded.original, kept = excluded.kept,
               at = excluded.at""",
        ((contact_id, provider, *clash, rfc3339(now)) for contact_id, clash in clashes),
    )


def settle_clashes(db: sqlite3.Connection, provider: str, settled: Iterable[tuple[int, str]]) -> None:
    """Forget that these fields of people wait for a person's word: both sides agree, or one was chosen."""
    db.executemany(
        "DELETE FROM sync_conflict WHERE contact_id = ? AND provider = ? AND field = ? AND kept = 'neither'",
        ((contact_id, provider, name) for contact_id, name in settled),
    )


def open_clashes(db: sqlite3.Connection, provider: str, contact_ids: Iterable[int]) -> dict[int, dict[str, Clash]]:
    """What waits for a person's word, by person and field."""
    rows = db.execute(
        """SELECT contact_id, field, ours, theirs, original, kept FROM sync_conflict
           WHERE provider = ? AND kept = 'neither' AND contact_id IN (SELECT value FROM json_each(?))""",
        (provider, json.dumps(list(contact_ids))),
    )
    found: dict[int, dict[str, Clash]] = {}
    for contact_id, *clash in rows:
        found.setdefault(contact_id, {})[clash[0]] = Clash(*clash)
    return found


def with_open_clashes(db: sqlite3.Connection, provider: str) -> list[int]:
    """Of whom something waits for a person's word."""
    sql = "SELECT DISTINCT contact_id FROM sync_conflict WHERE provider = ? AND kept = 'neither' ORDER BY contact_id"
    return [row[0] for row in db.execute(sql, (provider,))]


def clashes(db: sqlite3.Connection, *, limit: int = -1) -> list[KeptClash]:
    """Every conflict that is kept, those that wait for a person first, then the newest."""
    rows = db.execute(
        """SELECT email, field, ours, theirs, original, kept, at FROM sync_conflict
           JOIN contact ON contact.id = contact_id ORDER BY kept = 'neither' DESC, at DESC, email, field LIMIT ?""",
        (limit,),
    )
    return [KeptClash(email, Clash(*clash), at) for email, *clash, at in rows]


# --- interactions -----------------------------------------------------------------------------------------------------


class Interaction(NamedTuple):
    """What happened with somebody, or was sent to them, as a row there tells it."""

    id: int
    email: str
    name: str
    channel: str
    kind: str
    subject: str
    at: str
    details: str
    version: str
    """Different once it says something else."""


def unsent_events(db: sqlite3.Connection, provider: str, after: int, limit: int) -> list[Interaction]:
    """Events with numbers above ``after`` of people who have a row there; what was read from there does not go back."""
    rows = db.execute(
        """SELECT event.id, email, trim(first_name || ' ' || last_name), channel, event.kind,
                  coalesce(campaign.name, ''), event.at, trim(text || char(10) || because, char(10)), event.at
           FROM event
           JOIN sync_link ON sync_link.contact_id = event.contact_id AND sync_link.provider = ?1 AND NOT gone
           JOIN contact ON contact.id = event.contact_id LEFT JOIN campaign ON campaign.id = campaign_id
           WHERE event.id > ?2
             AND NOT EXISTS (SELECT 1 FROM sync_event WHERE event_id = event.id AND sync_event.provider = ?1)
             AND (origin IS NULL OR substr(origin, 1, length(?1) + 1) <> ?1 || ':')
           ORDER BY event.id LIMIT ?3""",
        (provider, after, limit),
    )
    return [Interaction(*row) for row in rows]


def note_events(db: sqlite3.Connection, provider: str, sent: Sequence[tuple[Interaction, str]]) -> None:
    """These are rows there now, with these ids."""
    rows = ((each.id, provider, record_id) for each, record_id in sent)
    db.executemany("INSERT OR REPLACE INTO sync_event VALUES (?, ?, ?)", rows)


def unsent_deliveries(db: sqlite3.Connection, provider: str, after: int, limit: int) -> list[Interaction]:
    """What became of messages to people who have a row there, as far as it is not told there."""
    rows = db.execute(
        """SELECT delivery.id, email, trim(first_name || ' ' || last_name), 'email', state, campaign.name,
                  coalesce(sending_at, delivery.at), reason, delivery.at
           FROM delivery
           JOIN sync_link ON sync_link.contact_id = delivery.contact_id AND sync_link.provider = ?1 AND NOT gone
           JOIN contact ON contact.id = delivery.contact_id JOIN campaign ON campaign.id = campaign_id
           WHERE delivery.id > ?2 AND state IN ('sent', 'bounced', 'failed', 'unknown') AND NOT EXISTS (
               SELECT 1 FROM sync_delivery
               WHERE delivery_id = delivery.id AND sync_delivery.provider = ?1 AND sync_delivery.at = delivery.at
           ) ORDER BY delivery.id LIMIT ?3""",
        (provider, after, limit),
    )
    return [Interaction(*row) for row in rows]


def note_deliveries(db: sqlite3.Connection, provider: str, sent: Sequence[tuple[Interaction, str]]) -> None:
    """These are told there now, as they stood when they were read here."""
    rows = ((each.id, provider, each.version) for each, _ in sent)
    db.executemany("INSERT OR REPLACE INTO sync_delivery VALUES (?, ?, ?)", rows)
