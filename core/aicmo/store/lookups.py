"""What was asked about people, what it cost, and what came back: each question on disk before it is put.

A question that has been put and has no outcome may have been paid for. It stays ``asked`` until its outcome is written,
or until the next run finds that nobody is left to write it: then it is ``unknown``, unless the provider gave a
reference by which the answer can still be fetched. A miss is an outcome like any other, and is remembered as one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from aicmo.clock import rfc3339
from aicmo.store.selection import Selection

OUTCOMES = ("found", "no_match", "failed", "unknown")
"""What can become of a question. ``failed``: provably not done, and not paid for."""
_IDS_AT_ONCE = 500


class Asked(NamedTuple):
    """The last question about one person to one provider."""

    outcome: str
    """``asked``, or one of ``OUTCOMES``."""
    at: str
    reference: str
    """The provider's own, by which an answer can still be fetched; empty when there is none."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A batch whose answer can still be fetched."""

    batch: str
    provider: str
    reference: str
    people: Mapping[int, int]
    """Place in the batch -> contact. Who was deleted since is missing."""
    at: str


class Settled(NamedTuple):
    """What became of the question about one person."""

    contact_id: int
    outcome: str
    millicredits: int = 0
    """Thousandths of the provider's credit."""


class Fact(NamedTuple):
    """What one provider says of one field."""

    contact_id: int
    field: str
    provider: str
    value: str
    at: str
    preferred: str | None
    """What a person chose instead of it."""
    millicredits: int
    """What the answer it came with cost, all its fields together."""


class Verdict(NamedTuple):
    """The last word on a person's address."""

    status: str
    """``valid``, ``risky``, ``invalid`` or ``unknown``."""
    word: str
    provider: str
    at: str


# --- questions --------------------------------------------------------------------------------------------------------


def last_asked(db: sqlite3.Connection, capability: str, contact_ids: Iterable[int]) -> dict[int, dict[str, Asked]]:
    """The last question to each provider, by contact and provider; who was never asked about is missing."""
    found: dict[int, dict[str, Asked]] = {}
    rows = db.execute(
        """SELECT contact_id, provider, outcome, at, reference FROM lookup
           WHERE contact_id IN (SELECT value FROM json_each(?)) AND capability = ? ORDER BY id""",
        (_json(contact_ids), capability),
    )
    for contact_id, provider, *asked in rows:
        found.setdefault(contact_id, {})[provider] = Asked(*asked)
    return found


def ask(
    db: sqlite3.Connection, capability: str, provider: str, batch: str, contact_ids: Iterable[int], now: datetime
) -> None:
    """Write down that people are about to be asked about, in this order."""
    at = rfc3339(now)
    db.executemany(
        """INSERT INTO lookup (contact_id, capability, provider, batch, place, outcome, at)
           VALUES (?, ?, ?, ?, ?, 'asked', ?)""",
        ((number, capability, provider, batch, place, at) for place, number in enumerate(contact_ids)),
    )


def keep_reference(db: sqlite3.Connection, batch: str, reference: str) -> None:
    """Write down by what an answer can be fetched, whatever happens to us."""
    db.execute("UPDATE lookup SET reference = ? WHERE batch = ?", (reference, batch))


def settle(db: sqlite3.Connection, batch: str, settled: Iterable[Settled]) -> None:
    """Write down what became of a batch, person by person."""
    db.executemany(
        "UPDATE lookup SET outcome = ?, millicredits = ? WHERE batch = ? AND contact_id = ?",
        ((outcome, millicredits, batch, number) for number, outcome, millicredits in settled),
    )


def forget(db: sqlite3.Connection, batch: str) -> None:
    """Take back a question that provably was not put."""
    db.execute("DELETE FROM lookup WHERE batch = ?", (batch,))


def lose(db: sqlite3.Connection, capability: str) -> int:
    """Nobody is left to write the outcome of what is ``asked``: call unknown what cannot be fetched; how many."""
    return db.execute(
        "UPDATE lookup SET outcome = 'unknown' WHERE outcome = 'asked' AND reference = '' AND capability = ?",
        (capability,),
    ).rowcount


def waiting(db: sqlite3.Connection, capability: str, since: datetime) -> list[Waiting]:
    """Batches put since then whose answer can be fetched."""
    rows = db.execute(
        """SELECT batch, provider, reference, at, json_group_object(place, contact_id) AS people FROM lookup
           WHERE outcome IN ('asked', 'unknown') AND reference <> '' AND capability = ? AND at >= ?
           GROUP BY batch ORDER BY min(id)""",
        (capability, rfc3339(since)),
    ).fetchall()
    return [
        Waiting(
            row["batch"],
            row["provider"],
            row["reference"],
            {int(place): number for place, number in json.loads(row["people"]).items()},
            row["at"],
        )
        for row in rows
    ]


# --- what came back ---------------------------------------------------------------------------------------------------


def put_facts(
    db: sqlite3.Connection, batch: str, provider: str, facts: Mapping[int, Mapping[str, str]], now: datetime
) -> None:
    """Keep what a provider said: contact -> field -> value. What it said of a field before is replaced."""
    at = rfc3339(now)
    db.executemany(
        """INSERT INTO enrichment (contact_id, field, provider, value, at, lookup_id)
           VALUES (?1, ?2, ?3, ?4, ?5, (SELECT id FROM lookup WHERE batch = ?6 AND contact_id = ?1))
           ON CONFLICT DO UPDATE SET
               preferred = iif(value = excluded.value, preferred, NULL),
               value = excluded.value, at = excluded.at, lookup_id = excluded.lookup_id""",
        (
            (number, field, provider, value, at, batch)
            for number, values in facts.items()
            for field, value in values.items()
        ),
    )


_FACT = """SELECT enrichment.contact_id, field, enrichment.provider, value, enrichment.at, preferred,
                  coalesce(millicredits, 0)
           FROM enrichment LEFT JOIN lookup ON lookup.id = lookup_id"""


def facts_of(db: sqlite3.Connection, contact_ids: Iterable[int]) -> list[Fact]:
    """Everything that providers say of people, by person and field."""
    rows = db.execute(
        f"""{_FACT} WHERE enrichment.contact_id IN (SELECT value FROM json_each(?))
            ORDER BY enrichment.contact_id, field, enrichment.at""",
        (_json(contact_ids),),
    )
    return [Fact(*row) for row in rows]


def people_with_facts(db: sqlite3.Connection, selection: Selection) -> list[int]:
    """Those selected of whom a provider says anything."""
    ids, parameters = selection.ids()
    rows = db.execute(f"SELECT DISTINCT contact_id FROM enrichment WHERE contact_id IN ({ids}) ORDER BY 1", parameters)
    return [row[0] for row in rows]


def prefer(db: sqlite3.Connection, contact_ids: Iterable[int], field: str, value: str) -> None:
    """A person chose ``value`` for a field, whatever providers say of it."""
    db.execute(
        "UPDATE enrichment SET preferred = ? WHERE field = ? AND contact_id IN (SELECT value FROM json_each(?))",
        (value, field, _json(contact_ids)),
    )


def verdicts(db: sqlite3.Connection, contact_ids: Iterable[int]) -> dict[int, Verdict]:
    """The last word on each address; who has none is missing."""
    rows = db.execute(
        """SELECT contact_id, status, word, provider, at FROM verification
           WHERE contact_id IN (SELECT value FROM json_each(?))""",
        (_json(contact_ids),),
    )
    return {number: Verdict(*verdict) for number, *verdict in rows}


def put_verdicts(db: sqlite3.Connection, given: Mapping[int, Verdict]) -> None:
    """Make these the last word."""
    db.executemany(
        "INSERT OR REPLACE INTO verification (contact_id, status, word, provider, at) VALUES (?, ?, ?, ?, ?)",
        ((number, *verdict) for number, verdict in given.items()),
    )


def chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """``ids`` in parts of a size that one statement takes at once."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[start : start + _IDS_AT_ONCE]


def _json(ids: Iterable[int]) -> str:
    return json.dumps(list(ids))
