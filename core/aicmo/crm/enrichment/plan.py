"""Who is asked about, and by whom: nobody twice within so many days, and nobody for whom asking is a waste.

A miss counts as an answer: who was not known yesterday is not asked about again today. A question whose outcome nobody
knows may have been paid for, so it is put again only on a person's word.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aicmo.clock import rfc3339
from aicmo.crm.domains import is_free_mail
from aicmo.gateways.leads import Lead
from aicmo.store import contacts, lookups, suppressions
from aicmo.store.contacts import Entry
from aicmo.store.lookups import Asked, Verdict

LEAD_ENRICHMENT, EMAIL_VERIFICATION = "lead_enrichment", "email_verification"
SKIPPED = ("suppressed", "recent", "unknown", "waiting", "nothing_known", "gone")
"""Why somebody is not asked about: must not be written to; answered about not long ago; perhaps paid for already; the
answer is still to be fetched; too little is known to ask with; deleted or suppressed while the run was going on."""
KEPT_DAYS = 30
"""So long a provider keeps an answer that was not fetched (Dropcontact's documentation)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of a run."""

    capability: str = LEAD_ENRICHMENT
    parallel: bool = False
    """Every provider is asked about everybody, not only about whom those before it do not know."""
    again: bool = False
    """Also who was asked about not long ago."""
    retry_unknown: bool = False
    """Also who may have been paid for already."""
    max_credits: int | None = None
    """Of all providers together; ``None``: their budgets alone are the limit."""
    by_person: bool = True
    """Whether ``aicmo undo`` may mean this run."""


@dataclass(slots=True)
class Plan:
    """Who is to be asked about, in the order of the list."""

    providers: tuple[str, ...]
    selected: int = 0
    todo: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Contact -> the providers that may be asked, in order."""
    skipped: Counter[str] = field(default_factory=Counter)
    """By the names of ``SKIPPED``."""

    def at_most(self, provider: str) -> int:
        """About how many people a provider may be asked."""
        return sum(provider in providers for providers in self.todo.values())


def make_plan(
    db: sqlite3.Connection,
    wish: Wish,
    ids: Sequence[int],
    providers: Sequence[str],
    *,
    days: int,
    now: datetime,
) -> Plan:
    """``days``: so long an answer counts."""
    plan = Plan(tuple(providers), len(ids))
    since, kept_since = rfc3339(now - timedelta(days=days)), rfc3339(now - timedelta(days=KEPT_DAYS))
    for part in lookups.chunks(ids):
        entries = contacts.by_id(db, part)
        suppressed = suppressions.among(db, [entry.address for entry in entries.values()])
        asked = lookups.last_asked(db, wish.capability, entries)
        verdicts = lookups.verdicts(db, entries) if wish.capability == EMAIL_VERIFICATION else {}
        plan.selected -= len(part) - len(entries)
        for number in sorted(entries):
            entry, history = entries[number], asked.get(number, {})
            if entry.address in suppressed:
                plan.skipped["suppressed"] += 1
            elif not lead_of(entry, wish.capability).can_be_found:
                plan.skipped["nothing_known"] += 1
            elif _is_waiting(history.values(), kept_since):
                plan.skipped["waiting"] += 1
            elif not wish.again and _is_settled(verdicts.get(number), since):
                plan.skipped["recent"] += 1
            else:
                still, why = _still_to_ask(wish, history, providers, since)
                if still:
                    plan.todo[number] = still
                elif why:
                    plan.skipped[why] += 1
    return plan


def lead_of(entry: Entry, capability: str) -> Lead:
    """What a provider is told of somebody: for a verification the address alone."""
    if capability == EMAIL_VERIFICATION:
        return Lead(entry.email)
    return Lead(
        entry.email,
        entry.first_name,
        entry.last_name,
        entry.company,
        "" if is_free_mail(entry.domain) else entry.domain,
        entry.fields.get("linkedin_url") or entry.fields.get("linkedin", ""),
    )


def _is_waiting(history: Iterable[Asked], kept_since: str) -> bool:
    return any(it.outcome in ("asked", "unknown") and it.reference and it.at >= kept_since for it in history)


def _is_settled(verdict: Verdict | None, since: str) -> bool:
    """Whether somebody has said of the address what there is to say."""
    return verdict is not None and verdict.status != "unknown" and verdict.at >= since


def _still_to_ask(
    wish: Wish, history: Mapping[str, Asked], providers: Sequence[str], since: str
) -> tuple[tuple[str, ...], str]:
    """The providers that may be asked about one person; where there is none, why."""
    recent = {} if wish.again else {name: it for name, it in history.items() if it.at >= since}
    answered = {name for name, it in recent.items() if it.outcome in ("found", "no_match")}
    found = {name for name in answered if recent[name].outcome == "found"}
    if found and not wish.parallel and wish.capability == LEAD_ENRICHMENT:
        return (), "recent"
    # Perhaps paid for: "again" alone does not mean these.
    doubtful = {name for name, it in history.items() if it.outcome in ("asked", "unknown") and it.at >= since}
    closed = answered | (set() if wish.retry_unknown else doubtful)
    still = tuple(name for name in providers if name not in closed)
    if still or not providers:
        return still, ""
    return (), "unknown" if doubtful - answered and not wish.retry_unknown else "recent"
