"""Unknown deliveries, resolved by evidence: a copy in Sent or a mail that answers shows that a message went.

Only what is found is settled. What is not found stays unknown: many servers keep no copy, and most people do not
answer, so absence proves nothing. After a delivery became unknown it is looked for at the moments of ``AFTER``, each
once whichever process does it, and then only when a person asks. Nothing here waits on or for a sender.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import ConfigInvalid
from aicmo.gateways import Answer, Outcome, Provider, ProviderChain
from aicmo.gateways.inbound import Evidence, MailBatch, Trace, Traces
from aicmo.publishing.email.headers import wire_address
from aicmo.publishing.email.tokens import delivery_token, message_id_of
from aicmo.store import Database, campaigns, deliveries, meta, unknown
from aicmo.store.unknown import InDoubt, Look, Seen

log = logging.getLogger(__name__)

AFTER = (
    *(timedelta(minutes=minutes) for minutes in (0, 1, 5, 15)),
    *(timedelta(hours=hours) for hours in (1, 4, 12)),
    *(timedelta(days=days) for days in (1, 2, 4)),
)
"""Since a delivery became unknown: a copy is there at once or never, a bounce or an answer may take days."""
MOST_AT_ONCE = 200
"""Deliveries in one look."""
PATIENCE_S = 60.0
"""For one look, all accounts together."""
NOBODY = "no mailbox is configured (chains.reply_fetching)"


class MailReader(Provider, Protocol):
    """What is needed of a provider of ``reply_fetching``."""

    async def fetch(
        self, mailbox: str, after_uid: int, uid_validity: int | None, limit: int, *, since: datetime | None
    ) -> Answer[MailBatch]: ...

    async def find_sent(self, message_ids: Sequence[str], since: datetime) -> Answer[Traces]: ...


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    """What one search for evidence came to."""

    asked: int = 0
    """Deliveries that were looked for in at least one account."""
    settled: int = 0
    """Of these: found, and ``sent`` now."""
    left: int = 0
    """Still unknown, of those the search was about."""
    looked_in: tuple[str, ...] = ()
    """Mailboxes, each with its account."""
    why_not: str = ""
    """Why an account could not be asked; empty when all were, or none had to be."""
    needs_a_person: bool = False
    """Whether that is for a credential or setting, which does not pass by itself."""

    @property
    def told_of_waiting(self) -> tuple[str, ...]:
        """Of a search among those that wait: what it showed, and what going on means; a sentence each."""
        where, waited = ", ".join(self.looked_in), self.settled + self.left
        if not waited:
            return ("Nothing of it waits here. If it began in another copy, whoever got it there gets it twice.",)
        found = f"{self.settled:,} of {waited:,} that wait were found in {where}: they went." if self.settled else ""
        if where and not self.settled:
            found = f"None of the {waited:,} that wait was found in {where}, which proves nothing."
        others = " about the others" if found else ""
        unasked = f"Nobody could be asked{others}: {self.why_not}." if self.why_not else ""
        rest = f"{self.left:,} go out when it goes on; whoever got it from another copy gets it twice."
        return tuple(each for each in (found, unasked, rest) if each)


@dataclass(frozen=True, slots=True)
class Doubt:
    """How it stands with the unknown deliveries of a campaign."""

    count: int
    look: Look | None
    """The last one; ``None`` when none of them has been looked for yet."""
    next_at: datetime | None
    """When one of them is looked for next; ``None``: only when a person asks."""
    is_due: bool = False
    """Whether that is now: the next program that sends looks."""

    @property
    def told(self) -> tuple[str, ...]:
        """What it means, what was looked at, and when it is looked at again: a sentence each, in local time."""
        again = f"Looked for again {_clock(self.next_at)}." if self.next_at else "Not looked for again by itself."
        if self.is_due:
            again = "Looked for again at the next aicmo run, or by the app."
        return "Handed to a server whose answer was lost: they may or may not have gone.", f"{self._looked} {again}"

    @property
    def _looked(self) -> str:
        if self.look is None:
            return "Nobody has looked for them yet."
        where = ", ".join(self.look.looked_in)
        if self.look.why_not:
            beside = f" beside {where}" if where else ""
            return f"Could not be looked for{beside} {_clock(self.look.at)}: {self.look.why_not}."
        return f"Not found {_clock(self.look.at)} in {where}, which proves nothing."


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the accounts said of one batch."""

    found: tuple[tuple[InDoubt, str], ...] = ()
    """With the evidence, in words."""
    asked: int = 0
    looked_in: tuple[str, ...] = ()
    why_not: str = ""
    needs_a_person: bool = False

    def report(self, settled: int, left: int) -> EvidenceReport:
        return EvidenceReport(self.asked, settled, left, self.looked_in, self.why_not, self.needs_a_person)


class EvidenceSearch:
    """Looks for what is unknown. It settles what it finds; what it does not find stays as it is."""

    def __init__(
        self, db: Database, accounts: Callable[[], ProviderChain[MailReader]], *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """``accounts`` gives the chain when there is something to look for; it may raise ``ConfigInvalid``."""
        self._db = db
        self._accounts = accounts
        self._clock = clock

    async def look(self) -> EvidenceReport:
        """Look for the unknown deliveries, of all campaigns, whose moment has come: at most ``MOST_AT_ONCE``.

        When no account can be asked nothing is settled, their moment stays, and the report says why.
        """
        now = self._clock.now()
        due = await self._db.aread(lambda db: due_looks(unknown.in_doubt(db), unknown.seen_to(db), now))
        if not due:
            return EvidenceReport()
        due = due[:MOST_AT_ONCE]
        moment, last = due[-1]
        return await self._look([each for _, each in due], (moment, last.id))

    async def look_for(self, campaign_id: int, *, address: str = "") -> EvidenceReport:
        """Look now for all unknown deliveries of a campaign, or the one to ``address`` (normalised): a person asks."""
        wanted = await self._db.aread(lambda db: unknown.in_doubt(db, campaign_id, address))
        return await _in_batches(wanted, self._look)

    async def look_for_waiting(self, campaign_id: int) -> EvidenceReport:
        """Look for those of a campaign that wait, because a copy of this database may have sent them.

        What is found is ``sent``; what is not still waits, and is ``left``.
        """
        wanted = await self._db.aread(lambda db: _may_have_gone(db, campaign_id))
        return await _in_batches(wanted, self._look_among_waiting)

    async def _look_among_waiting(self, batch: Sequence[InDoubt]) -> EvidenceReport:
        heard = await self._hear(batch)
        settled = await self._db.awrite(partial(_settle_waiting, found=heard.found, now=self._clock.now()))
        return heard.report(settled, len(batch) - settled)

    async def _look(self, batch: Sequence[InDoubt], seen: Seen | None = None) -> EvidenceReport:
        heard = await self._hear(batch)
        now = self._clock.now()

        def write(db: sqlite3.Connection) -> tuple[int, int]:
            for campaign_id in {each.campaign_id for each in batch}:
                unknown.note_look(db, campaign_id, Look(now, heard.looked_in, heard.why_not))
            if heard.asked and seen is not None:
                unknown.note_seen(db, seen)
            settled = sum(
                deliveries.settle_by_evidence(db, each.id, each.message_id, evidence, now)
                for each, evidence in heard.found
            )
            left = {each.id for each in unknown.in_doubt(db)}  # others may have settled some meanwhile
            return settled, sum(each.id in left for each in batch)

        settled, left = await self._db.awrite(write)
        if settled:
            log.info("%d unknown deliveries went, as %s shows", settled, ", ".join(heard.looked_in))
        return heard.report(settled, left)

    async def _hear(self, batch: Sequence[InDoubt]) -> _Heard:
        try:
            chain = await asyncio.to_thread(self._accounts)  # loads the providers' modules
        except ConfigInvalid as error:
            return _Heard(why_not=error.message, needs_a_person=True)
        if not chain.providers:
            return _Heard(why_not=NOBODY, needs_a_person=True)
        looked_in: dict[str, None] = {}
        since = min(each.sending_at for each in batch)

        async def find(account: MailReader, some: Sequence[InDoubt]) -> Answer[Sequence[str | None]]:
            answer = await account.find_sent([each.message_id for each in some], since)
            if answer.value is None:
                return Answer(answer.attempt)
            found = answer.value.found
            looked_in.update(dict.fromkeys(f"{mailbox} of {account.name}" for mailbox in answer.value.looked_in))
            return Answer(answer.attempt, [_told(found.get(each.message_id), account.name) for each in some])

        told = await chain.ask_each(batch, find, deadline_s=PATIENCE_S)
        failed = [attempt for attempt in told.attempts if attempt.outcome is not Outcome.OK]
        return _Heard(
            tuple((each, item.value) for each, item in zip(batch, told.items, strict=True) if item.value is not None),
            sum(bool(item.asked) for item in told.items),
            tuple(looked_in),
            told.why or "; ".join(f"{attempt.provider}: {attempt.detail}" for attempt in failed),
            any(attempt.outcome in (Outcome.AUTH, Outcome.INPUT) for attempt in failed),
        )


async def _in_batches(
    wanted: Sequence[InDoubt], look: Callable[[Sequence[InDoubt]], Awaitable[EvidenceReport]]
) -> EvidenceReport:
    """What ``look`` comes to, so many at once, until nobody can be asked any more."""
    total = EvidenceReport(left=len(wanted))
    for start in range(0, len(wanted), MOST_AT_ONCE):
        batch = wanted[start : start + MOST_AT_ONCE]
        report = await look(batch)
        total = EvidenceReport(
            total.asked + report.asked,
            total.settled + report.settled,
            total.left - len(batch) + report.left,
            tuple(dict.fromkeys(total.looked_in + report.looked_in)),
            report.why_not,
            report.needs_a_person,
        )
        if not report.asked:
            break
    return total


def _may_have_gone(db: sqlite3.Connection, campaign_id: int) -> list[InDoubt]:
    """Those that wait, under the Message-IDs that they have or would get."""
    identity, sender = meta.identity(db), campaigns.get(db, campaign_id).sender
    domain = wire_address(sender["email"]).rpartition("@")[2].lower() if sender else ""
    return [
        InDoubt(
            delivery_id, campaign_id, message_id_of(delivery_token(identity, campaign_id, delivery_id), domain), at, at
        )
        for delivery_id, at in unknown.waiting(db, campaign_id)
    ]


def _settle_waiting(db: sqlite3.Connection, found: Sequence[tuple[InDoubt, str]], now: datetime) -> int:
    return sum(
        deliveries.settle_by_evidence(db, each.id, each.message_id, evidence, now)
        for each, evidence in found
        if deliveries.doubt(db, each.id, each.message_id, now)
    )


def due_looks(waiting: Sequence[InDoubt], seen: Seen | None, now: datetime) -> list[tuple[datetime, InDoubt]]:
    """Those whose moment has come and was not yet ``seen``, with that moment, the longest due first."""
    due = [(moments[-1], each) for each in waiting if (moments := [at for at in _moments(each) if at <= now])]
    due = [(moment, each) for moment, each in due if seen is None or (moment, each.id) > seen]
    return sorted(due, key=lambda it: (it[0], it[1].id))


def doubt_about(db: sqlite3.Connection, campaign_id: int, now: datetime) -> Doubt | None:
    """``None`` when no delivery of the campaign is unknown."""
    waiting = unknown.in_doubt(db, campaign_id)
    if not waiting:
        return None
    look = unknown.last_look(db, campaign_id)
    if look is not None and look.at < min(each.at for each in waiting):
        look = None  # it was about others
    if due_looks(waiting, unknown.seen_to(db), now):
        return Doubt(len(waiting), look, now, is_due=True)
    later = [moment for each in waiting for moment in _moments(each) if moment > now]
    return Doubt(len(waiting), look, min(later, default=None))


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():at %H:%M on %-d %B}"


def _moments(each: InDoubt) -> tuple[datetime, ...]:
    return tuple(each.at + after for after in AFTER)


def _told(trace: Trace | None, account: str) -> str | None:
    if trace is None:
        return None
    shows = {
        Evidence.COPY: f"a copy lies in {trace.mailbox} of {account}",
        Evidence.ANSWER: f"a mail in {trace.mailbox} of {account} answers it",
    }
    return f"it was sent: {shows[trace.evidence]}"
