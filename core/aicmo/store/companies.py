"""Companies: the people of one registrable domain, counted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Company:
    domain: str
    name: str
    """What most of its people call it; empty when none of them says."""
    people: int
    verified: int
    """Those of them who are VERIFIED, ENGAGED or CONVERTED: how well it is covered."""
    engaged: int
    """Those who are ENGAGED or CONVERTED."""
    suppressed: int
    last_touch: str
    """The last thing that any of them did, were told or were sent; empty when nothing was."""


def domains(db: sqlite3.Connection) -> list[str]:
    """Every domain, that with the most people first. A million people take some 0.3 s."""
    rows = db.execute("SELECT domain FROM contact GROUP BY domain ORDER BY count(*) DESC, domain")
    return [row[0] for row in rows]


def names(db: sqlite3.Connection) -> dict[str, str]:
    """What its people call each domain's company, all of it in one text. A million people take some 0.8 s."""
    rows = db.execute("SELECT domain, group_concat(DISTINCT company) FROM contact GROUP BY domain")
    return {row[0]: row[1] for row in rows}


def described(db: sqlite3.Connection, wanted: Iterable[str]) -> list[Company]:
    """The companies of these domains, in their order; those without people are left out."""
    order = list(wanted)
    rows = db.execute(
        """SELECT domain, count(*) AS people,
                  count(*) FILTER (WHERE stage IN ('VERIFIED', 'ENGAGED', 'CONVERTED')) AS verified,
                  count(*) FILTER (WHERE stage IN ('ENGAGED', 'CONVERTED')) AS engaged,
                  count(*) FILTER (WHERE EXISTS (
                      SELECT 1 FROM suppression WHERE key = suppression_key(contact.address))) AS suppressed,
                  max(max(
                      coalesce((SELECT max(at) FROM event WHERE contact_id = contact.id AND human IS NOT 0), ''),
                      coalesce((SELECT max(at) FROM delivery
                                WHERE contact_id = contact.id AND state IN ('sent', 'bounced')), ''))) AS last_touch,
                  (SELECT company FROM contact AS named WHERE named.domain = contact.domain AND company <> ''
                   GROUP BY company ORDER BY count(*) DESC, company LIMIT 1) AS name
           FROM contact WHERE domain IN (SELECT value FROM json_each(?)) GROUP BY domain""",
        (json.dumps(order),),
    )
    found = {row["domain"]: Company(**{**dict(row), "name": row["name"] or ""}) for row in rows}
    return [found[domain] for domain in order if domain in found]
