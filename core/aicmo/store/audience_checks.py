"""What is asked about an audience before a campaign goes, counted where it lies: a million people in under a second.

``where`` and ``params`` are a condition over ``contact``, as ``Selection.where()`` gives it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import rfc3339
from aicmo.store.audiences import CONTACT_FIELDS, Condition, filled_values

LOOKED_AT = 2_000
"""People whose history is looked at; of a larger audience as many, spread over it."""
CAMPAIGNS_LOOKED_AT = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """Somebody of the audience."""

    email: str
    values: dict[str, str]
    """Their filled fields."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """Those who lack the same fields."""

    fields: frozenset[str]
    count: int
    """Suppressed ones among them."""
    sample: Sample


def lacking(db: sqlite3.Connection, where: str, params: Sequence[object], fields: Iterable[str]) -> list[Lacking]:
    """Everybody who lacks some of ``fields`` (names as templates use them), by which; and one who lacks none, if there
    is one, with a count of 0."""
    names = sorted(fields)
    found = []
    if names:
        conditions = [_is_empty(name) for name in names]
        mask = "'' || " + " || ".join(f"({condition})" for condition, _ in conditions)
        values = [value for _, some in conditions for value in some]
        anything = " OR ".join(f"({condition})" for condition, _ in conditions)
        rows = db.execute(
            f"""SELECT mask, count(*), min(id) FROM (
                    SELECT contact.id, {mask} AS mask FROM contact WHERE ({where}) AND ({anything})
                ) GROUP BY mask ORDER BY min(id)""",
            (*values, *params, *values),
        )
        for bits, count, first in rows.fetchall():
            missing = frozenset(name for name, bit in zip(names, bits, strict=True) if bit == "1")
            found.append(Lacking(missing, count, _sample(db, "contact.id = ?", (first,))))
        where, params = f"({where}) AND NOT ({anything})", (*params, *values)
    row = db.execute(f"SELECT * FROM contact WHERE {where} LIMIT 1", tuple(params)).fetchone()
    if row is not None:
        found.append(Lacking(frozenset(), 0, Sample(row["email"], filled_values(row))))
    return found


def who_lacks(
    db: sqlite3.Connection,
    where: str,
    params: Sequence[object],
    fields: Iterable[str],
    group: Lacking,
    suppressed: Condition,
    *,
    most: int,
) -> tuple[int, tuple[str, ...]]:
    """How many of ``group`` (of ``lacking`` with the same ``fields``) would be written to, and the first ``most``.

    ``suppressed`` is the condition that somebody is, with its parameters.
    """
    parts, values = [f"({where})"], list(params)
    for name in sorted(fields):
        condition, more = _is_empty(name)
        parts.append(f"({condition})" if name in group.fields else f"NOT ({condition})")
        values += more
    one_of_them, (gone, more_values) = " AND ".join(parts), suppressed
    count: int = group.count
    if count:
        row = db.execute(f"SELECT count(*) FROM contact WHERE {gone} AND {one_of_them}", (*more_values, *values))
        count -= row.fetchone()[0]
    else:
        row = db.execute(f"SELECT count(*) FROM contact WHERE {one_of_them} AND NOT {gone}", (*values, *more_values))
        count = row.fetchone()[0]
    rows = db.execute(
        f"SELECT email FROM contact WHERE {one_of_them} AND NOT {gone} ORDER BY id LIMIT ?",
        (*values, *more_values, most),
    )
    return count, tuple(row[0] for row in rows)


def _is_empty(name: str) -> tuple[str, list[str]]:
    """The condition that a contact has nothing for ``name``; never NULL. See ``audiences.filled_values``."""
    custom = "coalesce(json_extract(contact.fields, ?), '') = ''"
    path = [f'$."{name}"']
    return (f"contact.{name} = '' AND {custom}", path) if name in CONTACT_FIELDS else (custom, path)


def _sample(db: sqlite3.Connection, where: str, params: Sequence[object]) -> Sample:
    row = db.execute(f"SELECT * FROM contact WHERE {where}", tuple(params)).fetchone()
    return Sample(row["email"], filled_values(row))


# --- who they are -----------------------------------------------------------------------------------------------------


def count_by_domain(
    db: sqlite3.Connection, where: str, params: Sequence[object], *, among: Iterable[str] | None = None
) -> list[tuple[str, int]]:
    """Registrable domains with how many people of the audience each, the greatest first; of all, or ``among`` some."""
    chosen, values = "TRUE", list(params)
    if among is not None:
        chosen = "domain IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(list(among)))
    rows = db.execute(
        f"""SELECT domain, count(*) AS people FROM contact WHERE ({where}) AND {chosen}
            GROUP BY domain ORDER BY people DESC, domain""",
        values,
    )
    return [(domain, people) for domain, people in rows]


def count_locals(
    db: sqlite3.Connection, where: str, params: Sequence[object], locals_: Iterable[str], *, most: int
) -> tuple[int, tuple[str, ...]]:
    """How many addresses begin with one of ``locals_`` and the @, and the first ``most`` of them."""
    # The names lead, so that the index of addresses is asked for each of them, however many contacts there are.
    found = f"""contact WHERE id IN (
                    SELECT named.id FROM json_each(?) AS part CROSS JOIN contact AS named
                    ON named.address >= part.value || '@' AND named.address < part.value || 'A'
                ) AND ({where})"""
    values = (json.dumps(list(locals_)), *params)
    count: int = db.execute(f"SELECT count(*) FROM {found}", values).fetchone()[0]
    rows = db.execute(f"SELECT contact.email FROM {found} LIMIT ?", (*values, most))
    return count, tuple(row[0] for row in rows)


# --- what they got before ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Before:
    """What some of the audience got earlier."""

    looked_at: int
    """How many people were looked at: all, or a sample of them."""
    lately: int
    """Of them: who got something since the time that was asked about."""
    same: int
    """Of them: who got these very words."""
    same_in: str
    """The name of the campaign that most of those were in; empty when there are none."""
    same_at: str
    """When that one began."""
    full: int = 0
    """Of them: who has had as many messages as anybody may."""


def earlier(
    db: sqlite3.Connection,
    where: str,
    params: Sequence[object],
    total: int,
    *,
    since: datetime,
    content_hash: str,
    but: int | None,
    full: tuple[int, datetime] | None = None,
) -> Before:
    """``total`` is the audience's size; ``but`` a campaign that does not count; ``full``: so many messages since then
    are as many as anybody may have."""
    step = max(1, total // LOOKED_AT)
    chosen = db.execute(
        f"SELECT id FROM contact WHERE ({where}) AND (? = 1 OR id % ? = 0) LIMIT ?", (*params, step, step, LOOKED_AT)
    ).fetchall()
    ids = json.dumps([row[0] for row in chosen])
    people = "contact_id IN (SELECT value FROM json_each(?))"
    sent = "delivery.state IN ('sent', 'bounced', 'unknown') AND delivery.campaign_id IS NOT ?"
    lately: int = db.execute(
        f"SELECT count(DISTINCT contact_id) FROM delivery WHERE {people} AND {sent} AND sending_at >= ?",
        (ids, but, rfc3339(since)),
    ).fetchone()[0]
    row = db.execute(
        f"""SELECT campaign.name, campaign.started_at, count(DISTINCT contact_id) AS people
            FROM delivery JOIN campaign ON campaign.id = delivery.campaign_id
                 JOIN content_version ON content_version.id = campaign.version_id
            WHERE {people} AND {sent} AND content_version.hash = ?
            GROUP BY campaign.id ORDER BY people DESC LIMIT 1""",
        (ids, but, content_hash),
    ).fetchone()
    return Before(
        len(chosen),
        lately,
        same=row["people"] if row else 0,
        same_in=row["name"] if row else "",
        same_at=(row["started_at"] or "") if row else "",
        full=_who_are_full(db, ids, *full) if full else 0,
    )


def _who_are_full(db: sqlite3.Connection, ids: str, most: int, since: datetime) -> int:
    """As the gate of a claim counts; see ``gates.Gatekeeper``."""
    count: int = db.execute(
        """SELECT count(*) FROM (
               SELECT 1 FROM delivery WHERE contact_id IN (SELECT value FROM json_each(?)) AND sending_at > ?
                      AND state IN ('sending', 'sent', 'unknown', 'bounced')
               GROUP BY contact_id HAVING count(*) >= ?)""",
        (ids, rfc3339(since), most),
    ).fetchone()[0]
    return count


def largest_lately(db: sqlite3.Connection, *, but: int | None) -> int:
    """The greatest audience of the last campaigns that began; 0 when none did."""
    row = db.execute(
        """SELECT max((SELECT count(*) FROM delivery WHERE campaign_id = campaign.id AND step = 1)) FROM (
               SELECT id FROM campaign WHERE started_at IS NOT NULL AND id IS NOT ? ORDER BY started_at DESC LIMIT ?
           ) AS campaign""",
        (but, CAMPAIGNS_LOOKED_AT),
    ).fetchone()
    return row[0] or 0
