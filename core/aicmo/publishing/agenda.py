"""The calendar: what goes out when, what went, what is late, and whom one wanted to get back to.

Nothing is stored for it. Every line is read from what the sender itself goes by, so the calendar cannot promise what
will not happen. A day begins and ends in one zone, the business's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from itertools import groupby

from aicmo.clock import SYSTEM_CLOCK, Clock, parse_rfc3339
from aicmo.crm.icalendar import CalendarDay, calendar
from aicmo.crm.segments import select
from aicmo.errors import QueryInvalid
from aicmo.store import Database, agenda, audiences, campaigns, deliveries, meta, next_actions
from aicmo.store.agenda import Due
from aicmo.store.campaigns import Campaign, CampaignStatus

AHEAD = timedelta(days=366)
"""How far an exported calendar looks."""


class Kind(StrEnum):
    """What an entry is."""

    LATE = "late"
    """A campaign whose time has passed: it waits for a word."""
    START = "start"
    """A campaign begins."""
    STEP = "step"
    """People come to the next step of a sequence."""
    RETRY = "retry"
    """Messages that were put off go, or are tried again."""
    WINNER = "winner"
    """The better variant of a test is looked for; the rest of the audience gets it then."""
    WENT = "went"
    """A campaign that has begun, on the day it did."""
    PERSON = "person"
    """Somebody to get back to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a day."""

    kind: Kind
    day: date
    at: datetime | None
    """``None`` for what has a day and no time."""
    title: str
    """The campaign's name, or what was planned with whom."""
    count: int
    """Messages, or people; 0 when nobody can tell yet."""
    campaign_id: int = 0
    """0 for a plan with a person."""
    step: int = 1
    contact_id: int = 0
    """That person; 0 for a campaign."""
    email: str = ""
    """Of that person."""
    cause: str = ""
    """Of a ``RETRY`` that nobody has tried yet: what it waits for, one of ``deliveries.CAUSES``."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Some days of the calendar."""

    today: date
    late: tuple[Entry, ...]
    """Whatever their day: the longest late first."""
    days: Mapping[date, tuple[Entry, ...]]
    """Only the days that have any; each in order of time, those without a time last."""

    def of(self, day: date) -> tuple[Entry, ...]:
        """What is on that day; empty when nothing is, or it is none of these days."""
        return self.days.get(day, ())


class Agenda:
    """Everything that has a day of its own, read anew at every look. Blocks: the caller chooses the thread."""

    def __init__(self, db: Database, clock: Clock = SYSTEM_CLOCK, *, zone: tzinfo | None = None) -> None:
        """``zone``: where a day begins and ends; ``None`` is the machine's."""
        self._db, self._clock, self._zone = db, clock, zone

    def today(self) -> date:
        """In ``zone``."""
        return self._clock.now().astimezone(self._zone).date()

    def look(self, first: date, last: date) -> Plan:
        """The days from ``first`` to ``last``, both included, and everything that is late."""
        return self._db.read(lambda db: self._look(db, first, last))

    def calendar(self) -> str:
        """All that is still to come, as an iCalendar file."""
        today = self.today()

        def read(db: sqlite3.Connection) -> tuple[Plan, bytes]:
            return self._look(db, today, today + AHEAD), meta.identity(db).instance

        plan, instance = self._db.read(read)
        coming = (each for day in sorted(plan.days) for each in plan.of(day) if each.kind is not Kind.WENT)
        days = (
            CalendarDay(f"{_identity(each)}@{instance.hex()}", each.day, summary(each), at=each.at) for each in coming
        )
        return calendar(days, self._clock.now())

    # --- inside -----------------------------------------------------------------------------------------------------

    def _look(self, db: sqlite3.Connection, first: date, last: date) -> Plan:
        known = {campaign.id: campaign for campaign in campaigns.listed(db)}
        today = self.today()
        late = sorted(
            (each for campaign in known.values() for each in self._missed(db, campaign)), key=lambda each: each.day
        )
        until = datetime.combine(last + timedelta(days=1), time(), self._zone).astimezone(self._zone)
        entries = [
            *(each for campaign in known.values() for each in self._of_campaign(db, campaign)),
            *self._by_day(Kind.STEP, agenda.steps(db, until), known),
            *self._by_day(Kind.RETRY, agenda.retries(db, until), known),
            *self._by_day(Kind.WINNER, agenda.decisions(db, until), known),
            *(self._of_person(each) for each in next_actions.planned(db, until=last)),
        ]
        # What is overdue is to be done today.
        entries = [
            replace(each, day=max(each.day, today)) if each.kind not in (Kind.START, Kind.WENT) else each
            for each in entries
        ]
        shown = sorted((each for each in entries if first <= each.day <= last), key=_in_order)
        return Plan(today, tuple(late), {day: tuple(some) for day, some in groupby(shown, key=lambda each: each.day)})

    def _missed(self, db: sqlite3.Connection, campaign: Campaign) -> Iterator[Entry]:
        """A campaign that was paused because its time had passed, before anybody of it was queued."""
        if campaign.status is CampaignStatus.PAUSED and campaign.scheduled_at:
            at = parse_rfc3339(campaign.scheduled_at)
            if at <= self._clock.now() and not deliveries.counts(db, campaign.id).audience:
                yield self._entry(Kind.LATE, campaign, at, _reached(db, campaign, self._clock.now()))

    def _of_campaign(self, db: sqlite3.Connection, campaign: Campaign) -> Iterator[Entry]:
        if campaign.status is CampaignStatus.SCHEDULED and campaign.scheduled_at:
            at = parse_rfc3339(campaign.scheduled_at)
            yield self._entry(Kind.START, campaign, at, _reached(db, campaign, self._clock.now()))
        elif campaign.started_at and (counts := deliveries.counts(db, campaign.id)).audience:
            if campaign.status is CampaignStatus.CANCELLED and not counts.sent:
                return  # nothing of it went
            at = parse_rfc3339(max(campaign.started_at, campaign.scheduled_at or ""))
            yield self._entry(Kind.WENT, campaign, at, counts.sent)

    def _by_day(self, kind: Kind, due: Iterable[Due], known: Mapping[int, Campaign]) -> Iterator[Entry]:
        """Minutes put together: one line for a campaign's step and what it waits for on a day, at the time of its
        first."""

        def where(each: Due) -> tuple[int, int, str, date]:
            return each.campaign_id, each.step, each.cause, self._day(each.at)

        for (campaign_id, step, cause, _), minutes in groupby(sorted(due, key=where), key=where):
            some = list(minutes)
            first = min(each.at for each in some)
            entry = self._entry(kind, known[campaign_id], first, sum(each.count for each in some))
            yield replace(entry, step=step, cause=cause)

    def _of_person(self, planned: next_actions.Planned) -> Entry:
        title = f"{planned.text}: {planned.name or planned.email}"
        return Entry(Kind.PERSON, planned.due, None, title, 1, contact_id=planned.contact_id, email=planned.email)

    def _entry(self, kind: Kind, campaign: Campaign, at: datetime, count: int) -> Entry:
        return Entry(kind, self._day(at), at, campaign.name, count, campaign.id)

    def _day(self, at: datetime) -> date:
        return at.astimezone(self._zone).date()


WAITS_FOR: Mapping[str, str] = {
    "hours": "when the hours for sending begin",
    "limit": "when a limit leaves room",
    "frequency": "who had enough mail until then",
    "throttled": "when the receiving side takes more",
    "variant": "whose variant goes then",
}
"""Causes of being put off before anybody tried, as what follows the people in a line."""


def summary(entry: Entry) -> str:
    """What an entry says in one line."""
    people = "1 person" if entry.count == 1 else f"{entry.count:,} people"
    return {
        Kind.LATE: f"{entry.title}: late, waits for your word",
        Kind.START: f"{entry.title}: to {people}",
        Kind.STEP: f"{entry.title}, step {entry.step}: {people}",
        Kind.RETRY: f"{entry.title}: {people} {WAITS_FOR.get(entry.cause, 'tried again')}",
        Kind.WINNER: f"{entry.title}: the better variant goes to {people}",
        Kind.WENT: f"{entry.title}: sent to {people}",
        Kind.PERSON: entry.title,
    }[entry.kind]


def _reached(db: sqlite3.Connection, campaign: Campaign, now: datetime) -> int:
    """Who would get it if it began now; 0 when its audience cannot be told any more."""
    try:
        where = select(db, campaign.audience, now=now).where()
    except QueryInvalid:
        return 0
    audience = audiences.measured(db, *where)
    return audience.total - audience.suppressed


def _in_order(entry: Entry) -> tuple[date, bool, str, str]:
    return entry.day, entry.at is None, entry.at.isoformat() if entry.at else "", entry.title


def _identity(entry: Entry) -> str:
    """The same for the same thing, however often the file is written and whatever day it is moved to."""
    if entry.kind is Kind.PERSON:
        return f"next-{entry.contact_id}"  # as in the file of ``Today``
    if entry.kind is Kind.START:
        return f"start-{entry.campaign_id}"
    waits_for = f"-{entry.cause}" if entry.cause else ""
    return f"{entry.kind}-{entry.campaign_id}-{entry.step}-{entry.day}{waits_for}"
