"""All that is known of one person at a glance: theirs, and what others say of them. What happened is the timeline's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aicmo.errors import NotFound
from aicmo.store import consents, contacts, lookups, next_actions, suppressions
from aicmo.store.consents import Consent
from aicmo.store.contacts import Contact, Entry
from aicmo.store.listing import listed
from aicmo.store.lookups import Fact, Verdict
from aicmo.store.next_actions import NextAction
from aicmo.store.suppressions import Suppression

if TYPE_CHECKING:
    from aicmo.crm.enrichment.facts import Conflict


@dataclass(frozen=True, slots=True)
class Portrait:
    contact: Contact
    score: int | None
    """0-100; ``None``: nothing to judge by."""
    last_touch: str
    """Empty when there was none."""
    planned: NextAction | None
    suppressed: Suppression | None
    """Why nobody may write to them, if so."""
    verdict: Verdict | None
    """The last word on their address."""
    consents: tuple[Consent, ...]
    """The word that holds on each purpose."""
    facts: tuple[Fact, ...]
    """What providers say, by field and time."""
    conflicts: tuple[Conflict, ...]
    """Where they say otherwise than what stands there, and nobody has chosen yet."""


def portrait(db: sqlite3.Connection, contact_id: int) -> Portrait:
    """Raises ``NotFound``."""
    entry = contacts.by_id(db, [contact_id]).get(contact_id)
    if entry is None:
        raise NotFound(f"There is no contact with the number {contact_id}.", hint="Undo brings back who was deleted.")
    contact = contacts.get(db, entry.address)
    assert contact is not None
    [(_, score, last_touch)] = listed(db, [contact])
    facts = tuple(lookups.facts_of(db, [contact_id]))
    newest = {word.purpose.casefold(): word for word in consents.history(db, contact_id)}
    return Portrait(
        contact,
        score,
        last_touch,
        next_actions.get(db, contact_id),
        suppressions.get(db, contact.address),
        lookups.verdicts(db, [contact_id]).get(contact_id),
        tuple(newest.values()),
        facts,
        tuple(_conflicts(contact_id, entry, facts)) if facts else (),
    )


def _conflicts(contact_id: int, entry: Entry, facts: Iterable[Fact]) -> list[Conflict]:
    from aicmo.crm.enrichment.facts import conflicts  # loads the chains, which most people's portraits need not

    return conflicts(contact_id, entry, facts)
